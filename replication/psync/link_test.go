package psync

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/replication"
	"redoubt/storage/rdb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// linkRig is a Link to a primary that the test plays.
type linkRig struct {
	t      *testing.T
	cfg    LinkConfig
	me     Identity
	dir    string
	target *memTarget
	logs   *observer.ObservedLogs
	dialed chan net.Conn // the primary's ends
	link   *Link

	conn net.Conn
	in   *bufio.Reader
}

func newLinkRig(t *testing.T) *linkRig {
	core, logs := observer.New(zap.InfoLevel)
	r := &linkRig{t: t, me: Identity{Port: 6380}, dir: t.TempDir(), target: newTarget(), logs: logs, dialed: make(chan net.Conn)}
	r.cfg = LinkConfig{
		Addr: "primary:6379",
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			select {
			case r.dialed <- theirs:
				return ours, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
		Identity: func() Identity { return r.me },
		Dir:      func() string { return r.dir },
		Timeout:  func() time.Duration { return 10 * time.Second },
		Target:   r.target,
		Log:      zap.New(core),
	}
	return r
}

func (r *linkRig) start() {
	r.link = Start(r.cfg)
	r.accept()
}

// accept takes the Link's next connection.
func (r *linkRig) accept() {
	r.conn = <-r.dialed
	r.in = bufio.NewReader(r.conn)
}

func (r *linkRig) expect(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r.in, got); err != nil || string(got) != want {
		r.t.Fatalf("got %q, %v\nwant %q", got[:n], err, want)
	}
}

func (r *linkRig) send(p string) {
	r.t.Helper()
	if _, err := io.WriteString(r.conn, p); err != nil {
		r.t.Fatal(err)
	}
}

// greet plays a primary that is content with everything, up to PSYNC.
func (r *linkRig) greet(wantPSYNC ...string) {
	r.t.Helper()
	r.introduce()
	r.expect(cmd(append([]string{"PSYNC"}, wantPSYNC...)...))
}

// introduce is greet up to what comes before PSYNC.
func (r *linkRig) introduce() {
	r.t.Helper()
	r.expect(cmd("PING"))
	r.send("+PONG\r\n")
	r.expect(cmd("REPLCONF", "listening-port", "6380") + cmd("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "prompt-acks"))
	r.send("+OK\r\n-ERR Unrecognized REPLCONF option: capa\r\n")
}

func ackOf(offset string) string { return cmd("REPLCONF", "ACK", offset) }

// warnings is what the link has warned of.
func (r *linkRig) warnings() string {
	var lines []string
	for _, e := range r.logs.All() {
		if e.Level == zap.WarnLevel {
			lines = append(lines, e.Message)
		}
	}
	return strings.Join(lines, "\n")
}

// close ends the test's side first: the link must end even so.
func (r *linkRig) close() {
	r.conn.Close()
	r.link.Close()
	if r.link.Status().Up() {
		r.t.Error("a closed link is up")
	}
	if _, err := os.Stat(filepath.Join(r.dir, stagedName)); !errors.Is(err, os.ErrNotExist) {
		r.t.Errorf("the received file is still there: %v", err)
	}
}

// rewinder is a node that goes back as far as the test says.
type rewinder struct {
	target *memTarget
	told   []replication.Upstream
	back   func(u replication.Upstream) error
	early  bool // the primary is asked too early
}

func (r *rewinder) Rewind(_ context.Context, u replication.Upstream, _ func() (replication.Upstream, bool)) (bool, error) {
	r.told = append(r.told, u)
	return !r.early, r.back(u)
}

// TestAPrimaryThatChangesMeanwhile: between INFO and PSYNC it has become a primary, or has
// settled. A full resync is not taken from it before it has been asked again, some times.
func TestAPrimaryThatChangesMeanwhile(t *testing.T) {
	info := fmt.Sprintf("role:slave\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\nmaster_repl_offset:90\r\nsecond_repl_offset:-1\r\n", idA, replication.NoID)
	for _, c := range []struct {
		name, id string // of the full resync
		early    bool
		doubts   int
	}{
		{"nothing has changed", idA, false, 0},
		{"it has another history", idB, false, mostDoubts},
		{"it was asked too early", idA, true, mostDoubts},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.target.at(idA, 100)
				r.cfg.Rewinder = &rewinder{target: r.target, back: func(replication.Upstream) error { return nil }, early: c.early}
				r.start()
				for i := range c.doubts + 1 {
					r.introduce()
					r.expect(cmd("INFO", "replication"))
					r.send(fmt.Sprintf("$%d\r\n%s\r\n", len(info), info))
					r.expect(cmd("PSYNC", idA, "101"))
					r.send("+FULLRESYNC " + c.id + " 90\r\n")
					if i == c.doubts {
						break
					}
					if rest, err := io.ReadAll(r.in); err != nil || len(rest) > 0 {
						t.Errorf("it goes on with %q (%v)", rest, err)
					}
					r.accept()
				}
				synctest.Wait()
				if got := r.link.Status().State; got != Sync {
					t.Errorf("the link is at %q, and does not take the snapshot", got)
				}
				r.close()
			})
		})
	}
}

