package check

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// Config says what to run. Zero values mean what is said beside them.
type Config struct {
	Seeds    []string       // nodes of the cluster, or Sentinels; at least one must answer
	Client   client.Options // its Timeout is that of every command
	Sentinel client.Options // for Sentinels
	Master   string         // what the Sentinels call the primary; empty: Seeds are no Sentinels
	// NoCluster: each of Seeds is a node that is in no cluster, or a proxy; the first
	// that answers is used.
	NoCluster bool
	Duration  time.Duration // zero: until the context ends
	Clients   int           // zero: 12; at least one a shard is used
	Keys      int           // zero: one a slot
	Rate      int           // commands a second of all clients; zero: as fast as they go
	Prefix    string        // of the keys; zero: "redoubt-check"
	Cleanup   bool          // delete the keys in the end
	// Verify bounds the final reading of all keys; zero: 30 s.
	Verify time.Duration
	// Progress receives a line a second; nil: nobody does.
	Progress io.Writer
}

func (c *Config) setDefaults() error {
	if len(c.Seeds) == 0 {
		return errors.New("no address of the cluster is given")
	}
	if c.Clients < 0 || c.Keys < 0 || c.Rate < 0 || c.Duration < 0 || c.Verify < 0 {
		return errors.New("counts and durations must not be negative")
	}
	if c.Clients == 0 {
		c.Clients = 12
	}
	if c.Keys == 0 {
		c.Keys = slots.Count
	}
	if c.Prefix == "" {
		c.Prefix = "redoubt-check"
	}
	if c.Verify == 0 {
		c.Verify = 30 * time.Second
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	return nil
}

// connect finds the shards.
func (c *Config) connect() (*client.Cluster, error) {
	switch {
	case c.Master != "":
		return client.NewSentinels(c.Master, c.Seeds, c.Sentinel, c.Client)
	case c.NoCluster:
		return client.NewSingle(c.Seeds, c.Client)
	}
	return client.NewCluster(c.Seeds, c.Client)
}

// runner is a run under way.
type runner struct {
	cfg     Config
	started time.Time
	cluster *client.Cluster
	shards  []client.Shard
	keys    []*key
	reads   []*gap // by shard
	writes  []*gap

	// Counters of all clients. lost is acknowledged writes that look gone now.
	rd, wr                        counters
	lost, stale, unacked, foreign atomic.Int64

	mu    sync.Mutex // guards codes
	codes map[string]int64
}

type counters struct{ ok, refused, unknown atomic.Int64 }

func (c *counters) tally() Tally {
	return Tally{OK: c.ok.Load(), Refused: c.refused.Load(), Unknown: c.unknown.Load()}
}

// Run writes and reads until cfg.Duration has passed or ctx ends, then reads
// every key once more and reports. The error says why there is no report.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	cluster, err := cfg.connect()
	if err != nil {
		return nil, err
	}
	shards, err := cluster.Refresh()
	if err != nil {
		return nil, err
	}
	run := newRunID()
	started := time.Now()
	r := &runner{cfg: cfg, started: started, cluster: cluster, shards: shards, codes: map[string]int64{}}
	r.keys = makeKeys(cfg.Keys, cfg.Prefix, run, shards)
	orphans := slots.All()
	for i := range shards {
		orphans = orphans.Without(&shards[i].Slots)
	}
	if !orphans.Empty() {
		fmt.Fprintf(cfg.Progress, "WARNING: slots %s have no owner and are left out\n", ranges(orphans))
	}
	for range shards {
		r.reads = append(r.reads, newGap(started))
		r.writes = append(r.writes, newGap(started))
	}

	load := ctx
	if cfg.Duration > 0 {
		var stop context.CancelFunc
		load, stop = context.WithTimeout(ctx, cfg.Duration)
		defer stop()
	}
	r.load(load)
	ended := time.Now()
	fmt.Fprintln(cfg.Progress, r.progress(ended))
	fmt.Fprintf(cfg.Progress, "reading all %d keys, for %v at most\n", len(r.keys), cfg.Verify)
	unread := r.verify()
	if cfg.Cleanup {
		r.cleanup()
	}
	rep := r.report(run, ended, unread)
	rep.Untested = ranges(orphans)
	return rep, nil
}

