package interop

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// calmTimeout is cluster-node-timeout in TestCalm, and the default.
const calmTimeout = 15 * time.Second

// TestCalm disturbs a cluster of three primaries with a replica each, for as long as
// $CALM says, in ways that must not cause a failover: all processors are busy, nodes
// sleep or are stopped for less than the node timeout, a large value is written and
// read, all nodes save, replicas are restarted and copy everything. Nobody may
// be held for failed but a replica while it is restarted, nobody may ask for votes, no
// role may change, no primary may refuse a request, and nothing that was acknowledged
// may be gone. It does not run unless it is asked for, see make calm; $CALM_SEED repeats
// the order of a run, $CALM_VALUE is the length of the large value in MiB (1024).
func TestCalm(t *testing.T) {
	text, asked := os.LookupEnv("CALM")
	if !asked {
		t.Skip("$CALM is not set")
	}
	long, err := positiveTime("CALM", text)
	if err != nil {
		t.Fatal(err)
	}
	oursOnly(t)
	seed := uint64(time.Now().UnixNano())
	if text, ok := os.LookupEnv("CALM_SEED"); ok {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("the seed is %d", seed)
	pieces := 1024
	if text, ok := os.LookupEnv("CALM_VALUE"); ok {
		if pieces, err = strconv.Atoi(text); err != nil || pieces < 1 {
			t.Fatalf("$CALM_VALUE is %q, want a number of MiB", text)
		}
	}
	c := startCalm(t, rand.New(rand.NewPCG(seed, 0)))
	c.pieces = pieces
	c.keepBusy(long)
	rounds, began := 0, time.Now()
	for time.Since(began) < long {
		c.round()
		rounds++
	}
	c.end()
	t.Logf("%d rounds in %v: %v", rounds, time.Since(began).Round(time.Second), c.done)
	for _, s := range c.shards {
		t.Logf("%d writes were acknowledged, the slowest after %v; %d reads", s.acked.Load(), time.Duration(s.slowest.Load()).Round(time.Millisecond), s.reads.Load())
	}
}

// positiveTime reads a duration from the environment. Whoever asked for a long run and
// mistyped how long must not believe that it passed.
func positiveTime(name, text string) (time.Duration, error) {
	long, err := time.ParseDuration(text)
	if err == nil && long <= 0 {
		err = errors.New("it is not positive")
	}
	if err != nil {
		return 0, fmt.Errorf("$%s is %q, want a duration like 10m: %w", name, text, err)
	}
	return long, nil
}

func TestPositiveTime(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       time.Duration
		refused    bool
	}{
		{"nothing", "", 0, true},
		{"a duration", "90s", 90 * time.Second, false},
		{"not a duration", "abc", 0, true},
		{"a number without a unit", "10", 0, true},
		{"none at all", "0s", 0, true},
		{"below zero", "-1m", 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := positiveTime("SOAK", c.text); got != c.want || (err != nil) != c.refused {
				t.Errorf("%q is %v, %v", c.text, got, err)
			}
		})
	}
}

// calm is a cluster that is disturbed.
type calm struct {
	t      *testing.T
	r      *rand.Rand
	pieces int // of the large value, each of calmPiece
	c      *redistest.Cluster
	shards []*calmShard
	epoch  string                    // cluster_current_epoch, which an election raises
	told   map[string]member         // by address, as all nodes tell it before the first round
	read   map[*redistest.Server]int // bytes of the logs
	done   map[string]int            // disturbances by name
}

// calmShard is a primary with its replica, and the clients that write and read there.
type calmShard struct {
	primary, replica *redistest.Server
	tag              string // of keys that belong to it

	values       [calmKeys]atomic.Int64 // acknowledged, by key
	acked, reads atomic.Int64
	slowest      atomic.Int64 // write, in nanoseconds
	excused      atomic.Bool  // its primary may refuse requests
	stop         atomic.Bool
	running      sync.WaitGroup
	mu           sync.Mutex // guards faults
	faults       []string
}

const (
	// calmKeys is how many keys the writer of a shard changes, again and again.
	calmKeys = 500
	// calmPatience is how long the clients wait for a reply, which must be far longer
	// than any disturbance.
	calmPatience = 3 * time.Minute
	// calmPiece is what a large value is made of, in bytes.
	calmPiece = 1 << 20
)

