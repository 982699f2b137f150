package chaos

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"redoubt/internal/chaos/history"
	"redoubt/internal/redistest"
	"redoubt/slots"
)

const (
	// clientsPerShard write and read at the same time.
	clientsPerShard = 4
	// wedged is how long a cluster that is mended may not serve. What it takes is told
	// of each episode; the bound is generous, as the machine may be busy.
	wedged = 30 * time.Second
	// judging is how long the judgement of one register may take.
	judging = 10 * time.Second
)

// Config is what Run does.
type Config struct {
	Episodes int
	Seed     uint64 // of the first episode; the others have those that follow
	Dir      string // where failing episodes leave their folders
	Say      func(format string, args ...any)
	// Seek ends with the first episode that shows something wrong, which does not fail the
	// test: something is wrong on purpose.
	Seek bool
}

// Totals are the figures of all episodes.
type Totals struct {
	Episodes, Failed int
	Ops              map[history.Outcome]int
	Undecided        int
	Faults           map[string]int
	Back             []time.Duration // until all shards served, once all was mended
	Found            []string        // the laws that the episodes that failed have broken
}

// String is the totals as a line or two.
func (s *Totals) String() string {
	slices.Sort(s.Back)
	back := "never"
	if n := len(s.Back); n > 0 {
		back = fmt.Sprintf("after %v in the median, %v at most", s.Back[n/2].Round(time.Millisecond), s.Back[n-1].Round(time.Millisecond))
	}
	var faults []string
	for i := range kinds {
		if n := s.Faults[kinds[i].name]; n > 0 {
			faults = append(faults, fmt.Sprintf("%d %s", n, kinds[i].name))
		}
	}
	return fmt.Sprintf("%d episodes, %d failed; %d operations done, %d refused, %d unknown; %d registers undecided; served %s; faults: %s",
		s.Episodes, s.Failed, s.Ops[history.OK], s.Ops[history.Refused], s.Ops[history.Unknown], s.Undecided, back, strings.Join(faults, ", "))
}

// Run runs episodes, and fails the test if the cluster does not keep what it promises.
func Run(t *testing.T, cfg Config) *Totals {
	total := &Totals{Ops: map[history.Outcome]int{}, Faults: map[string]int{}}
	for first := 0; first < cfg.Episodes; first += groupSize {
		seed := cfg.Seed + uint64(first)
		s := shapeOf(seed)
		t.Run(fmt.Sprintf("from %d, %v", seed, s), func(t *testing.T) {
			c := start(t, s, seed)
			for i := range min(groupSize, cfg.Episodes-first) {
				total.Episodes++
				e := &episode{t: t, cfg: cfg, c: c, seed: seed + uint64(i), group: seed, total: total}
				e.play()
				if t.Failed() || len(total.Found) > 0 {
					break
				}
			}
		})
		if cfg.Seek && len(total.Found) > 0 {
			break
		}
	}
	return total
}

// episode is one of them. Its methods are for the goroutine of the test.
type episode struct {
	t     *testing.T
	cfg   Config
	c     *cluster
	seed  uint64
	group uint64 // the seed of the first episode on the cluster
	total *Totals

	nemesis   *nemesis
	record    *record
	workloads []*workload
	verdict   history.Verdict
	wrong     []string // what else is wrong
	back      time.Duration
	clients   sync.WaitGroup
}

// play plays the episode. What the harness gives up on fails it, too.
func (e *episode) play() {
	finished := false
	defer func() {
		if !finished {
			e.wrong = append(e.wrong, "it was given up")
		}
		if e.t.Failed() || len(e.wrong) > 0 || len(e.verdict.Violations) > 0 {
			e.total.Failed++
			e.fail()
		}
	}()
	began := time.Now()
	e.record = &record{began: began, strange: map[string]int{}}
	e.nemesis = &nemesis{c: e.c, began: began, crowd: e.crowd, crowds: map[int]func(){}}
	value := &atomic.Int64{}
	for shard := range e.c.shape.shards {
		w := newWorkload(shard, e.c.shape.shards, e.seed, value)
		e.workloads = append(e.workloads, w)
		e.nemesis.slots = append(e.nemesis.slots, slots.Of([]byte(w.tag)), slots.Of([]byte(w.quiet[0])))
	}
	e.disturb()
	if len(e.wrong) == 0 {
		e.recover()
	}
	e.judge()
	e.tell()
	finished = true
}

