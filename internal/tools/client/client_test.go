package client

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"redoubt/slots"
)

func TestReadReply(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     string // of resp.Value.String
		fails    bool
	}{
		{name: "a status", in: "+OK\r\n", want: "OK"},
		{name: "an error", in: "-ERR no\r\n", want: "ERR no"},
		{name: "a negative integer", in: ":-7\r\n", want: "-7"},
		{name: "a bulk string with a line end inside", in: "$4\r\na\r\nb\r\n", want: "a\r\nb"},
		{name: "a null bulk string", in: "$-1\r\n", want: ""},
		{name: "an array of two", in: "*2\r\n:1\r\n+a\r\n", want: "[1 a]"},
		{name: "an array cut short", in: "*2\r\n:1\r\n", fails: true},
		{name: "a bulk string cut short", in: "$5\r\nab", fails: true},
		{name: "a bulk string longer than it says", in: "$1\r\nabc\r\n", fails: true},
		{name: "a line without a carriage return", in: "+OK\n", fails: true},
		{name: "an inline word, which RESP2 replies never are", in: "hello\r\n", fails: true},
		{name: "an array that announces more than the limit", in: "*99999999\r\n", fails: true},
		{name: "a bulk string that announces more than the limit", in: "$999999999\r\n", fails: true},
		{name: "a length below minus one", in: "$-2\r\n", fails: true},
		{name: "arrays nested without end", in: strings.Repeat("*1\r\n", 1000), fails: true},
		{name: "an integer that is none", in: ":x\r\n", fails: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := readReply(bufio.NewReader(strings.NewReader(tc.in)))
			if tc.fails != (err != nil) {
				t.Fatalf("value %v, error %v", v, err)
			}
			if err == nil && v.String() != tc.want {
				t.Fatalf("got %q, want %q", v, tc.want)
			}
		})
	}
}

// FuzzReadReply feeds arbitrary bytes as a server's reply: whatever is
// accepted must fit the limits, and nothing may panic.
func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-MOVED 1 a:2\r\n", "*2\r\n$1\r\na\r\n:1\r\n", "$-1\r\n", "*-1\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := readReply(bufio.NewReader(strings.NewReader(string(b))))
		if err != nil {
			return
		}
		if _, err := ParseSlots(v, "127.0.0.1:7000"); err != nil && !errors.Is(err, ErrProtocol) {
			t.Fatalf("ParseSlots: %v", err)
		}
	})
}

func TestRedirect(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		code, addr string
	}{
		{"MOVED names the owner", "MOVED 3999 10.0.0.2:7001", "MOVED", "10.0.0.2:7001"},
		{"ASK names the importing node", "ASK 3999 10.0.0.2:7001", "ASK", "10.0.0.2:7001"},
		{"an empty host is the host that replied", "MOVED 3999 :7001", "MOVED", "10.0.0.9:7001"},
		{"an unknown host is the host that replied", "MOVED 3999 ?:7001", "MOVED", "10.0.0.9:7001"},
		{"an IPv6 address has no brackets on the wire", "MOVED 1 ::1:7001", "MOVED", "[::1]:7001"},
		{"another error is no redirect", "ERR MOVED 1 a:1", "", ""},
		{"a redirect without an address is none", "MOVED 3999", "", ""},
		{"a redirect to port 0 is none", "MOVED 1 a:0", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, addr, ok := redirect(&ReplyError{Addr: "10.0.0.9:7000", Text: tc.text})
			if code != tc.code || addr != tc.addr || ok != (tc.code != "") {
				t.Fatalf("got %q %q %v", code, addr, ok)
			}
		})
	}
}

// script is a server that answers each connection's commands with the given
// replies in order, then closes it.
func script(t *testing.T, replies ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for _, reply := range replies {
					if _, err := readReply(r); err != nil { // a command has the form of a reply
						return
					}
					c.Write([]byte(reply))
				}
				readReply(r)
			}()
		}
	}()
	return l.Addr().String()
}

func TestOutcomeOfAFailedCommand(t *testing.T) {
	dead := script(t) // reads a command, then closes without a reply
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	closed, _ := net.Listen("tcp", "127.0.0.1:0")
	closed.Close()
	for _, tc := range []struct {
		name    string
		addr    string
		opts    Options
		unknown bool
		code    string
	}{
		{name: "a refused connection was not sent", addr: closed.Addr().String()},
		{name: "a connection closed before the reply leaves the outcome unknown", addr: dead, unknown: true},
		{name: "a reply that does not come in time leaves the outcome unknown", addr: silent.Addr().String(), opts: Options{Timeout: 20 * time.Millisecond}, unknown: true},
		{name: "an error reply was not executed", addr: script(t, "-CLUSTERDOWN The cluster is down\r\n"), code: "CLUSTERDOWN"},
		{name: "a reply that is not RESP leaves the outcome unknown", addr: script(t, "HTTP/1.1 400\r\n"), unknown: true},
		{name: "a refused password was not sent", addr: script(t, "-WRONGPASS no\r\n"), opts: Options{Pass: "x"}, code: "WRONGPASS"},
		{name: "a connection closed during AUTH was not sent", addr: dead, opts: Options{Pass: "x"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := Dial(tc.addr, tc.opts)
			if err == nil {
				defer c.Close()
				_, err = c.Do("SET", "k", "v")
			}
			if err == nil {
				t.Fatal("no error")
			}
			if Unknown(err) != tc.unknown || Code(err) != tc.code {
				t.Fatalf("error %v: unknown %v, code %q", err, Unknown(err), Code(err))
			}
		})
	}
}

