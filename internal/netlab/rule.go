package netlab

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// A Rule is what becomes of the packets from one host to another. The zero Rule lets all
// pass at once. Except for Jitter, and what is lost, packets arrive in the order in which
// they were sent.
type Rule struct {
	// Drop lets packets vanish: who connects waits for an answer.
	Drop bool
	// Reject answers in the place of the receiver, as a firewall does: TCP with a reset,
	// so that connections are refused and those that stand break, all else with the ICMP
	// message "port unreachable". The answer is subject to no rule.
	Reject bool
	// Loss is the part of the packets that is lost, from 0 to 1.
	Loss float64
	// Flap drops all packets for so long, lets them pass for so long, and so on, from the
	// moment at which the rule is set.
	Flap time.Duration
	// Delay is for how long a packet is under way.
	Delay time.Duration
	// Jitter is by how much longer at most; packets may overtake each other.
	Jitter time.Duration
	// Bandwidth is in bytes per second, with IP headers; 0: unlimited. What does not fit
	// in a queue of a quarter of a second, or of 64 KiB if that is more, is lost.
	Bandwidth int
}

// Cut is the rule of a link that is cut.
var Cut = Rule{Drop: true}

// String is the rule in words.
func (r Rule) String() string {
	var parts []string
	add := func(holds bool, format string, args ...any) {
		if holds {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(r.Drop, "drop")
	add(r.Reject, "reject")
	add(r.Loss > 0, "loss %.3g %%", r.Loss*100)
	add(r.Flap > 0, "flap %v", r.Flap)
	add(r.Delay > 0, "delay %v", r.Delay)
	add(r.Jitter > 0, "jitter %v", r.Jitter)
	add(r.Bandwidth > 0, "%d bytes/s", r.Bandwidth)
	if parts == nil {
		return "pass"
	}
	return strings.Join(parts, ", ")
}

// minQueue is how many bytes the queue of a link with a bandwidth holds at least.
const minQueue = 64 << 10

// link is one direction between two hosts.
//
// Invariant: while packets are queued, the next one is queued as well, so none overtakes
// them when the rule changes.
type link struct {
	rule   Rule
	since  time.Time // when the rule was set
	queued int       // packets in the queue
	last   time.Time // when the last of them is due
	free   time.Time // when the bytes before this packet have been sent
}

// verdict is what becomes of one packet.
type verdict int

const (
	pass   verdict = iota // deliver it now
	later                 // queue it
	lose                  // it vanishes
	refuse                // answer in the place of the receiver
)

// open reports whether the link lets packets pass at all.
func (l *link) open(now time.Time) bool {
	if l.rule.Drop || l.rule.Reject {
		return false
	}
	return l.rule.Flap <= 0 || now.Sub(l.since)/l.rule.Flap%2 == 1
}

// decide says what becomes of a packet of so many bytes; if it is queued, when it is due.
func (l *link) decide(now time.Time, size int, rnd *rand.Rand) (verdict, time.Time) {
	r := &l.rule
	switch {
	case r.Reject && !r.Drop:
		return refuse, now
	case !l.open(now), r.Loss > 0 && rnd.Float64() < r.Loss:
		return lose, now
	}
	due := now
	if r.Bandwidth > 0 {
		room := max(minQueue, r.Bandwidth/4)
		if waiting := l.free.Sub(now); waiting > 0 {
			if int(waiting.Seconds()*float64(r.Bandwidth))+size > room {
				return lose, now
			}
			due = l.free
		}
		due = due.Add(time.Duration(size) * time.Second / time.Duration(r.Bandwidth))
		l.free = due
	}
	due = due.Add(r.Delay)
	if r.Jitter > 0 {
		due = due.Add(time.Duration(rnd.Int64N(int64(r.Jitter))))
	} else if l.queued > 0 && due.Before(l.last) {
		due = l.last
	}
	if l.queued == 0 && !due.After(now) {
		return pass, now
	}
	if due.After(l.last) {
		l.last = due
	}
	return later, due
}
