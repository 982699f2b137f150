package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// A probe is one client that reads on a fixed schedule, whether replies come or
// not. A latency is the time from when the request was due to its reply: a server
// that stands still for a second delays a whole second's requests.
type probe struct {
	conn  net.Conn
	quit  chan struct{}
	total atomic.Int64 // of requests on the schedule, once it has ended; -1 before
	done  chan probed
	due   func(i int) time.Time
}

type probed struct {
	latencies []time.Duration
	err       error
}

func startProbe(n *node, rate, keys int) (*probe, error) {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+n.port, 5*time.Second)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	p := &probe{conn: c, quit: make(chan struct{}), done: make(chan probed, 1)}
	p.total.Store(-1)
	p.due = func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
	go p.send(keys)
	go p.receive()
	return p, nil
}

// send sends the requests, and when the schedule has ended a PING: the reply to
// that tells receive that there are no more.
func (p *probe) send(keys int) {
	var b []byte
	for i := 0; ; i++ {
		time.Sleep(time.Until(p.due(i)))
		select {
		case <-p.quit:
			p.total.Store(int64(i))
			p.conn.Write(request(b[:0], []byte("PING")))
			return
		default:
		}
		b = request(b[:0], []byte("GET"), fmt.Appendf(nil, "key:%012d", mix(uint64(i))%uint64(keys)))
		if _, err := p.conn.Write(b); err != nil {
			return // receive finds out as well
		}
	}
}

func (p *probe) receive() {
	var all []time.Duration
	r := bufio.NewReader(p.conn)
	for i := 0; ; i++ {
		if err := skipReply(r); err != nil {
			p.done <- probed{all, fmt.Errorf("reply %d on the schedule: %w", i+1, err)}
			return
		}
		if int64(i) == p.total.Load() {
			p.done <- probed{all, nil}
			return
		}
		all = append(all, time.Since(p.due(i)))
	}
}

// stop ends the schedule, waits for the replies that are due, and returns all
// latencies.
func (p *probe) stop() ([]time.Duration, error) {
	close(p.quit)
	p.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := <-p.done
	return got.latencies, errors.Join(got.err, p.conn.Close())
}