// TestThePrimaryIsAskedBeforePSYNC: what INFO tells of its stream comes to the node, which
// then asks from where it has gone back to. Whatever the primary answers instead, the link
// goes on with PSYNC.
func TestThePrimaryIsAskedBeforePSYNC(t *testing.T) {
	const info = "# Replication\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\nmaster_repl_offset:200\r\nsecond_repl_offset:91\r\n"
	told := fmt.Sprintf(info, idB, idA)
	bulk := func(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
	for _, c := range []struct {
		name, answer string
		want         string // the offset that is asked for
	}{
		{"it tells", bulk(told), "91"},
		{"the user has no permission", "-NOPERM this user has no permissions to run the 'info' command\r\n", "101"},
		{"it is no server that anybody knows", "+OK\r\n", "101"},
		{"it tells less", bulk("# Replication\r\nrole:master\r\n"), "101"},
		{"it tells nothing", bulk(""), "101"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.target.at(idA, 100)
				back := &rewinder{target: r.target, back: func(u replication.Upstream) error {
					r.target.at(idA, u.History.Second-1)
					return nil
				}}
				r.cfg.Rewinder = back
				r.start()
				r.introduce()
				r.expect(cmd("INFO", "replication"))
				r.send(c.answer)
				r.expect(cmd("PSYNC", idA, c.want))
				r.send("+CONTINUE " + idB + "\r\n")
				r.expect(ackOf(strconv.Itoa(atoi(t, c.want) - 1)))
				if c.want == "91" && (len(back.told) != 1 || back.told[0].History != (replication.History{ID: idB, ID2: idA, Second: 91})) {
					t.Errorf("the node was told %+v", back.told)
				}
				r.close()
			})
		})
	}
	t.Run("the node cannot go back now", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newLinkRig(t)
			r.target.at(idA, 100)
			r.cfg.Rewinder = &rewinder{target: r.target, back: func(replication.Upstream) error { return errors.New("cut off") }}
			r.start()
			for range 2 { // the session ends, and there is another one
				r.introduce()
				r.expect(cmd("INFO", "replication"))
				r.send(bulk(told))
				if rest, err := io.ReadAll(r.in); err != nil || len(rest) > 0 {
					t.Errorf("it goes on with %q (%v)", rest, err)
				}
				r.accept()
			}
			r.close()
		})
	})
	t.Run("a node without data does not ask", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newLinkRig(t)
			r.cfg.Rewinder = &rewinder{}
			r.start()
			r.greet("?", "-1")
			r.close()
		})
	})
}

func atoi(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestHandshakeOfTheReplica(t *testing.T) {
	cases := []struct {
		name           string
		user, password string
		ip             string
		pong           string
		want           string
	}{
		{"with nothing but the port", "", "", "", "+PONG", cmd("REPLCONF", "listening-port", "6380")},
		{"with a password", "", "secret", "", "-NOAUTH Authentication required.",
			cmd("AUTH", "secret") + cmd("REPLCONF", "listening-port", "6380")},
		{"with a user and an address", "u", "secret", "10.1.1.1", "-NOPERM no",
			cmd("AUTH", "u", "secret") + cmd("REPLCONF", "listening-port", "6380") + cmd("REPLCONF", "ip-address", "10.1.1.1")},
		{"with an old primary", "", "", "", "-ERR operation not permitted", cmd("REPLCONF", "listening-port", "6380")},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.me.User, r.me.Password, r.me.IP = c.user, c.password, c.ip
				r.start()
				r.expect(cmd("PING"))
				r.send(c.pong + "\r\n")
				r.expect(c.want + cmd("REPLCONF", "capa", "eof", "capa", "psync2", "capa", "prompt-acks"))
				r.send(strings.Repeat("+OK\r\n", strings.Count(c.want, "*")+1))
				r.expect(cmd("PSYNC", "?", "-1"))
				r.close()
			})
		})
	}
}

