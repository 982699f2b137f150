package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/acl"
	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/storage"
)

// as is a connection of a user whose password is pw.
func (n *node) as(user string) *client {
	n.t.Helper()
	c := n.dial()
	c.want("AUTH "+user+" pw", "OK")
	return c
}

// lastDenied is the newest entry of ACL LOG, without what differs from run to run.
func (n *node) lastDenied() string {
	n.t.Helper()
	list := n.admin.Audit.Newest(1)
	if len(list) == 0 {
		return ""
	}
	e := list[0]
	return fmt.Sprintf("%s %s %s by %s, %d times", e.Reason, e.Context, e.Object, e.User, e.Count)
}

func TestAUserMayDoWhatItsRulesSay(t *testing.T) {
	n := startNode(t)
	admin := n.dial()
	admin.want("ACL SETUSER joe on >pw +get +set +mget +publish +subscribe +psubscribe +ssubscribe +spublish +multi +exec +config|get %R~r* %W~w* ~b* &ch.*", "OK")
	c := n.as("joe")
	const noKey, noChannel = "error: NOPERM No permissions to access a key", "error: NOPERM No permissions to access a channel"
	for _, step := range []struct{ line, reply, denied string }{
		{"GET r1", "(nil)", ""},
		{"SET w1 x", "OK", ""},
		{"GET w1", noKey, "key toplevel w1 by joe, 1 times"},
		{"GET w1", noKey, "key toplevel w1 by joe, 2 times"},
		{"SET r1 x", noKey, "key toplevel r1 by joe, 1 times"},
		{"SET w1 x GET", noKey, "key toplevel w1 by joe, 3 times"},
		{"SET b1 x GET", "(nil)", ""},
		{"MGET r1 b1 x1", noKey, "key toplevel x1 by joe, 1 times"},
		{"DEL b1", "error: NOPERM User joe has no permissions to run the 'del' command", "command toplevel del by joe, 1 times"},
		{"CONFIG GET hz", "[hz 10]", ""},
		{"CONFIG SET hz 10", "error: NOPERM User joe has no permissions to run the 'config|set' command", "command toplevel config|set by joe, 1 times"},
		{"PING", "error: NOPERM User joe has no permissions to run the 'ping' command", "command toplevel ping by joe, 1 times"},
		{"PUBLISH ch.1 m", "0", ""},
		{"PUBLISH other m", noChannel, "channel toplevel other by joe, 1 times"},
		{"SPUBLISH other m", noChannel, "channel toplevel other by joe, 2 times"},
		{"SUBSCRIBE ch.1 other2", noChannel, "channel toplevel other2 by joe, 1 times"},
		{"SSUBSCRIBE other3", noChannel, "channel toplevel other3 by joe, 1 times"},
		{"PSUBSCRIBE ch.1*", noChannel, "channel toplevel ch.1* by joe, 1 times"},
		{"MULTI", "OK", ""},
		{"GET w1", noKey, "key multi w1 by joe, 1 times"},
		{"EXEC", "error: EXECABORT Transaction discarded because of previous errors.", ""},
		{"AUTH joe wrong", "error: WRONGPASS invalid username-password pair or user is disabled.", "auth toplevel AUTH by joe, 1 times"},
		{"HELLO 3 AUTH nobody wrong", "error: WRONGPASS invalid username-password pair or user is disabled.", "auth toplevel HELLO by nobody, 1 times"},
		{"PSUBSCRIBE ch.*", "[psubscribe ch.* 1]", ""},
	} {
		before := n.lastDenied()
		c.want(step.line, step.reply)
		if got := n.lastDenied(); step.denied != "" && got != step.denied || step.denied == "" && got != before {
			t.Errorf("%s: ACL LOG has %q, want %q", step.line, got, step.denied)
		}
	}
	info := admin.do("INFO everything")
	for _, want := range []string{
		"acl_access_denied_auth:2", "acl_access_denied_cmd:3", "acl_access_denied_key:6", "acl_access_denied_channel:5",
		"errorstat_NOPERM:count=14", "errorstat_WRONGPASS:count=2", "cmdstat_mget:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1",
	} {
		if !strings.Contains(info, want+"\r\n") && !strings.Contains(info, want+",") {
			t.Errorf("INFO lacks %s", want)
		}
	}
	if list := n.admin.Audit.Newest(1); !strings.Contains(list[0].Client, "cmd=hello user=joe") {
		t.Errorf("the client of an entry: %s", list[0].Client)
	}
}

