package server

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// stressKeys are the counters of TestEverythingAtOnce; they lie in ten slots.
const stressKeys = 10

// total adds up the integers of an array reply, in which a key that is not there
// counts as 0.
func total(reply string) (sum int) {
	for word := range strings.FieldsSeq(strings.Trim(reply, "[]")) {
		n, _ := strconv.Atoi(word)
		sum += n
	}
	return sum
}

// transfer takes one from counter a and gives it to b in a transaction, with
// commands in between that leave time to see it half done.
func transfer(c *client, a, b, w int) (done bool) {
	c.raw(fmt.Sprintf("MULTI\r\nDECR k%d\r\nSTRLEN k%d\r\nPUBLISH news %d\r\nINCR k%d\r\nEXEC\r\n", a, a, w, b))
	for range 5 {
		c.read()
	}
	return strings.HasPrefix(c.read(), "[")
}

// increment adds one to counter w the optimistic way, and reports whether nobody
// else was faster.
func increment(c *client) bool {
	c.do("WATCH w")
	n, _ := strconv.Atoi(c.do("GET w"))
	c.raw(fmt.Sprintf("MULTI\r\nSET w %d\r\nEXEC\r\n", n+1))
	c.read()
	c.read()
	return c.read() == "[OK]"
}

// TestEverythingAtOnce runs commands that touch a slot, many slots, the world,
// all connections and other loops side by side, while connections move between
// loops. Under the race detector it is the proof of the lock order in the
// package comment. Without it, it shows that
//
//   - transactions and commands of many keys are units: whoever reads all
//     counters at once finds that they add up to 0;
//   - no update is lost: each counter ends with what was added to it;
//   - EXEC runs only if nothing that is watched has changed.
func TestEverythingAtOnce(t *testing.T) {
	n := startNode(t, "--event-loops", "3", "--latency-monitor-threshold", "1", "--slowlog-log-slower-than", "0")
	const writers, rounds = 6, 150
	var work, noise sync.WaitGroup
	stop := make(chan struct{})
	var added [stressKeys]atomic.Int64
	var incremented atomic.Int64

	for w := range writers {
		c := n.dial()
		work.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(w)))
			for round := range rounds {
				a, b := r.IntN(stressKeys), r.IntN(stressKeys)
				if !transfer(c, a, b, w) {
					t.Error("EXEC did not run")
				}
				added[a].Add(-1)
				added[b].Add(1)
				if round%5 == 0 && increment(c) {
					incremented.Add(1)
				}
			}
		})
	}
	var all strings.Builder
	for i := range stressKeys {
		fmt.Fprintf(&all, " k%d", i)
	}
	reads := []func(c *client) string{
		func(c *client) string { return c.do("MGET" + all.String()) },
		func(c *client) string {
			c.raw("MULTI\r\nGET" + strings.ReplaceAll(all.String(), " ", "\r\nGET ")[len("\r\nGET"):] + "\r\nEXEC\r\n")
			for range 1 + stressKeys {
				c.read()
			}
			return c.read()
		},
	}
	for _, read := range reads {
		c := n.dial()
		noise.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if reply := read(c); total(reply) != 0 {
					t.Errorf("the counters are %s, which adds up to %d: a transaction was seen half done", reply, total(reply))
					return
				}
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

	c := n.dial()
	for i := range stressKeys {
		v, _ := strconv.ParseInt(c.do(fmt.Sprintf("GET k%d", i)), 10, 64)
		if want := added[i].Load(); v != want {
			t.Errorf("k%d is %d, and %d was added to it", i, v, want)
		}
	}
	if v, want := c.do("GET w"), fmt.Sprint(incremented.Load()); v != want {
		t.Errorf("w is %s after %s increments", v, want)
	}
}
