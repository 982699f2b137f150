package server

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// debug begins a debugging session and returns its first round.
func (c *client) debug(mode, script string, args ...string) string {
	c.t.Helper()
	c.want("SCRIPT DEBUG "+mode, "OK")
	c.call(append([]string{"EVAL", script}, args...)...)
	return c.read()
}

const debugProgram = `local a = redis.call('get', KEYS[1])
local t = {1, 2, {x = 'y', 3}}
local function f(p, q)
  local z = p + q
  return z
end
redis.debug('hello', a, t, nil, true, 1.5, 1e20, 0.1, 1000000, 123456789)
local b = f(1, 2)
redis.breakpoint()
local r = redis.pcall('nosuch', 'x')
local w = redis.pcall('lpush', KEYS[1], 1)
redis.call('set', 'new', b)
for i = 1, 3 do
  redis.call('incr', 'n')
end
local h = redis.call('hgetall', 'h')
local l = redis.call('lrange', 'l', 0, -1)
local big = string.rep('x', 1000)
return {a, b, ARGV[1], big:len()}
`

// debugScenarios are scripts with what is sent to their debugger, a command a line.
var debugScenarios = []struct{ name, script, commands string }{
	{"step by step", debugProgram, strings.Repeat("s\n", 40)},
	{"every command", debugProgram, "n\np\np a\np t\nw\nl\nl 5\nl 5 1\nb 4 12\nb\nb 4\nb 99\nb -12\nb -1\nb x\nc\nt\np p\np\np a\np nosuch\np KEYS\np ARGV\n" +
		"e 1+1\ne return 7\ne local q\ne x y\ne error('boo')\ne nosuch\ne {1,2,a=3}\nr get k\nr set k zz\nr nosuch\nr lpush k 1\nredis\n" +
		"m\nm 10\nm 0\ne string.rep('x',300)\nm 100\ne string.rep('x',300)\nzzz\nb 0\nc\nc"},
	{"the end of a value", "return 1\n", "e string.rep('x',300)\ne string.rep('x',300)\nc"},
	{"abort", debugProgram, "s\ns\na"},
	{"what does not compile", "return 1 +", ""},
	{"a command that fails", "return redis.call('nosuch')", "s"},
	{"an error", "local x = 1\nerror('boo')\nreturn x", "s\ns"},
	{"an error that is caught", "local x = 1\nredis.call('set','new',1)\nreturn pcall(function() error('boo') end)", "s\ns\ns\ns"},
	{"RESP3", "redis.setresp(3)\nlocal a = redis.call('hgetall','h')\nlocal b = redis.call('smembers', 's')\nlocal c = redis.call('zscore', 'z', 'm')\nreturn 1", "s\ns\ns\ns\ns"},
	{"tables", "local t = {}\nt.t = t\nlocal s = {1,2,nil,4}\nlocal e = {}\nlocal n = {[1]=1,[3]=3}\nreturn 1", "s\ns\ns\ns\ns\np t\np s\np e\np n\nc"},
	{"empty lines at the end", "return 'hello'\n\n", "w\nl 0 1\nc"},
	{"a loop in a line", "for i = 1, 3 do local x = i end\nreturn 1", "s\ns\ns\ns\ns\ns"},
	{"recursion", "local function g(n) if n == 0 then return 0 end return 1 + g(n-1) end\nlocal x = g(2)\nreturn x", "s\ns\ns\nt\ns\ns\ns\nt\nc"},
	{"a coroutine", "local f = coroutine.wrap(function(x)\n coroutine.yield(x)\n return 2\nend)\nf(1)\nreturn f()", "s\ns\ns\ns\nt\np\ns\ns\ns\ns"},
	{"a function that the library calls", "local t = {3,1,2}\ntable.sort(t, function(a, b)\n return a < b\nend)\nreturn t", "s\ns\ns\nt\np\nc"},
	{"branches", "local a = 1; local b = 2\nif a == b then\n a = 2\nelseif a > b then\n a = 3\nelse\n a = 4\nend\nwhile a > 2 do a = a - 1 end\nrepeat\n b = b - 1\nuntil b == 0\nreturn a", strings.Repeat("s\n", 15)},
	{"all keys", "local d = redis.call('dbsize')\nlocal k = #redis.call('keys', '*')\nredis.call('flushall')\nlocal e = redis.call('dbsize')\nreturn {d, k, e}", "s\nc"},
	{"databases", "redis.call('select', 3)\nredis.call('set', 'k', 'other')\nredis.call('swapdb', 0, 3)\nlocal a = redis.call('get', 'k')\nredis.call('select', 0)\nreturn {a, redis.call('get', 'k')}", "s\ns\ns\ns\ns\ns\ns"},
	{"keys that are not named", "local a = redis.call('sort', 'l', 'by', 'w_*', 'get', '#')\nlocal x = redis.call('xadd', 'x', '1-1', 'f', 'v')\nlocal z = redis.call('pttl', 'e') > 0\nlocal r = redis.call('restore', 'new', 0, redis.call('dump', 'z'))\nreturn {a, x, redis.call('zscore', 'new', 'm')}", "s\ns\nc"},
}

