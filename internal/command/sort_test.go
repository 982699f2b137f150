package command

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSortRepliesAndEffects(t *testing.T) {
	for _, c := range []struct{ setup, line, reply, effect, events string }{
		{"rpush l 3 1 2", "sort l", "1 2 3", "", ""},
		{"rpush l 3 1 2", "sort l desc limit 0 2 store d", ":2", "sort l desc limit 0 2 store d", "sortstore d"},
		{"rpush l 3 1 2", "sort l limit 5 2 store l", ":0", "sort l limit 5 2 store l", "del l"},
		{"rpush l 3 1 2", "sort none store d", ":0", "", ""},
		{"rpush l a b", "sort l", "-ERR One or more scores can't be converted into double", "", ""},
		{"rpush l a b", "sort l store l", "-ERR One or more scores can't be converted into double", "", ""},
		{"rpush l a", "sort l by nosort get x get #", "$-1 a", "", ""},
		{"sadd s b c a", "sort s by nosort store d", ":3", "sort s by nosort store d", "sortstore d"},
		{"rpush l a", "sort_ro l alpha store d", "-ERR syntax error", "", ""},
		{"set s v", "sort s", "-WRONGTYPE Operation against a key holding the wrong kind of value", "", ""},
	} {
		n := newNode()
		n.listen()
		n.do(strings.Fields(c.setup)...)
		n.noted = nil
		reply, effect := n.do(strings.Fields(c.line)...)
		if events := strings.Join(n.noted, ", "); reply != c.reply || effect != c.effect || events != c.events {
			t.Errorf("%s: reply %q, effect %q, events %q; want %q, %q, %q", c.line, reply, effect, events, c.reply, c.effect, c.events)
		}
	}
}

// The order of a set must not depend on that in which its members came, or
// what SORT stores would differ on a replica.
func TestSortOfASetWithoutDifferencesIsTheSameEverywhere(t *testing.T) {
	var orders []string
	for _, members := range []string{"a b c d e f", "f e d c b a", "c f a e b d"} {
		n := newNode()
		n.do(strings.Fields("sadd s " + members)...)
		n.do("mset", "w_a", "1", "w_b", "1", "w_e", "1")
		for _, line := range []string{"sort s alpha by w_* store d", "sort s by nosort desc store e", "sort s by n_* store f"} {
			n.do(strings.Fields(line)...)
		}
		d, _ := n.do("lrange", "d", "0", "-1")
		e, _ := n.do("lrange", "e", "0", "-1")
		f, _ := n.do("lrange", "f", "0", "-1")
		orders = append(orders, d+", "+e+", "+f)
	}
	if want := "c d f a b e, f e d c b a, a b c d e f"; orders[0] != want || len(slices.Compact(slices.Clone(orders))) != 1 {
		t.Errorf("the orders are %q, want %q", orders, want)
	}
}

func TestWhatSortLocks(t *testing.T) {
	table := newNode().table
	for line, want := range map[string]Lock{
		"sort k":                        LockKeys,
		"sort k by nosort get #":        LockKeys,
		"sort k by w_*":                 LockWorld,
		"sort k limit by w_* get k":     LockKeys, // in the place of LIMIT's numbers
		"sort k get # GET h->*":         LockWorld,
		"sort k store by get w_*":       LockWorld,
		"sort k store get":              LockKeys,
		"sort_ro k desc alpha by w_*_x": LockWorld,
		"sort k get":                    LockKeys,
	} {
		if got := table.Lookup(args(line)[0]).Needs(args(line)); got != want {
			t.Errorf("%s needs %d, want %d", line, got, want)
		}
	}
}

func TestKeysOfSort(t *testing.T) {
	n := newNode()
	for line, want := range map[string]string{
		"sort l":                              "l RO access",
		"sort l by w_* store d get # store e": "l RO access e OW update",
		"sort l limit store d store e":        "l RO access e OW update",
		"sort l store":                        "l RO access",
		"sort_ro l by store get d":            "l RO access",
	} {
		reply, _ := n.do(append([]string{"command", "getkeysandflags"}, strings.Fields(line)...)...)
		var words []string
		for _, w := range strings.Fields(reply) {
			if w[0] != '*' {
				words = append(words, strings.TrimPrefix(w, "+"))
			}
		}
		if got := strings.Join(words, " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

type inCluster struct{ *node }

func (inCluster) ClusterEnabled() bool { return true }

func TestSortInACluster(t *testing.T) {
	n := inCluster{newNode()}
	for line, want := range map[string]string{
		"sort l by w_*":           "-ERR BY option of SORT denied in cluster mode.\r\n",
		"sort_ro l get #":         "-ERR GET option of SORT denied in cluster mode.\r\n",
		"sort l by nosort":        "*0\r\n",
		"sort l foo by w_*":       "-ERR syntax error\r\n",
		"sort l store d by w_* x": "-ERR BY option of SORT denied in cluster mode.\r\n",
	} {
		if got := string(n.runOn(n, args(line), 2)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// A look-up of a hash for each element must not keep anything for each.
func BenchmarkSortByHashes(b *testing.B) {
	n := newNode()
	const elements = 10_000
	for i := range elements {
		n.do("rpush", "l", fmt.Sprint(i))
		n.do("hset", fmt.Sprintf("h_%d", i), "f", fmt.Sprint((i*7919)%elements))
	}
	line := args("sort l by h_*->f limit 0 10 get h_*->f")
	b.ReportAllocs()
	for b.Loop() {
		n.run(line, 2)
	}
}
