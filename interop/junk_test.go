package interop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// answerLimit is how long a server may take until it has answered all of a
// connection whose other side has nothing more to say.
const answerLimit = 20 * time.Second

// Whatever a client sends, the reply is Redis's, to the byte, and so is the
// moment of the hang-up.
func TestJunkIsAnsweredAsByRedis(t *testing.T) {
	redis, mine := start(t, redistest.Redis), start(t, ours())
	for _, tc := range []struct{ name, sent string }{
		{"nothing", ""},
		{"an empty line", "\r\n"},
		{"an unknown command", "NOSUCH a b\r\n"},
		{"an unknown command as an array", "*2\r\n$6\r\nnosuch\r\n$1\r\na\r\n"},
		{"an unknown command with bytes that are no text", "*2\r\n$3\r\n\x00\x01\xff\r\n$2\r\n\r\n\r\n"},
		{"half an inline command", "PING"},
		{"half a header", "*2"},
		{"half a bulk", "*2\r\n$3\r\nGET\r\n$10\r\nabc"},
		{"a command and half of another", "PING\r\n*2\r\n$3\r\nGE"},
		{"an array of nothing", "*0\r\nPING\r\n"},
		{"an array of less than nothing", "*-1\r\nPING\r\n"},
		{"an array of a number that is none", "*x\r\nPING\r\n"},
		{"an array that is too long", "*2147483648\r\nPING\r\n"},
		{"a bulk that is no bulk", "*1\r\n:4\r\nPING\r\n"},
		{"a bulk of a negative length", "*1\r\n$-1\r\nPING\r\n"},
		{"a bulk of a number that is none", "*1\r\n$4x\r\nPING\r\n"},
		{"a bulk of 512 MiB and a byte", "*2\r\n$3\r\nGET\r\n$536870913\r\n"},
		{"a bulk of more than 64 bits", "*2\r\n$3\r\nGET\r\n$99999999999999999999999\r\n"},
		{"a header without an end", "*" + strings.Repeat("1", 70000)},
		{"a bulk header without an end", "*1\r\n$" + strings.Repeat("1", 70000)},
		{"an inline command without an end", strings.Repeat("x", 70000)},
		{"quotes that do not end", "SET k \"abc\r\n"},
		{"wrong arity", "GET\r\nSET k\r\nGET a b\r\n"},
		{"a wrong option", "SET k v NOSUCH\r\nSET k v EX 0\r\nSET k v EX x\r\n"},
		{"HTTP", "POST / HTTP/1.1\r\nHost: localhost\r\n\r\n"},
		{"an HTTP header", "Host: localhost\r\nPING\r\n"},
		{"EXEC without MULTI", "EXEC\r\nDISCARD\r\n"},
		{"an error within MULTI", "MULTI\r\nNOSUCH\r\nSET k v\r\nEXEC\r\nPING\r\n"},
		{"replies in the order of a pipeline", "SET k 1\r\nINCR k\r\nNOSUCH\r\nGET k\r\nQUIT\r\nPING\r\n"},
	} {
		want := transcript(t, redis, tc.sent)
		if got := transcript(t, mine, tc.sent); got != want {
			t.Errorf("%s: the reply is %q, Redis's is %q", tc.name, got, want)
		}
	}
}

// transcript sends bytes, then the end, and returns all that comes back.
func transcript(t *testing.T, s *redistest.Server, sent string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(answerLimit))
	io.WriteString(conn, sent) // a server that hangs up early is no failure
	conn.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("after %.40q: %v", sent, err)
	}
	return string(got)
}

// Every command of ours answers wrong arity as Redis does.
func TestWrongArity(t *testing.T) {
	s := start(t, ours())
	c := s.Client()
	rows, _ := s.Do("COMMAND").([]any)
	tried := 0
	for _, row := range rows {
		name, arity := row.([]any)[0].(string), row.([]any)[1].(int64)
		if arity >= -1 && arity <= 1 {
			continue // its name alone is well formed
		}
		tried++
		want := fmt.Sprintf("ERR wrong number of arguments for '%s' command", name)
		if _, err := c.Do(name); err == nil || err.Error() != want {
			t.Errorf("%s alone: %v", name, err)
		}
	}
	if tried < 60 {
		t.Errorf("only %d of %d commands take arguments", tried, len(rows))
	}
}

// Random bytes on many connections harm nobody.
func TestRandomBytes(t *testing.T) {
	s := start(t, ours())
	good := s.Client()
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		transcript(t, s, string(randomBytes(rnd)))
		if got, err := good.Do("SET", "alive", i); got != "OK" {
			t.Fatalf("after %d connections: %v, %v", i, got, err)
		}
	}
}