// transcript is all that a debugging session answers, and what is there afterwards.
func transcript(c, after *client, mode, script, commands string) (lines []string) {
	for _, line := range []string{"FLUSHALL", "SET k v", "HSET h f 1 g 2", "RPUSH l a b c", "SADD s 1", "ZADD z 1.5 m", "SET e 1 EX 1000"} {
		after.do(line)
	}
	last := c.debug(mode, script, "1", "k", "arg1")
	lines = append(lines, last)
	for line := range strings.SplitSeq(strings.TrimSpace(commands), "\n") {
		if strings.HasSuffix(last, "<endsession>]") {
			break
		}
		last = c.do(line)
		lines = append(lines, line, last)
	}
	if strings.HasSuffix(last, "<endsession>]") {
		lines = append(lines, c.read())
		c.closed()
	} else {
		lines = append(lines, "the session goes on")
		c.nc.Close()
	}
	for _, line := range []string{"MGET k n new", "DBSIZE"} {
		lines = append(lines, after.do(line))
	}
	return lines
}

// A session of either kind says what Redis's says, and leaves what Redis's leaves.
func TestDebuggersLikeRedis(t *testing.T) {
	redistest.Tool(t, "redis-server")
	redis := redistest.Start(t, redistest.Redis, "--save", "")
	n := startNode(t)
	for _, s := range debugScenarios {
		for _, mode := range []string{"SYNC", "YES"} {
			t.Run(s.name+", "+mode, func(t *testing.T) {
				want := transcript(dialTo(t, "tcp", redis.Addr()), dialTo(t, "tcp", redis.Addr()), mode, s.script, s.commands)
				got := transcript(n.dial(), n.dial(), mode, s.script, s.commands)
				if !slices.Equal(got, want) {
					t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			})
		}
	}
}

// Nothing that an asynchronous session does is in the data or in the stream, and nobody
// waits for it.
func TestAnAsynchronousSessionLeavesNothing(t *testing.T) {
	n := startNode(t, "--busy-reply-threshold", "10")
	other := n.dial()
	other.want("SET k 1", "OK")
	before := n.streamed()
	c := n.dial()
	script := "redis.call('INCR', 'k')\nredis.call('PUBLISH', 'c', 'm')\nredis.call('FLUSHALL')\nredis.set_repl(redis.REPL_ALL)\n" +
		"redis.call('SET', 'k', 'x')\nredis.call('RPUSH', 'l', 'e')\nreturn redis.call('GET', 'k')"
	listener := n.dial()
	listener.want("SUBSCRIBE c", "[subscribe c 1]")
	waiter := n.blocks("BLPOP l 0")
	c.debug("YES", script, "0")
	for range 6 {
		c.do("step")
		other.want("GET k", "1")
	}
	if got := n.streamed(); !slices.Equal(got, before) {
		t.Errorf("the stream has %q", got)
	}
	c.want("continue", "[<endsession>]")
	c.wantNext("x")
	c.closed()
	other.want("GET k", "1")
	if got := n.streamed(); !slices.Equal(got, before) {
		t.Errorf("afterwards the stream has %q", got)
	}
	listener.silent()
	waiter.silent()
}

// What a session copies is bounded, and a command about the node is refused.
func TestBoundsOfAnAsynchronousSession(t *testing.T) {
	n := startNode(t)
	n.debugs.limits = debugLimits{copies: 1 << 20, space: 8 << 20}
	c := n.dial()
	big := strings.Repeat("x", 600<<10)
	for _, key := range []string{"a", "b"} {
		c.call("SET", key, big)
		c.wantNext("OK")
	}
	d := n.dial()
	d.debug("YES", "local a = redis.call('STRLEN', 'a')\nlocal b = redis.pcall('STRLEN', 'b')\nlocal c = redis.pcall('KEYS', '*')\nlocal d = redis.pcall('SLOWLOG', 'RESET')\n"+
		"local e = redis.pcall('SETRANGE', 'w', 9*1024*1024, 'x')\nlocal f = redis.pcall('SET', 'v', 'x')\nreturn {a, b.err, c.err, d.err, e, f.err}", "0")
	d.want("continue", "[<endsession>]")
	const copies = "ERR The debugging session would copy too many bytes of keys: use SCRIPT DEBUG SYNC"
	d.wantNext(fmt.Sprintf("[%d %s %s %s %d OOM The debugging session holds too much]", len(big), copies, copies,
		"ERR This command is about the node: an asynchronous debugging session cannot call it", 9<<20+1))
	var sessions []*client
	for range maxAsyncDebugs {
		s := n.dial()
		s.debug("YES", "return 1", "0")
		sessions = append(sessions, s)
	}
	s := n.dial()
	if got := s.debug("YES", "return 1", "0"); got != "error: ERR Too many debugging sessions: try again when one of them has ended" {
		t.Errorf("one too many: %s", got)
	}
	sessions[0].want("continue", "[<endsession>]")
	sessions[0].closedAfter("1")
	redistest.Until(t, 10*time.Second, "a session has ended", func() error { return n.asides(maxAsyncDebugs - 1) })
	if got := s.debug("YES", "return 1", "0"); !strings.HasPrefix(got, "[* Stopped at 1") {
		t.Errorf("one more: %s", got)
	}
}

// closedAfter checks the last reply of a connection.
func (c *client) closedAfter(reply string) {
	c.t.Helper()
	c.wantNext(reply)
	c.closed()
}

// asides checks how many asynchronous sessions there are.
func (n *node) asides(want int) error {
	n.debugs.mu.Lock()
	defer n.debugs.mu.Unlock()
	if n.debugs.asides != want || len(n.debugs.open) != want {
		return fmt.Errorf("%d sessions, %d terminals", n.debugs.asides, len(n.debugs.open))
	}
	return nil
}

// A session ends with its client. In a synchronous one the script runs on to its end.
func TestASessionEndsWithItsClient(t *testing.T) {
	const script = "redis.call('SET', 'a', 1)\nredis.call('SET', 'b', 1)\nreturn 1"
	n := startNode(t)
	c := n.dial()
	for _, end := range []func(s *client){
		func(s *client) { s.nc.Close() },
		func(s *client) { c.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"); c.wantNext("1") },
	} {
		s := n.dial()
		s.debug("YES", script, "0")
		s.do("step")
		end(s)
		redistest.Until(t, 10*time.Second, "the session has ended", func() error { return n.asides(0) })
		c.want("EXISTS a b", "0")
	}
	s := n.dial()
	s.debug("SYNC", script, "0")
	s.do("step")
	s.nc.Close()
	c.want("MGET a b", "[1 1]")
	redistest.Until(t, 10*time.Second, "the session has ended", func() error { return n.asides(0) })
	// A loop without an end is ended, too, when it has run for long.
	n = startNode(t, "--busy-reply-threshold", "50")
	for _, mode := range []string{"YES", "SYNC"} {
		s := n.dial()
		s.debug(mode, "local i = 0\nwhile true do i = i + 1 end", "0")
		s.call("continue")
		if got := s.read(); !strings.HasPrefix(got, "[* Stopped at 2, stop reason = timeout reached, infinite loop?") {
			t.Errorf("%s: %s", mode, got)
		}
		s.call("continue")
		s.nc.Close()
		redistest.Until(t, 10*time.Second, "the session has ended", func() error { return n.asides(0) })
	}
}

// A script may begin to take long just before an asynchronous session would take the
// node's limits and role along.
func TestNoSessionBeginsBesideAScriptThatTakesLong(t *testing.T) {
	n := startNode(t, "--busy-reply-threshold", "10")
	s, c := n.dial(), n.dial()
	s.call("EVAL", "while true do end", "0")
	redistest.Until(t, 10*time.Second, "others are told BUSY", func() error {
		if got := c.do("PING"); !strings.HasPrefix(got, "error: BUSY") {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	if v, ok := newDebugView(n.Server); ok {
		v.close()
		t.Error("a view with limits and a role that nobody has read")
	}
	c.want("SCRIPT KILL", "OK")
	redistest.Until(t, 10*time.Second, "there is a view when the script has ended", func() error {
		v, ok := newDebugView(n.Server)
		if !ok {
			return errors.New("there is none")
		}
		v.close()
		return nil
	})
}

// In a synchronous session others are told BUSY after a while; SCRIPT KILL ends it if
// it has written nothing.
func TestASynchronousSessionTakesLong(t *testing.T) {
	n := startNode(t, "--event-loops", "1", "--busy-reply-threshold", "20")
	s, c := n.dial(), n.dial()
	s.debug("SYNC", "local a = 1\nredis.call('SET', 'k', 1)\nreturn redis.call('INCR', 'k')", "0")
	redistest.Until(t, 10*time.Second, "others are told BUSY", func() error {
		if got := c.do("PING"); !strings.HasPrefix(got, "error: BUSY") {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	s.do("step")
	s.do("step")
	c.want("SCRIPT KILL", "error: UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command.")
	s.want("continue", "[<endsession>]")
	s.closedAfter("2")
	c.want("GET k", "2")
	n.wantStream("MULTI", "SET k 1", "INCR k", "EXEC")

	s = n.dial()
	s.debug("SYNC", "return 1", "0")
	redistest.Until(t, 10*time.Second, "SCRIPT KILL is taken", func() error {
		if got := c.do("SCRIPT KILL"); got != "OK" {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	s.wantNext("[<endsession>]")
	if got := s.read(); !strings.HasPrefix(got, "error: ERR Script killed by user") {
		t.Errorf("killed: %s", got)
	}
	c.want("PING", "PONG")
}

// wantStream checks the stream.
func (n *node) wantStream(want ...string) {
	n.t.Helper()
	if got := n.streamed(); !slices.Equal(got, want) {
		n.t.Errorf("the stream has %q, want %q", got, want)
	}
}

// A reply waits for its offset, but the rounds of a session do not.
func TestTheReplyOfASynchronousSessionIsHeld(t *testing.T) {
	n := startNode(t)
	n.stream.hold()
	s := n.dial()
	s.debug("SYNC", "return redis.call('INCR', 'k')", "0")
	s.want("continue", "[<endsession>]")
	s.silent()
	n.stream.commit(-1)
	s.closedAfter("1")
}

// What comes at a wrong time is refused.
func TestDebuggingOutOfPlace(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("SCRIPT DEBUG MAYBE", "error: ERR Use SCRIPT DEBUG YES/SYNC/NO")
	c.raw("PING\r\nSCRIPT DEBUG YES\r\n")
	c.wantNext("PONG")
	c.wantNext("error: ERR SCRIPT DEBUG must be called outside a pipeline")
	c.want("SCRIPT DEBUG YES", "OK")
	c.want("EVALSHA "+strings.Repeat("0", 40)+" 0", "error: ERR Please use EVAL instead of EVALSHA for debugging")
	c.raw("PING\r\nEVAL 'return 1' 0\r\n")
	c.wantNext("PONG")
	const outside = "error: ERR EVAL in debugging mode must be called outside a pipeline or transaction"
	c.wantNext(outside)
	c.want("MULTI", "OK")
	c.call("EVAL", "return 1", "0")
	c.wantNext("QUEUED")
	c.want("EXEC", "["+outside+"]")
	c.want("SCRIPT DEBUG NO", "OK")
	c.eval("return 1", "1")
	for _, mode := range []string{"YES", "SYNC"} {
		s := n.dial()
		s.debug(mode, "return 1", "0")
		s.raw("*1\r\n$100000\r\n")
		s.wantNext("[<endsession>]")
		if got := s.read(); !strings.HasPrefix(got, "error: ERR protocol error script: ") {
			t.Errorf("%s: %s", mode, got)
		}
		// What was sent behind the call is of the session.
		s = n.dial()
		s.want("SCRIPT DEBUG "+mode, "OK")
		s.raw("*3\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n*1\r\n$1\r\nc\r\n")
		if got := s.read(); mode == "YES" && !strings.HasPrefix(got, "[* Stopped at 1") {
			t.Errorf("%s: %s", mode, got)
		}
		if mode == "SYNC" {
			s.do("c")
		} else {
			s.wantNext("[<endsession>]")
		}
		s.closedAfter("1")
	}
}

// A script may say more than fits into a round.
func TestTheRoundsOfASessionAreBounded(t *testing.T) {
	n := startNode(t)
	s := n.dial()
	s.debug("YES", "for i = 1, 200000 do redis.debug('a line that is not so short at all', i) end", "0")
	got := s.do("continue")
	if len(got) > 6<<20 || !strings.HasSuffix(got, "<hint> There was more than this; it is left out.]") {
		t.Errorf("%d bytes, which end in %q", len(got), got[max(0, len(got)-100):])
	}
}

// Sessions end with the server, at once.
func TestSessionsEndWithTheServer(t *testing.T) {
	for _, mode := range []string{"YES", "SYNC"} {
		n := startNode(t)
		s := n.dial()
		s.debug(mode, "return redis.call('SET', 'k', 1)", "0")
		if err := n.Shutdown(false); err != nil {
			t.Fatal(err)
		}
		<-n.ended
	}
}

// While the server ends no session begins, and its client is told why.
func TestNoSessionBeginsWhileTheServerEnds(t *testing.T) {
	n := startNode(t)
	n.debugs.hangUp(true)
	for _, mode := range []string{"YES", "SYNC"} {
		c := n.dial()
		if got := c.debug(mode, "return 1", "0"); got != "error: "+string(resp.ErrDebugEnds) {
			t.Errorf("%s: %q", mode, got)
		}
	}
}

// A session has an engine of its own, and leaves nothing in that of other scripts.
func TestASessionHasAnEngineOfItsOwn(t *testing.T) {
	n := startNode(t, "--event-loops", "1")
	for _, mode := range []string{"YES", "SYNC"} {
		s := n.dial()
		s.debug(mode, "return 1", "0")
		s.want("continue", "[<endsession>]")
		s.closedAfter("1")
	}
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	n.loops[0].eachDesk(func(d *desk) {
		if d.host.evals != nil {
			t.Error("the engine for EVAL was used")
		}
	})
}

// The client of an asynchronous session is one of those that are connected.
func TestTheClientOfASessionIsCounted(t *testing.T) {
	n := startNode(t)
	s, c := n.dial(), n.dial()
	s.debug("YES", "return 1", "0")
	c.waitFor("connected_clients", "2")
	s.want("continue", "[<endsession>]")
	s.closedAfter("1")
	c.waitFor("connected_clients", "1")
}

// In a cluster a synchronous session begins with the slots of its keys, and needs the
// world.
func TestASessionInACluster(t *testing.T) {
	n := startNode(t, "--cluster-enabled", "yes")
	for _, mode := range []string{"YES", "SYNC"} {
		s := n.dial()
		s.debug(mode, "redis.call('SET', KEYS[1], 1)\nreturn redis.call('GET', KEYS[1])", "1", "k")
		s.do("step")
		s.want("continue", "[<endsession>]")
		s.closedAfter("1")
	}
}

// Sessions over a connection that no loop polls.
func TestASessionOverAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	n := startNode(t, "--unixsocket", path, "--busy-reply-threshold", "20")
	for _, mode := range []string{"YES", "SYNC"} {
		s, c := dialTo(t, "unix", path), n.dial()
		s.debug(mode, "local a = redis.call('INCR', 'k')\nreturn a", "0")
		if mode == "SYNC" {
			redistest.Until(t, 10*time.Second, "others are told BUSY", func() error {
				if got := c.do("PING"); !strings.HasPrefix(got, "error: BUSY") {
					return fmt.Errorf("%s", got)
				}
				return nil
			})
		}
		s.do("step")
		s.want("continue", "[<endsession>]")
		s.closedAfter("1")
		c.want("PING", "PONG")
	}
	s := dialTo(t, "unix", path)
	s.debug("SYNC", "local a = 1\nreturn redis.call('SET', 'k', 'end')", "0")
	s.nc.Close()
	redistest.Until(t, 10*time.Second, "the session has ended", func() error { return n.asides(0) })
	n.dial().want("GET k", "end")
}

// redis-cli --ldb works.
func TestRedisCliDebugs(t *testing.T) {
	cli := redistest.Tool(t, "redis-cli")
	n := startNode(t)
	file := filepath.Join(t.TempDir(), "script.lua")
	if err := os.WriteFile(file, []byte("local a = redis.call('incr', KEYS[1])\nredis.call('set', 'new', a + ARGV[1])\nreturn a"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(n.Addr(), ":")
	c := n.dial()
	for _, test := range []struct{ flag, end, left string }{
		{"--ldb", "(Lua debugging session ended -- dataset changes rolled back)", "[(nil) (nil)]"},
		{"--ldb-sync-mode", "(Lua debugging session ended)", "[1 6]"},
	} {
		args := []string{"-p", port, test.flag, "--eval", file, "k", ",", "5"}
		if *overTLS {
			args = append([]string{"--tls", "--insecure"}, args...)
		}
		cmd := exec.Command(cli, args...)
		cmd.Stdin = strings.NewReader("s\nprint\ntrace\nredis get k\nwhole\nc\n")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, want := range []string{"* Stopped at 2", "<redis> incr k", "<reply> 1", "<value> a = 1", "In top level:", "<redis> get k", "(integer) 1", test.end} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: no %q in\n%s", test.flag, want, out)
			}
		}
		c.want("MGET k new", test.left)
	}
}

// A key is copied with its expiry, and as it was when the script first named it.
func TestKeysOfASessionAreCopies(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("SET k 1 PXAT 99999999999999", "OK")
	c.want("SET gone 1 PX 1", "OK")
	redistest.Until(t, 10*time.Second, "a key has expired", func() error {
		if c.do("PTTL gone") != "-2" {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	s := n.dial()
	s.debug("YES", "local a = redis.call('GET', 'k')\nlocal b = redis.call('GET', 'k')\nreturn {a, b, redis.call('PEXPIRETIME', 'k'), redis.call('GET', 'later'), redis.call('EXISTS', 'gone')}", "0")
	s.do("step")
	c.want("SET k 2", "OK")
	c.want("SET later 3", "OK")
	s.want("continue", "[<endsession>]")
	s.closedAfter("[1 1 99999999999999 3 0]")
	c.want("GET k", "2")
	var keys int
	n.keyspace.World(0, func(tx *storage.Tx) { keys = n.keyspace.Len(0) })
	if keys != 2 {
		t.Errorf("%d keys", keys)
	}
}
