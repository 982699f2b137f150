package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/internal/script"
	"redoubt/slots"
)

// call sends a command whose arguments may hold spaces.
func (c *client) call(args ...string) {
	c.t.Helper()
	var line [][]byte
	for _, a := range args {
		line = append(line, []byte(a))
	}
	c.raw(string(resp.AppendArray(nil, line...)))
}

// eval sends a script without keys and checks its reply.
func (c *client) eval(script, reply string, args ...string) {
	c.t.Helper()
	c.call(append([]string{"EVAL", script, "0"}, args...)...)
	if got := c.read(); got != reply {
		c.t.Errorf("%s: %q, want %q", script, got, reply)
	}
}

func TestTheEffectsOfAScriptAreOneTransaction(t *testing.T) {
	for _, test := range []struct {
		name, script string
		stream       []string
	}{
		{"one write", "return redis.call('SET', 'k', 'v')", []string{"SET k v"}},
		{"reads", "return redis.call('GET', 'k')", nil},
		{"several writes", "redis.call('SET', 'a', 1) redis.call('GET', 'a') redis.call('INCR', 'a')", []string{"MULTI", "SET a 1", "INCR a", "EXEC"}},
		{"what is random is told by its result", "redis.call('SADD', 's', 'x') redis.call('SPOP', 's')", []string{"MULTI", "SADD s x", "SREM s x", "EXEC"}},
		{"one that fails half-way", "redis.call('SET', 'a', 1) redis.call('LPUSH', 'a', 1) redis.call('SET', 'b', 1)", []string{"SET a 1"}},
		{"another database", "redis.call('SET', 'a', 1) redis.call('SELECT', 2) redis.call('SET', 'a', 2)", []string{"MULTI", "SET a 1", "SELECT 2", "SET a 2", "EXEC"}},
		{"what is not to be replicated", "redis.set_repl(redis.REPL_NONE) redis.call('SET', 'a', 1) redis.set_repl(redis.REPL_ALL) redis.call('SET', 'b', 1)", []string{"SET b 1"}},
		{"a message", "return redis.call('PUBLISH', 'c', 'm')", []string{"PUBLISH c m"}},
		{"a wait that is none", "return redis.call('BLPOP', 'l', 0)", nil},
		{"what would wait", "redis.call('RPUSH', 'l', 'x') return redis.call('BLPOP', 'l', 0)", []string{"MULTI", "RPUSH l x", "LPOP l", "EXEC"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := startNode(t)
			c := n.dial()
			c.call("EVAL", test.script, "0")
			c.read()
			if got := n.streamed(); !slices.Equal(got, test.stream) {
				t.Errorf("the stream has %q", got)
			}
			c.want("GET other", "(nil)")
			c.want("SET in-0 1", "OK") // the script's database is its own
			c.want("SELECT 0", "OK")
			c.want("GET in-0", "1")
		})
	}
}

// A script in a transaction is a part of it, and one that makes a key ready serves
// who waits behind it.
func TestScriptsInTransactionsAndBeforeWaiters(t *testing.T) {
	n := startNode(t)
	waiter := n.blocks("BLPOP l 0")
	c := n.dial()
	c.want("MULTI", "OK")
	c.call("EVAL", "redis.call('RPUSH', 'l', 'a', 'b') return redis.call('LLEN', 'l')", "0")
	c.wantNext("QUEUED")
	c.want("GET k", "QUEUED")
	c.want("EXEC", "[2 (nil)]")
	waiter.wantNext("[l a]")
	if got, want := n.streamed(), []string{"RPUSH l a b", "LPOP l"}; !slices.Equal(got, want) {
		t.Errorf("the stream has %q", got)
	}
}

func TestMonitorSeesWhatScriptsCall(t *testing.T) {
	n := startNode(t)
	m, c := n.dial(), n.dial()
	m.want("MONITOR", "OK")
	c.eval("redis.call('SET', 'k', 'v') return 1", "1")
	for _, want := range []string{`"EVAL"`, `lua] "SET" "k" "v"`} {
		if line := m.read(); !strings.Contains(line, want) {
			t.Errorf("MONITOR printed %q, want %s", line, want)
		}
	}
}