// randomBytes are random, mostly of those that mean something.
func randomBytes(rnd *rand.Rand) []byte {
	b := make([]byte, rnd.IntN(2000))
	const meaningful = "*$:+-0123456789\r\n\r\n\r\n \"'GETSETPINGMULTI"
	for i := range b {
		if b[i] = byte(rnd.Uint32()); rnd.IntN(4) > 0 {
			b[i] = meaningful[rnd.IntN(len(meaningful))]
		}
	}
	return b
}

// Junk on the bus leaves the cluster as it was.
func TestJunkOnTheBus(t *testing.T) {
	t.Parallel()
	c := startCluster(t, patience, nil)
	before := members(t, c.Nodes[1])
	rnd := rand.New(rand.NewPCG(3, 4))
	header := func(total uint32, kind uint16) []byte {
		b := make([]byte, 2256)
		copy(b, "RCmb")
		binary.BigEndian.PutUint32(b[4:], total)
		binary.BigEndian.PutUint16(b[8:], 1) // version
		binary.BigEndian.PutUint16(b[12:], kind)
		return b
	}
	noise := func() []byte {
		b := make([]byte, rnd.IntN(8000))
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	junk := map[string]func() []byte{
		"noise":                          noise,
		"a signature and noise":          func() []byte { return append([]byte("RCmb"), noise()...) },
		"a message shorter than it says": func() []byte { return header(1<<20, 0) },
		"a message of 4 GiB":             func() []byte { return header(1<<32-1, 0) },
		"a message without a length":     func() []byte { return header(0, 0) },
		"a PING from nobody":             func() []byte { return header(2256, 0) },
		"a PING that announces gossip": func() []byte {
			b := header(2256, 0)
			binary.BigEndian.PutUint16(b[14:], 0xffff)
			return b
		},
		"a FAIL from nobody":    func() []byte { return append(header(2256+40, 3), make([]byte, 40)...) },
		"a PUBLISH of nothing":  func() []byte { return append(header(2256+8, 4), bytes.Repeat([]byte{0xff}, 8)...) },
		"a vote from nobody":    func() []byte { return header(2256, 6) },
		"a type that is not":    func() []byte { return header(2256, 999) },
		"Redis's client wire":   func() []byte { return []byte("*1\r\n$4\r\nPING\r\n") },
		"a header and the rest": func() []byte { return append(header(2256+100, 0), noise()...) },
	}
	for name, make := range junk {
		for _, s := range c.Nodes[:2] {
			for range 5 {
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port+10000))
				if err != nil {
					t.Fatalf("%s: the bus takes no connections: %v", name, err)
				}
				conn.SetDeadline(time.Now().Add(answerLimit))
				conn.Write(make())
				conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, conn)
				conn.Close()
			}
		}
	}
	c.UntilStable(settle)
	agree(t, c)
	for addr, m := range members(t, c.Nodes[1]) {
		if was := before[addr]; was.id != m.id || was.slots != m.slots || was.epoch != m.epoch {
			t.Errorf("%s was %v and is %v", addr, was, m)
		}
	}
}

// Thousands of idle connections are in nobody's way.
func TestIdleConnections(t *testing.T) {
	t.Parallel()
	const many = 5000
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < many+500 {
		lacking(t, "the limit of open files is %d; 5,000 connections need more (ulimit -n)", limit.Cur)
	}
	s := start(t, ours())
	before := counter(t, s, "used_memory_rss")
	idle := make([]net.Conn, many)
	for i := range idle {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		idle[i] = conn
	}
	redistest.Until(t, settle, "all connections are counted", func() error {
		if n := counter(t, s, "connected_clients"); n < many {
			return fmt.Errorf("connected_clients is %d", n)
		}
		return nil
	})
	work := s.Client()
	for i := range 1000 {
		if got, err := work.Do("SET", "key", i); got != "OK" {
			t.Fatal(got, err)
		}
	}
	t.Logf("%d bytes of memory a connection", (counter(t, s, "used_memory_rss")-before)/many)
	for i := 0; i < many; i += 50 {
		conn := idle[i]
		conn.SetDeadline(time.Now().Add(answerLimit))
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, len("+PONG\r\n"))
		if _, err := io.ReadFull(conn, reply); err != nil || string(reply) != "+PONG\r\n" {
			t.Fatalf("idle connection %d: %q, %v", i, reply, err)
		}
	}
	for _, conn := range idle {
		conn.Close()
	}
	redistest.Until(t, settle, "the connections are gone", func() error {
		if n := counter(t, s, "connected_clients"); n > 10 {
			return fmt.Errorf("connected_clients is %d", n)
		}
		return nil
	})
}
