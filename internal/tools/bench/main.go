// Command bench measures a Redoubt binary beside redis-server. Without a word it
// measures the throughput of strings and server CPU time per operation, in
// alternating runs of redis-benchmark, and the memory that idle connections
// take. The first argument may be another measurement:
//
//	memory    resident bytes per key and element, loading, restarting
//	types     throughput of commands on collections, streams, scripts and others
//	snapshot  throughput and latency while BGSAVE is under way
//	quorum    throughput of a shard with durability quorum, beside others of three nodes
//	sentinels processor time of Sentinels that watch a thousand masters
//
// Where both servers run at the same time one run follows the other at once, and
// who goes first changes with the round. What is printed are the medians of the
// ratios within a round, with their extremes: absolute figures drift with the
// machine, ratios much less. Nothing here passes or fails.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
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
	tls        bool

	trial, fewest int // requests of a test that takes long: of the first run, and at least of every other
}

func main() {
	measurements := map[string]func([]string) error{"memory": runMemory, "types": runTypes, "snapshot": runSnapshot, "sentinels": runSentinels, "quorum": runQuorum}
	run, args := runStrings, os.Args[1:]
	if len(args) > 0 && measurements[args[0]] != nil {
		run, args = measurements[args[0]], args[1:]
	}
	if err := run(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

// binaries adds the flags that all measurements have.
func (o *options) binaries(f *flag.FlagSet) {
	f.StringVar(&o.bin, "bin", "bin/redoubt", "the Redoubt binary")
	f.StringVar(&o.redis, "redis", "redis-server", "the redis-server to compare with")
}

// parse parses the flags; words behind them are an error.
func parse(f *flag.FlagSet, args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("%s does not take %q", f.Name(), f.Arg(0))
	}
	return nil
}
