package interop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/storage/rdb"
)

// runner is Lua that runs the commands in ARGV: a number of arguments, then these,
// and so on. What becomes of errors is at the front.
const runner = `
local how, i = ARGV[1], 2
while i < #ARGV do
  local n = tonumber(ARGV[i])
  if how == 'call' then redis.call(unpack(ARGV, i + 1, i + n)) else redis.pcall(unpack(ARGV, i + 1, i + n)) end
  i = i + n + 1
end
if how == 'fail' then error('at the end') end
return i`

// library makes a library of functions anew, in one of its versions, or takes it or
// all of them away.
func (h *history) library() []any {
	l := &h.lines
	name := []string{"one", "two"}[l.IntN(2)]
	code := fmt.Sprintf("#!lua name=%s\n-- version %d\nredis.register_function('run_%s', function(KEYS, ARGV) %s end)", name, l.IntN(100), name, runner)
	switch l.IntN(6) {
	case 0:
		return []any{"FUNCTION", "DELETE", name}
	case 1:
		return []any{"FUNCTION", "LOAD", code}
	case 2:
		return []any{"FUNCTION", "FLUSH", "SYNC"}
	}
	return []any{"FUNCTION", "LOAD", "REPLACE", code}
}

// script is a few lines as one script, or a function that has them. Some fail on the
// way, and keep what they have done.
func (h *history) script() []any {
	l := &h.lines
	line := []any{"EVAL", runner, 0}
	switch l.IntN(6) {
	case 0:
		line = []any{"FCALL", "run_one", 0}
	case 1:
		line = []any{"FCALL", "run_two", 0}
	case 2:
		line = []any{"EVAL", "#!lua flags=allow-oom\n" + runner, 0}
	}
	line = append(line, []string{"call", "pcall", "pcall", "fail"}[l.IntN(4)])
	for range 1 + l.IntN(8) {
		args := l.Line(h.rows[l.IntN(len(h.rows))])
		if h.dbs > 1 && l.IntN(8) == 0 {
			args = [][]byte{[]byte("SELECT"), fmt.Append(nil, l.IntN(h.dbs))}
		}
		line = append(line, len(args))
		for _, arg := range args {
			line = append(line, arg)
		}
	}
	return line
}

