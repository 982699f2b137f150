package history

import (
	"fmt"
	"slices"
)

// queue is what is known of a list from which each element is taken once.
type queue struct {
	key     string
	pushed  map[int64]Op
	taken   map[int64]Op
	unknown int // requests for elements of which nobody knows whether they took one
	bad     []Violation
}

// Queues checks lists to which elements are added at one end, and which clients take them from:
// no element is given twice, none is given that nobody has added, and whatever was acknowledged
// is given or still there in the end, but for one for each request that was not answered.
func Queues(h History) (bad []Violation) {
	all := map[string]*queue{}
	sorted := h.sorted()
	for _, o := range sorted {
		for _, s := range o.Steps {
			if s.Do != Push && s.Do != Take {
				continue
			}
			if all[s.Key] == nil {
				all[s.Key] = &queue{key: s.Key, pushed: map[int64]Op{}, taken: map[int64]Op{}}
			}
			if s.Do == Push {
				all[s.Key].pushed[s.Arg] = o
			}
		}
	}
	for _, o := range sorted {
		for _, s := range o.Steps {
			if q := all[s.Key]; q != nil && s.Do == Take {
				q.take(o, s)
			}
		}
	}
	for _, o := range sorted {
		for _, s := range o.Steps {
			if q := all[s.Key]; q != nil && s.Do == Rest && o.Outcome == OK {
				q.rest(o, s)
			}
		}
	}
	for _, key := range sortedKeys(all) {
		bad = append(bad, all[key].bad...)
	}
	return bad
}

func (q *queue) say(kind, format string, ops []Op, args ...any) {
	q.bad = append(q.bad, Violation{kind, "queue " + q.key + ": " + fmt.Sprintf(format, args...), ops})
}

// take looks at a request for an element.
func (q *queue) take(o Op, s Step) {
	if o.Outcome == Unknown {
		q.unknown++
	}
	if o.Outcome != OK {
		return
	}
	for _, v := range s.Got {
		q.known(o, v)
		if before, ok := q.taken[v]; ok {
			q.say("duplicate", "%d is given twice", []Op{before, o}, v)
		}
		q.taken[v] = o
	}
}

// known checks that somebody has added an element that was shown.
func (q *queue) known(o Op, v int64) {
	switch by, ok := q.pushed[v]; {
	case !ok:
		q.say("invented", "nobody has added %d", []Op{o}, v)
	case by.Outcome == Refused:
		q.say("G1a", "%d was refused", []Op{by, o}, v)
	case o.Return < by.Call:
		q.say("invented", "%d is given before it was added", []Op{o, by}, v)
	}
}

// rest looks at a reading of what is left, after which nobody takes anything.
func (q *queue) rest(o Op, s Step) {
	left := map[int64]bool{}
	for _, v := range s.Got {
		q.known(o, v)
		if before, ok := q.taken[v]; ok && before.Return < o.Call {
			q.say("duplicate", "%d was given and is still there", []Op{before, o}, v)
		}
		if left[v] {
			q.say("duplicate", "%d is there twice", []Op{o}, v)
		}
		left[v] = true
	}
	var missing []Op
	for v, by := range q.pushed {
		if _, given := q.taken[v]; by.Outcome == OK && by.Return < o.Call && !given && !left[v] {
			missing = append(missing, by)
		}
	}
	slices.SortFunc(missing, func(a, b Op) int { return a.ID - b.ID })
	if len(missing) > q.unknown {
		q.say("lost", "%d elements are missing, and %d requests were not answered", append(missing, o), len(missing), q.unknown)
	}
}
