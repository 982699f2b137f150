package main

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type snapshotOptions struct {
	options
	keys, rate, pipeline int
	journal              string
}

func runSnapshot(args []string) error {
	var o snapshotOptions
	f := flag.NewFlagSet("bench snapshot", flag.ContinueOnError)
	o.binaries(f)
	f.IntVar(&o.keys, "keys", 5_000_000, "strings of 16 and 64 bytes")
	f.IntVar(&o.rounds, "rounds", 3, "rounds; each has a time without BGSAVE and one with")
	f.Float64Var(&o.seconds, "seconds", 8, "how long each time takes; one with BGSAVE lasts to the end of the last")
	f.IntVar(&o.clients, "clients", 20, "connections that write without a pause; 0: none")
	f.IntVar(&o.pipeline, "pipeline", 16, "writes in flight on each")
	f.IntVar(&o.rate, "rate", 1000, "requests per second of the one client whose latency is measured")
	f.StringVar(&o.journal, "journal", "off", "off, everysec, always")
	if err := parse(f, args); err != nil {
		return err
	}
	return o.run()
}

// infoPeriod is how often a server is asked for INFO, with BGSAVE and without.
const infoPeriod = 50 * time.Millisecond

// A condition is what was measured in all times of one kind on one server.
type condition struct {
	rates     []float64 // commands per second
	latencies []time.Duration
	saves     []float64 // seconds
	extra     []float64 // MiB
}

func (o snapshotOptions) run() error {
	ours, theirs, err := startBoth(o.options, o.journal)
	if err != nil {
		return err
	}
	defer ours.stop()
	defer theirs.stop()
	for _, n := range []*node{theirs, ours} {
		value := word{seed: 2}
		err := n.send(o.keys, func(b []byte, i int) []byte {
			return request(b, []byte("SET"), fmt.Appendf(nil, "key:%012d", i), value.of(i, valueBytes))
		})
		if err != nil {
			return err
		}
		n.ask("CONFIG SET auto-aof-rewrite-percentage 0")
	}
	quiet, saving := map[*node]*condition{}, map[*node]*condition{}
	for _, n := range []*node{theirs, ours} {
		quiet[n], saving[n] = &condition{}, &condition{}
	}
	for round := range o.rounds {
		pair := []*node{ours, theirs}
		if round%2 == 1 {
			slices.Reverse(pair)
		}
		for _, n := range pair {
			if err := errors.Join(o.phase(n, quiet[n], false), o.phase(n, saving[n], true)); err != nil {
				return err
			}
		}
	}
	o.print([]*node{theirs, ours}, quiet, saving)
	return nil
}

func (o snapshotOptions) print(nodes []*node, quiet, saving map[*node]*condition) {
	fmt.Printf("%d keys of 16 and 64 bytes, journal %s; %d clients write with pipeline %d, one more reads %d times a second; %d rounds of %.0f s\n\n",
		o.keys, o.journal, o.clients, o.pipeline, o.rate, o.rounds, o.seconds)
	fmt.Print("| | writes/s | p50 ms | p99 ms | p99.9 ms | max ms | BGSAVE s | extra MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, n := range nodes {
		q, s := quiet[n], saving[n]
		fmt.Printf("| %s | %.0f | %s | – | – |\n", n.name, median(q.rates), latencies(q.latencies))
		fmt.Printf("| %s, BGSAVE | %.0f | %s | %.2f | %.0f |\n", n.name, median(s.rates), latencies(s.latencies), median(s.saves), slices.Max(s.extra))
	}
	t, u := saving[nodes[0]], saving[nodes[1]]
	fmt.Printf("\nRatio of the times of BGSAVE: %.2f. With BGSAVE over without, throughput and p99.9:", median(u.saves)/median(t.saves))
	for _, n := range nodes {
		q, s := quiet[n], saving[n]
		fmt.Printf(" %s %.2f, %.2f.", n.name, median(s.rates)/max(median(q.rates), 1), tail(s.latencies)/tail(q.latencies))
	}
	fmt.Println()
}

// tail is the p99.9 in seconds.
func tail(all []time.Duration) float64 {
	return percentile(slices.Sorted(slices.Values(all)), 0.999).Seconds()
}

// phase puts a server under load for a while, with BGSAVE after BGSAVE or
// without.
func (o snapshotOptions) phase(n *node, c *condition, save bool) error {
	stop, err := o.load(n)
	if err != nil {
		return err
	}
	defer stop()
	time.Sleep(time.Second) // its connections are open and at full speed
	p, err := startProbe(n, o.rate, o.keys)
	if err != nil {
		return err
	}
	began := time.Now()
	before, err := n.commands()
	for end := began.Add(time.Duration(o.seconds * float64(time.Second))); err == nil && time.Now().Before(end); {
		if save {
			err = n.save(c)
		} else {
			// As during a BGSAVE, whose end is asked for.
			n.ask("INFO persistence")
			time.Sleep(min(infoPeriod, time.Until(end)))
		}
	}
	after, err2 := n.commands()
	took := time.Since(began).Seconds()
	latencies, err3 := p.stop()
	c.rates = append(c.rates, float64(after-before)/took)
	c.latencies = append(c.latencies, latencies...)
	return errors.Join(err, err2, err3)
}

// load begins to write to a server without a pause, if there are to be clients that
// do, and returns what ends that.
func (o snapshotOptions) load(n *node) (stop func(), err error) {
	if o.clients == 0 {
		return func() {}, nil
	}
	load := exec.Command("redis-benchmark", "-p", n.port, "-c", strconv.Itoa(o.clients), "-P", strconv.Itoa(o.pipeline),
		"-t", "set", "-r", strconv.Itoa(o.keys), "-d", strconv.Itoa(valueBytes), "-n", "2000000000", "-q")
	load.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := load.Start(); err != nil {
		return nil, fmt.Errorf("redis-benchmark (Debian: redis-tools): %w", err)
	}
	return func() { load.Process.Kill(); load.Wait() }, nil
}

// save runs one BGSAVE and notes its time and the memory that it took.
func (n *node) save(c *condition) error {
	before, err := n.memory()
	if err != nil {
		return err
	}
	began, most := time.Now(), before
	asked := time.Time{}
	if got := n.ask("BGSAVE"); !strings.HasPrefix(got, "+Background") {
		return fmt.Errorf("%s: BGSAVE answers %q", n.name, got)
	}
	var info string
	for deadline := began.Add(5 * time.Minute); infoField(info, "rdb_bgsave_in_progress") != "0"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: BGSAVE does not end", n.name)
		}
		now, err := n.memory()
		if err != nil {
			return err
		}
		most = max(most, now)
		if time.Since(asked) >= infoPeriod {
			asked, info = time.Now(), n.ask("INFO persistence")
		}
	}
	if got := infoField(info, "rdb_last_bgsave_status"); got != "ok" {
		return fmt.Errorf("%s: the status of BGSAVE is %q", n.name, got)
	}
	// What a forked process has of its own is not in the memory of its parent. Redoubt
	// forks none: this field of it is in its memory.
	var cow int64
	if n.name == "redis" {
		cow, err = strconv.ParseInt(infoField(info, "rdb_last_cow_size"), 10, 64)
	}
	c.saves = append(c.saves, time.Since(began).Seconds())
	c.extra = append(c.extra, mib(most-before+cow))
	return err
}

// commands is how many commands the server has executed.
func (n *node) commands() (int64, error) {
	for range 30 {
		if v := infoField(n.ask("INFO stats"), "total_commands_processed"); v != "" {
			return strconv.ParseInt(v, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s does not tell how many commands it has executed", n.name)
}