// What a script may not do, by the state of the node and by what it says of itself.
func TestWhatScriptsAreRefused(t *testing.T) {
	const set = "redis.call('SET', KEYS[1], 'v') return 'done'"
	rows := []struct {
		name      string
		form      string
		script    string
		replica   bool
		full      bool
		failing   resp.Error
		reply     string
		fragments bool
	}{
		{name: "a write in a read-only call", form: "EVAL_RO", script: set, reply: "ERR Write commands are not allowed from read-only scripts."},
		{name: "a script with writes in a read-only call", form: "EVAL_RO", script: "#!lua\n" + set, reply: "ERR Can not execute a script with write flag using *_ro command."},
		{name: "a write in a script without writes", form: "EVAL", script: "#!lua flags=no-writes\n" + set, reply: "ERR Write commands are not allowed from read-only scripts."},
		{name: "a write on a replica", form: "EVAL", script: set, replica: true, reply: "READONLY You can't write against a read only replica."},
		{name: "a script with writes on a replica", form: "EVAL", script: "#!lua\n" + set, replica: true, reply: "READONLY You can't write against a read only replica."},
		{name: "reads on a replica", form: "EVAL", script: "#!lua flags=no-writes\nreturn 'done'", replica: true, reply: "done"},
		{name: "a write without memory", form: "EVAL", script: set, full: true, reply: "OOM command not allowed when used memory > 'maxmemory'."},
		{name: "a script without memory", form: "EVAL", script: "#!lua\n" + set, full: true, reply: "OOM command not allowed when used memory > 'maxmemory'."},
		{name: "one that may", form: "EVAL", script: "#!lua flags=allow-oom\n" + set, full: true, reply: "done"},
		{name: "one that frees memory first", form: "EVAL", script: "redis.call('DEL', KEYS[1]) " + set, full: true, reply: "done"},
		{name: "a write on a failing disk", form: "EVAL", script: set, failing: resp.ErrMisconfSnapshot, reply: string(resp.ErrMisconfSnapshot)},
		{name: "no command at all", form: "EVAL", script: "return redis.call('NOSUCH')", reply: "ERR Unknown Redis command called from script"},
		{name: "too few arguments", form: "EVAL", script: "return redis.call('GET')", reply: "ERR Wrong number of args calling Redis command from script"},
		{name: "a command for clients", form: "EVAL", script: "return redis.call('CONFIG', 'GET', 'port')", reply: "ERR This Redis command is not allowed from script"},
		{name: "an option of the first line", form: "EVAL", script: "#!lua flags=no-such\nreturn 1", reply: "ERR Unexpected flag in script shebang: no-such"},
		{name: "code that is none", form: "EVAL", script: "return +", reply: "ERR Error compiling script (new function): "},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			repl, disk := newFakeReplication(), &fakePersistence{failing: row.failing}
			n := startParts(t, func(c *Config) { c.Replication, c.Persistence = repl, disk })
			c := n.dial()
			if row.replica {
				c.want("REPLICAOF 127.0.0.1 1", "OK")
			}
			if row.full {
				c.want("CONFIG SET maxmemory 1", "OK")
			}
			n.refreshConditions()
			c.call(row.form, row.script, "1", "k")
			want := row.reply
			if strings.Contains(want, " ") {
				want = "error: " + want
			}
			if got := c.read(); !strings.HasPrefix(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestTheScriptCache(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	sha := func(script string) string {
		c.call("SCRIPT", "LOAD", script)
		return c.read()
	}
	kept := sha("return 'kept'")
	c.want("EVALSHA "+strings.ToUpper(kept)+" 0", "kept")
	c.want("EVALSHA "+kept[1:]+" 0", "error: NOSCRIPT No matching script. Please use EVAL.")
	c.want("SCRIPT SHOW "+kept, "return 'kept'")
	body := func(i int) string { return fmt.Sprintf("return %d", i) }
	for i := range evalScripts {
		c.eval(body(i), strconv.Itoa(i))
	}
	c.eval(body(0), "0") // it is used, so that the next one goes
	c.eval(body(evalScripts), strconv.Itoa(evalScripts))
	if got := n.Stats().Scripts; got.Cached != evalScripts+1 || got.Evicted != 1 {
		t.Errorf("there are %d scripts, and %d were evicted", got.Cached, got.Evicted)
	}
	sha("return 'kept as well'") // drives out none
	if got := n.Stats().Scripts; got.Cached != evalScripts+2 || got.Evicted != 1 {
		t.Errorf("then there are %d scripts, and %d were evicted", got.Cached, got.Evicted)
	}
	exists := func(script string) string { return c.do("SCRIPT EXISTS " + scriptSHA(script)) }
	if got := exists(body(0)) + exists(body(1)) + exists("return 'kept'"); got != "[1][0][1]" {
		t.Errorf("the first, the second and the one that was loaded: %s", got)
	}
	c.want("SCRIPT FLUSH", "OK")
	c.want("SCRIPT EXISTS "+kept, "[0]")
	if got := n.Stats().Scripts; got.Cached != 0 || got.CachedBytes != 0 {
		t.Errorf("after a flush there are %d scripts of %d bytes", got.Cached, got.CachedBytes)
	}
}

func TestFunctionsAreWrittenToTheStream(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	const code = "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
	c.call("FUNCTION", "LOAD", code)
	c.wantNext("lib")
	c.call("FUNCTION", "LOAD", code)
	c.wantNext("error: ERR Library 'lib' already exists")
	c.want("FCALL F 0", "1")
	c.want("FUNCTION DELETE nosuch", "error: ERR Library not found")
	c.want("FLUSHALL", "OK")
	c.want("FCALL f 0", "1")
	c.want("FUNCTION DELETE lib", "OK")
	c.want("FUNCTION FLUSH", "OK")
	c.want("FCALL f 0", "error: ERR Function not found")
	got := n.streamed()
	want := []string{"FUNCTION LOAD " + code, "FLUSHALL", "FUNCTION DELETE lib", "FUNCTION FLUSH"}
	if !slices.Equal(got, want) {
		t.Errorf("the stream has %q", got)
	}
}

// endless is a script that never ends, and writes first if asked to.
const endless = "if ARGV[1] then redis.call('SET', 'half', ARGV[1]) end while true do end"

// startBusy starts a node of two loops with a script that takes long, called by c.
func startBusy(t *testing.T, args ...string) (n *node, c *client) {
	t.Helper()
	n = startNode(t, "--event-loops", "2", "--busy-reply-threshold", "20")
	c = n.dial()
	c.call(append([]string{"EVAL", endless, "0"}, args...)...)
	n.untilBusy()
	return n, c
}

func (n *node) untilBusy() {
	n.t.Helper()
	redistest.Until(n.t, 10*time.Second, "a script takes long", func() error {
		if n.Busy() == "" {
			return fmt.Errorf("none does")
		}
		return nil
	})
}

const busyReply = "error: BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."

func TestClientsOfABusyNode(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "20")
	var before []*client
	for i := range 6 { // on both loops
		c := n.dial()
		c.want("WATCH k", "OK")
		if i%3 == 1 {
			c.want("MULTI", "OK")
		}
		before = append(before, c)
	}
	c := n.dial()
	c.call("EVAL", endless, "0")
	n.untilBusy()
	var others []*client
	for range 4 { // on both loops
		others = append(others, n.dial())
	}
	for i, o := range others {
		began := time.Now()
		o.want("PING", busyReply)
		o.want("GET k", busyReply)
		if took := time.Since(began); took > time.Second {
			t.Errorf("client %d had to wait for %v", i, took)
		}
		o.want("HELLO 2", "[server redis version 7.2.4 proto 2 id "+fmt.Sprint(len(before)+i+2)+" mode standalone role master modules []]")
		o.want("FUNCTION KILL", busyReply)
		o.want("SHUTDOWN", busyReply)
		o.want("WATCH k", "OK")
		o.want("MULTI", "OK")
		o.want("GET k", busyReply)
		o.want("DISCARD", "OK")
		o.want("RESET", "RESET")
	}
	for i, c := range before { // their watches end later
		c.want([]string{"UNWATCH", "DISCARD", "RESET"}[i%3], []string{"OK", "OK", "RESET"}[i%3])
		c.want("WATCH k", "OK")
	}
	watcher, parting := others[0], others[1]
	watcher.want("WATCH k", "OK")
	parting.want("WATCH k", "OK")
	parting.nc.Close()
	began := time.Now()
	others[2].want("SCRIPT KILL", "OK")
	if got := c.read(); !strings.HasPrefix(got, "error: ERR Script killed by user with SCRIPT KILL...") {
		t.Errorf("the script ends with %q", got)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v to kill the script", took)
	}
	others[3].want("SCRIPT KILL", "error: NOTBUSY No scripts in execution right now.")
	others[3].want("SET k v", "OK")
	c.want("GET k", "v")
	// The WATCH of a busy node could not look at the key.
	watcher.want("MULTI", "OK")
	watcher.want("GET k", "QUEUED")
	watcher.want("EXEC", "(nil array)")
	watcher.want("WATCH k", "OK")
	watcher.want("MULTI", "OK")
	watcher.want("GET k", "QUEUED")
	watcher.want("EXEC", "[v]")
}

// The connection of the script goes on where it was: with what came before in its
// pipeline, and what came behind.
func TestThePipelineOfALongScript(t *testing.T) {
	n := startNode(t, "--event-loops", "1", "--busy-reply-threshold", "20")
	c, other := n.dial(), n.dial()
	c.raw("PING\r\n" + string(resp.AppendArray(nil, []byte("EVAL"), []byte(endless), []byte("0"))) + "ECHO behind\r\nGET k\r\n")
	c.wantNext("PONG")
	n.untilBusy()
	c.raw("ECHO later\r\n")
	other.want("SCRIPT KILL", "OK")
	if got := c.read(); !strings.HasPrefix(got, "error: ERR Script killed") {
		t.Errorf("the script ends with %q", got)
	}
	c.wantNext("behind")
	c.wantNext("(nil)")
	c.wantNext("later")
}

// What came before a long script in a turn of its loop is answered at once, so that
// replicas and the disk must not have to wait for the script's end.
func TestWhatPrecedesALongScriptIsAnnounced(t *testing.T) {
	n := startNode(t, "--event-loops", "1", "--busy-reply-threshold", "20")
	c, other := n.dial(), n.dial()
	c.raw("SET k v\r\n" + string(resp.AppendArray(nil, []byte("EVAL"), []byte(endless), []byte("0"))))
	c.wantNext("OK")
	n.untilBusy()
	eventually(t, func() bool { // not only when the script ends
		n.stream.mu.Lock()
		defer n.stream.mu.Unlock()
		return n.stream.announced == n.stream.end
	})
	other.want("SCRIPT KILL", "OK")
	c.read()
}

// A long script is let go on by those who must, and waits end in time.
func TestWaitsEndWhileAScriptTakesLong(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "20")
	waiter := n.blocks("BLPOP l 0.5")
	c := n.dial()
	c.call("EVAL", endless, "0")
	n.untilBusy()
	began := time.Now()
	waiter.wantNext("(nil array)")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the wait takes %v", took)
	}
	other := n.dial()
	other.want("SCRIPT KILL", "OK")
	c.read()
	other.want("RPUSH l x", "1") // nobody stands in the queue any more
	other.want("LLEN l", "1")
}