func TestRefusalsAreTriedAgain(t *testing.T) {
	toPSYNC := func(answer string) func(r *linkRig) {
		return func(r *linkRig) {
			r.greet(idA, "101")
			r.send(answer + "\r\n")
		}
	}
	cases := []struct {
		name string
		play func(r *linkRig)
		want string // in the log
	}{
		{"PING is refused", func(r *linkRig) { r.expect(cmd("PING")); r.send("-LOADING wait\r\n") }, "Error reply to PING from master: '-LOADING wait'"},
		{"the password is wrong", func(r *linkRig) {
			r.expect(cmd("PING"))
			r.send("+PONG\r\n")
			r.expect(cmd("AUTH", "secret"))
			go io.Copy(io.Discard, r.in)
			r.send("-WRONGPASS no\r\n")
		}, "Unable to AUTH to MASTER: -WRONGPASS no"},
		{"the primary has no link itself", toPSYNC("-NOMASTERLINK no"), "Master is currently unable to PSYNC but should be in the future: -NOMASTERLINK no"},
		{"the primary is loading", toPSYNC("\n\n-LOADING wait"), "Master is currently unable to PSYNC but should be in the future: -LOADING wait"},
		{"an answer without sense", toPSYNC("+WHAT"), "Unexpected reply to PSYNC from master: +WHAT"},
		{"an id without sense", toPSYNC("+FULLRESYNC short 5"), "Unexpected reply to PSYNC from master: +FULLRESYNC short 5"},
		{"an offset without sense", toPSYNC("+FULLRESYNC " + idA + " -5"), "Unexpected reply to PSYNC from master: +FULLRESYNC"},
		{"a line without end", toPSYNC("+" + strings.Repeat("x", 5000)), "line of more than 4096 bytes"},
		{"no snapshot after its announcement", toPSYNC("+FULLRESYNC " + idA + " 5\r\n-ERR no"), "MASTER aborted replication with an error: ERR no"},
		{"a mark that is too short", toPSYNC("+FULLRESYNC " + idA + " 5\r\n$EOF:x"), "the mark of a snapshot has 1 bytes"},
		{"a length that is none", toPSYNC("+FULLRESYNC " + idA + " 5\r\n$x"), "a snapshot of"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				if strings.Contains(c.name, "password") {
					r.me.Password = "secret"
				}
				r.target.known = true
				r.target.position = Position{replication.NewHistory(idA), 100, 0}
				r.start()
				c.play(r)
				r.conn.Close()
				r.accept() // it comes again, and asks the same
				if lost := r.warnings(); !strings.Contains(lost, c.want) {
					t.Errorf("log says %q, want %q", lost, c.want)
				}
				if lines := r.target.lines(); lines != "" {
					t.Errorf("the target was told %s", lines)
				}
				r.close()
			})
		})
	}
	t.Run("a partial resync that was not asked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newLinkRig(t)
			r.start()
			r.greet("?", "-1")
			r.send("+CONTINUE " + idA + "\r\n")
			r.accept()
			r.close()
		})
	})
}

func TestDelaysBetweenAttempts(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	cases := []struct {
		name        string
		up, refused bool
		want        []time.Duration
	}{
		{"a link that was up comes back soon", true, false, []time.Duration{ms(100), ms(100), ms(100)}},
		{"a primary that is away is tried each second", false, false,
			[]time.Duration{ms(100), ms(200), ms(400), ms(800), ms(1000), ms(1000)}},
		{"what cannot be used is asked for rarely", false, true,
			[]time.Duration{ms(1000), ms(2000), ms(4000), ms(8000), ms(16000), ms(30000), ms(30000)}},
		{"even if the stream did flow before", true, true, []time.Duration{ms(1000), ms(2000)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var delay time.Duration
			for i, want := range c.want {
				if delay = nextDelay(delay, c.up, c.refused); delay != want {
					t.Fatalf("delay %d is %v, want %v", i, delay, want)
				}
			}
		})
	}
}

