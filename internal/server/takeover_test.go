package server

import (
	"fmt"
	"strings"
	"testing"
)

// A replica that is asked to take over first reads what the primary had sent before, or
// waits until nothing more can come.
func TestAReplicaReadsEverythingBeforeItTakesOver(t *testing.T) {
	for _, ends := range []struct {
		name string
		when func(n *node, f *fakeReplication)
	}{
		{"what was sent has come", func(n *node, _ *fakeReplication) { n.stream.Append(0, 0, []byte("0123456789")) }},
		{"the link has ended", func(_ *node, f *fakeReplication) { f.locked(func() { f.up = false }) }},
	} {
		t.Run(ends.name, func(t *testing.T) {
			repl := newFakeReplication()
			repl.locked(func() { repl.host, repl.up = "127.0.0.1", true })
			n := startParts(t, func(c *Config) { c.Replication = repl })
			c := n.dial()
			c.send(fmt.Sprintf("PSYNC %s %d FAILOVER", strings.Repeat("a", 40), n.stream.End()+10+1))
			c.silent()
			if host, _ := repl.Primary(); host == "" {
				t.Fatal("it has taken over before it had everything")
			}
			ends.when(n, repl)
			c.wantNext("FULLRESYNC") // of the fake, which is all that it can
			<-repl.served
			if host, _ := repl.Primary(); host != "" {
				t.Error("it has not taken over")
			}
		})
	}
}