func TestSessionFollowsRedirects(t *testing.T) {
	const all = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$0\r\n\r\n:"
	end := script(t, "+OK\r\n")
	asked := script(t, "+OK\r\n", "+asked\r\n")
	for _, tc := range []struct {
		name, first, want string
	}{
		{"MOVED leads to the owner", "-MOVED 1 " + end + "\r\n", "OK"},
		{"ASK leads to the importing node behind ASKING", "-ASK 1 " + asked + "\r\n", "asked"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			owner := script(t, tc.first)
			_, port, _ := net.SplitHostPort(owner)
			seed := script(t, all+port+"\r\n")
			c, err := NewCluster([]string{seed}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			s := c.NewSession()
			defer s.Close()
			v, err := s.Do(slots.Slot(1), "SET", "k", "v")
			if err != nil || v.String() != tc.want {
				t.Fatalf("%v, %v", v, err)
			}
		})
	}
}

func TestSessionGivesUpOnARedirectLoop(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					v, err := readReply(r)
					if err != nil {
						return
					}
					if v.Array()[0].String() == "CLUSTER" {
						c.Write([]byte("*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:" + port + "\r\n"))
					} else {
						c.Write([]byte("-MOVED 1 " + addr + "\r\n"))
					}
				}
			}()
		}
	}()
	c, err := NewCluster([]string{addr}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := c.NewSession()
	defer s.Close()
	if _, err := s.Do(slots.Slot(1), "GET", "k"); Code(err) != "MOVED" {
		t.Fatalf("error %v", err)
	}
}

// slotsReply is a CLUSTER SLOTS reply in which the node at addr owns all slots
// and has the given replicas.
func slotsReply(t *testing.T, addr string, replicas ...string) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*1\r\n*%d\r\n:0\r\n:16383\r\n", 3+len(replicas))
	for _, a := range append([]string{addr}, replicas...) {
		host, port, err := net.SplitHostPort(a)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "*2\r\n$%d\r\n%s\r\n:%s\r\n", len(host), host, port)
	}
	return b.String()
}

func TestClusterIsFoundByNodesThatWereNeverSeeds(t *testing.T) {
	heir := script(t, slotsReply(t, "127.0.0.1:9"))
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	// The seed answers once, then it is gone.
	seed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := seed.Addr().String()
	go func() {
		c, err := seed.Accept()
		if err != nil {
			return
		}
		seed.Close()
		defer c.Close()
		r := bufio.NewReader(c)
		readReply(r)
		c.Write([]byte(slotsReply(t, addr, heir)))
		readReply(r)
	}()
	c, err := NewCluster([]string{dead.Addr().String(), addr}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Owner(5); got != addr {
		t.Fatalf("slot 5 is at %q, want %q", got, addr)
	}
	shards, err := c.Refresh()
	if err != nil || len(shards) != 1 || c.Owner(5) != "127.0.0.1:9" {
		t.Fatalf("%v, %v; slot 5 is at %q", shards, err, c.Owner(5))
	}
}

func TestClusterSaysWhatEachSeedSaid(t *testing.T) {
	_, err := NewCluster([]string{script(t, "-ERR This instance has cluster support disabled\r\n"), script(t, "*0\r\n")}, Options{})
	if err == nil || !strings.Contains(err.Error(), "cluster support disabled") || !strings.Contains(err.Error(), "no owner of any slot") {
		t.Fatalf("error %v", err)
	}
}

func TestParseSlots(t *testing.T) {
	for _, tc := range []struct {
		name, reply string
		want        string // of the shards, or "" if refused
	}{
		{"rows of one primary are one shard", "*2\r\n*4\r\n:7\r\n:9\r\n*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nb\r\n:2\r\n*3\r\n:0\r\n:3\r\n*2\r\n$1\r\na\r\n:1\r\n", "a:1 [b:2] [0-3 7-9]"},
		{"a null host is the one that was asked", "*1\r\n*3\r\n:0\r\n:1\r\n*3\r\n$-1\r\n:1\r\n$1\r\nx\r\n", "asked:1 [] [0-1]"},
		{"a row without a node", "*1\r\n*2\r\n:0\r\n:1\r\n", ""},
		{"a node without a port", "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n", ""},
		{"a slot beyond the last", "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n", ""},
		{"a range that ends before it begins", "*1\r\n*3\r\n:2\r\n:1\r\n*2\r\n$1\r\na\r\n:1\r\n", ""},
		{"port 0", "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\na\r\n:0\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := readReply(bufio.NewReader(strings.NewReader(tc.reply)))
			if err != nil {
				t.Fatal(err)
			}
			shards, err := ParseSlots(v, "asked:7000")
			if err != nil {
				if tc.want != "" || !errors.Is(err, ErrProtocol) {
					t.Fatal(err)
				}
				return
			}
			var got []string
			for _, s := range shards {
				got = append(got, fmt.Sprint(s.Primary, " ", s.Replicas, " ", s.Slots.Ranges()))
			}
			if strings.Join(got, "; ") != tc.want {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWaitReturnsWhatWasSaidLast(t *testing.T) {
	n := 0
	if err := Wait(time.Hour, func() error {
		if n++; n < 2 {
			return errors.New("not yet")
		}
		return nil
	}); err != nil || n != 2 {
		t.Fatalf("%d polls, %v", n, err)
	}
	last := errors.New("the reason")
	if err := Wait(0, func() error { return last }); err != last {
		t.Fatalf("error %v", err)
	}
}