func startCalm(t *testing.T, r *rand.Rand) *calm {
	t.Helper()
	cluster := startCluster(t, calmTimeout, nil, "--proto-max-bulk-len", "2gb", "--client-query-buffer-limit", "2gb")
	c := &calm{t: t, r: r, c: cluster, read: map[*redistest.Server]int{}, done: map[string]int{}}
	for _, p := range primaries(t, cluster) {
		s := &calmShard{primary: p, replica: replicaOf(t, cluster, p), tag: "{" + keyIn(myself(t, p).first(t), "calm:") + "}"}
		untilLinked(t, s.replica, p)
		c.fill(s)
		c.shards = append(c.shards, s)
	}
	if len(c.shards) != 3 {
		t.Fatalf("there are %d primaries", len(c.shards))
	}
	c.epoch = c.shards[0].primary.Info("cluster_current_epoch")
	c.told = members(t, c.shards[0].primary)
	delete(c.told, "")
	for _, s := range cluster.Nodes {
		c.read[s] = len(s.Log())
	}
	for _, s := range c.shards {
		s.running.Go(func() { s.write() })
		s.running.Go(func() { s.look() })
	}
	t.Cleanup(c.halt)
	return c
}

// fill gives a shard a hundred megabytes, so that saves and copies take a while.
func (c *calm) fill(s *calmShard) {
	c.t.Helper()
	client := s.primary.Client()
	for i := range 100 {
		var batch [][]any
		for j := range 100 {
			batch = append(batch, []any{"SET", fmt.Sprintf("%sfill:%d:%d", s.tag, i, j), strings.Repeat("v", 10+c.r.IntN(20000))})
		}
		replies, err := client.Pipeline(batch...)
		if err != nil || slices.ContainsFunc(replies, func(r any) bool { return r != "OK" }) {
			c.t.Fatal(replies, err)
		}
	}
}

// keepBusy occupies every processor for the whole run.
func (c *calm) keepBusy(long time.Duration) {
	c.t.Helper()
	for range runtime.NumCPU() {
		// Bounded, should nobody be left to end them.
		cmd := exec.Command("timeout", fmt.Sprint(int((long + time.Hour).Seconds())), "sh", "-c", "while :; do :; done")
		if err := cmd.Start(); err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() {
			_ = cmd.Process.Signal(os.Interrupt) // timeout passes it on
			_ = cmd.Wait()
		})
	}
}

// A disturbance begins at once, and ends when what it returns has returned.
type disturbance struct {
	name string
	do   func(*calm, *calmShard, *calmWatch) (finish func())
}

// stopping has nodes of which nothing is heard; other disturbances may go on beside.
var stopping = []disturbance{
	{"a primary sleeps", func(c *calm, s *calmShard, w *calmWatch) func() { return c.sleep(s, s.primary, w) }},
	{"a replica sleeps", func(c *calm, s *calmShard, w *calmWatch) func() { return c.sleep(s, s.replica, w) }},
	{"a primary is stopped", func(c *calm, s *calmShard, _ *calmWatch) func() { return c.pause(s.primary) }},
	{"a replica is stopped", func(c *calm, s *calmShard, _ *calmWatch) func() { return c.pause(s.replica) }},
	{"nobody is stopped", func(c *calm, _ *calmShard, _ *calmWatch) func() { return func() {} }},
}

var working = []disturbance{
	{"a large value", func(c *calm, s *calmShard, w *calmWatch) func() { return c.large(s, w) }},
	{"all nodes save", func(c *calm, _ *calmShard, _ *calmWatch) func() { return c.saveAll() }},
	{"a replica is restarted", func(c *calm, s *calmShard, w *calmWatch) func() { return c.restart(s, w, false) }},
	{"a replica copies everything", func(c *calm, s *calmShard, w *calmWatch) func() { return c.restart(s, w, true) }},
	{"no work", func(c *calm, _ *calmShard, _ *calmWatch) func() { return func() {} }},
}

// round lets nodes work, stops one meanwhile, and looks for what that must not cause.
func (c *calm) round() {
	c.t.Helper()
	work, stop := working[c.r.IntN(len(working))], stopping[c.r.IntN(len(stopping))]
	at, other := c.shards[c.r.IntN(3)], c.shards[c.r.IntN(3)]
	if strings.HasPrefix(stop.name, "a replica") && strings.HasPrefix(work.name, "a replica") && at == other {
		return // a node that is not there cannot be stopped
	}
	what := fmt.Sprintf("%s (port %d) while %s (port %d)", work.name, at.primary.Port, stop.name, other.primary.Port)
	began := time.Now()
	w := &calmWatch{calm: c}
	finish := work.do(c, at, w)
	time.Sleep(time.Duration(c.r.IntN(1500)) * time.Millisecond)
	stop.do(c, other, w)()
	finish()
	c.untilCalm()
	w.look()
	for _, s := range c.shards {
		s.excused.Store(false)
		w.faults = append(w.faults, s.takeFaults()...)
	}
	if len(w.faults) > 0 {
		c.t.Fatalf("%s, from %s to %s:\n%s", what, began.Format(time.TimeOnly), time.Now().Format(time.TimeOnly), strings.Join(w.faults, "\n"))
	}
	c.done[work.name]++
	c.done[stop.name]++
}

