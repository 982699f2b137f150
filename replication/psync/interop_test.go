package psync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tidwall/resp"
	"go.uber.org/zap"

	"redoubt/internal/redistest"
	"redoubt/replication"
	"redoubt/storage/rdb"
)

// These tests run against real redis-server and redis-cli processes: what our
// own two sides agree on between themselves proves little.

const patience = 20 * time.Second

// redisServer is a running redis-server and a connection to it.
type redisServer struct {
	*redistest.Server
	t      *testing.T
	client *redistest.Client
}

func startRedis(t *testing.T, options ...string) *redisServer {
	t.Helper()
	s := redistest.Start(t, redistest.Redis, append([]string{"--repl-diskless-sync-delay", "0"}, options...)...)
	return &redisServer{s, t, s.Client()}
}

// do runs a command and returns its reply as text.
func (s *redisServer) do(args ...any) string {
	s.t.Helper()
	reply, err := s.client.Do(args...)
	if err != nil {
		s.t.Fatalf("%q: %v", args, err)
	}
	return fmt.Sprint(reply)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	redistest.Until(t, patience, what, func() error {
		if !condition() {
			return errors.New("not yet")
		}
		return nil
	})
}

// follow starts a Link to addr over TCP.
func follow(t *testing.T, addr, password string, target *memTarget) *Link {
	t.Helper()
	dir := t.TempDir()
	l := Start(LinkConfig{
		Addr: addr,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		},
		Identity: func() Identity { return Identity{Password: password, Port: 1} },
		Dir:      func() string { return dir },
		Timeout:  func() time.Duration { return patience },
		Target:   target,
		Log:      zap.NewNop(),
	})
	t.Cleanup(l.Close)
	return l
}

func TestRealPrimary(t *testing.T) {
	for _, diskless := range []string{"yes", "no"} {
		t.Run("diskless "+diskless, func(t *testing.T) {
			t.Parallel()
			r := startRedis(t, "--repl-diskless-sync", diskless)
			long := strings.Repeat("long ", 20000)
			r.do("SET", "a", "1")
			r.do("SET", "long", long)
			r.do("SELECT", "5")
			r.do("SET", "b", "2", "PX", "1000000")
			target := newTarget()
			l := follow(t, r.Addr(), "", target)
			eventually(t, "the link is up", func() bool { return l.Status().Up() })

			r.do("SET", "c", "3")
			r.do("MULTI")
			r.do("SET", "d", "4")
			r.do("SELECT", "0")
			r.do("SET", "e", "5")
			r.do("EXEC")
			// WAIT makes redis-server send GETACK, and count our answer.
			if got := r.do("WAIT", "1", "10000"); got != "1" {
				t.Fatalf("WAIT says %s", got)
			}
			agree(t, r, l, target)
			r.do("CLIENT", "KILL", "TYPE", "replica")
			r.do("SET", "f", "6")
			eventually(t, "the link is up again", func() bool { return r.do("WAIT", "1", "100") == "1" })
			agree(t, r, l, target)
			if full, partial := r.Info("sync_full"), r.Info("sync_partial_ok"); full != "1" || partial != "1" {
				t.Errorf("%s full and %s partial resyncs", full, partial)
			}
			want := map[string]string{"0/a": "1", "0/long": long, "5/b": "2", "5/c": "3", "5/d": "4", "0/e": "5", "0/f": "6"}
			if fmt.Sprint(target.keys) != fmt.Sprint(want) {
				t.Errorf("keys %.500v", target.keys)
			}
		})
	}
}

// agree fails unless both sides name the same history and, byte for byte, the
// same offset.
func agree(t *testing.T, r *redisServer, l *Link, target *memTarget) {
	t.Helper()
	// The GETACK of WAIT itself may still be on its way.
	eventually(t, "the offsets agree", func() bool {
		return r.Info("master_repl_offset") == strconv.FormatInt(int64(l.Status().Offset), 10)
	})
	target.mu.Lock()
	defer target.mu.Unlock()
	if target.position.End != l.Status().Offset || target.position.History.ID != r.Info("master_replid") {
		t.Errorf("%+v, but the link is at %d and the primary's id is %s",
			target.position, l.Status().Offset, r.Info("master_replid"))
	}
}

