package server

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// lua-memory-limit bounds what clients load, and not what a snapshot or a stream brings:
// a replica with a lower limit would do without the library.
func TestLibrariesOfOthersAreNotBounded(t *testing.T) {
	const large = "local large = 'x' for i = 1, 25 do large = large .. large end redis.register_function('%s', function() return #large end)"
	n := startNode(t, "--lua-memory-limit", "16mb")
	c := n.dial()
	c.call("FUNCTION", "LOAD", "#!lua name=small\nredis.register_function('f', function() return 1 end)")
	c.wantNext("small")
	c.want("FCALL f 0", "1")
	ofSnapshot, ofStream := "#!lua name=a\n"+fmt.Sprintf(large, "a"), "#!lua name=b\n"+fmt.Sprintf(large, "b")
	if err := n.LoadLibrary(ofSnapshot, false); err != nil {
		t.Error(err)
	}
	c.want("FCALL f 0", "1")
	a := command.NewApplier(n.Table(), n.keyspace.NewExecutor(), n.Server)
	a.Failed = func(_ [][]byte, err string) { t.Error(err) }
	unit := []command.Effect{{Args: [][]byte{[]byte("FUNCTION"), []byte("LOAD"), []byte(ofStream)}}}
	if err := a.Apply(n.now(), unit, 1, nil); err != nil {
		t.Error(err)
	}
	if got := n.functions.set.Load().libraries; len(got) != 3 {
		t.Errorf("there are %d libraries", len(got))
	}
	payload := c.do("FUNCTION DUMP")
	c.call("FUNCTION", "RESTORE", payload, "FLUSH")
	if got := c.read(); !strings.Contains(got, "not enough memory") {
		t.Errorf("FUNCTION RESTORE: %q", got)
	}
}

// A function cannot change the libraries while it runs, even where scripts may call
// every command, unless it flushes them all; an EVAL can.
func TestAFunctionThatChangesTheLibraries(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	c.want("DEBUG SET-DISABLE-DENY-SCRIPTS 1", "OK")
	c.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(keys, args) return redis.call(unpack(args)) end)")
	c.wantNext("l")
	payload := c.do("FUNCTION DUMP")
	for _, args := range [][]string{{"FUNCTION", "DELETE", "l"}, {"FUNCTION", "LOAD", "REPLACE", "#!lua name=l\nx"}, {"FUNCTION", "RESTORE", payload}} {
		c.call(append([]string{"FCALL", "f", "0"}, args...)...)
		if got := c.read(); !strings.HasPrefix(got, "error: "+string(resp.ErrNotForCaller)) {
			t.Errorf("%s: %q", args[1], got)
		}
	}
	c.eval("return redis.call('FUNCTION', 'DELETE', 'l')", "OK")
	c.call("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(keys, args) redis.call('FUNCTION', 'FLUSH'); return redis.pcall(unpack(args)) end)")
	c.wantNext("l")
	c.call("FCALL", "f", "0", "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('g', function() return 1 end)")
	if got := c.read(); !strings.HasPrefix(got, "error: "+string(resp.ErrNotForCaller)) {
		t.Errorf("LOAD behind FLUSH: %q", got)
	}
	c.want("FUNCTION LIST", "[]")
}