func TestLinkContinues(t *testing.T) {
	cases := []struct{ name, answer, want string }{
		{"in the same history", "+CONTINUE " + idA, "continue aaaa (0000 before -1)"},
		{"with a primary that names none", "+CONTINUE", "continue aaaa (0000 before -1)"},
		{"in a history that branched off", "+CONTINUE " + idB, "continue bbbb (aaaa before 101)"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.target.known = true
				r.target.position = Position{replication.NewHistory(idA), 100, 3}
				r.start()
				r.greet(idA, "101")
				r.send("\n" + c.answer + "\r\n")
				r.expect(ackOf("100"))
				r.send(cmd("SET", "k", "v"))
				synctest.Wait()
				if got, want := r.target.lines(), c.want+"\ndb3 SET k v"; got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if s := r.link.Status(); !s.Up() || s.Offset != 127 || s.Read != 127 || s.LastIO.IsZero() {
					t.Errorf("status %+v", s)
				}
				// The connection breaks; it goes on from where it was.
				r.conn.Close()
				r.accept()
				if s := r.link.Status(); s.Up() || s.DownSince.IsZero() {
					t.Errorf("status %+v", s)
				}
				r.greet(r.target.position.History.ID, "128")
				r.close()
			})
		})
	}
}

func TestLinkSynchronizes(t *testing.T) {
	keys := map[string]string{"a": "1", "b": strings.Repeat("b", 100000)}
	file := rdbOf(t, keys, rdb.Header{ReplID: idA, ReplOffset: 500, ReplStreamDB: 2})
	mark := strings.Repeat("0123456789", 4)
	cases := []struct {
		name     string
		transfer []string // written one by one
	}{
		{"a transfer of known length", []string{"$" + strconv.Itoa(len(file)) + "\r\n" + file}},
		{"keep-alives before it", []string{"\n\n\n", "$" + strconv.Itoa(len(file)) + "\r\n", file}},
		{"a transfer with a mark", []string{"$EOF:" + mark + "\r\n" + file + mark}},
		{"a mark in pieces", []string{"$EOF:" + mark + "\r\n", file + mark[:7], mark[7:39], mark[39:]}},
		{"half a mark within the file's last bytes", []string{"$EOF:" + mark + "\r\n", file[:len(file)-3], file[len(file)-3:], mark}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.start()
				r.greet("?", "-1")
				r.send("+FULLRESYNC " + idA + " 500\r\n")
				for _, p := range c.transfer {
					if s := r.link.Status(); s.State != Greeting && s.State != Sync {
						t.Errorf("state %s", s.State)
					}
					r.send(p)
				}
				r.expect(ackOf("500"))
				r.send(cmd("SET", "c", "3"))
				synctest.Wait()
				want := "replace aaaa at 500 in db 2: 2 keys\ndb2 SET c 3"
				if got := r.target.lines(); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if r.target.keys["0/b"] != keys["b"] {
					t.Error("a value was not loaded")
				}
				r.close()
			})
		})
	}
}

// A target that asks for it reads the snapshot while it arrives.
func TestASnapshotIsLoadedWhileItArrives(t *testing.T) {
	keys := map[string]string{}
	for i := range 100 {
		keys[strconv.Itoa(i)] = "v"
	}
	file := rdbOf(t, keys, rdb.Header{ReplID: idA, ReplOffset: 500, ReplStreamDB: 2})
	mark := strings.Repeat("0123456789", 4)
	for _, c := range []struct{ name, before, behind string }{
		{"a transfer of known length", "$" + strconv.Itoa(len(file)) + "\r\n", ""},
		{"a transfer with a mark", "$EOF:" + mark + "\r\n", mark},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.target.direct = true
				r.start()
				r.greet("?", "-1")
				r.send("+FULLRESYNC " + idA + " 500\r\n")
				r.send(c.before + file[:len(file)-20])
				synctest.Wait()
				if s := r.link.Status(); r.target.loaded.Load() == 0 || s.State != Sync {
					t.Errorf("of nearly the whole snapshot %d keys are loaded, state %s", r.target.loaded.Load(), s.State)
				}
				r.send(file[len(file)-20:] + c.behind)
				r.expect(ackOf("500"))
				r.send(cmd("SET", "c", "3"))
				synctest.Wait()
				want := "replace aaaa at 500 in db 2: 100 keys\ndb2 SET c 3"
				if got := r.target.lines(); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				r.close()
			})
		})
	}
}