// newRunID returns a word that no other run's values begin with.
func newRunID() string {
	var b [6]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// load runs the clients and prints the progress until ctx ends.
func (r *runner) load(ctx context.Context) {
	var wg sync.WaitGroup
	hands := deal(r.keys, r.cfg.Clients, len(r.shards))
	var pace time.Duration
	if r.cfg.Rate > 0 {
		pace = time.Duration(len(hands)) * time.Second / time.Duration(r.cfg.Rate)
	}
	for i, hand := range hands {
		wg.Go(func() {
			w := &worker{r: r, session: r.cluster.NewSession(), keys: hand, rnd: mathrand.New(mathrand.NewPCG(uint64(i), uint64(len(hands))))}
			defer w.session.Close()
			w.run(ctx, pace)
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			wg.Wait()
			return
		case now := <-tick.C:
			fmt.Fprintln(r.cfg.Progress, r.progress(now))
		}
	}
}

// progress is the line of one second: the time, what is left, the counts, and which shards
// are down since when.
func (r *runner) progress(now time.Time) string {
	var b strings.Builder
	at := now.Sub(r.started).Round(time.Second)
	fmt.Fprintf(&b, "%s %v", now.Format("15:04:05"), at)
	if r.cfg.Duration > 0 {
		fmt.Fprintf(&b, ", %v left", max(0, r.cfg.Duration.Round(time.Second)-at))
	}
	rd, wr := r.rd.tally(), r.wr.tally()
	fmt.Fprintf(&b, " | %d R (%d err) | %d W (%d err) | %d lost | %d unacked", rd.OK, rd.Errors(), wr.OK, wr.Errors(), r.lost.Load(), r.unacked.Load())
	for i := range r.shards {
		if since, down := downSince(r.reads[i], r.writes[i], now); down {
			fmt.Fprintf(&b, " | %s down since %s", r.shortName(i), since.Format(clock))
		}
	}
	return b.String()
}

// shortName is how the progress speaks of a shard.
func (r *runner) shortName(i int) string {
	if len(r.shards) == 1 {
		return r.name(i)
	}
	return fmt.Sprintf("shard %d (%s)", i+1, r.shards[i].Primary)
}

// name is how the report speaks of a shard.
func (r *runner) name(i int) string {
	switch {
	case r.cfg.Master != "":
		return r.cfg.Master + " (" + r.shards[i].Primary + ")"
	case r.cfg.NoCluster:
		return r.shards[i].Primary
	}
	return fmt.Sprintf("shard %d (%s, slots %s)", i+1, r.shards[i].Primary, ranges(r.shards[i].Slots))
}

// ranges writes a set as "0-5460,7".
func ranges(t slots.Set) string {
	var all []string
	for _, r := range t.Ranges() {
		all = append(all, r.String())
	}
	return strings.Join(all, ",")
}

// note counts what an observation found.
func (r *runner) note(f finding) {
	r.lost.Add(int64(f.lost - f.found))
	r.stale.Add(int64(f.found))
	r.unacked.Add(int64(f.unacked))
	if f.foreign {
		r.foreign.Add(1)
	}
}

// failed counts an error.
func (r *runner) failed(c *counters, err error) {
	if client.Unknown(err) {
		c.unknown.Add(1)
	} else {
		c.refused.Add(1)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codes[errorCode(err)]++
}

// errorCode names the kind of an error: the code of an error reply, or what
// happened to the connection.
func errorCode(err error) string {
	if code := client.Code(err); code != "" {
		return code
	}
	var ne *client.NetError
	if !errors.As(err, &ne) {
		return strings.TrimPrefix(err.Error(), "client: ")
	}
	var timeout net.Error
	if errors.As(ne.Err, &timeout) && timeout.Timeout() {
		return ne.Op + " timed out"
	}
	return ne.Op + " failed"
}

func (r *runner) report(run string, ended time.Time, unread map[*key]bool) *Report {
	rep := &Report{
		Run: run, Started: r.started, Ended: ended, Keys: len(r.keys),
		Reads: r.rd.tally(), Writes: r.wr.tally(), ErrorCodes: r.codes,
		Unacked: r.unacked.Load(), Stale: r.stale.Load(), Foreign: r.foreign.Load(),
		Unverified: len(unread), Lost: []LostWrite{},
	}
	for i, s := range r.shards {
		rep.Shards = append(rep.Shards, ShardReport{
			Number: i + 1, Name: r.name(i), Primary: s.Primary, Replicas: s.Replicas, Slots: ranges(s.Slots),
			After: r.cluster.Owner(s.Slots.Ranges()[0].First),
			Reads: r.reads[i].result(ended), Writes: r.writes[i].result(ended),
		})
	}
	for _, k := range r.keys {
		for _, e := range k.lost() {
			rep.Lost = append(rep.Lost, LostWrite{Key: k.name, Value: k.value(e.seq), AckedAt: e.at, Shard: k.shard + 1})
		}
		if k.acked > 0 && !unread[k] {
			rep.VerifiedKeys++
			rep.VerifiedWrites += int64(k.acked)
		}
	}
	slices.SortStableFunc(rep.Lost, func(a, b LostWrite) int { return a.AckedAt.Compare(b.AckedAt) })
	return rep
}