// sleep has a node sleep for up to nine tenths of the node timeout. The rest is for what a
// busy machine adds. A primary that slept for long has no lease left when it wakes: it
// may refuse requests until it has heard the others; one that gets a large value does not
// sleep for so long.
func (c *calm) sleep(s *calmShard, node *redistest.Server, w *calmWatch) func() {
	c.t.Helper()
	d := time.Duration((0.05 + 0.85*c.r.Float64()) * float64(calmTimeout))
	if w.large == s {
		d = min(d, leaseLeft)
	}
	if node == s.primary && d > leaseLeft {
		s.excused.Store(true)
	}
	client, err := redistest.DialWithin(node.Addr(), calmPatience)
	if err != nil {
		c.t.Fatal(err)
	}
	if reply, err := client.Do("DEBUG", "SLEEP", fmt.Sprintf("%.3f", d.Seconds())); err != nil || reply != "OK" {
		c.t.Fatal(reply, err)
	}
	return client.Close
}

// leaseLeft is what is left at least of the lease of a primary, less a second for a busy
// machine: it renews it when a third of the node timeout has passed.
const leaseLeft = calmTimeout*2/3 - time.Second

// pause stops a process for half of the node timeout.
func (c *calm) pause(node *redistest.Server) func() {
	node.Pause()
	time.Sleep(calmTimeout / 2)
	node.Resume()
	return func() {}
}

// saveAll has every node write its dump.
func (c *calm) saveAll() func() {
	for _, s := range c.c.Nodes {
		s.Do("BGSAVE")
	}
	return func() {
		for _, s := range c.c.Nodes {
			redistest.Until(c.t, calmPatience, fmt.Sprintf("port %d has saved", s.Port), func() error {
				if now := s.Info("rdb_bgsave_in_progress"); now != "0" {
					return fmt.Errorf("rdb_bgsave_in_progress is %q", now)
				}
				if last := s.Info("rdb_last_bgsave_status"); last != "ok" {
					c.t.Fatalf("rdb_last_bgsave_status of port %d is %q", s.Port, last)
				}
				return nil
			})
		}
	}
}

