package command

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// TestRandomHistoriesOfStreamsReachReplicas: what a replica and a restart make of the
// effects is the stream of the primary, with all that XINFO tells of its groups but
// when consumers were seen last (an XREADGROUP that finds nothing has no effect) and,
// where clients read their histories, when and how often an item was delivered: both
// are not propagated by Redis either.
func TestRandomHistoriesOfStreamsReachReplicas(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { newStreamPair(t, seed).run(1000) })
	}
}

// A streamPair is a node that clients write to, and one that applies its effects.
type streamPair struct {
	streamTwins
	applier   *Applier
	replica   *node
	histories bool // clients read items again that are pending with them
	unit      []Effect
}

func newStreamPair(t *testing.T, seed uint64) *streamPair {
	p := &streamPair{
		streamTwins: streamTwins{twins: &twins{t: t, rand: rand.New(rand.NewPCG(seed, 1)), proto: 2, node: newNode()}, ms: 5},
		replica:     newNode(), histories: seed%3 == 0,
	}
	p.applier = NewApplier(p.replica.table, p.replica.exec, p.replica)
	p.applier.Failed = func(args [][]byte, err string) { p.fatal("%q: %s", args, err) }
	p.limit(seed)
	return p
}

// limit makes nodes of streams small, those of the replica not always in the same way.
func (p *streamPair) limit(seed uint64) {
	for i, n := range []*node{p.node, p.replica} {
		tx := n.exec.BeginWorld(n.now)
		l := tx.Limits()
		l.NodeItems = [...]int{3, 5, 100}[(int(seed)+i*int(seed%2))%3]
		tx.SetLimits(l)
		n.exec.End()
	}
}

func (p *streamPair) fatal(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf(format+"\nafter\n%s", append(args, strings.Join(p.last, "\n"))...)
}

// run sends so many commands, whose effects reach the replica by ones and in
// transactions.
func (p *streamPair) run(commands int) {
	for range commands {
		p.node.now += int64(p.rand.IntN(40))
		p.write(p.line())
		if p.rand.IntN(4) == 0 {
			continue // the next one is of the same transaction
		}
		p.replica.now = p.node.now - int64(p.rand.IntN(2)*p.rand.IntN(500)) // its clock may be late
		if len(p.unit) > 0 {
			if err := p.applier.Apply(p.replica.now, p.unit, p.node.end, nil); err != nil {
				p.fatal("%v", err)
			}
		}
		p.unit = nil
		p.replica.now = p.node.now
		for _, key := range []string{"stream:a", "stream:b", "stream:c"} {
			p.compareKey(key)
		}
	}
}

func (p *streamPair) write(words []string) {
	if p.last = append(p.last, strings.Join(words, " ")); len(p.last) > 40 {
		p.last = p.last[1:]
	}
	p.here(words)
	p.unit = append(p.unit, effectsOf(p.t, p.node.sent)...)
}

// line is a command of TestRandomHistoriesOfStreams, or one of more kinds.
func (p *streamPair) line() []string {
	if p.rand.IntN(10) > 0 {
		for {
			words := p.command()
			if p.histories || !readsHistory(words) {
				return words
			}
		}
	}
	key := p.key()
	switch p.rand.IntN(8) {
	case 0:
		return []string{"PEXPIRE", key, fmt.Sprint(p.rand.IntN(3000))}
	case 1:
		return []string{"PERSIST", key}
	case 2:
		return []string{"XADD", key, "*", "f", "v"}
	case 3:
		payload := bulk(p.node.run([][]byte{[]byte("DUMP"), []byte(p.key())}, 2))
		return []string{"RESTORE", key, "0", payload, "REPLACE"}
	case 4:
		return []string{"XCLAIM", key, p.group(), p.member(), "0", p.id(), "RETRYCOUNT", "9223372036854775807", "FORCE"}
	case 5:
		return append([]string{"XCLAIM", key, p.group(), p.member(), "0", p.id(), p.id(), "LASTID", p.id()}, p.maybe("FORCE")...)
	case 6:
		return []string{"XREADGROUP", "GROUP", p.group(), p.member(), "COUNT", "2", "NOACK", "STREAMS", key, p.key(), ">", ">"}
	}
	return append([]string{"XSETID", key, p.id()}, p.maybe("ENTRIESADDED", p.number())...)
}

// readsHistory reports whether a line is an XREADGROUP of other than new items.
func readsHistory(words []string) bool {
	if words[0] != "XREADGROUP" {
		return false
	}
	for _, id := range words[len(words)-1:] {
		if id != ">" {
			return true
		}
	}
	return len(words) > 5 && words[len(words)-2] != ">" && !strings.HasPrefix(words[len(words)-2], "stream:")
}

var active = regexp.MustCompile(`(\$11\r\nactive-time)\r\n:-?\d+`)

func (p *streamPair) compareKey(key string) {
	p.t.Helper()
	look := func(n *node) string {
		reply := n.run([][]byte{[]byte("XINFO"), []byte("STREAM"), []byte(key), []byte("FULL"), []byte("COUNT"), []byte("0")}, 2)
		reply = seen.ReplaceAll(reply, []byte("$1:0"))
		reply = active.ReplaceAll(reply, []byte("$1:0"))
		if p.histories {
			reply = deliveriesOfGroup.ReplaceAll(reply, []byte("$1:0\r\n:0"))
			reply = deliveriesOfMember.ReplaceAll(reply, []byte("$1:0\r\n:0"))
		}
		return flat(string(nodes.ReplaceAll(reply, []byte("$1:0"))))
	}
	if want, got := look(p.node), look(p.replica); got != want {
		p.fatal("%s is\n%s\nand on the replica\n%s", key, want, got)
	}
}

var (
	seen               = regexp.MustCompile(`(\$9\r\nseen-time\r\n):-?\d+`)
	nodes              = regexp.MustCompile(`(radix-tree-(?:keys|nodes)\r\n):\d+`)
	deliveriesOfGroup  = regexp.MustCompile(`(\*4\r\n\$\d+\r\n[0-9]+-[0-9]+\r\n\$\d+\r\n[^\r]*\r\n):-?\d+\r\n:-?\d+`)
	deliveriesOfMember = regexp.MustCompile(`(\*3\r\n\$\d+\r\n[0-9]+-[0-9]+\r\n):-?\d+\r\n:-?\d+`)
)
