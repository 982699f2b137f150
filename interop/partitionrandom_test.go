package interop

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/netlab"
	"redoubt/internal/redistest"
)

// clusterFor is how long one cluster is used before the next one is made.
const clusterFor = 3 * time.Minute

// TestRandomPartitions lets one random fault of the network and of nodes follow the other,
// mostly several at once, for as long as $PARTITIONS says, on clusters of different sizes
// and settings. What is checked is the same as in TestPartitions. A cluster with which
// something breaks is not used any further. $PARTITIONS_SEED chooses the faults and their
// times; what comes of them also depends on the machine.
func TestRandomPartitions(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("PARTITIONS"))
	if err != nil {
		t.Skip("PARTITIONS has no duration; see docs/testing.md")
	}
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("PARTITIONS_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the seed is %d", seed)
	total := &randomTotals{faults: map[string]int{}}
	for end, i := time.Now().Add(limit), 0; time.Now().Before(end); i++ {
		c := randomClusters[i%len(randomClusters)]
		until := time.Now().Add(clusterFor)
		if until.After(end) {
			until = end
		}
		t.Run(fmt.Sprintf("%d %s", i, c.name), func(t *testing.T) {
			l := startNetworked(t, c.primaries, seed+uint64(i), nil, append([]string{"--rewind-files", "1000"}, c.args...)...)
			r := &randomRun{l: l, t: t, rnd: rand.New(rand.NewPCG(seed, uint64(i))), total: total}
			for time.Now().Before(until) && !t.Failed() {
				lost := r.round()
				if lost > 0 && c.losesNothing {
					t.Errorf("%d writes that two nodes had are lost", lost)
				}
			}
		})
	}
	t.Logf("seed %d: %v", seed, total)
}

// randomClusters are the clusters of TestRandomPartitions.
var randomClusters = []struct {
	name         string
	primaries    int
	losesNothing bool
	args         []string
}{
	{"three primaries", 3, false, nil},
	{"three primaries, min-replicas-to-ack", 3, true, []string{"--min-replicas-to-ack", "1", "--min-replicas-ack-timeout", "1000"}},
	{"five primaries", 5, false, nil},
	{"three primaries, appendfsync always", 3, false, []string{"--appendfsync", "always"}},
}

// randomTotals are the figures of all rounds.
type randomTotals struct {
	rounds, issued, acked, lost, takeovers int
	faults                                 map[string]int // by kind
	agreed                                 []time.Duration
}

func (r *randomTotals) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d rounds; %d writes sent, %d acknowledged, %d lost; %d takeovers; faults:", r.rounds, r.issued, r.acked, r.lost, r.takeovers)
	for _, f := range randomFaults {
		fmt.Fprintf(&b, " %d %s,", r.faults[f.name], f.name)
	}
	slices.Sort(r.agreed)
	if n := len(r.agreed); n > 0 {
		fmt.Fprintf(&b, " all agreed after %v in the median, %v in nine of ten, %v at most",
			r.agreed[n/2].Round(time.Millisecond), r.agreed[n*9/10].Round(time.Millisecond), r.agreed[n-1].Round(time.Millisecond))
	}
	return b.String()
}

// randomRun is the rounds of one cluster.
type randomRun struct {
	l     *networked
	t     *testing.T
	rnd   *rand.Rand
	total *randomTotals

	shards []shard // as the round began
	mend   []func()
	subnet int // of the last host that has moved
}

// randomFaults are what may happen. Each returns what it has done, in words; what has to be
// undone before the cluster can be whole it adds to r.mend.
var randomFaults = []struct {
	name string
	do   func(r *randomRun) string
}{
	{"cuts", func(r *randomRun) string { return r.between(netlab.Cut, false) }},
	{"cuts one way", func(r *randomRun) string { return r.between(netlab.Cut, true) }},
	{"rejections", func(r *randomRun) string { return r.between(netlab.Rule{Reject: true}, r.rnd.IntN(2) == 0) }},
	{"flapping links", func(r *randomRun) string {
		return r.between(netlab.Rule{Flap: r.within(50*time.Millisecond, time.Second)}, r.rnd.IntN(3) == 0)
	}},
	{"losses", func(r *randomRun) string {
		return r.between(netlab.Rule{Loss: 0.05 + 0.5*r.rnd.Float64()}, r.rnd.IntN(3) == 0)
	}},
	{"delays", func(r *randomRun) string {
		rule := netlab.Rule{Delay: r.within(10*time.Millisecond, 600*time.Millisecond)}
		if r.rnd.IntN(2) == 0 {
			rule.Jitter = r.within(time.Millisecond, 200*time.Millisecond)
		}
		return r.between(rule, r.rnd.IntN(3) == 0)
	}},
	{"narrow links", func(r *randomRun) string {
		return r.between(netlab.Rule{Bandwidth: 2_000 + r.rnd.IntN(50_000)}, false)
	}},
	{"kills", (*randomRun).kill},
	{"pauses", (*randomRun).pause},
	{"moves", (*randomRun).move},
}