func TestALongScriptOfATransaction(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "20")
	c, other := n.dial(), n.dial()
	c.want("MULTI", "OK")
	c.want("SET k v", "QUEUED")
	c.want("CLIENT LIST", "QUEUED") // all loops are stopped for it
	c.call("EVAL", endless, "0")
	c.wantNext("QUEUED")
	c.want("INCR n", "QUEUED")
	c.send("EXEC")
	n.untilBusy()
	other.want("PING", busyReply)
	n.dial().want("PING", busyReply)
	other.want("SCRIPT KILL", "OK")
	if got := c.read(); !strings.HasPrefix(got, "[OK ") || !strings.Contains(got, "Script killed") || !strings.HasSuffix(got, " 1]") {
		t.Errorf("the transaction ends with %q", got)
	}
	if got, want := n.streamed(), []string{"MULTI", "SET k v", "INCR n", "EXEC"}; !slices.Equal(got, want) {
		t.Errorf("the stream has %q", got)
	}
	other.want("GET k", "v")
}

// What a script has written can only be dropped together with the process, and does
// not reach the stream then.
func TestAScriptThatHasWrittenIsNotKilled(t *testing.T) {
	n, c := startBusy(t, "v")
	other := n.dial()
	other.want("SCRIPT KILL", "error: "+string(resp.ErrUnkillable))
	other.send("SHUTDOWN NOSAVE")
	other.closed()
	c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
	if got := n.streamed(); len(got) > 0 {
		t.Errorf("the stream has %q", got)
	}
}