// The rules of a user count from the next command on, for connections that are there.
func TestRulesChangeForWhoIsThere(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	admin, other := n.dial(), n.dial()
	admin.want("ACL SETUSER joe on >pw +@all ~* &*", "OK")
	c, d := n.as("joe"), n.as("joe")
	c.want("SET k v", "OK")
	admin.want("ACL SETUSER joe -set", "OK")
	c.want("SET k v", "error: NOPERM User joe has no permissions to run the 'set' command")
	d.want("SET k v", "error: NOPERM User joe has no permissions to run the 'set' command")
	admin.want("ACL SETUSER joe +set off", "OK")
	c.want("SET k v", "OK") // who is logged in stays so
	n.dial().want("AUTH joe pw", "error: WRONGPASS invalid username-password pair or user is disabled.")
	if got := admin.do("ACL SETUSER joe -set +nosuch"); got != "error: ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL" {
		t.Error(got)
	}
	c.want("SET k v", "OK") // all rules count or none
	other.want("ACL SETUSER default -@all +acl", "OK")
	admin.want("GET k", "error: NOPERM User default has no permissions to run the 'get' command")
	admin.want("ACL WHOAMI", "default")
}

// What was allowed when it was queued may not be when it runs.
func TestATransactionAsksAgain(t *testing.T) {
	n := startNode(t)
	admin := n.dial()
	admin.want("ACL SETUSER joe on >pw +@all ~* &*", "OK")
	c := n.as("joe")
	for _, line := range []string{"MULTI", "SET k v", "SET a v", "PUBLISH ch m", "INCR n"} {
		c.do(line)
	}
	admin.want("ACL SETUSER joe resetkeys ~k ~n resetchannels -incr", "OK")
	const changed = "error: NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: "
	c.want("EXEC", "["+strings.Join([]string{
		"OK", changed + "no permission to touch the specified keys", changed + "no permission to access one of the channels used as arguments",
		changed + "no permission to execute the command or subcommand",
	}, " ")+"]")
	if got, want := n.lastDenied(), "command multi incr by joe, 1 times"; got != want {
		t.Errorf("ACL LOG has %q, want %q", got, want)
	}
	if got := n.streamed(); !slices.Equal(got, []string{"SET k v"}) {
		t.Errorf("the stream is %q", got)
	}
}

// A transaction that changes its own user feels it at once.
func TestATransactionMayTakeAwayItsOwnRights(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("ACL SETUSER joe on >pw +@all ~* &*", "OK")
	c.want("AUTH joe pw", "OK")
	for _, line := range []string{"MULTI", "ACL SETUSER joe -set", "SET k v", "AUTH default x", "SET k w"} {
		c.do(line)
	}
	if got := c.do("EXEC"); !strings.HasPrefix(got, "[OK error: NOPERM ACLs rules changed") || !strings.HasSuffix(got, " OK OK]") {
		t.Error(got)
	}
	c.want("GET k", "w")
	c.want("ACL WHOAMI", "default")
}

