package history

import (
	"fmt"
	"slices"
)

// stream is what is known of a stream with one group of consumers. Entries are named by numbers
// that stand for their ids.
type stream struct {
	key   string
	added map[int64]Op   // by whom, as far as they were told
	given map[int64]Op   // to whom
	acked map[int64]Op   // who has had the acknowledgement taken
	tried map[int64][]Op // who has asked for it, whatever came of it
	drain *Op            // the last that asked for all that had not been given
	bad   []Violation
}

// Streams checks streams with a group: no entry is given to two consumers as a new one, none
// comes back after it was acknowledged, and each that was added is given, and from then on
// pending until somebody acknowledges it.
func Streams(h History) (bad []Violation) {
	all := map[string]*stream{}
	sorted := h.sorted()
	each := func(f func(t *stream, o Op, s Step)) {
		for _, o := range sorted {
			for _, s := range o.Steps {
				if t := all[s.Key]; t != nil && slices.Contains([]Do{Enter, Deliver, Ack, Pending, Entries}, s.Do) {
					f(t, o, s)
				}
			}
		}
	}
	for _, o := range sorted {
		for _, s := range o.Steps {
			if s.Do == Enter && all[s.Key] == nil {
				all[s.Key] = &stream{key: s.Key, added: map[int64]Op{}, given: map[int64]Op{}, acked: map[int64]Op{}, tried: map[int64][]Op{}}
			}
		}
	}
	each((*stream).note)
	each((*stream).step)
	for _, key := range sortedKeys(all) {
		all[key].inVain()
		bad = append(bad, all[key].bad...)
	}
	return bad
}

func (t *stream) say(kind, format string, ops []Op, args ...any) {
	t.bad = append(t.bad, Violation{kind, "stream " + t.key + ": " + fmt.Sprintf(format, args...), ops})
}

// note notes who has changed what.
func (t *stream) note(o Op, s Step) {
	switch {
	case o.Outcome == Refused:
	case s.Do == Ack:
		t.tried[s.Arg] = append(t.tried[s.Arg], o)
		if before, ok := t.acked[s.Arg]; ok && s.Done {
			t.say("duplicate", "%d is acknowledged twice", []Op{before, o}, s.Arg)
		}
		if o.Outcome == OK && s.Done {
			t.acked[s.Arg] = o
		}
	case o.Outcome == Unknown:
	case s.Do == Enter:
		t.added[s.Got[0]] = o
	case s.Do == Deliver:
		for _, id := range s.Got {
			if before, ok := t.given[id]; ok {
				t.say("duplicate", "%d is given twice", []Op{before, o}, id)
			}
			t.given[id] = o
		}
		if s.Done {
			t.drain = &o
		}
	}
}

// step looks at a reading.
func (t *stream) step(o Op, s Step) {
	if o.Outcome != OK {
		return
	}
	there := map[int64]bool{}
	for _, id := range s.Got {
		there[id] = true
	}
	switch s.Do {
	case Entries:
		for id, by := range t.added {
			if by.Return < o.Call && !there[id] {
				t.say("lost", "the entries lack %d", []Op{by, o}, id)
			}
		}
	case Pending:
		t.pending(o, there)
	}
}

// pending looks at a reading of what was given and not acknowledged.
func (t *stream) pending(o Op, there map[int64]bool) {
	for id := range there {
		if by, ok := t.acked[id]; ok && by.Return < o.Call {
			t.say("came back", "%d is pending and was acknowledged", []Op{by, o}, id)
		}
	}
	for id, to := range t.given {
		if !t.mayBeAcked(id) && to.Return < o.Call && !there[id] {
			t.say("lost", "%d was given and is not pending", []Op{to, o}, id)
		}
	}
	for id, by := range t.added {
		if _, given := t.given[id]; given || t.mayBeAcked(id) || there[id] {
			continue
		}
		if t.drain != nil && by.Return < t.drain.Call && t.drain.Return < o.Call {
			t.say("lost", "%d was never given and is not pending", []Op{by, *t.drain, o}, id)
		}
	}
}

// mayBeAcked reports whether somebody may have acknowledged an entry.
func (t *stream) mayBeAcked(id int64) bool {
	return slices.ContainsFunc(t.tried[id], func(o Op) bool { return o.Outcome == Unknown || o.Steps[0].Done })
}

// inVain are acknowledgements that found nothing to acknowledge, of entries that had been given
// before and were acknowledged by nobody else.
func (t *stream) inVain() {
	for id, tried := range t.tried {
		o := tried[0]
		if to, given := t.given[id]; len(tried) == 1 && o.Outcome == OK && !o.Steps[0].Done && given && to.Return < o.Call {
			t.say("lost", "%d was given and nobody has it to acknowledge", []Op{to, o}, id)
		}
	}
}
