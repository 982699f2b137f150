package server

import (
	"strings"
	"testing"

	"redoubt/internal/resp"
)

// A primary that its Sentinels have not confirmed refuses writes, whoever they come
// from, and is a primary in all else.
func TestAnUnconfirmedPrimaryTakesNoWrites(t *testing.T) {
	repl := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = repl }, "--replica-read-only", "no")
	c, waiting := n.dial(), n.dial()
	c.want("SET k v", "OK")
	waiting.send("BLPOP list 0")
	c.want("SET k v", "OK")
	for c.do("CLIENT NO-TOUCH off"); !strings.Contains(c.do("INFO clients"), "blocked_clients:1"); {
	}
	repl.unconfirmed.Store(true)
	n.RoleChanged()
	waiting.wantNext("error: " + string(resp.ErrUnblockedByRole))
	refused := "error: " + string(resp.ErrUnconfirmed)
	c.want("SET k x", refused)
	c.want("LPUSH list x", refused)
	c.want("FLUSHALL", refused)
	c.want("BLPOP list 0", refused)
	c.want("FUNCTION FLUSH", refused)
	if got := c.do("EVAL return(redis.call('SET',KEYS[1],'x')) 1 k"); !strings.Contains(got, string(resp.ErrUnconfirmed)) {
		t.Errorf("a script that writes gets %q", got)
	}
	c.want("GET k", "v")
	c.want("EVAL return(redis.call('GET',KEYS[1])) 1 k", "v")
	c.want("MULTI", "OK")
	c.want("SET k x", refused)
	c.want("EXEC", "error: EXECABORT Transaction discarded because of previous errors.")
	repl.unconfirmed.Store(false)
	n.RoleChanged()
	c.want("SET k x", "OK")
}

// What Sentinels say of themselves is for subscribers here and in no stream; what they say
// of the node is for the node alone.
func TestHellosAreInNoStream(t *testing.T) {
	n := startParts(t, func(c *Config) { c.Replication = newFakeReplication() })
	c, sub := n.dial(), n.dial()
	sub.want("SUBSCRIBE __sentinel__:hello", "[subscribe __sentinel__:hello 1]")
	before := n.stream.End()
	c.want("PUBLISH __sentinel__:hello hello", "1")
	sub.wantNext("[message __sentinel__:hello hello]")
	c.want("PUBLISH __sentinel__:hello word", "0")
	if at := n.stream.End(); at != before {
		t.Errorf("the stream has %d bytes more", at-before)
	}
	c.want("PUBLISH other hello", "0")
	if n.stream.End() == before {
		t.Error("another message is not in the stream")
	}
	c.want("PUBLISH __sentinel__:hello again", "1")
	sub.wantNext("[message __sentinel__:hello again]")
}