// restart ends a replica in one of two ways and starts it again, without its data if it is
// to copy everything.
func (c *calm) restart(s *calmShard, w *calmWatch, empty bool) func() {
	c.t.Helper()
	w.restarted = s.replica
	if c.r.IntN(2) == 0 {
		s.replica.Kill()
	} else {
		s.replica.Terminate()
	}
	if empty {
		for _, name := range []string{"appendonlydir", "dump.rdb"} {
			if err := os.RemoveAll(filepath.Join(s.replica.Dir, name)); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	s.replica.Launch()
	return func() {
		redistest.Until(c.t, calmPatience, fmt.Sprintf("port %d is a replica again", s.replica.Port), func() error {
			client, err := redistest.Dial(s.replica.Addr())
			if err != nil {
				return err
			}
			defer client.Close()
			info, err := client.Do("INFO", "replication")
			if text := fmt.Sprint(info); err == nil && !strings.Contains(text, "master_link_status:up") {
				err = errors.New(text)
			}
			return err
		})
	}
}

// large writes a large value, reads it and deletes it.
func (c *calm) large(s *calmShard, w *calmWatch) func() {
	w.large = s
	result := make(chan error, 1)
	go func() { result <- exchangeLarge(s.primary.Addr(), s.tag+"large", c.pieces) }()
	return func() {
		c.t.Helper()
		if err := <-result; err != nil {
			c.t.Fatalf("the large value: %v", err)
		}
	}
}

func exchangeLarge(addr, key string, pieces int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * calmPatience)); err != nil {
		return err
	}
	piece := bytes.Repeat([]byte("0123456789abcdef"), calmPiece/16)
	fmt.Fprintf(conn, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n", len(key), key, pieces*calmPiece)
	for range pieces {
		if _, err := conn.Write(piece); err != nil {
			return err
		}
	}
	replies := bufio.NewReaderSize(conn, 1<<20)
	expect := func(want string) error {
		got, err := replies.ReadString('\n')
		if err == nil && got != want+"\r\n" {
			err = fmt.Errorf("the reply is %.200q, not %q", got, want)
		}
		return err
	}
	fmt.Fprintf(conn, "\r\n")
	if err := expect("+OK"); err != nil {
		return err
	}
	fmt.Fprintf(conn, "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", len(key), key)
	if err := expect(fmt.Sprintf("$%d", pieces*calmPiece)); err != nil {
		return err
	}
	got := make([]byte, len(piece))
	for i := range pieces {
		if _, err := io.ReadFull(replies, got); err != nil {
			return err
		}
		if !bytes.Equal(got, piece) {
			return fmt.Errorf("what was read differs in the piece %d", i)
		}
	}
	if err := expect(""); err != nil {
		return err
	}
	fmt.Fprintf(conn, "*2\r\n$6\r\nUNLINK\r\n$%d\r\n%s\r\n", len(key), key)
	return expect(":1")
}

// untilCalm waits until all nodes tell again what they told before the first round, and
// every replica is linked.
func (c *calm) untilCalm() {
	c.t.Helper()
	for _, s := range c.c.Nodes {
		redistest.Until(c.t, calmPatience, fmt.Sprintf("port %d has calmed down", s.Port), func() error {
			now := members(c.t, s)
			for addr, m := range c.told {
				if fmt.Sprint(now[addr]) != fmt.Sprint(m) {
					return fmt.Errorf("it was %v and is %v", m, now[addr])
				}
			}
			if epoch := s.Info("cluster_current_epoch"); epoch != c.epoch {
				c.t.Fatalf("the epoch was %s and is %s; the log of port %d:\n%s", c.epoch, epoch, s.Port, s.Log()[c.read[s]:])
			}
			if state := s.Info("cluster_state"); state != "ok" {
				return fmt.Errorf("cluster_state is %q", state)
			}
			return nil
		})
	}
	for _, s := range c.shards {
		redistest.Until(c.t, calmPatience, "the replica is linked", func() error {
			if up := s.replica.Info("master_link_status"); up != "up" {
				return fmt.Errorf("master_link_status of port %d is %q", s.replica.Port, up)
			}
			return nil
		})
	}
}

// halt ends the clients.
func (c *calm) halt() {
	for _, s := range c.shards {
		s.stop.Store(true)
	}
	for _, s := range c.shards {
		s.running.Wait()
	}
}

// end ends the clients and looks for what was acknowledged, in primaries and replicas.
func (c *calm) end() {
	c.t.Helper()
	c.halt()
	for _, s := range c.shards {
		sameDigest(c.t, s.primary, s.replica)
		client := s.primary.Client()
		for i := range s.values {
			if want := s.values[i].Load(); want > 0 {
				if got, err := client.Do("GET", s.key(i)); err != nil || number(got) < want {
					c.t.Errorf("%d was acknowledged for %s, which is %v, %v", want, s.key(i), got, err)
				}
			}
		}
		for _, fault := range s.takeFaults() {
			c.t.Error(fault)
		}
		if s.acked.Load() == 0 || s.reads.Load() == 0 {
			c.t.Errorf("port %d: %d writes, %d reads", s.primary.Port, s.acked.Load(), s.reads.Load())
		}
	}
}

// number is a reply that is a number, or -1.
func number(reply any) int64 {
	n, err := strconv.ParseInt(fmt.Sprint(reply), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

func (s *calmShard) key(i int) string { return fmt.Sprintf("%s%d", s.tag, i) }

func (s *calmShard) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) < 20 {
		s.faults = append(s.faults, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

func (s *calmShard) takeFaults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	faults := s.faults
	s.faults = nil
	return faults
}

// each calls do with one connection to the primary until the shard is to stop. A request
// that is refused is a fault, unless that is excused, and so is a connection that ends.
func (s *calmShard) each(do func(c *redistest.Client, i int) error) {
	c, err := redistest.DialWithin(s.primary.Addr(), calmPatience)
	if err != nil {
		s.fault("%v", err)
		return
	}
	defer c.Close()
	for i := 0; !s.stop.Load(); i++ {
		err := do(c, i)
		var refusal redistest.Error
		if err != nil && !(errors.As(err, &refusal) && strings.HasPrefix(string(refusal), "CLUSTERDOWN") && s.excused.Load()) {
			s.fault("port %d: %v", s.primary.Port, err)
		}
		if err != nil && !errors.As(err, &refusal) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// write writes ever larger numbers.
func (s *calmShard) write() {
	s.each(func(c *redistest.Client, i int) error {
		began := time.Now()
		reply, err := c.Do("SET", s.key(i%calmKeys), i+1)
		if err == nil && reply != "OK" {
			err = fmt.Errorf("SET was answered by %v", reply)
		}
		if err == nil {
			s.values[i%calmKeys].Store(int64(i + 1))
			s.acked.Add(1)
			s.slowest.Store(max(s.slowest.Load(), int64(time.Since(began))))
		}
		return err
	})
}

// look reads what was written, in an order of its own.
func (s *calmShard) look() {
	s.each(func(c *redistest.Client, i int) error {
		k := i * 7 % calmKeys
		want := s.values[k].Load()
		got, err := c.Do("GET", s.key(k))
		if err == nil && want > 0 && number(got) < want {
			s.fault("%d was acknowledged for %s, and %v was read", want, s.key(k), got)
		}
		if err == nil {
			s.reads.Add(1)
		}
		return err
	})
}

// calmWatch reads what the logs say of one round.
type calmWatch struct {
	*calm
	restarted *redistest.Server // whom others may hold for failed
	large     *calmShard        // that gets a large value
	faults    []string
}

var (
	// held is said of a node that is suspected by a majority, or does not listen.
	held = regexp.MustCompile(`as failing \(quorum reached\)|FAIL message received|Nobody listens at the address`)
	// elected is said of elections and what comes of them.
	elected = regexp.MustCompile(`(?i)election|failover|configEpoch|Configuration change detected|orphaned master|Reconfiguring myself|` +
		`a majority cannot reach|has not taken over|asks it to take over|it waits for news|send buffer passed the limit`)
	// changed is said of roles and states. A node that starts says so as well.
	changed = regexp.MustCompile(`MASTER MODE enabled|REPLICAOF .* enabled`)
	ceased  = regexp.MustCompile(`Cluster state changed: fail`)
)

// look notes the lines about what no disturbance may cause.
func (w *calmWatch) look() {
	w.t.Helper()
	for _, s := range w.c.Nodes {
		log := s.Log()
		for line := range strings.Lines(log[w.read[s]:]) {
			if w.wrong(s, line) {
				w.faults = append(w.faults, fmt.Sprintf("port %d: %s", s.Port, strings.TrimSpace(line)))
			}
		}
		w.read[s] = len(log)
	}
}

// wrong reports whether a node may not say this in the round.
func (w *calmWatch) wrong(s *redistest.Server, line string) bool {
	switch {
	case held.MatchString(line):
		return w.restarted == nil || !strings.Contains(line, w.told[w.restarted.Addr()].id)
	case elected.MatchString(line):
		return true
	case changed.MatchString(line):
		return s != w.restarted
	case ceased.MatchString(line):
		return s != w.restarted && !slices.ContainsFunc(w.shards, func(h *calmShard) bool { return h.primary == s && h.excused.Load() })
	}
	return false
}

// TestCalmWatch: each line that tells of a failover is found, and a restart is forgiven the
// replica alone.
func TestCalmWatch(t *testing.T) {
	one, other := &redistest.Server{Port: 1}, &redistest.Server{Port: 2}
	id := strings.Repeat("a", 40)
	c := &calm{told: map[string]member{one.Addr(): {id: id}}}
	for _, v := range []struct {
		line              string
		always, restarted bool // wrong in any round; wrong in one that restarts the replica
	}{
		{"Marking node " + id + " as failing (quorum reached).", true, false},
		{"FAIL message received from " + strings.Repeat("b", 40) + " about " + id, true, false},
		{"Marking node " + strings.Repeat("b", 40) + " as failing (quorum reached).", true, true},
		{"Start of election delayed for 0 milliseconds (rank #0, offset 0).", true, true},
		{"Failover auth granted to " + id + " for epoch 7", true, true},
		{"REPLICAOF 127.0.0.1:1 enabled", true, true},
		{"Cluster state changed: fail. It hears 1 of 3 masters with slots, and needs 2 of them.", true, true},
		{"Background saving started by pid 7", false, false},
		{"Cluster state changed: ok", false, false},
	} {
		if got := (&calmWatch{calm: c}).wrong(other, v.line); got != v.always {
			t.Errorf("%q: %v", v.line, got)
		}
		if got := (&calmWatch{calm: c, restarted: one}).wrong(other, v.line); got != v.restarted {
			t.Errorf("%q, when a replica is restarted: %v", v.line, got)
		}
	}
	if (&calmWatch{calm: c, restarted: one}).wrong(one, "REPLICAOF 127.0.0.1:1 enabled") {
		t.Error("a replica that starts must not say whose it is")
	}
}