// round has one to three faults at once, heals all, and judges. It returns how many writes
// were lost.
func (r *randomRun) round() int {
	t, l := r.t, r.l
	r.shards, r.mend = l.shards(t), nil
	w := l.begin(t)
	var done []string
	for range 1 + r.rnd.IntN(3) {
		f := randomFaults[r.rnd.IntN(len(randomFaults))]
		r.total.faults[f.name]++
		done = append(done, f.do(r))
		wait := r.within(0, 4*time.Second)
		done = append(done, wait.Round(time.Millisecond).String())
		time.Sleep(wait)
	}
	time.Sleep(r.within(0, 4*nodeTimeout))
	t.Logf("round %d: %s", r.total.rounds, strings.Join(done, "; "))
	for _, mend := range r.mend {
		mend()
	}
	l.net.Heal()
	for _, s := range l.c.Nodes {
		untilAnswers(t, s)
	}
	agreed := l.untilWhole(t, w)
	takeovers := 0
	for i, s := range l.shards(t) {
		if s.primary != r.shards[i].primary {
			takeovers++
		}
	}
	o := l.judge(t, w)
	t.Logf("round %d: %d of %d writes acknowledged, %d lost; %d takeovers; all agreed after %v; refused: %v",
		r.total.rounds, o.acked, o.issued, o.lost, takeovers, agreed.Round(time.Millisecond), w.refused)
	r.total.rounds++
	r.total.issued += o.issued
	r.total.acked += o.acked
	r.total.lost += o.lost
	r.total.takeovers += takeovers
	r.total.agreed = append(r.total.agreed, agreed)
	return o.lost
}

// within is a random time.
func (r *randomRun) within(least, most time.Duration) time.Duration {
	return least + time.Duration(r.rnd.Int64N(int64(most-least)))
}

// part is some nodes: one, a shard, a random set, or all primaries but one.
func (r *randomRun) part() (nodes []int) {
	s := r.shards[r.rnd.IntN(len(r.shards))]
	switch r.rnd.IntN(5) {
	case 0, 1:
		return []int{s.primary}
	case 2:
		return []int{s.primary, s.replica}
	case 3:
		return rivals(s, r.shards)
	}
	for i := range r.l.c.Nodes {
		if r.rnd.IntN(2) == 0 {
			nodes = append(nodes, i)
		}
	}
	return nodes
}

// between sets a rule between a part and another, mostly the rest.
func (r *randomRun) between(rule netlab.Rule, oneWay bool) string {
	a := r.part()
	b := r.l.rest(a)
	if r.rnd.IntN(4) == 0 {
		b = slices.DeleteFunc(b, func(int) bool { return r.rnd.IntN(2) == 0 })
	}
	from, to := r.l.hosts(a...), r.l.hosts(b...)
	if !oneWay {
		r.l.net.SetBoth(from, to, rule)
		return fmt.Sprintf("%v between %v and %v", rule, a, b)
	}
	if r.rnd.IntN(2) == 0 {
		a, b, from, to = b, a, to, from
	}
	r.l.net.Set(from, to, rule)
	return fmt.Sprintf("%v from %v to %v", rule, a, b)
}

// victim is a node that runs and is not stopped; -1 if the one that was drawn does not.
func (r *randomRun) victim() int {
	i := r.rnd.IntN(len(r.l.c.Nodes))
	if !r.l.c.Nodes[i].Running() || len(r.mend) > 0 {
		return -1
	}
	return i
}

// kill kills a node, which is started again at once or in the end.
func (r *randomRun) kill() string {
	i := r.victim()
	if i < 0 {
		return "nothing"
	}
	s := r.l.c.Nodes[i]
	s.Kill()
	if r.rnd.IntN(2) == 0 {
		s.Launch()
		return fmt.Sprintf("kill and start %d", i)
	}
	r.mend = append(r.mend, s.Launch)
	return fmt.Sprintf("kill %d", i)
}

// pause stops a node until the end.
func (r *randomRun) pause() string {
	i := r.victim()
	if i < 0 {
		return "nothing"
	}
	s := r.l.c.Nodes[i]
	s.Pause()
	r.mend = append(r.mend, s.Resume)
	return fmt.Sprintf("stop %d", i)
}

// move starts a node at another address.
func (r *randomRun) move() string {
	i := r.victim()
	if i < 0 {
		return "nothing"
	}
	s := r.l.c.Nodes[i]
	s.Kill()
	r.subnet = (r.subnet + 1) % 256
	if err := r.l.net.Hosts[i].Readdress(netlab.Address(r.subnet, i)); err != nil {
		r.t.Fatal(err)
	}
	s.Launch()
	return fmt.Sprintf("move %d to %s", i, s.Addr())
}

// untilAnswers waits until a node that has been started answers.
func untilAnswers(t *testing.T, s *redistest.Server) {
	t.Helper()
	redistest.Until(t, settle, s.Addr()+" answers", func() error {
		c, err := s.Connect()
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Do("PING")
		return err
	})
}