// Nor does a transaction in which a script was dropped, and its client does not read
// that it was carried out.
func TestATransactionWhoseScriptIsDropped(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "20")
	c, other := n.dial(), n.dial()
	c.want("MULTI", "OK")
	c.want("SET k v", "QUEUED")
	c.call("EVAL", endless, "0", "v")
	c.wantNext("QUEUED")
	c.want("INCR n", "QUEUED")
	c.send("EXEC")
	n.untilBusy()
	other.send("SHUTDOWN NOSAVE")
	c.closed()
	if got := n.streamed(); len(got) > 0 {
		t.Errorf("the stream has %q", got)
	}
}

// The threshold acts on the script that runs, once it is set.
func TestTheThresholdOfLongScriptsIsSet(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "0")
	c, other := n.dial(), n.dial()
	c.call("EVAL", endless, "0")
	n.untilScriptRuns()
	if busy := n.Busy(); busy != "" {
		t.Errorf("without a threshold the node is busy: %s", busy)
	}
	if err := n.config.Set(config.Caller{Local: true}, config.Pair{Name: "lua-time-limit", Value: "10"}); err != nil {
		t.Fatal(err)
	}
	n.untilBusy()
	other.want("SCRIPT KILL", "OK")
	c.read()
}

// A script is killed or writes, never both: the two may come at the same time.
func TestAScriptIsKilledOrWrites(t *testing.T) {
	for range 10_000 {
		var r run
		r.begin(1)
		wrote := make(chan bool)
		go func() { wrote <- r.writes() }()
		if killed := r.killUnwritten(); killed == <-wrote {
			t.Fatalf("a script is killed: %v, and writes: %v", killed, killed)
		}
		if r.killed.Load() != r.killUnwritten() {
			t.Fatal("the fate of a script changes")
		}
	}
}