func TestAScriptRunsAsItsCaller(t *testing.T) {
	n := startNode(t)
	admin := n.dial()
	admin.want("ACL SETUSER joe on >pw +@scripting +get +sort +publish ~k* &ch", "OK")
	c := n.as("joe")
	c.eval("return redis.call('GET', 'k')", "(nil)")
	for script, want := range map[string]string{
		"return redis.call('SET', 'k', 'v')":         "error: ERR ACL failure in script: User joe has no permissions to run the 'set' command script: ",
		"return redis.call('GET', 'x')":              "error: ERR ACL failure in script: No permissions to access a key script: ",
		"return redis.call('PUBLISH', 'x', 'm')":     "error: ERR ACL failure in script: No permissions to access a channel script: ",
		"return redis.call('SORT', 'k', 'BY', 'w*')": "error: ERR BY option of SORT denied due to insufficient ACL permissions. script: ",
		"return redis.pcall('SET', 'k', 'v').err":    "ERR ACL failure in script: User joe has no permissions to run the 'set' command",
	} {
		c.call("EVAL", script, "0")
		if got := c.read(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
	if list := n.admin.Audit.Newest(10); len(list) != 3 || list[0].Context != acl.InScript || list[0].User != "joe" || !strings.Contains(list[0].Client, "cmd=eval user=joe") {
		t.Errorf("ACL LOG: %+v", list)
	}
	c.eval("return {redis.acl_check_cmd('GET', 'k'), redis.acl_check_cmd('GET', 'x') or 0, redis.acl_check_cmd('SET', 'k', 'v') or 0}", "[1 0 0]")
	admin.eval("return redis.acl_check_cmd('SET', 'k', 'v')", "1")
	c.call("EVAL", "return 1", "1", "x")
	if got := c.read(); got != "error: NOPERM No permissions to access a key" {
		t.Errorf("a key that the call names: %s", got)
	}
	admin.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(keys) return redis.call('SET', keys[1], 'v') end)")
	admin.read()
	if got := c.do("FCALL f 1 k"); !strings.HasPrefix(got, "error: ERR ACL failure in script: User joe") {
		t.Error(got)
	}
	admin.want("FCALL f 1 k", "OK")
}

// SORT by a pattern reads keys that the elements name.
func TestSortNeedsAllKeysForItsPatterns(t *testing.T) {
	n := startNode(t)
	admin := n.dial()
	admin.want("RPUSH l 1", "1")
	admin.want("ACL SETUSER joe on >pw +sort ~l", "OK")
	c := n.as("joe")
	const by, get = "error: ERR BY option of SORT denied due to insufficient ACL permissions.", "error: ERR GET option of SORT denied due to insufficient ACL permissions."
	c.want("SORT l", "[1]")
	c.want("SORT l BY nosort", "[1]")
	c.want("SORT l BY w*", by)
	c.want("SORT l GET #", get)
	c.want("SORT l STORE m", "error: NOPERM No permissions to access a key")
	admin.want("ACL SETUSER joe %W~*", "OK")
	c.want("SORT l BY w*", by)
	c.want("SORT l STORE m", "1")
	admin.want("ACL SETUSER joe %R~*", "OK")
	c.want("SORT l BY w* GET #", "[1]")
}

// A client that waits for a key gets nothing that its user may not have any more. It is
// counted as a call that was refused.
func TestWhoWaitsIsAskedAgain(t *testing.T) {
	for loops := range 2 {
		n := startNode(t, "--event-loops", fmt.Sprint(loops+1))
		admin := n.dial()
		admin.want("ACL SETUSER joe on >pw +@all ~* &*", "OK")
		c := n.as("joe")
		c.send("BLPOP list 0")
		n.waiting(1)
		next := n.blocks("BRPOP list 0")
		admin.want("ACL SETUSER joe resetkeys ~other", "OK")
		admin.want("LPUSH list v", "1")
		c.wantNext("error: NOPERM No permissions to access a key")
		next.wantNext("[list v]")
		c.want("SET other v", "OK")
		if got := admin.do("INFO commandstats"); !strings.Contains(got, "cmdstat_blpop:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0") {
			t.Errorf("%s", got)
		}
		if got, want := n.lastDenied(), "key toplevel list by joe, 1 times"; got != want {
			t.Errorf("ACL LOG has %q, want %q", got, want)
		}
	}
}

func TestWhoIsDeletedIsGone(t *testing.T) {
	repl := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = repl }, "--event-loops", "2")
	admin := n.dial()
	admin.want("ACL SETUSER joe on >pw +@all ~* &*", "OK")
	admin.want("ACL SETUSER ann on >pw +@all ~* &*", "OK")
	idle, waits, stays, self := n.as("joe"), n.as("joe"), n.as("ann"), n.as("joe")
	waits.send("BLPOP list 0")
	n.waiting(1)
	self.want("SET k v", "OK")
	self.want("ACL DELUSER nobody joe joe", "1") // it still is answered
	for _, c := range []*client{self, idle, waits} {
		c.closed()
	}
	n.waiting(0)
	stays.want("ACL WHOAMI", "ann")
	stays.want("ACL USERS", "[ann default]")
	stays.want("ACL DELUSER ann default", "error: ERR The 'default' user cannot be removed")
	stays.want("ACL GETUSER joe", "(nil)")
	n.dial().want("AUTH joe pw", "error: WRONGPASS invalid username-password pair or user is disabled.")
}

