package main

import (
	"bufio"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// sentinelOptions are what Sentinels have to watch.
type sentinelOptions struct {
	options
	masters, sentinels int
	settle             time.Duration
}

// runSentinels measures what Sentinels cost that watch many masters, which are all up.
// The masters are simulated: what they answer is what redis-server does, but they cost
// little, so that many have room beside the Sentinels.
func runSentinels(args []string) error {
	var o sentinelOptions
	f := flag.NewFlagSet("bench sentinels", flag.ContinueOnError)
	o.binaries(f)
	f.IntVar(&o.masters, "masters", 1000, "masters that each Sentinel watches")
	f.IntVar(&o.sentinels, "sentinels", 3, "Sentinels")
	f.Float64Var(&o.seconds, "seconds", 30, "how long to measure")
	f.DurationVar(&o.settle, "settle", 10*time.Second, "how long to wait before that, when all have met")
	theirs := f.Bool("theirs", false, "measure redis-sentinel, too: it takes minutes to begin, as it writes its file for each Sentinel that it meets")
	if err := parse(f, args); err != nil {
		return err
	}
	field, err := newMasters(o)
	if err != nil {
		return err
	}
	fmt.Printf("%d Sentinels, %d masters, %.0f s; %% of a core per Sentinel, and what one does per second\n\n", o.sentinels, o.masters, o.seconds)
	fmt.Print("| | % of a core | RSS, MiB | PING | INFO | PUBLISH to masters | hellos heard there |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	if *theirs {
		if err := o.measureSentinels(field, "redis-sentinel", o.redis, nil); err != nil {
			return err
		}
	}
	return o.measureSentinels(field, "Redoubt", o.bin, []string{"server"})
}

// measureSentinels starts Sentinels of a kind, waits until they have met at each master,
// and prints a row of the table.
func (o sentinelOptions) measureSentinels(field *masters, name, bin string, first []string) error {
	var all []*node
	defer func() {
		for _, n := range all {
			n.stop()
		}
	}()
	for range o.sentinels {
		n, err := startSentinel(name, bin, first, field.addrs)
		if err != nil {
			return err
		}
		all = append(all, n)
	}
	if err := o.untilMet(all); err != nil {
		return err
	}
	time.Sleep(o.settle)
	var cpu, rss float64
	before, began := make([]time.Duration, len(all)), time.Now()
	counted := field.counts.read()
	for i, n := range all {
		var err error
		if before[i], err = n.cpu(); err != nil {
			return err
		}
	}
	time.Sleep(time.Duration(o.seconds * float64(time.Second)))
	took := time.Since(began)
	for i, n := range all {
		after, err := n.cpu()
		if err != nil {
			return err
		}
		bytes, err := n.memory()
		if err != nil {
			return err
		}
		cpu += float64(after-before[i]) / float64(took) * 100
		rss += float64(bytes) / (1 << 20)
	}
	done := field.counts.read()
	each := float64(len(all))
	rate := func(n int64) float64 { return float64(n) / took.Seconds() / each }
	fmt.Printf("| %s | %.1f | %.0f | %.0f | %.0f | %.0f | %.0f |\n", name, cpu/each, rss/each,
		rate(done.ping-counted.ping), rate(done.info-counted.info), rate(done.publish-counted.publish), rate(done.heard-counted.heard))
	return nil
}

// startSentinel starts a Sentinel that watches all masters.
func startSentinel(name, bin string, first []string, masters []string) (*node, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	ln.Close()
	dir, err := os.MkdirTemp("", "bench-sentinel")
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "port %s\nbind 127.0.0.1\ndir %s\nlogfile %s/log\n", port, dir, dir)
	for i, addr := range masters {
		host, port, _ := net.SplitHostPort(addr)
		fmt.Fprintf(&text, "sentinel monitor m%d %s %s 2\n", i, host, port)
	}
	file := filepath.Join(dir, "sentinel.conf")
	if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	n := &node{name: name, port: port, dir: dir, bin: bin, args: append(first, file, "--sentinel")}
	if err := n.launch(3 * time.Minute); err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

// untilMet waits until each Sentinel knows all others at all masters.
func (o sentinelOptions) untilMet(all []*node) error {
	want := fmt.Sprintf("sentinels=%d", o.sentinels)
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(time.Second) {
		met, down := 0, 0
		for _, n := range all {
			// redis-sentinel answers nobody while it writes its file for each one it meets.
			info, _ := n.call("INFO", "sentinel")
			met += strings.Count(info, want)
			down += strings.Count(info, "status=") - strings.Count(info, "status=ok")
		}
		switch {
		case met == o.masters*len(all) && down == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the Sentinels have met at %d of %d masters, of which %d are down", met, o.masters*len(all), down)
		}
	}
}

// call sends a command and returns a bulk string.
func (n *node) call(words ...string) (string, error) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+n.port, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "%s\r\n", strings.Join(words, " "))
	r := bufio.NewReader(c)
	head, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	size, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(head, "$")))
	if err != nil {
		return "", fmt.Errorf("%s: %s is answered %q", n.name, words[0], head)
	}
	b := make([]byte, size)
	_, err = io.ReadFull(r, b)
	return string(b), err
}