func TestALongFunction(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "20")
	c, other := n.dial(), n.dial()
	c.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() while true do end end)")
	c.wantNext("l")
	c.send("FCALL f 1 k a")
	n.untilBusy()
	const busy = "error: BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	other.want("PING", busy)
	other.want("SCRIPT KILL", busy)
	if got := other.do("FUNCTION STATS"); !strings.HasPrefix(got, "[running_script [name f command [FCALL f 1 k a] duration_ms ") ||
		!strings.HasSuffix(got, "] engines [LUA [libraries_count 1 functions_count 1]]]") {
		t.Errorf("FUNCTION STATS: %q", got)
	}
	other.want("FUNCTION KILL", "OK")
	if got := c.read(); !strings.Contains(got, "Script killed by user") {
		t.Errorf("the function ends with %q", got)
	}
	other.want("FUNCTION STATS", "[running_script (nil) engines [LUA [libraries_count 1 functions_count 1]]]")
}

// Many scripts, short and long ones, with clients that come and go meanwhile: the
// race detector looks on, and everybody gets an answer.
func TestScriptsThatTakeLongAndClientsThatComeAndGo(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "10")
	end := time.Now().Add(2 * time.Second)
	done := make(chan struct{})
	for i := range 4 {
		c := n.dial()
		go func() {
			defer func() { done <- struct{}{} }()
			for answered := false; !answered || time.Now().Before(end); {
				switch i {
				case 0:
					c.call("EVAL", "local n = 0 for i = 1, tonumber(ARGV[1]) do n = n + i end redis.call('SET', 'n', n) return n", "0", "1000000")
				case 1:
					c.call("EVAL", "return redis.call('INCR', 'short')", "0")
				default:
					c.send("INCR plain")
				}
				got := c.read()
				busy := strings.HasPrefix(got, "error: BUSY")
				if strings.HasPrefix(got, "error: ") && !busy {
					t.Errorf("client %d gets %q", i, got)
				}
				answered = answered || !busy
			}
		}()
	}
	for time.Now().Before(end) {
		n.dial().nc.Close()
		c := n.dial()
		c.send("BLPOP nothing 0.02")
		c.send("MULTI")
		c.nc.Close()
		time.Sleep(5 * time.Millisecond)
	}
	for range 4 {
		<-done
	}
	n.dial().want("EXISTS short plain n", "3")
}

func scriptSHA(body string) string { return script.SHA1([]byte(body)) }

