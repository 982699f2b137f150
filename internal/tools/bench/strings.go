package main

import (
	"flag"
	"fmt"
	"strings"
	"time"
)

func runStrings(args []string) error {
	var o options
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	o.binaries(f)
	f.IntVar(&o.rounds, "rounds", 5, "rounds of each row")
	f.Float64Var(&o.seconds, "seconds", 1.5, "about how long a run takes")
	f.IntVar(&o.clients, "clients", 50, "connections")
	f.StringVar(&o.modes, "modes", "off,everysec,always", "journal: off, everysec, always")
	f.StringVar(&o.tests, "tests", "SET,GET,INCR,MSET,ONEKEY", "ONEKEY is SET of one single key by all clients")
	f.StringVar(&o.pipelines, "pipelines", "1,16,64", "requests in flight on a connection")
	f.IntVar(&o.idle, "idle", 5000, "idle connections of the memory row; 0: leave it out")
	f.BoolVar(&o.cluster, "cluster", false, "both servers in cluster mode, each with all slots; without MSET, whose keys lie in many")
	f.BoolVar(&o.tls, "tls", false, "the load comes by TLS, with one certificate in both servers")
	if err := parse(f, args); err != nil {
		return err
	}
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
	c, err := o.compare(ours, theirs, func(n *node, requests int) (measure, error) {
		return n.load(o, test, pipeline, requests)
	})
	if err != nil {
		return err
	}
	fmt.Printf("%-7s %4s  %11.0f %11.0f  %-20s %9.2f %9.2f\n", test, pipeline, median(c.theirs.rate), median(c.ours.rate),
		spread(c.ratios), median(c.theirs.cpu), median(c.ours.cpu))
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