// disturb lets clients work while what is planned happens.
func (e *episode) disturb() {
	rnd := rand.New(rand.NewPCG(e.seed, 2))
	opener := newClient(e.c, e.record, rnd)
	defer opener.close()
	for _, w := range e.workloads {
		if !opener.insist(w.open(), wedged) || !opener.insist(w.openStream(), wedged) {
			e.t.Fatalf("chaos: the bank and the stream of shard %d cannot be opened", w.shard)
		}
	}
	var stop atomic.Bool
	for range clientsPerShard * e.c.shape.shards {
		seed := rnd.Uint64()
		e.clients.Go(func() { e.work(rand.New(rand.NewPCG(seed, 3)), &stop) })
	}
	for i := range e.c.states {
		seed := rnd.Uint64()
		e.clients.Go(func() { e.watch(i, rand.New(rand.NewPCG(seed, 6)), &stop) })
	}
	// A test that is given up here must not leave them behind.
	defer func() { stop.Store(true); e.clients.Wait() }()
	faults := plan(e.seed, e.c.shape)
	for _, f := range faults {
		e.total.Faults[f.kind.name]++
	}
	e.nemesis.began = time.Now()
	e.nemesis.note("the faults begin, %v after the record", e.record.now())
	e.nemesis.run(faults)
	e.nemesis.mend()
	e.untilServed()
	time.Sleep(300 * time.Millisecond) // of writes after it
}

// work is a client, until it is told to stop.
func (e *episode) work(rnd *rand.Rand, stop *atomic.Bool) {
	c := newClient(e.c, e.record, rnd)
	defer c.close()
	k := known{map[string]int64{}, map[string][]int64{}}
	for !stop.Load() {
		w := e.workloads[rnd.IntN(len(e.workloads))]
		wait := time.Duration(rnd.IntN(4)) * time.Millisecond
		if !c.perform(w.draw(rnd, k)) {
			wait += 10 * time.Millisecond
		}
		time.Sleep(wait)
	}
}

// watch asks one node what it has, until it is told to stop: who was the primary may say so
// for too long, and clients that have found another would not ask it again.
func (e *episode) watch(node int, rnd *rand.Rand, stop *atomic.Bool) {
	c := newWatcher(e.c, e.record, rnd, node)
	defer c.close()
	w := e.workloads[node/perShard]
	for !stop.Load() {
		if c.perform(w.glance(rnd)) {
			time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
		} else {
			time.Sleep(time.Duration(20+rnd.IntN(20)) * time.Millisecond)
		}
	}
}

const (
	// crowdSize is how many clients a crowd has: some for each event loop of a node.
	crowdSize = 16
	// askedWithin is how long a crowd takes to ask.
	askedWithin = 5 * time.Millisecond
)

// crowd connects clients to one node. When they are told to they ask it, at once, for what
// others have just been told to be written: a node that was stopped and does not know that
// there is another primary has a moment to answer in, in which all that it has is old.
func (e *episode) crowd(node int) (ask func()) {
	w := e.workloads[node/perShard]
	var all []*client
	for range crowdSize {
		c := newWatcher(e.c, e.record, rand.New(rand.NewPCG(e.seed, uint64(node))), node)
		c.connect(w.shard)
		all = append(all, c)
	}
	return func() {
		key := e.news(w, node)
		for _, c := range all {
			e.clients.Go(func() {
				defer c.close()
				c.perform(w.one(history.Step{Do: history.Get, Key: key}, "GET", key))
			})
		}
		time.Sleep(askedWithin)
	}
}

// news writes something by another node of a shard, if one of them takes it, and returns where.
func (e *episode) news(w *workload, node int) (key string) {
	v := w.value.Add(1) * 1000
	key = w.quiet[int(v/1000)%quietKeys]
	for _, i := range e.c.nodesOf(w.shard) {
		if i == node {
			continue
		}
		c := newWatcher(e.c, e.record, rand.New(rand.NewPCG(e.seed, 7)), i)
		taken := c.perform(w.one(history.Step{Do: history.Set, Key: key, Arg: v}, "SET", key, v))
		c.close()
		if taken {
			break
		}
		v = w.value.Add(1) * 1000
	}
	return key
}