// In a cluster a script has the slots of the keys that its call names. If it looks
// further it runs with all slots, as long as it has done nothing before.
func TestScriptsThatLookBeyondTheirSlots(t *testing.T) {
	f := &fakeCluster{elsewhere: slots.Of([]byte("far")), moving: slots.Count}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes")
	c, m := n.dial(), n.dial()
	m.want("MONITOR", "OK")
	const errNotLocal = "error: ERR Script attempted to access a non local key in a cluster node"
	for _, test := range []struct{ name, script, reply string }{
		{"the named key", "return redis.call('SET', KEYS[1], 1)", "OK"},
		{"another slot", "redis.call('GET', KEYS[1]) return redis.call('SET', 'b', 2)", "OK"},
		{"all keys", "return redis.call('DBSIZE')", "2"},
		{"another slot after a write", "redis.call('SET', KEYS[1], 3) return redis.call('SET', 'c', 3)", errNotLocal},
		{"likewise, the next time", "redis.call('SET', KEYS[1], 3) return redis.call('SET', 'c', 3)", "OK"},
		{"another slot after a message", "redis.call('PUBLISH', 'ch', 'm') return redis.call('GET', 'b')", errNotLocal},
		{"a key of another node", "return redis.call('GET', 'far')", errNotLocal},
		{"another slot, caught", "redis.pcall('GET', 'b') return 'end'", "end"},
		{"slots that do not go together", "#!lua\nredis.call('GET', KEYS[1]) return redis.call('GET', 'b')", "error: ERR Script attempted to access keys that do not hash to the same slot"},
		{"that may", "#!lua flags=allow-cross-slot-keys\nredis.call('GET', KEYS[1]) return redis.call('GET', 'b')", "2"},
		{"not in a cluster", "#!lua flags=no-cluster\nreturn 1", "error: ERR Can not run script on cluster, 'no-cluster' flag is set."},
	} {
		c.call("EVAL", test.script, "1", "a")
		if got := c.read(); !strings.HasPrefix(got, test.reply) {
			t.Errorf("%s: %q, want %q", test.name, got, test.reply)
		}
	}
	c.call("EVAL", "redis.call('SET', 'x', 1) return redis.call('GET', 'b')", "0")
	c.wantNext("2") // one that names no key has all from the start
	c.want("MULTI", "OK")
	c.call("EVAL", "redis.call('SET', KEYS[1], 4) return redis.call('GET', 'b')", "1", "a")
	c.wantNext("QUEUED")
	c.want("EXEC", "[2]")
	for _, want := range []string{`"EVAL"`, `lua] "SET" "a"`, `"EVAL"`, `lua] "GET" "a"`, `lua] "SET" "b"`, `"EVAL"`} {
		if line := m.read(); !strings.Contains(line, want) {
			t.Errorf("MONITOR printed %q, want %s", line, want)
		}
	}
}

// A script may call and catch what fails for as long as it likes: what is kept of that
// is bounded, and counted all the same.
func TestErrorsThatScriptsCatchAreCounted(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.eval("redis.call('SET', 'k', 'v') for i = 1, 1000 do redis.pcall('INCR', 'k') redis.pcall('NOSUCH') end return 1", "1")
	c.eval("return redis.call('LPUSH', 'k', 1)", "error: WRONGTYPE Operation against a key holding the wrong kind of value script: "+
		scriptSHA("return redis.call('LPUSH', 'k', 1)")+", on @user_script:1.")
	if got := n.ErrorCounts(); got["ERR"] != 2000 || got["WRONGTYPE"] != 1 {
		t.Errorf("the errors are %v", got)
	}
	if got := n.Stats().ErrorReplies; got != 2001 {
		t.Errorf("%d errors were counted", got)
	}
}

// A script may answer with any number of codes. Those beyond a limit count together,
// while the server's own and those that are known already go on being told apart.
func TestErrorsThatScriptsInventAreBounded(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	const invented = maxErrorCodes + 100
	for i := range invented {
		c.eval("return redis.error_reply(ARGV[1] .. ' is what it is')", fmt.Sprintf("error: CODE%d is what it is", i), fmt.Sprint("CODE", i))
	}
	c.want("SET a b c d", "error: "+string(resp.ErrSyntax))
	c.eval("return {err = 'CODE0 again'}", "error: CODE0 again")
	errors := n.ErrorCounts()
	if errors["CODE0"] != 2 || errors["ERR"] != 1 || errors["ERRORSTATS_OVERFLOW"] != 100 || len(errors) != maxErrorCodes+2 {
		t.Errorf("the errors are %v", errors)
	}
	if got := n.Stats().ErrorReplies; got != invented+2 {
		t.Errorf("%d errors were counted", got)
	}
}

