package main

import (
	"bufio"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A server that stands still delays all requests that are due meanwhile, not only
// the one it has.
func TestProbeMeasuresFromTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		began := time.Now()
		p := &probe{conn: client, quit: make(chan struct{}), done: make(chan probed, 1),
			due: func(i int) time.Time { return began.Add(time.Duration(i) * time.Millisecond) }}
		p.total.Store(-1)
		go p.send(10)
		go p.receive()
		go func() {
			r := bufio.NewReader(server)
			time.Sleep(100 * time.Millisecond)
			for skipReply(r) == nil { // a command has the form of a reply
				server.Write([]byte("+OK\r\n"))
			}
		}()
		time.Sleep(200*time.Millisecond + time.Microsecond)
		all, err := p.stop()
		server.Close()
		if err != nil || len(all) != 201 {
			t.Fatalf("%d latencies, %v", len(all), err)
		}
		for i, got := range all {
			if want := max(100-i, 0); got.Milliseconds() != int64(want) {
				t.Errorf("request %d: %v, want %d ms", i, got, want)
			}
		}
	})
}