// A replica's connection is that of its user.
func TestTheReplicasOfAUserGoWithIt(t *testing.T) {
	repl := newFakeReplication()
	repl.stays = true
	n := startParts(t, func(c *Config) { c.Replication = repl })
	admin := n.dial()
	admin.want("ACL SETUSER follower on >pw +psync +replconf +ping", "OK")
	c := n.as("follower")
	c.want("PING", "PONG")
	c.want("REPLCONF listening-port 7777", "OK")
	c.want("SET k v", "error: NOPERM User follower has no permissions to run the 'set' command")
	c.send("PSYNC ? -1")
	redistest.Until(t, 10*time.Second, "replication has the connection", func() error {
		if len(n.replicas.all()) == 1 {
			return nil
		}
		return errors.New("no")
	})
	if got := admin.do("CLIENT LIST TYPE replica"); !strings.Contains(got, "user=follower") {
		t.Error(got)
	}
	c.wantNext("FULLRESYNC")
	admin.want("ACL DELUSER follower", "1")
	c.closed()
}

// Clients are closed that listen to what their user may not hear any more, others stay.
func TestSubscriptionsThatAreTakenAway(t *testing.T) {
	n := startNode(t, "--event-loops", "2")
	admin := n.dial()
	admin.want("ACL SETUSER joe on >pw +@all ~* allchannels", "OK")
	subscribed := func(line string) *client {
		c := n.as("joe")
		c.do(line)
		return c
	}
	channel, pattern, shard := subscribed("SUBSCRIBE a1"), subscribed("PSUBSCRIBE b*"), subscribed("SSUBSCRIBE c1")
	kept, same, none := subscribed("SUBSCRIBE ok.1"), subscribed("PSUBSCRIBE ok.*"), n.as("joe")
	admin.want("ACL SETUSER joe resetchannels &ok.* &b1", "OK")
	for _, c := range []*client{channel, pattern, shard} {
		c.closed()
	}
	kept.want("PING", "[pong ]")
	same.want("PING", "[pong ]")
	none.want("PING", "PONG")
	own := n.as("joe")
	own.want("HELLO 3", own.do("HELLO 3"))
	own.do("SUBSCRIBE ok.2")
	own.want("ACL SETUSER joe resetchannels", "OK") // its own: answered, then closed
	own.closed()
	kept.closed()
}

