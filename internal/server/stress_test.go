package server

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestEverythingAtOnce runs commands that touch a slot, many slots, the world,
// all connections and other loops side by side, while connections move between
// loops. Under the race detector it is the proof of the lock order in the
// package comment; without it, that transactions are units.
func TestEverythingAtOnce(t *testing.T) {
	n := startNode(t, "--event-loops", "3", "--latency-monitor-threshold", "1", "--slowlog-log-slower-than", "0")
	const writers, rounds = 6, 150
	var work, noise sync.WaitGroup
	stop := make(chan struct{})

	for w := range writers {
		c := n.dial()
		work.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for range rounds {
				a, b := r.IntN(10), r.IntN(10)
				c.raw(fmt.Sprintf("MULTI\r\nDECR k%d\r\nINCR k%d\r\nPUBLISH news %d\r\nEXEC\r\nGET k%d\r\n", a, b, w, a))
				for range 4 {
					c.read()
				}
				if got := c.read(); !strings.HasPrefix(got, "[") {
					t.Errorf("EXEC: %q", got)
				}
				c.read()
			}
		})
	}
	for _, lines := range []string{
		"CLIENT LIST|INFO all|CONFIG SET slowlog-max-len 10|CONFIG RESETSTAT",
		"SUBSCRIBE news|PING|UNSUBSCRIBE news",
		"CLIENT PAUSE 1 WRITE|CLIENT UNPAUSE|KEYS *|DBSIZE|SCAN 0",
		"WATCH k1 k2|MULTI|CLIENT LIST|GET k1|EXEC|UNWATCH",
		"SWAPDB 0 0|DEBUG SLEEP 0|SLOWLOG GET|LATENCY LATEST|CLIENT KILL TYPE pubsub ID 999999",
	} {
		c := n.dial()
		steps := strings.Split(lines, "|")
		noise.Go(func() {
			for {
				for _, line := range steps {
					select {
					case <-stop:
						return
					default:
					}
					c.do(line)
				}
			}
		})
	}
	noise.Go(func() { // connections that come, watch and go
		for {
			select {
			case <-stop:
				return
			default:
			}
			c := n.dial()
			c.do("MONITOR")
			c.nc.Close()
		}
	})
	noise.Go(func() {
		for i := int32(0); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			n.stopLoops(nil)
			n.active.Store(i%3 + 1)
			for _, l := range n.loops {
				l.post(l.place)
			}
			n.resumeLoops(nil)
		}
	})
	work.Wait()
	close(stop)
	noise.Wait()

	sum, c := 0, n.dial()
	for i := range 10 {
		v, _ := strconv.Atoi(c.do(fmt.Sprintf("GET k%d", i)))
		sum += v
	}
	if sum != 0 {
		t.Errorf("the counters add up to %d: a transaction was torn", sum)
	}
}