// libraries is the code of all libraries of a server, in the order of their names.
func libraries(s *redistest.Server) (codes []string) {
	reply, _ := s.Do("FUNCTION", "LIST", "WITHCODE").([]any)
	for _, l := range reply {
		fields, _ := l.([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			if fields[i] == "library_code" {
				codes = append(codes, fmt.Sprint(fields[i+1]))
			}
		}
	}
	slices.Sort(codes)
	return codes
}

const counting = "#!lua name=counting\n" +
	"local function count(KEYS, ARGV) return redis.call('INCRBY', KEYS[1], ARGV[1]) end\n" +
	"redis.register_function('count', count)\n" +
	"redis.register_function{function_name='look', description='reads', callback=function(KEYS) return redis.call('GET', KEYS[1]) end, flags={'no-writes'}}"

// Payloads of FUNCTION DUMP go both ways, with each policy, and are the same bytes if
// they are not compressed.
func TestFunctionPayloadsGoBothWays(t *testing.T) {
	redis, redoubt := start(t, redistest.Redis), start(t, redistest.Redoubt)
	for _, pair := range [][2]*redistest.Server{{redis, redoubt}, {redoubt, redis}} {
		from, to := pair[0], pair[1]
		for _, s := range pair {
			s.Do("CONFIG", "SET", "rdbcompression", "no")
			s.Do("FUNCTION", "FLUSH")
			s.Do("DEL", "k")
		}
		from.Do("FUNCTION", "LOAD", counting)
		payload := from.Do("FUNCTION", "DUMP")
		to.Do("FUNCTION", "RESTORE", payload)
		if got := to.Do("FUNCTION", "DUMP"); got != payload {
			t.Errorf("%v has %q of %v's %q", to.Kind, got, from.Kind, payload)
		}
		from.Do("CONFIG", "SET", "rdbcompression", "yes")
		to.Do("FUNCTION", "RESTORE", from.Do("FUNCTION", "DUMP"), "REPLACE")
		if got := fmt.Sprintln(to.Do("FCALL", "count", 1, "k", 5), to.Do("FCALL_RO", "look", 1, "k")); got != "5 5\n" {
			t.Errorf("on %v the functions answer %s", to.Kind, got)
		}
		c := to.Client()
		if _, err := c.Do("FUNCTION", "RESTORE", payload, "APPEND"); err == nil || err.Error() != "ERR Library counting already exists" {
			t.Errorf("%v appends a library that is there: %v", to.Kind, err)
		}
		if _, err := c.Do("FUNCTION", "RESTORE", payload.(string)[1:]); err == nil || err.Error() != "ERR DUMP payload version or checksum are wrong" {
			t.Errorf("%v takes a broken payload: %v", to.Kind, err)
		}
		to.Do("FUNCTION", "RESTORE", payload, "REPLACE")
		to.Do("FUNCTION", "LOAD", strings.NewReplacer("counting", "other", "'count'", "'other'", "'look'", "'see'").Replace(counting))
		to.Do("FUNCTION", "RESTORE", payload, "FLUSH")
		if got := libraries(to); len(got) != 1 {
			t.Errorf("after FLUSH %v has %q", to.Kind, got)
		}
	}
}

// A script that fails half-way keeps what it has done, in every copy of the data.
func TestFailedScriptsLeaveTheSameEverywhere(t *testing.T) {
	primary, ours, redis := start(t, redistest.Redoubt, "--appendonly", "yes"), start(t, redistest.Redoubt), start(t, redistest.Redis)
	for _, replica := range []*redistest.Server{ours, redis} {
		replica.Do("REPLICAOF", "127.0.0.1", primary.Port)
	}
	for i, script := range []string{
		"redis.call('SET', KEYS[1], 'half') redis.call('INCR', KEYS[1]) redis.call('SET', KEYS[2], 'never')",
		"redis.call('RPUSH', KEYS[2], 'a', 'b') error('now')",
		"redis.call('SELECT', 3) redis.call('SET', KEYS[1], 'elsewhere') local t = nil; return t.x",
		"redis.call('SADD', KEYS[3], '1', '2', '3') redis.call('SPOP', KEYS[3]) redis.call('NOSUCH')",
	} {
		c := primary.Client()
		if reply, err := c.Do("EVAL", script, 3, fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("c", i)); err == nil {
			t.Errorf("script %d succeeds with %v", i, reply)
		}
	}
	if got := fmt.Sprintln(primary.Do("GET", "a0"), primary.Do("EXISTS", "b0"), primary.Do("LLEN", "b1"), primary.Do("SCARD", "c3")); got != "half 0 2 2\n" {
		t.Errorf("of the scripts there is %s", got)
	}
	sameDigest(t, primary, ours)
	sameDigest(t, primary, redis)
	want := digest(primary)
	primary.Kill()
	primary.Restart()
	if got := digest(primary); got != want {
		t.Errorf("after a restart the digest is %s, and was %s", got, want)
	}
}

// A node whose script runs for longer than the cluster's timeout stays in office: it
// sends heartbeats, and its replica gets PINGs.
func TestLongScriptsCauseNoFailover(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	c := startCluster(t, 1500*time.Millisecond, nil, "--busy-reply-threshold", "100", "--repl-ping-replica-period", "1", "--repl-timeout", "4")
	node := primaries(t, c)[0]
	caller, other := node.Client(), node.Client()
	if err := caller.Send([]any{"EVAL", "while true do end", 0}); err != nil {
		t.Fatal(err)
	}
	busy := func() error {
		if _, err := other.Do("PING"); err == nil || !strings.HasPrefix(err.Error(), "BUSY") {
			return fmt.Errorf("it answers %v", err)
		}
		return nil
	}
	redistest.Until(t, settle, "the node is busy", busy)
	for until := time.Now().Add(6 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if err := busy(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := other.Do("SCRIPT", "KILL"); err != nil {
		t.Fatal(err)
	}
	if _, err := caller.ReadRaw(); err != nil {
		t.Fatal(err)
	}
	if got := node.Info("role") + node.Info("connected_slaves"); got != "master1" {
		t.Errorf("after the script the node is %s", got)
	}
	replica := replicaOf(t, c, node)
	if log := replica.Log(); strings.Contains(log, "MASTER timeout") || strings.Contains(log, "Failover") {
		t.Errorf("the replica's log tells of trouble:\n%s", log)
	}
}

// A replica whose script takes long keeps its primary: it goes on acknowledging, and
// catches up afterwards.
func TestLongScriptsOnReplicas(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	for _, kind := range []redistest.Kind{redistest.Redoubt, redistest.Redis} {
		t.Run(kind.String(), func(t *testing.T) {
			primary := start(t, kind, "--repl-timeout", "3", "--repl-ping-replica-period", "1")
			replica := start(t, redistest.Redoubt, "--busy-reply-threshold", "100", "--repl-timeout", "3")
			replica.Do("REPLICAOF", "127.0.0.1", primary.Port)
			primary.Do("SET", "k", 0)
			sameDigest(t, primary, replica)
			caller, other := replica.Client(), replica.Client()
			if err := caller.Send([]any{"EVAL_RO", "while true do end", 0}); err != nil {
				t.Fatal(err)
			}
			for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
				primary.Do("INCR", "k")
			}
			if got := primary.Info("connected_slaves"); got != "1" {
				t.Errorf("the primary has %s replicas", got)
			}
			if _, err := other.Do("SCRIPT", "KILL"); err != nil {
				t.Fatal(err)
			}
			if _, err := caller.ReadRaw(); err != nil {
				t.Fatal(err)
			}
			sameDigest(t, primary, replica)
			if log := replica.Log(); strings.Count(log, "Connecting to MASTER") != 1 {
				t.Errorf("the replica has had to connect again:\n%s", log)
			}
		})
	}
}

// redis-cli gives a new node the functions of the cluster, and makes a backup of them.
func TestRedisCLICopiesFunctions(t *testing.T) {
	t.Parallel()
	c := startCluster(t, patience, nil)
	for _, s := range primaries(t, c) {
		s.Do("FUNCTION", "LOAD", counting)
	}
	s := join(t, c)
	if got := libraries(s); len(got) != 1 || got[0] != counting {
		t.Errorf("the new node has the libraries %q", got)
	}
	node := c.Nodes[0]
	file := filepath.Join(t.TempDir(), "functions.rdb")
	mustRun(t, "", "redis-cli", "-h", "127.0.0.1", "-p", fmt.Sprint(node.Port), "--functions-rdb", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if summary, err := rdb.Check(bytes.NewReader(b)); err != nil || summary.Functions != 1 || summary.Keys != 0 {
		t.Errorf("the backup has %d libraries and %d keys: %v", summary.Functions, summary.Keys, err)
	}
}