// untilServed waits until a write is acknowledged in each shard.
func (e *episode) untilServed() {
	began := time.Now()
	c := newClient(e.c, e.record, rand.New(rand.NewPCG(e.seed, 4)))
	defer c.close()
	for _, w := range e.workloads {
		v := w.value.Add(1)
		key := w.tag + "served"
		if !c.insist(w.one(history.Step{Do: history.Set, Key: key, Arg: v}, "SET", key, v), wedged) {
			e.wrong = append(e.wrong, fmt.Sprintf("wedged: shard %d does not serve within %v", w.shard, wedged))
		}
	}
	e.back = time.Since(began)
	e.nemesis.note("all shards serve")
}

// recover waits until all nodes are what they were, and reads everything.
func (e *episode) recover() {
	if err := within(settle, e.c.whole); err != nil {
		e.wrong = append(e.wrong, "not whole: "+err.Error())
	}
	c := newClient(e.c, e.record, rand.New(rand.NewPCG(e.seed, 5)))
	defer c.close()
	for _, w := range e.workloads {
		for _, q := range w.everything() {
			if !c.insist(q, wedged) {
				e.wrong = append(e.wrong, fmt.Sprintf("%v is not answered within %v", q.steps[0], wedged))
				return
			}
		}
	}
	if err := within(likeness, e.c.alike); err != nil {
		e.wrong = append(e.wrong, "not alike: "+err.Error())
	}
}

// within asks until there is no error, or until it has taken too long.
func within(d time.Duration, check func() error) (err error) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = check(); err == nil {
			return nil
		}
	}
	return err
}

// judge looks at the record and the logs.
func (e *episode) judge() {
	e.verdict = history.Check(e.record.ops, judging)
	for text := range e.record.strange {
		e.wrong = append(e.wrong, "a client was told: "+text)
	}
	for i := range e.c.states {
		if at := redistest.Panicked(e.c.node(i).Log()); at != "" {
			e.wrong = append(e.wrong, fmt.Sprintf("the log of node %d has %q", i, at))
		}
	}
}

// tell prints the line of the episode, and adds it to the totals.
func (e *episode) tell() {
	n := map[history.Outcome]int{}
	for _, o := range e.record.ops {
		n[o.Outcome]++
		e.total.Ops[o.Outcome]++
	}
	e.total.Undecided += len(e.verdict.Undecided)
	e.total.Back = append(e.total.Back, e.back)
	var faults []string
	for _, f := range plan(e.seed, e.c.shape) {
		faults = append(faults, f.kind.name)
	}
	undecided := ""
	if len(e.verdict.Undecided) > 0 {
		undecided = fmt.Sprintf(", %d registers undecided", len(e.verdict.Undecided))
	}
	e.cfg.Say("seed %d, %v: %s: %d done, %d refused, %d unknown, served after %v%s, took %v", e.seed, e.c.shape, strings.Join(faults, ", "),
		n[history.OK], n[history.Refused], n[history.Unknown], e.back.Round(time.Millisecond), undecided, time.Since(e.record.began).Round(100*time.Millisecond))
}

// fail says what is wrong, and leaves a folder.
func (e *episode) fail() {
	e.t.Helper()
	dir := filepath.Join(e.cfg.Dir, fmt.Sprintf("seed-%d-%s", e.seed, time.Now().Format("150405")))
	e.total.Found = append(e.total.Found, e.laws()...)
	if !e.cfg.Seek {
		e.complain()
	}
	if err := e.leave(dir); err != nil {
		e.t.Errorf("chaos: %v", err)
	}
	e.cfg.Say("seed %d, %v: FAILED; see %s", e.seed, e.c.shape, dir)
}

// complain fails the test by all that is wrong.
func (e *episode) complain() {
	e.t.Helper()
	for _, w := range e.wrong {
		e.t.Errorf("seed %d: %s", e.seed, w)
	}
	for _, v := range e.verdict.Violations {
		e.t.Errorf("seed %d: %.2000v", e.seed, v)
	}
}

// laws are the kinds of what is wrong, each once: that of a violation, and what else is wrong
// up to the first colon.
func (e *episode) laws() (all []string) {
	for _, v := range e.verdict.Violations {
		all = append(all, v.Kind)
	}
	for _, w := range e.wrong {
		law, _, _ := strings.Cut(w, ":")
		all = append(all, law)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
