package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A shard is three nodes with the same data, of which one takes the load.
type shard struct {
	name    string
	nodes   []*node
	primary *node
	wait    bool // each batch of writes ends with WAIT 1
}

// runQuorum measures a shard with durability quorum beside others of three nodes: one that
// promises little, Redoubt at everysec with replicas that nobody waits for, and what Redis
// has to offer, appendfsync always with WAIT 1 behind each batch of writes.
func runQuorum(args []string) error {
	var o options
	f := flag.NewFlagSet("bench quorum", flag.ContinueOnError)
	o.binaries(f)
	f.IntVar(&o.rounds, "rounds", 5, "rounds of each test")
	f.Float64Var(&o.seconds, "seconds", 2, "how long each run takes")
	f.IntVar(&o.clients, "clients", 50, "connections, each of which sends a batch and waits for its replies")
	if err := parse(f, args); err != nil {
		return err
	}
	var all []*shard
	defer func() {
		for _, s := range all {
			s.stop()
		}
	}()
	for _, kind := range []struct {
		name, bin string
		first     []string
		args      []string
		wait      bool
	}{
		{"quorum", o.bin, []string{"server"}, []string{"--appendonly", "yes", "--durability", "quorum"}, false},
		{"everysec", o.bin, []string{"server"}, journal("everysec"), false},
		{"redis", o.redis, nil, journal("always"), true},
	} {
		s := &shard{name: kind.name, wait: kind.wait}
		all = append(all, s)
		if err := s.start(kind.bin, slices.Concat(kind.first, kind.args, []string{"--cluster-enabled", "yes"})); err != nil {
			return err
		}
	}
	fmt.Printf("Three nodes each on one machine, %d clients, %d rounds of %.1f s. Operations a second: medians; ratios within a round: median (least–greatest).\n"+
		"everysec: Redoubt, appendfsync everysec, replicas that nobody waits for; redis: appendfsync always, WAIT 1 behind each batch of writes.\n\n", o.clients, o.rounds, o.seconds)
	fmt.Print("| | quorum | everysec | redis | quorum/everysec | quorum/redis |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, test := range []struct {
		command string
		batch   int
	}{{"SET", 1}, {"SET", 16}, {"SET", 64}, {"GET", 1}, {"GET", 16}} {
		row, err := o.compareShards(all, test.command, test.batch)
		if err != nil {
			return err
		}
		fmt.Printf("| %s, pipeline %d | %s |\n", test.command, test.batch, row)
	}
	return nil
}

// compareShards runs a test on all shards by turns, and returns a row of the table.
func (o options) compareShards(all []*shard, command string, batch int) (string, error) {
	rates := make([][]float64, len(all))
	for round := range o.rounds {
		for i := range all {
			at := (i + round) % len(all)
			rate, err := all[at].load(command, batch, o.clients, time.Duration(o.seconds*float64(time.Second)))
			if err != nil {
				return "", fmt.Errorf("%s of %s: %w", command, all[at].name, err)
			}
			rates[at] = append(rates[at], rate)
		}
	}
	var cells []string
	for _, r := range rates {
		cells = append(cells, short(median(r)))
	}
	for _, other := range rates[1:] {
		ratios := make([]float64, len(other))
		for i := range other {
			ratios[i] = rates[0][i] / other[i]
		}
		cells = append(cells, spread(ratios))
	}
	return strings.Join(cells, " | "), nil
}

// start starts three nodes and makes a shard of them, which has all slots.
func (s *shard) start(bin string, args []string) error {
	for range 3 {
		n, err := start(s.name, bin, slices.Clone(args), false)
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	if err := s.nodes[0].own(); err != nil {
		return err
	}
	id := bulk(s.nodes[0].ask("CLUSTER MYID"))
	for _, n := range s.nodes[1:] {
		n.ask("CLUSTER MEET 127.0.0.1 " + s.nodes[0].port)
	}
	for _, n := range s.nodes[1:] {
		err := patiently(s.name+": a node does not become a replica", func() bool { return n.ask("CLUSTER REPLICATE "+id) == "+OK\r\n" })
		if err != nil {
			return err
		}
	}
	return patiently(s.name+": the shard does not get ready", s.ready)
}

// ready reports whether the shard has its replicas, and notes who its primary is.
func (s *shard) ready() bool {
	for _, n := range s.nodes {
		info := n.ask("INFO replication")
		quorum := strings.Contains(info, "quorum_voters:")
		switch {
		case quorum && strings.Contains(info, "quorum_leading:1") && strings.Contains(info, "quorum_voters:3"),
			!quorum && strings.Contains(info, "role:master") && strings.Count(info, "state=online") == 2:
			s.primary = n
			return true
		}
	}
	return false
}

func (s *shard) stop() {
	for _, n := range s.nodes {
		n.stop()
	}
}

// load has clients send batches for a while, and returns how many commands a second were
// answered.
func (s *shard) load(command string, batch, clients int, lasts time.Duration) (float64, error) {
	var done atomic.Int64
	var over atomic.Bool
	failed := make(chan error, clients)
	var running sync.WaitGroup
	began := time.Now()
	for c := range clients {
		running.Go(func() {
			if err := s.client(command, batch, c, &over, &done); err != nil {
				failed <- err
				over.Store(true)
			}
		})
	}
	for time.Since(began) < lasts && !over.Load() {
		time.Sleep(time.Millisecond)
	}
	over.Store(true)
	running.Wait()
	took := time.Since(began)
	close(failed)
	return float64(done.Load()) / took.Seconds(), <-failed
}

// client sends batches on one connection, each when the one before is answered.
func (s *shard) client(command string, batch, number int, over *atomic.Bool, done *atomic.Int64) error {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+s.primary.port, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReaderSize(c, 64<<10)
	var b []byte
	for i := number * 1000; !over.Load(); {
		b = b[:0]
		replies := batch
		for range batch {
			i++
			key := fmt.Appendf(nil, "key:%06d", i*7919%100000)
			if command == "GET" {
				b = request(b, []byte("GET"), key)
			} else {
				b = request(b, []byte("SET"), key, []byte("xxx"))
			}
		}
		if s.wait && command != "GET" {
			b = request(b, []byte("WAIT"), []byte("1"), []byte("0"))
			replies++
		}
		c.SetDeadline(time.Now().Add(pipeTimeout))
		if _, err := c.Write(b); err != nil {
			return err
		}
		for range replies {
			if err := skipReply(r); err != nil {
				return err
			}
		}
		done.Add(int64(batch))
	}
	return nil
}

// patiently waits until something is so.
func patiently(what string, so func() bool) error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if so() {
			return nil
		}
	}
	return errors.New(what)
}

// bulk is the text of a reply that is a bulk string.
func bulk(reply string) string {
	_, text, _ := strings.Cut(reply, "\r\n")
	return strings.TrimSpace(text)
}