func (n *node) bothTakeLong() error {
	count := 0
	n.long.each(func(*run) bool { count++; return true })
	if count != 2 {
		return fmt.Errorf("%d do", count)
	}
	return nil
}

// In a cluster two scripts of different slots can take long at once. The node is busy
// until both have ended.
func TestTwoScriptsThatTakeLong(t *testing.T) {
	f := &fakeCluster{elsewhere: slots.Count, moving: slots.Count}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes", "--event-loops", "2", "--busy-reply-threshold", "1000")
	a, b, other := n.dial(), n.dial(), n.dial()
	a.call("EVAL", "redis.call('SET', KEYS[1], 'v') while true do end", "1", "a")
	b.call("EVAL", endless, "1", "b")
	redistest.Until(t, 10*time.Second, "both take long", n.bothTakeLong)
	other.want("PING", busyReply)
	other.want("SCRIPT KILL", "OK")
	if got := b.read(); !strings.Contains(got, "Script killed by user") {
		t.Errorf("the one that has written nothing ends with %q", got)
	}
	b.want("PING", busyReply)
	other.want("SCRIPT KILL", "error: "+string(resp.ErrUnkillable))
	other.send("SHUTDOWN NOSAVE")
	other.closed()
}

// lua-memory-limit bounds scripts and functions, from the next one on.
func TestTheMemoryOfScriptsIsBounded(t *testing.T) {
	const fill = "local t = {} for i = 1, 200000 do t[i] = {i} end "
	n := startNode(t, "--event-loops", "1")
	c := n.dial()
	c.want("CONFIG GET lua-memory-limit", "[lua-memory-limit 536870912]")
	c.eval(fill+"return #t", "200000")
	c.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() "+fill+" return #t end)")
	c.wantNext("l")
	c.want("FCALL f 0", "200000")
	c.want("CONFIG SET lua-memory-limit 16mb", "OK")
	for _, call := range [][]string{
		{"EVAL", fill + "return #t", "0"},
		{"FCALL", "f", "0"},
		// At once: loading has a time limit as well.
		{"FUNCTION", "LOAD", "#!lua name=m\nlocal s = 'x' for i = 1, 26 do s = s .. s end redis.register_function('g', function() end)"},
	} {
		c.call(call...)
		if got := c.read(); !strings.Contains(got, "not enough memory") {
			t.Errorf("%s: %s", call[0], got)
		}
	}
	c.eval("return {pcall(function() "+fill+" end)}", "[(nil) not enough memory]")
	s := n.dial()
	s.debug("YES", fill, "0")
	s.want("continue", "[<endsession>]")
	if got := s.read(); !strings.Contains(got, "not enough memory") {
		t.Errorf("a session: %s", got)
	}
	c.eval("return 1", "1")
	c.want("CONFIG SET lua-memory-limit 512mb", "OK")
	c.eval(fill+"return #t", "200000")
	c.want("FCALL f 0", "200000")
	if got := c.do("CONFIG SET lua-memory-limit 1mb"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("1mb: %s", got)
	}
}

// A SHUTDOWN that has waited for a script, which then turns out to take long, is
// answered once.
func TestAShutdownThatMeetsALongScriptIsAnsweredOnce(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--busy-reply-threshold", "1000")
	c, other := n.dial(), n.dial() // on different loops
	c.call("EVAL", endless, "0")
	n.untilScriptRuns()
	other.raw("SHUTDOWN\r\nECHO x\r\nSCRIPT KILL\r\n")
	other.wantNext(busyReply)
	other.wantNext(busyReply)
	other.wantNext("OK")
	if got := c.read(); !strings.Contains(got, "Script killed") {
		t.Errorf("the script ends with %q", got)
	}
	other.want("PING", "PONG")
}