// One that breaks off is asked for again at once, as nothing is wrong with it. One that is
// bad, or for which there is no room, is not.
func TestASnapshotThatCannotBeLoadedWhileItArrives(t *testing.T) {
	good := rdbOf(t, map[string]string{"a": "1"}, rdb.Header{})
	for _, c := range []struct {
		name, transfer string
		missing        bool // the directory
		after          time.Duration
	}{
		{"a connection that breaks within", sized(good)[:60], false, shortDelay},
		{"a flipped bit", sized(strings.Replace(good, "\x01a", "\x01b", 1)), false, longDelay},
		{"no room", "$100\r\n", true, longDelay},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.target.direct = true
				if c.missing {
					r.dir = filepath.Join(r.dir, "missing")
				}
				r.start()
				r.greet("?", "-1")
				r.send("+FULLRESYNC " + idA + " 500\r\n" + c.transfer)
				synctest.Wait()
				r.conn.Close()
				began := time.Now()
				r.accept()
				if took := time.Since(began); took != c.after {
					t.Errorf("it came again after %v, want %v", took, c.after)
				}
				if lines := r.target.lines(); lines != "" {
					t.Errorf("the target holds %s", lines)
				}
				r.close()
			})
		})
	}
}

// The node's own data stay as they are if what was received is no good.
func TestBadSnapshotReplacesNothing(t *testing.T) {
	good := rdbOf(t, map[string]string{"a": "1"}, rdb.Header{})
	stream := good[:len(good)-9] + "\x13\x01s\x00\xff\x00\x00\x00\x00\x00\x00\x00\x00"
	flipped := strings.Replace(good, "\x01a", "\x01b", 1)
	cases := []struct{ name, transfer, want string }{
		{"a flipped bit", sized(flipped), "checksum"},
		{"bytes behind the end", sized(good + "x"), "bytes behind the end"},
		{"a type that is not built yet", sized(stream), `stream at key "s"`},
		{"no snapshot at all", "$0\r\n", "corrupt"},
		{"a connection that breaks within", sized(good)[:60], "I/O error trying to sync with MASTER: Connection closed by the peer"},
		{"a connection that breaks before the mark", "$EOF:" + strings.Repeat("m", 40) + "\r\n" + good, "I/O error trying to sync with MASTER: Connection closed by the peer"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.target.known = true
				r.target.position = Position{replication.NewHistory(idB), 7, 0}
				r.start()
				r.greet(idB, "8")
				r.send("+FULLRESYNC " + idA + " 500\r\n" + c.transfer)
				synctest.Wait()
				r.conn.Close()
				r.accept()
				if lines := r.target.lines(); lines != "" {
					t.Errorf("the target was told %s", lines)
				}
				if got := r.warnings(); !strings.Contains(got, c.want) {
					t.Errorf("log says %q, want %q", got, c.want)
				}
				r.greet(idB, "8")
				r.close()
			})
		})
	}
}

// A full disk is no reason to ask for snapshot after snapshot.
func TestNoRoomForTheSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLinkRig(t)
		r.dir = filepath.Join(r.dir, "missing")
		r.start()
		r.greet("?", "-1")
		start := time.Now()
		r.send("+FULLRESYNC " + idA + " 500\r\n$100\r\n")
		r.accept()
		if took := time.Since(start); took != longDelay {
			t.Errorf("it came again after %v", took)
		}
		r.close()
	})
	var full stagedFile
	if _, err := full.Write([]byte("x")); !errors.Is(err, errRefused) {
		t.Errorf("an error of the disk is %v", err)
	}
}

func sized(file string) string { return "$" + strconv.Itoa(len(file)) + "\r\n" + file }

func TestReplicaShowsLifeWhileLoading(t *testing.T) {
	file := rdbOf(t, nil, rdb.Header{})
	synctest.Test(t, func(t *testing.T) {
		r := newLinkRig(t)
		r.target.loading = make(chan struct{})
		r.start()
		r.greet("?", "-1")
		r.send("+FULLRESYNC " + idA + " 500\r\n" + sized(file))
		start := time.Now()
		r.expect("\n\n\n")
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("three line ends in %v", took)
		}
		if s := r.link.Status(); s.State != Sync || s.Offset != -1 {
			t.Errorf("status %+v", s)
		}
		close(r.target.loading)
		r.expect(ackOf("500"))
		r.close()
	})
	t.Run("and gives up loading when the link is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newLinkRig(t)
			r.target.loading = make(chan struct{})
			r.start()
			r.greet("?", "-1")
			r.send("+FULLRESYNC " + idA + " 500\r\n" + sized(file))
			synctest.Wait()
			r.close()
		})
	})
}

func TestReplicaAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLinkRig(t)
		r.target.known = true
		r.target.position = Position{replication.NewHistory(idA), 100, 0}
		r.start()
		r.greet(idA, "101")
		r.send("+CONTINUE " + idA + "\r\n")
		r.expect(ackOf("100"))
		start := time.Now()
		r.expect(ackOf("100") + ackOf("100"))
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("two acknowledgements in %v", took)
		}
		// The answer to GETACK does not count GETACK itself.
		r.send(cmd("PING") + cmd("REPLCONF", "GETACK", "*") + cmd("PING"))
		r.expect(ackOf("114"))
		r.expect(ackOf("165"))
		r.target.mu.Lock()
		r.target.synced = 150
		r.target.mu.Unlock()
		r.expect(cmd("REPLCONF", "ACK", "165", "FACK", "150"))
		if string(r.target.raw) != cmd("PING")+cmd("REPLCONF", "GETACK", "*")+cmd("PING") {
			t.Errorf("the stream was kept as %q", r.target.raw)
		}
		r.close()
	})
}

func TestSilentPrimaryIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLinkRig(t)
		r.target.known = true
		r.target.position = Position{replication.NewHistory(idA), 100, 0}
		r.start()
		r.greet(idA, "101")
		r.send("+CONTINUE " + idA + "\r\n")
		go io.Copy(io.Discard, r.in)
		last := time.Now()
		r.conn = <-r.dialed
		if took := time.Since(last); took != 10*time.Second+shortDelay {
			t.Errorf("after %v", took)
		}
		r.close()
	})
}

func TestUnusableStream(t *testing.T) {
	cases := []struct {
		name   string
		stream string
		refuse error
		want   string
		delay  time.Duration
	}{
		{"junk", "junk\r\n", nil, "Connection with master lost: protocol error in the stream", shortDelay},
		{"a command that the node cannot execute", cmd("LPUSH", "l", "v"), errors.New("lists are not built yet"),
			"apply the stream after 100: lists are not built yet", longDelay},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newLinkRig(t)
				r.target.known = true
				r.target.position = Position{replication.NewHistory(idA), 100, 0}
				r.target.refuse = c.refuse
				r.start()
				r.greet(idA, "101")
				r.send("+CONTINUE " + idA + "\r\n")
				r.expect(ackOf("100"))
				start := time.Now()
				r.send(c.stream)
				r.accept()
				if took := time.Since(start); took != c.delay {
					t.Errorf("it came again after %v, want %v", took, c.delay)
				}
				r.greet(idA, "101")
				if got := r.warnings(); !strings.Contains(got, c.want) {
					t.Errorf("log says %q, want %q", got, c.want)
				}
				r.close()
			})
		})
	}
}

func TestCloseWhileDialling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLinkRig(t)
		l := Start(r.cfg)
		synctest.Wait()
		if s := l.Status(); s.State != Connecting {
			t.Errorf("state %s", s.State)
		}
		l.Close()
	})
}

// Our replica against our primary, through everything.
func TestLinkFollowsPrimary(t *testing.T) {
	for _, diskless := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newRig(t)
			p.set.Diskless = diskless
			file := rdbOf(t, map[string]string{"a": "1"}, rdb.Header{})
			p.base = func(_ context.Context, need Need) (*Base, error) { return baseOf(file, true, 127), nil }
			r := newLinkRig(t)
			var id replication.ReplicaID
			r.cfg.Dial = func(context.Context, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				id++
				go serveHandshake(t, p.primary, theirs, id)
				return ours, nil
			}
			r.link = Start(r.cfg)
			p.stream.append(cmd("SELECT", "1") + cmd("SET", "b", "2"))
			time.Sleep(5 * time.Second)
			if got := p.primary.Applied(p.stream.End()); got != 1 {
				t.Fatalf("%d replicas have everything: %+v", got, r.link.Status())
			}
			// The connection breaks; meanwhile the primary's history branches.
			release := p.primary.Bar()
			p.history = p.history.Branch(strings.Repeat("c", 40), p.stream.End())
			p.stream.append(cmd("SET", "c", "3"))
			release()
			time.Sleep(5 * time.Second)
			if got := p.primary.Applied(p.stream.End()); got != 1 {
				t.Fatalf("%d replicas have everything: %+v", got, r.link.Status())
			}
			want := "replace aaaa at 127 in db 0: 1 keys\ndb1 SET b 2\ncontinue cccc (aaaa before 178)\ndb1 SET c 3"
			if got := r.target.lines(); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			p.primary.Close()
			r.link.Close()
		})
	}
}
