package admin_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/resp"
)

func TestClientInfoWithinATransaction(t *testing.T) {
	c := startNode(t).dial()
	c.want("MULTI", "OK")
	c.want("CLIENT INFO", "QUEUED")
	c.want("PING", "QUEUED")
	if got := c.do("EXEC"); !strings.Contains(got, " flags=x ") || !strings.Contains(got, " multi=2 ") {
		t.Errorf("EXEC: %s", got)
	}
	if got := c.do("CLIENT INFO"); !strings.Contains(got, " flags=N ") || !strings.Contains(got, " multi=-1 ") {
		t.Errorf("after EXEC: %s", got)
	}
}

func TestDocsTellWhatIsOld(t *testing.T) {
	c := startNode(t).dial()
	for name, want := range map[string]string{
		"quit":    "doc_flags [deprecated] deprecated_since 7.2.0 replaced_by just closing the connection",
		"slaveof": "doc_flags [deprecated] deprecated_since 5.0.0 replaced_by `REPLICAOF`",
		"setnx":   "doc_flags [deprecated] deprecated_since 2.6.12 replaced_by `SET` with the `NX` argument",
		"debug":   "doc_flags [syscmd]",
		"info":    "history [[7.0.0 Takes several sections.]]",
	} {
		if got := c.do("COMMAND DOCS " + name); !strings.Contains(got, want) {
			t.Errorf("COMMAND DOCS %s: %s", name, got)
		}
	}
}

func TestHelloChangesAllOrNothing(t *testing.T) {
	n := startNode(t, "--requirepass", "secret")
	c := n.dial()
	c.want("HELLO 3 AUTH default secret SETNAME", "error: ERR Syntax error in HELLO option 'SETNAME'")
	c.want("HELLO 3 SETNAME a AUTH default wrong", "error: "+string(resp.ErrWrongPass))
	c.want("HELLO 3 AUTH default wrong FOO", "error: ERR Syntax error in HELLO option 'FOO'")
	if got := c.call("HELLO", 3, "AUTH", "default", "secret", "SETNAME", "a b"); got != "error: "+string(resp.ErrClientName) {
		t.Errorf("a name with a space: %s", got)
	}
	c.want("PING", "error: "+string(resp.ErrNoAuth))
	c.want("HELLO 2 AUTH default wrong AUTH default secret SETNAME a", c.do("HELLO 2 AUTH default secret"))
	c.want("CLIENT GETNAME", "a")
}

func TestClientListKeepsTheOrderOfNumbers(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	idA, idB := a.do("CLIENT ID"), b.do("CLIENT ID")
	var got []string
	for line := range strings.Lines(a.do("CLIENT LIST ID " + idB + " 999 " + idA + " " + idB)) {
		id, _, _ := strings.Cut(line, " ")
		got = append(got, id)
	}
	if want := []string{"id=" + idB, "id=" + idA, "id=" + idB}; !slices.Equal(got, want) {
		t.Errorf("CLIENT LIST: %q, want %q", got, want)
	}
}

func TestNoTouchKeepsKeysIdle(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	idle := func() bool {
		t.Helper()
		seconds, err := strconv.Atoi(c.do("OBJECT IDLETIME k"))
		if err != nil {
			t.Fatal(err)
		}
		return seconds >= 1000
	}
	c.want("SET k v", "OK")
	payload := c.do("DUMP k")
	if got := c.call("RESTORE", "k", 0, payload, "REPLACE", "IDLETIME", 1000); got != "OK" {
		t.Fatal(got)
	}
	c.want("CLIENT NO-TOUCH ON", "OK")
	c.want("GET k", "v")
	c.want("MULTI", "OK")
	c.want("GET k", "QUEUED")
	c.want("EXEC", "[v]")
	if !idle() {
		t.Error("GET was an access in spite of CLIENT NO-TOUCH")
	}
	c.want("MULTI", "OK")
	c.want("TOUCH k", "QUEUED")
	c.want("EXEC", "[1]")
	if idle() {
		t.Error("TOUCH was no access")
	}
	clock, object := c.do("INFO server"), c.do("DEBUG OBJECT k")
	_, clock, _ = strings.Cut(clock, "lru_clock:")
	clock, _, _ = strings.Cut(clock, "\r\n")
	_, object, _ = strings.Cut(object, " lru:")
	object, _, _ = strings.Cut(object, " ")
	at, _ := strconv.Atoi(object)
	if now, _ := strconv.Atoi(clock); at == 0 || now-at < 0 || now-at > 60 {
		t.Errorf("DEBUG OBJECT tells lru:%s when the clock is %s", object, clock)
	}
}