// masters are simulated instances, each with an address of its own in 127.0.0.0/8.
type masters struct {
	addrs  []string
	info   string
	counts counts
}

// counts are what was asked of all masters, and how many messages went to subscribers.
type counts struct{ ping, info, publish, heard atomic.Int64 }

type counted struct{ ping, info, publish, heard int64 }

func (c *counts) read() counted {
	return counted{c.ping.Load(), c.info.Load(), c.publish.Load(), c.heard.Load()}
}

// newMasters begins to listen. What a master says in INFO is what redis-server says.
func newMasters(o sentinelOptions) (*masters, error) {
	n, err := o.startTheirs()
	if err != nil {
		return nil, err
	}
	info, err := n.call("INFO")
	n.stop()
	if err != nil {
		return nil, err
	}
	_, rest, ok := strings.Cut(info, "run_id:")
	if !ok || len(rest) < 40 {
		return nil, errors.New("redis-server does not tell its run id")
	}
	f := &masters{info: info}
	id := rest[:40]
	port := "0"
	for i := range o.masters {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.1:%s", 10+i/250, i%250, port))
		if err != nil {
			return nil, err
		}
		f.addrs = append(f.addrs, ln.Addr().String())
		m := &simulated{counts: &f.counts, subscribers: map[net.Conn]bool{}}
		m.info = strings.Replace(f.info, id, fmt.Sprintf("%040x", i+1), 1)
		go m.listen(ln)
	}
	return f, nil
}

// simulated is one master: it answers what a Sentinel asks.
type simulated struct {
	counts *counts
	info   string

	mu          sync.Mutex
	subscribers map[net.Conn]bool // guarded by mu
}

func (m *simulated) listen(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		go m.serve(nc)
	}
}

func (m *simulated) serve(nc net.Conn) {
	defer nc.Close()
	defer func() {
		m.mu.Lock()
		delete(m.subscribers, nc)
		m.mu.Unlock()
	}()
	r := bufio.NewReaderSize(nc, 512)
	for {
		words, err := readCommand(r)
		if err != nil {
			return
		}
		if _, err := io.WriteString(nc, m.answer(nc, words)); err != nil {
			return
		}
	}
}

func (m *simulated) answer(nc net.Conn, words []string) string {
	switch strings.ToUpper(words[0]) {
	case "PING":
		m.counts.ping.Add(1)
		return "+PONG\r\n"
	case "INFO":
		m.counts.info.Add(1)
		return fmt.Sprintf("$%d\r\n%s\r\n", len(m.info), m.info)
	case "SUBSCRIBE":
		m.mu.Lock()
		defer m.mu.Unlock()
		m.subscribers[nc] = true
		return fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(words[1]), words[1])
	case "PUBLISH":
		m.counts.publish.Add(1)
		message := fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(words[1]), words[1], len(words[2]), words[2])
		m.mu.Lock()
		defer m.mu.Unlock()
		for s := range m.subscribers {
			_, _ = io.WriteString(s, message) // if it is gone, its own goroutine will see
			m.counts.heard.Add(1)
		}
		return fmt.Sprintf(":%d\r\n", len(m.subscribers))
	}
	return "+OK\r\n"
}

// readCommand reads a request.
func readCommand(r *bufio.Reader) ([]string, error) {
	number := func(sign byte) (int, error) {
		line, err := r.ReadString('\n')
		if err != nil {
			return 0, err
		}
		line = strings.TrimSpace(line)
		if line == "" || line[0] != sign {
			return 0, fmt.Errorf("%q is no part of a request", line)
		}
		return strconv.Atoi(line[1:])
	}
	count, err := number('*')
	if err != nil || count < 1 || count > 64 {
		return nil, cmp.Or(err, errors.New("no request"))
	}
	words := make([]string, count)
	for i := range words {
		size, err := number('$')
		if err != nil || size < 0 || size > 1<<16 {
			return nil, cmp.Or(err, errors.New("no request"))
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		words[i] = string(b[:size])
	}
	return words, nil
}
