// Command bench measures a Redoubt binary beside redis-server: throughput and
// server CPU time per operation, in alternating runs of redis-benchmark, and the
// memory that idle connections take.
//
// Both servers run at the same time; of each pair of runs one follows the other
// at once, and who goes first changes with the round. What is printed are the
// medians of the ratios within a round, with their extremes: absolute figures
// drift with the machine, ratios much less. Nothing here passes or fails.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

type options struct {
	bin, redis string
	rounds     int
	seconds    float64
	clients    int
	modes      string
	tests      string
	pipelines  string
	idle       int
	cluster    bool
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/redoubt", "the Redoubt binary")
	flag.StringVar(&o.redis, "redis", "redis-server", "the redis-server to compare with")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds of each row")
	flag.Float64Var(&o.seconds, "seconds", 1.5, "about how long a run takes")
	flag.IntVar(&o.clients, "clients", 50, "connections")
	flag.StringVar(&o.modes, "modes", "off,everysec,always", "journal: off, everysec, always")
	flag.StringVar(&o.tests, "tests", "SET,GET,INCR,MSET,ONEKEY", "ONEKEY is SET of one single key by all clients")
	flag.StringVar(&o.pipelines, "pipelines", "1,16,64", "requests in flight on a connection")
	flag.IntVar(&o.idle, "idle", 5000, "idle connections of the memory row; 0: leave it out")
	flag.BoolVar(&o.cluster, "cluster", false, "both servers in cluster mode, each with all slots; without MSET, whose keys lie in many")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) error {
	fmt.Printf("%d rounds of about %.1f s, %d clients; ratio = redoubt / redis-server, median (least–most) of the rounds\n", o.rounds, o.seconds, o.clients)
	for _, mode := range strings.Split(o.modes, ",") {
		if err := runMode(o, mode); err != nil {
			return fmt.Errorf("journal %s: %w", mode, err)
		}
	}
	return nil
}

func runMode(o options, mode string) error {
	ours, theirs, err := startBoth(o, mode)
	if err != nil {
		return err
	}
	defer ours.stop()
	defer theirs.stop()
	fmt.Printf("\njournal %s\n%-7s %4s  %11s %11s  %-20s %9s %9s\n", mode, "test", "P", "redis op/s", "ours op/s", "ratio", "redis µs", "ours µs")
	for _, test := range strings.Split(o.tests, ",") {
		if o.cluster && test == "MSET" {
			continue
		}
		for _, p := range strings.Split(o.pipelines, ",") {
			if err := row(o, ours, theirs, test, p); err != nil {
				return err
			}
		}
	}
	if mode == "everysec" && o.idle > 0 {
		return idleRow(o, ours, theirs)
	}
	return nil
}

// row measures one test at one depth of pipeline.
func row(o options, ours, theirs *node, test, pipeline string) error {
	var ratios, oursRate, theirsRate, oursCPU, theirsCPU []float64
	requests := map[*node]int{}
	for _, n := range []*node{ours, theirs} {
		// A short run finds out how many requests fill the time.
		m, err := n.load(o, test, pipeline, 20000)
		if err != nil {
			return err
		}
		requests[n] = max(int(m.rate*o.seconds), 1000)
	}
	for round := range o.rounds {
		pair := []*node{ours, theirs}
		if round%2 == 1 {
			slices.Reverse(pair)
		}
		got := map[*node]measure{}
		for _, n := range pair {
			m, err := n.load(o, test, pipeline, requests[n])
			if err != nil {
				return err
			}
			got[n] = m
		}
		ratios = append(ratios, got[ours].rate/got[theirs].rate)
		oursRate, theirsRate = append(oursRate, got[ours].rate), append(theirsRate, got[theirs].rate)
		oursCPU, theirsCPU = append(oursCPU, got[ours].cpu), append(theirsCPU, got[theirs].cpu)
	}
	fmt.Printf("%-7s %4s  %11.0f %11.0f  %-20s %9.2f %9.2f\n", test, pipeline, median(theirsRate), median(oursRate),
		fmt.Sprintf("%.2f (%.2f–%.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios)), median(theirsCPU), median(oursCPU))
	return nil
}

// idleRow opens connections that say nothing and looks at what they cost.
func idleRow(o options, ours, theirs *node) error {
	for _, n := range []*node{theirs, ours} {
		before, err := n.memory()
		if err != nil {
			return err
		}
		conns, err := n.connect(o.idle)
		if err != nil {
			return err
		}
		time.Sleep(500 * time.Millisecond) // the server's housekeeping may give buffers back
		after, err := n.memory()
		for _, c := range conns {
			c.Close()
		}
		if err != nil {
			return err
		}
		fmt.Printf("%d idle connections: %-7s %6.1f MiB before, %6.1f MiB with them, %.1f KiB each\n",
			o.idle, n.name, mib(before), mib(after), float64(after-before)/1024/float64(o.idle))
	}
	return nil
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