func TestRealPrimaryWithPassword(t *testing.T) {
	t.Parallel()
	r := startRedis(t, "--requirepass", "secret")
	r.do("AUTH", "secret")
	wrong := follow(t, r.Addr(), "wrong", newTarget())
	right := follow(t, r.Addr(), "secret", newTarget())
	eventually(t, "the link with the right password is up", func() bool { return right.Status().Up() })
	if wrong.Status().Up() {
		t.Error("the one with the wrong password, too")
	}
}

func TestRealPrimaryWithTypesNotBuiltYet(t *testing.T) {
	t.Parallel()
	r := startRedis(t)
	r.do("HSET", "h", "f", "v")
	target := newTarget()
	l := follow(t, r.Addr(), "", target)
	eventually(t, "the snapshot was sent", func() bool { return r.Info("sync_full") != "0" })
	eventually(t, "the link waits to try again", func() bool { return l.Status().State == Connect })
	if lines := target.lines(); lines != "" {
		t.Errorf("the target was told %s", lines)
	}
}

// node is a Primary on a TCP port, in front of which the test plays the server.
type node struct {
	addr    string
	stream  *memStream
	history atomic.Pointer[replication.History]
	primary *Primary
}

func startNode(t *testing.T, diskless bool, file func(need Need, at replication.Offset) string) *node {
	n := &node{stream: newStream(1000, cmd("SELECT", "0"))}
	first := replication.NewHistory(idA)
	n.history.Store(&first)
	n.primary = NewPrimary(PrimaryConfig{
		Stream: n.stream,
		Snapshots: snapshotsFunc(func(_ context.Context, need Need) (*Base, error) {
			at := n.stream.End()
			return baseOf(file(need, at), need.Sized || !diskless, at), nil
		}),
		History:  func() replication.History { return *n.history.Load() },
		Settings: func() Settings { return Settings{Timeout: patience, Diskless: diskless} },
		OnAck:    func() {},
		Log:      zap.NewNop(),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.addr = listener.Addr().String()
	t.Cleanup(func() {
		listener.Close()
		n.primary.Close()
	})
	go func() {
		for id := replication.ReplicaID(1); ; id++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serveHandshake(t, n.primary, conn, id)
		}
	}()
	return n
}

// serveHandshake plays the server in front of a Primary: it answers what comes
// before PSYNC or SYNC, and then hands the connection over.
func serveHandshake(t testing.TB, p *Primary, conn net.Conn, id replication.ReplicaID) {
	var h Handshake
	in, out := resp.NewReader(conn), resp.NewWriter(conn)
	for {
		v, _, _, err := in.ReadMultiBulk()
		if err != nil {
			conn.Close()
			return
		}
		args := v.Array()
		switch name := strings.ToUpper(args[0].String()); name {
		case "PING":
			out.WriteSimpleString("PONG")
		case "REPLCONF":
			for i := 1; i+1 < len(args); i += 2 {
				option, value := args[i].String(), args[i+1].String()
				switch {
				case option == "listening-port":
					h.ListeningPort, _ = strconv.Atoi(value)
				case option == "capa":
					h.EOF = h.EOF || value == "eof"
					h.PSYNC2 = h.PSYNC2 || value == "psync2"
				case option == "rdb-only":
					h.RDBOnly = value == "1"
				case option == "rdb-filter-only":
					h.Filtered = true
				}
			}
			out.WriteSimpleString("OK")
		case "PSYNC":
			from, err := strconv.ParseInt(args[2].String(), 10, 64)
			if err != nil {
				t.Errorf("PSYNC %q", args)
			}
			h.Request = &replication.Request{ID: args[1].String(), From: replication.Offset(from)}
			p.Serve(context.Background(), conn, id, h)
			return
		case "SYNC":
			p.Serve(context.Background(), conn, id, h)
			return
		default:
			out.WriteError(fmt.Errorf("ERR unknown command '%s'", name))
		}
	}
}

func TestRealReplica(t *testing.T) {
	for _, diskless := range []bool{true, false} {
		t.Run(fmt.Sprint("diskless ", diskless), func(t *testing.T) {
			t.Parallel()
			long := strings.Repeat("long ", 20000)
			n := startNode(t, diskless, func(_ Need, at replication.Offset) string {
				return rdbOf(t, map[string]string{"a": "1", "long": long},
					rdb.Header{ServerVersion: "7.0.15", ReplID: idA, ReplOffset: at, ReplStreamDB: 0})
			})
			host, port, _ := net.SplitHostPort(n.addr)
			r := startRedis(t, "--replicaof", host, port)
			applied := func() bool { return n.primary.Applied(n.stream.End()) == 1 }
			getack := cmd("REPLCONF", "GETACK", "*") // or it would tell once a second only
			eventually(t, "the replica is online", applied)
			if r.do("GET", "a") != "1" || r.do("GET", "long") != long {
				t.Error("the snapshot was not loaded")
			}
			// A bare line end between commands counts, as it does for our Reader.
			n.stream.append(cmd("ping") + "\n" + cmd("MULTI") + cmd("SET", "b", "2") + cmd("SET", "c", "3") + cmd("EXEC") + getack)
			eventually(t, "the replica has applied the stream", applied)
			if got := r.do("GET", "c"); got != "3" {
				t.Errorf("GET c is %q", got)
			}

			n.primary.Bar()()
			n.stream.append(cmd("SET", "d", "4"))
			eventually(t, "the replica has caught up", applied)

			// We are promoted, say: the replica goes on under the new id.
			release := n.primary.Bar()
			promoted := n.history.Load().Branch(idB, n.stream.End())
			n.history.Store(&promoted)
			n.stream.append(cmd("SELECT", "0") + cmd("SET", "e", "5"))
			release()
			eventually(t, "the replica has caught up with the promoted node", applied)
			if id, id2 := r.Info("master_replid"), r.Info("master_replid2"); id != idB || id2 != idA {
				t.Errorf("its histories are %s and %s", id, id2)
			}
			if got, want := r.Info("master_repl_offset"), strconv.FormatInt(int64(n.stream.End()), 10); got != want {
				t.Errorf("it is at offset %s, we are at %s", got, want)
			}
			if got := r.do("GET", "d") + r.do("GET", "e"); got != "45" {
				t.Errorf("GET d and e is %q", got)
			}

			// It is promoted, and we become its replica.
			end := n.stream.End()
			r.do("REPLICAOF", "NO", "ONE")
			r.do("SET", "f", "6")
			target := newTarget()
			target.known, target.position = true, Position{promoted, end, 0}
			l := follow(t, r.Addr(), "", target)
			eventually(t, "the link is up", func() bool { return l.Status().Up() })
			if got := r.do("WAIT", "1", "10000"); got != "1" {
				t.Fatalf("WAIT says %s", got)
			}
			agree(t, r, l, target)
			want := fmt.Sprintf("continue %.4s (bbbb before %d)\ndb0 SET f 6", r.Info("master_replid"), end+1)
			if got := target.lines(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if full := r.Info("sync_full"); full != "0" {
				t.Errorf("%s full resyncs", full)
			}
		})
	}
}

func TestRealRedisCLI(t *testing.T) {
	t.Parallel()
	n := startNode(t, true, func(need Need, at replication.Offset) string {
		keys := map[string]string{"a": "1"}
		if need.Empty {
			keys = nil
		}
		return rdbOf(t, keys, rdb.Header{})
	})
	_, port, _ := net.SplitHostPort(n.addr)
	cli := func(args ...string) *exec.Cmd {
		return exec.Command(redistest.Tool(t, "redis-cli"), append([]string{"-p", port}, args...)...)
	}
	t.Run("--rdb gets a snapshot", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dump.rdb")
		if out, err := cli("--rdb", path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if s, err := rdb.Check(file); err != nil || s.Keys != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("--replica prints the stream", func(t *testing.T) {
		c := cli("--replica")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			c.Process.Kill()
			c.Wait()
		}()
		eventually(t, "it is online", func() bool {
			list := n.primary.Replicas()
			return len(list) == 1 && list[0].State == Online
		})
		// The first command it takes for the reply to its ACK, and what it prints
		// comes out in blocks.
		n.stream.append(strings.Repeat(cmd("SET", "streamed", "yes"), 1000))
		got := make([]byte, 0, 100)
		for !bytes.Contains(got, []byte("streamed")) {
			buf := make([]byte, 100)
			k, err := out.Read(buf)
			if got = append(got, buf[:k]...); err == io.EOF {
				t.Fatalf("it printed %q", got)
			}
		}
	})
}
