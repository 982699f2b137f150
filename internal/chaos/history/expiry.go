package history

import (
	"fmt"
	"time"
)

// inexact is by how much clocks in milliseconds may differ from the record's.
const inexact = 20 * time.Millisecond

// Expiry checks keys that are written once, with a time to live: they are there until it has
// passed, and never afterwards. It passes since a moment between invocation and completion.
func Expiry(h History) (bad []Violation) {
	lent := map[string]Op{}
	for _, o := range h {
		for _, s := range o.Steps {
			if s.Do == Lend {
				lent[s.Key] = o
			}
		}
	}
	for _, o := range h.sorted() {
		for _, s := range o.Steps {
			if s.Do == Peek && o.Outcome == OK {
				bad = append(bad, peek(o, s, lent)...)
			}
		}
	}
	return bad
}

// peek looks at a reading of such a key.
func peek(o Op, s Step, lent map[string]Op) []Violation {
	say := func(kind, format string, ops ...Op) []Violation {
		return []Violation{{kind, "key " + s.Key + " " + format, ops}}
	}
	by, ok := lent[s.Key]
	there := len(s.Got) > 0
	if !ok {
		if there {
			return say("invented", "is there, and nobody has written it", o)
		}
		return nil
	}
	ttl := time.Duration(by.Steps[0].Old) * time.Millisecond
	switch {
	case there && by.Outcome == Refused:
		return say("G1a", "is there, and was refused", by, o)
	case there && s.Got[0] != by.Steps[0].Arg:
		return say("invented", fmt.Sprintf("has %d", s.Got[0]), by, o)
	case there && o.Return < by.Call:
		return say("invented", "is there before it was written", o, by)
	case there && by.Outcome == OK && o.Call > by.Return+ttl+inexact:
		return say("expired", "is there after its time", by, o)
	case !there && by.Outcome == OK && o.Call > by.Return && o.Return < by.Call+ttl-inexact:
		return say("lost", "is gone before its time", by, o)
	}
	return nil
}