func TestThereAreNoModules(t *testing.T) {
	c := startNode(t).dial()
	for line, want := range map[string]string{
		"MODULE LIST":                    "*0\r\n",
		"MODULE LOAD /x.so a":            "-ERR Modules are not supported",
		"MODULE LOADEX /x.so":            "-ERR Modules are not supported",
		"MODULE UNLOAD x":                "-ERR Error unloading module: no such module with that name\r\n",
		"LOLWUT VERSION x":               "-ERR value is not an integer or out of range\r\n",
		"LOLWUT x":                       "-ERR value is not an integer or out of range\r\n",
		"COMMAND LIST FILTERBY MODULE x": "*0\r\n",
	} {
		var args []any
		for _, w := range strings.Fields(line) {
			args = append(args, w)
		}
		if got, err := c.DoRaw(args...); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
	for _, args := range [][]any{{"LOLWUT"}, {"LOLWUT", "VERSION", 5}, {"LOLWUT", "VERSION", 6, 1 << 40}, {"LOLWUT", -1}} {
		got, err := c.Do(args...)
		if text, _ := got.(string); err != nil || !strings.Contains(text, "#") || !strings.Contains(text, "Redis ver. ") {
			t.Errorf("%v: %q, %v", args, got, err)
		}
	}
}

// The words of CLIENT LIST and CLIENT KILL hold together, and each may be turned
// over.
func TestClientFilters(t *testing.T) {
	n := startNode(t)
	a, b := n.dial(), n.dial()
	idA, idB := a.do("CLIENT ID"), b.do("CLIENT ID")
	b.want("CLIENT SETNAME worker", "OK")
	b.want("CLIENT SETINFO lib-name tools", "OK")
	b.want("SELECT 3", "OK")
	a.want("CLIENT CAPA redirect other", "OK")
	all := idA + " " + idB
	for filter, want := range map[string]string{
		"": all, "NAME worker": idB, "NOT-NAME worker": idA, "LIB-NAME tools": idB, "DB 3": idB, "NOT-DB 3": idA, "FLAGS N": all, "FLAGS Nx": "",
		"IP 127.0.0.1": all, "NOT-IP 127.0.0.1": "", "SKIPME yes": idB, "TYPE normal NAME worker": idB, "NOT-TYPE normal": "", "IDLE 100": "", "MAXAGE 100": "",
		"ID " + idB + " " + idA + " NAME worker": idB, "NOT-ID " + idA: idB, "USER default ID " + idA: idA,
	} {
		var got []string
		for line := range strings.Lines(a.do(strings.TrimSpace("CLIENT LIST " + filter))) {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			got = append(got, id)
		}
		if ids := strings.Join(got, " "); ids != want {
			t.Errorf("CLIENT LIST %s: %q, want %q", filter, ids, want)
		}
	}
	for line, want := range map[string]string{
		"CLIENT LIST NAME":           "-ERR syntax error\r\n",
		"CLIENT LIST WORD x":         "-ERR syntax error\r\n",
		"CLIENT LIST ID x":           "-ERR Invalid client ID\r\n",
		"CLIENT KILL ID 5 x":         "-ERR syntax error\r\n",
		"CLIENT KILL MAXAGE -1":      "-ERR maxage should be greater than 0\r\n",
		"CLIENT KILL IDLE x":         "-ERR value is not an integer or out of range\r\n",
		"CLIENT KILL ID 0":           "-ERR client-id should be greater than 0\r\n",
		"CLIENT KILL NOT-USER x":     "-ERR No such user 'x'\r\n",
		"CLIENT KILL NOT-SKIPME yes": "-ERR syntax error\r\n",
	} {
		var args []any
		for _, w := range strings.Fields(line) {
			args = append(args, w)
		}
		if got, err := a.DoRaw(args...); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", line, got, err)
		}
	}
	a.want("CLIENT KILL NOT-NAME worker", "0")
	a.want("CLIENT KILL NAME worker ID "+idA+" "+idB, "1")
}