func TestThePasswordOfTheDefault(t *testing.T) {
	n := startNode(t, "--requirepass", "first")
	const noAuth = "error: NOAUTH Authentication required."
	a, b := n.dial(), n.dial()
	a.want("PING", noAuth)
	a.want("AUTH first", "OK")
	a.want("CONFIG SET requirepass second", "OK")
	a.want("PING", "PONG") // who is logged in stays so
	b.want("AUTH first", "error: WRONGPASS invalid username-password pair or user is disabled.")
	b.want("AUTH default second", "OK")
	b.want("RESET", "RESET")
	b.want("PING", noAuth)
	b.want("HELLO 2", "error: NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
	a.want("ACL SETUSER default >third", "OK")
	b.want("AUTH third", "OK")
	b.want("RESET", "RESET")
	b.want("AUTH second", "OK")
	c := n.dial()
	c.want("PING", noAuth)
	a.want("CONFIG SET requirepass second", "OK") // which is no change
	c.want("AUTH third", "OK")
	c.want("RESET", "RESET")
	a.want("ACL SETUSER default nopass", "OK")
	c.want("PING", "PONG") // although it has not logged in
	c.want("AUTH x", "error: ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	c.want("AUTH default x", "OK")
	a.want("ACL SETUSER default off", "OK")
	n.dial().want("PING", noAuth)
	n.dial().want("AUTH default x", "error: WRONGPASS invalid username-password pair or user is disabled.")
	a.want("ACL SETUSER joe on >pw +ping", "OK")
	n.as("joe").want("PING", "PONG")
	a.want("ACL SETUSER default on", "OK")
	long := n.dial()
	long.want("PING", "PONG") // it has been accepted
	a.want("CONFIG SET requirepass fourth", "OK")
	fresh := n.dial()
	fresh.raw("*11\r\n")
	fresh.wantNext("error: ERR Protocol error: unauthenticated multibulk length")
	long.want("MGET 1 2 3 4 5 6 7 8 9 10 11", "[(nil) (nil) (nil) (nil) (nil) (nil) (nil) (nil) (nil) (nil) (nil)]")
}

// A connection of a user who may do everything meets no gate: none has something to
// look at, with a password or without.
func TestFullRightsCostNothing(t *testing.T) {
	n := startNode(t, "--requirepass", "secret", "--event-loops", "1")
	c := n.dial()
	c.want("AUTH secret", "OK")
	c.want("ACL SETUSER joe on >pw +@all ~* &*", "OK")
	c.want("AUTH joe pw", "OK")
	conds := func() (all condition) {
		n.stopLoops(nil)
		defer n.resumeLoops(nil)
		n.eachConn(func(p *conn) { all |= p.conds })
		return all
	}
	if got := conds(); got != 0 {
		t.Errorf("conditions %b", got)
	}
	c.want("ACL SETUSER joe -flushall", "OK")
	if got := conds(); got != condRestricted {
		t.Errorf("with a restriction: conditions %b", got)
	}
}

// What may hold passwords is shown to nobody.
func TestPasswordsAreNotShown(t *testing.T) {
	n := startNode(t, "--slowlog-log-slower-than", "0")
	c, monitor := n.dial(), n.dial()
	monitor.want("MONITOR", "OK")
	c.want("ACL SETUSER joe on >hidden +@all ~* &*", "OK")
	c.want("AUTH joe hidden", "OK")
	c.do("HELLO 2 AUTH joe hidden")
	c.want("ACL GETUSER nobody", "(nil)")
	c.do("ACL DRYRUN joe CONFIG SET requirepass hidden")
	c.do("COMMAND GETKEYS MIGRATE host 1 key 0 10 AUTH hidden")
	c.do("COMMAND GETKEYSANDFLAGS AUTH hidden")
	log := c.do("SLOWLOG GET")
	for _, want := range []string{"[ACL SETUSER (redacted) (redacted) (redacted) (redacted) (redacted) (redacted)]", "[AUTH (redacted) (redacted)]", "[HELLO 2 AUTH (redacted) (redacted)]", "[ACL GETUSER nobody]", "[ACL DRYRUN joe CONFIG (redacted) (redacted) (redacted)]", "[COMMAND GETKEYSANDFLAGS AUTH (redacted)]"} {
		if !strings.Contains(log, want) {
			t.Errorf("SLOWLOG lacks %s", want)
		}
	}
	c.want("GET end", "(nil)")
	for {
		line := monitor.read()
		if strings.Contains(log+line, "hidden") {
			t.Errorf("%s", line)
		}
		if strings.Contains(line, `"end"`) {
			break
		}
	}
}

func TestClientsAreFoundByTheirUser(t *testing.T) {
	n := startNode(t)
	admin := n.dial()
	admin.want("ACL SETUSER joe on >pw +@all ~* &*", "OK")
	c := n.as("joe")
	c.want("SET k v", "OK")
	if got := admin.do("CLIENT LIST USER joe"); strings.Count(got, "\n") != 1 || !strings.Contains(got, "user=joe") {
		t.Errorf("CLIENT LIST USER joe: %q", got)
	}
	admin.want("CLIENT KILL USER nobody", "error: ERR No such user 'nobody'")
	admin.want("CLIENT KILL USER joe", "1")
	c.closed()
}

// The file of users is written whole and read whole, or not at all.
func TestTheFileOfUsers(t *testing.T) {
	const hash = "#30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4" // of pw
	file := filepath.Join(t.TempDir(), "users.acl")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("user ann on >pw ~* &* +@all\nuser bob on >pw\n")
	n := startNode(t, "--aclfile", file, "--requirepass", "pw")
	c, bob, anyone := n.as("ann"), n.as("bob"), n.as("default")
	n.dial().want("PING", "error: NOAUTH Authentication required.") // the file says nothing of the user default
	c.want("ACL SETUSER new on (~a +get)", "OK")
	c.want("ACL SAVE", "OK")
	text, _ := os.ReadFile(file)
	want := "user ann on sanitize-payload " + hash + " ~* &* +@all\nuser bob on sanitize-payload " + hash + " resetchannels -@all\n" +
		"user default on sanitize-payload " + hash + " ~* &* +@all\nuser new on sanitize-payload resetchannels -@all (~a resetchannels -@all +get)\n"
	if string(text) != want {
		t.Fatalf("the file is\n%s\nwant\n%s", text, want)
	}
	if info, _ := os.Stat(file); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	write(want + "user ann on\nuser x +nosuch\n")
	reply := c.do("ACL LOAD")
	for _, part := range []string{"Duplicate user 'ann' found on line 5", file + ":6: Error in applying operation '+nosuch': Unknown command", "no change to the previously active ACL rules was performed"} {
		if !strings.Contains(reply, part) {
			t.Errorf("%q lacks %q", reply, part)
		}
	}
	c.want("ACL USERS", "[ann bob default new]")
	hears, loses := n.as("ann"), n.as("ann")
	hears.want("SUBSCRIBE news", "[subscribe news 1]")
	loses.want("SUBSCRIBE other", "[subscribe other 1]")
	write("user ann on >pw ~k resetchannels &news +@all\nuser default off\n")
	anyone.want("ACL LOAD", "OK")
	c.want("GET x", "error: NOPERM No permissions to access a key") // as the same user, with other rules
	c.want("PUBLISH news hello", "1")
	hears.wantNext("[message news hello]")
	loses.closed() // its user may not listen to that any more
	bob.closed()   // its user is gone
	anyone.want("ACL USERS", "error: NOPERM User default has no permissions to run the 'acl|users' command")
	n.dial().want("PING", "error: NOAUTH Authentication required.")
	again := n.as("ann")
	again.want("GET x", "error: NOPERM No permissions to access a key")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	again.want("ACL LOAD", "error: ERR Error loading ACLs, opening file '"+file+"': No such file or directory")
	again.want("ACL USERS", "[ann default]")

	without := startNode(t).dial()
	for _, line := range []string{"ACL LOAD", "ACL SAVE"} {
		if got := without.do(line); !strings.HasPrefix(got, "error: ERR This Redis instance is not configured to use an ACL file") {
			t.Errorf("%s: %s", line, got)
		}
	}
}

// A node whose users cannot be made as its configuration says does not start.
func TestUsersThatEndTheStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "users.acl")
	if err := os.WriteFile(file, []byte("user ann frobnicate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--user", "ann", "on", "+nosuch"}, "Error loading ACL rule '+nosuch' for the user named 'ann': Unknown command or category name in ACL"},
		{[]string{"--user", "a b", "on"}, "Spaces not allowed in ACL usernames"},
		{[]string{"--aclfile", file}, "Aborting Redis startup because of ACL errors: " + file + ":1: Syntax error"},
		{[]string{"--aclfile", filepath.Join(dir, "none")}, "No such file or directory"},
		{[]string{"--aclfile", dir}, "Error loading ACLs, opening file '" + dir + "': not a regular file"},
	} {
		settings, err := config.Load(config.Source{Args: append([]string{"--dir", dir}, c.args...)})
		if err != nil {
			t.Errorf("%q: %v", c.args, err)
			continue
		}
		_, err = New(Config{Settings: settings, Stream: &memoryStream{}, Keyspace: storage.New(storage.Config{Databases: 16})})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
}