// What a client is sent while its script takes long follows the reply, in order, though
// another script still takes long.
func TestMessagesToTheClientOfALongScript(t *testing.T) {
	f := &fakeCluster{elsewhere: slots.Count, moving: slots.Count}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes", "--event-loops", "2", "--busy-reply-threshold", "1000")
	a, b, other := n.dial(), n.dial(), n.dial()
	a.do("HELLO 3")
	a.want("SUBSCRIBE ch", "[subscribe ch 1]")
	a.call("EVAL", endless, "1", "a")
	b.call("EVAL", "redis.call('SET', KEYS[1], 'v') while true do end", "1", "b")
	redistest.Until(t, 10*time.Second, "both take long", n.bothTakeLong)
	n.Publish([]byte("ch"), []byte("1"), false)
	for range 2 { // turns of all loops: the message is delivered, or has to wait
		for _, l := range n.loops {
			done := make(chan struct{})
			l.post(func() { close(done) })
			<-done
		}
	}
	other.want("SCRIPT KILL", "OK")
	if got := a.read(); !strings.Contains(got, "Script killed by user") {
		t.Errorf("the script ends with %q", got)
	}
	n.Publish([]byte("ch"), []byte("2"), false)
	a.wantNext("[message ch 1]")
	a.wantNext("[message ch 2]")
	other.send("SHUTDOWN NOSAVE")
	other.closed()
}

// The reply of a script within which the process was frozen never leaves: what it
// acknowledges may not stand.
func TestAScriptWithinWhichTheProcessIsFrozen(t *testing.T) {
	f := &fakeCluster{elsewhere: slots.Count, moving: slots.Count}
	n := startParts(t, func(c *Config) { c.Cluster = f }, "--cluster-enabled", "yes", "--busy-reply-threshold", "20")
	c, other := n.dial(), n.dial()
	c.call("EVAL", endless, "1", "k")
	n.untilBusy()
	f.freezes.Add(1)
	other.want("PING", busyReply)
	n.keepHouse() // all loops have noticed
	other.want("SCRIPT KILL", "OK")
	c.closed()
	other.want("PING", "PONG")
}

// Libraries that are gone, or were never taken, hold no memory: they can be loaded for
// as often as somebody likes.
func TestLibrariesThatAreGoneHoldNothing(t *testing.T) {
	const large = "local large = 'x' for i = 1, 20 do large = large .. large end redis.register_function('f', function() return #large end)"
	load := []string{"FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\n" + large}
	n := startNode(t, "--lua-memory-limit", "16mb")
	c := n.dial()
	c.call(load...)
	c.wantNext("lib")
	payload := c.do("FUNCTION DUMP")
	for _, test := range []struct {
		name    string
		call    []string
		replies []string
	}{
		{"replaced", load, []string{"lib"}},
		{"with a name that is taken", []string{"FUNCTION", "LOAD", "#!lua name=other\n" + large}, []string{"error: ERR Function f already exists"}},
		{"deleted", []string{"FUNCTION", "DELETE", "lib"}, []string{"OK", "lib"}},
		{"restored", []string{"FUNCTION", "RESTORE", payload, "REPLACE"}, []string{"OK"}},
		{"not restored", []string{"FUNCTION", "RESTORE", payload}, []string{"error: ERR Library lib already exists"}},
	} {
		for i := range 40 {
			c.call(test.call...)
			if len(test.replies) == 2 {
				c.call(load...)
			}
			for _, want := range test.replies {
				if got := c.read(); got != want {
					t.Fatalf("%s, time %d: %q, want %q", test.name, i, got, want)
				}
			}
		}
	}
	c.want("FCALL f 0", "1048576")
}

// A script that is refused is not in the cache: who has not named the password would
// drive out those of others.
func TestARefusedScriptIsNotKept(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	c := n.dial()
	c.call("EVAL", "#!lua flags=no-writes\nreturn 1", "0")
	c.wantNext("error: " + string(resp.ErrNoAuth))
	if got := n.Stats().Scripts.Cached; got != 0 {
		t.Errorf("%d scripts are kept", got)
	}
	c.want("AUTH secret", "OK")
	c.call("EVAL", "#!lua flags=no-writes\nreturn 1", "0")
	c.wantNext("1")
}

// A client that is about to be disconnected is told of no script.
func TestTheEndOfTheServerIsNoScript(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("SET k v", "OK")
	n.stopScripts() // as the server does before it stops its loops
	c.send("GET k")
	n.untilPostponed()
	c.silent()
}
