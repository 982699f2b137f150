package history

import (
	"fmt"
	"slices"
	"time"
)

// Banks checks that the sum of all accounts of a bank is the same in each reading. A
// transfer takes from one account what it gives to another, whether its outcome is known
// or not.
func Banks(h History) (bad []Violation) {
	first := map[string]Op{}
	for _, o := range h.sorted() {
		for _, s := range o.Steps {
			if s.Do != Balances || o.Outcome != OK {
				continue
			}
			was, ok := first[s.Key]
			if !ok {
				first[s.Key] = o
				continue
			}
			if a, b := sum(was.Steps[0].Got), sum(s.Got); a != b || len(was.Steps[0].Got) != len(s.Got) {
				bad = append(bad, Violation{"money", fmt.Sprintf("bank %s has %d and %d", s.Key, a, b), []Op{was, o}})
			}
		}
	}
	return bad
}

func sum(all []int64) (n int64) {
	for _, v := range all {
		n += v
	}
	return n
}

// element is what is known of one element of a set.
type element struct {
	op   Op
	seen time.Duration // the earliest moment at which it must have been there
	by   Op            // who says so
}

// Sets checks sets that only grow: whatever has been acknowledged or seen before a reading
// began is in it, and nothing is that nobody has added.
func Sets(h History) (bad []Violation) {
	added := map[string]map[int64]*element{}
	var readings []Op
	for _, o := range h.sorted() {
		for _, s := range o.Steps {
			switch {
			case s.Do == Add:
				if added[s.Key] == nil {
					added[s.Key] = map[int64]*element{}
				}
				added[s.Key][s.Arg] = &element{o, o.Return, o}
			case s.Do == Members && o.Outcome == OK:
				readings = append(readings, o)
			}
		}
	}
	for _, o := range readings {
		for _, s := range o.Steps {
			for _, v := range s.Got {
				e := added[s.Key][v]
				switch {
				case e == nil:
					bad = append(bad, Violation{"invented", fmt.Sprintf("set %s has %d, which nobody has added", s.Key, v), []Op{o}})
				case e.op.Outcome == Refused:
					bad = append(bad, Violation{"G1a", fmt.Sprintf("set %s has %d, which was refused", s.Key, v), []Op{e.op, o}})
				case o.Return < e.op.Call:
					bad = append(bad, Violation{"invented", fmt.Sprintf("set %s has %d before it was added", s.Key, v), []Op{o, e.op}})
				case o.Return < e.seen:
					e.seen, e.by = o.Return, o
				}
			}
		}
	}
	for _, o := range readings {
		for _, s := range o.Steps {
			bad = append(bad, missing(o, s, added[s.Key])...)
		}
	}
	return bad
}

// missing are the elements that a reading should have shown.
func missing(o Op, s Step, added map[int64]*element) (bad []Violation) {
	has := map[int64]bool{}
	for _, v := range s.Got {
		has[v] = true
	}
	for v, e := range added {
		if e.op.Outcome != Refused && e.seen < o.Call && !has[v] {
			bad = append(bad, Violation{"lost", fmt.Sprintf("set %s lacks %d", s.Key, v), []Op{e.op, e.by, o}})
		}
	}
	slices.SortFunc(bad, func(a, b Violation) int { return a.Ops[0].ID - b.Ops[0].ID })
	return bad
}

// Counters checks counters that only grow, by one: no two increments return the same, what
// has begun later than another has ended returns no less, or more if it is an increment,
// and no value is larger than the number of increments that can have happened.
func Counters(h History) (bad []Violation) {
	byKey := map[string]History{}
	for _, o := range h.sorted() {
		for _, s := range o.Steps {
			if s.Do == Count || s.Do == Total {
				byKey[s.Key] = append(byKey[s.Key], o)
				break
			}
		}
	}
	for _, key := range sortedKeys(byKey) {
		bad = append(bad, counter(key, byKey[key])...)
	}
	return bad
}

// value is what an operation says of the counter.
func (o Op) value() int64 {
	if got := o.Steps[0].Got; len(got) > 0 {
		return got[0]
	}
	return 0
}

// counter checks one, whose operations are in the order of invocations.
func counter(key string, ops []Op) (bad []Violation) {
	say := func(kind, format string, args ...any) Violation {
		return Violation{Kind: kind, Text: "counter " + key + ": " + fmt.Sprintf(format, args...)}
	}
	with := func(v Violation, ops ...Op) { v.Ops = ops; bad = append(bad, v) }
	by := map[int64]Op{}
	var ended []Op // in the order of their ends
	for _, o := range ops {
		if o.Outcome != OK {
			continue
		}
		if before, ok := by[o.value()]; o.Steps[0].Do == Count {
			if ok {
				with(say("duplicate", "%d twice", o.value()), before, o)
			}
			by[o.value()] = o
		}
		ended = append(ended, o)
	}
	slices.SortStableFunc(ended, func(a, b Op) int { return int(min(1, max(-1, a.Return-b.Return))) })
	// most is the largest value of those that have ended before each operation begins.
	var most *Op
	next, acked, begun := 0, int64(0), int64(0)
	for i, o := range ops {
		for ; next < len(ended) && ended[next].Return < o.Call; next++ {
			if most == nil || ended[next].value() > most.value() {
				most = &ended[next]
			}
			if ended[next].Steps[0].Do == Count {
				acked++
			}
		}
		if o.Outcome != OK {
			continue
		}
		least := acked
		if o.Steps[0].Do == Count {
			least++
		}
		if most != nil && (o.value() < most.value() || o.Steps[0].Do == Count && o.value() == most.value()) {
			with(say("stale", "%d after %d", o.value(), most.value()), *most, o)
		} else if o.value() < least {
			with(say("lost", "%d increments were acknowledged, and the value is %d", acked, o.value()), o)
		}
		begun = possible(ops, i)
		if o.value() > begun {
			with(say("invented", "%d, and no more than %d increments can have happened", o.value(), begun), o)
		}
	}
	return bad
}

// possible is how many increments can have happened when an operation ends.
func possible(ops []Op, i int) (n int64) {
	for _, o := range ops {
		if o.Call > ops[i].Return {
			break
		}
		if o.Steps[0].Do == Count && o.Outcome != Refused {
			n++
		}
	}
	return n
}