func TestUsersOfTheConfiguration(t *testing.T) {
	n := startNode(t, "--user", "joe", "on", ">pw", "+get", "~k",
		"--user", "default", "on", "nopass", "+@all", "-flushall", "~*", "&*", "--acl-pubsub-default", "allchannels", "--rename-command", "GET", "fetch")
	c := n.as("joe")
	c.want("fetch k", "(nil)") // rules name commands as they are called without a renaming
	c.want("fetch x", "error: NOPERM No permissions to access a key")
	d := n.dial()
	d.want("FLUSHALL", "error: NOPERM User default has no permissions to run the 'flushall' command")
	d.want("ACL SETUSER ann", "OK")
	if got := d.do("ACL LIST"); !strings.Contains(got, "user joe on sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~k &* -@all +get") ||
		!strings.Contains(got, "user ann off sanitize-payload &* -@all") {
		t.Error(got)
	}
}

func TestGenPass(t *testing.T) {
	c := startNode(t).dial()
	if a, b := c.do("ACL GENPASS"), c.do("ACL GENPASS"); len(a) != 64 || a == b || strings.Trim(a, "0123456789abcdef") != "" {
		t.Errorf("%q, %q", a, b)
	}
	for bits, digits := range map[int]int{1: 1, 4: 1, 5: 2, 9: 3, 4096: 1024} {
		if got := c.do(fmt.Sprint("ACL GENPASS ", bits)); len(got) != digits {
			t.Errorf("%d bits: %q", bits, got)
		}
	}
	const wrong = "error: ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096"
	c.want("ACL GENPASS 0", wrong)
	c.want("ACL GENPASS 4097", wrong)
	c.want("ACL GENPASS x", "error: ERR value is not an integer or out of range")
}
