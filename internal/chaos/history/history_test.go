package history

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"
)

const patience = 10 * time.Second

// A store that keeps its promises is never accused.
func TestNothingIsFoundInGoodHistories(t *testing.T) {
	for seed := range uint64(400) {
		h := made(seed, 30+int(seed%7)*20, 1+int(seed%6))
		v := Check(h, patience)
		for _, bad := range v.Violations {
			t.Errorf("seed %d: %v", seed, bad)
		}
		if len(v.Undecided) > 0 {
			t.Errorf("seed %d: undecided: %v", seed, v.Undecided)
		}
	}
}

// A good history in which something acknowledged is missing in the end, or somebody reads
// what was long gone, is not good any more.
func TestAGoodHistoryIsSpoiled(t *testing.T) {
	for name, spoil := range map[string]func(h History) bool{
		"an element of a list is lost": func(h History) bool {
			return spoilLast(h, Read, func(s *Step) bool { s.Got = s.Got[:len(s.Got)-1]; return true })
		},
		"an element of a set is lost": func(h History) bool {
			return spoilLast(h, Members, func(s *Step) bool { s.Got = s.Got[1:]; return true })
		},
		"a counter goes back": func(h History) bool {
			return spoilLast(h, Total, func(s *Step) bool { s.Got[0]--; return true })
		},
		"an element of a queue is lost": func(h History) bool {
			return spoilLast(h, Rest, func(s *Step) bool { s.Got = s.Got[:len(s.Got)-1]; return true })
		},
		"an entry of a stream is lost": func(h History) bool {
			return spoilLast(h, Entries, func(s *Step) bool { s.Got = s.Got[1:]; return true })
		},
		"a pending entry is lost": func(h History) bool {
			return spoilLast(h, Pending, func(s *Step) bool { s.Got = s.Got[1:]; return true })
		},
		"money is made": func(h History) bool {
			return spoilLast(h, Balances, func(s *Step) bool { s.Got[2]++; return true })
		},
	} {
		t.Run(name, func(t *testing.T) {
			tried := 0
			for seed := range uint64(100) {
				h := made(seed, 120, 4)
				if !spoil(h) {
					continue
				}
				tried++
				if v := Check(h, patience); len(v.Violations) == 0 {
					t.Errorf("seed %d: nothing is found", seed)
				}
			}
			if tried < 10 {
				t.Errorf("only %d histories could be spoiled", tried)
			}
		})
	}
}

// spoilLast changes the last reading of a kind that has shown something whose operation
// is known to have happened.
func spoilLast(h History, do Do, change func(*Step) bool) bool {
	for i := len(h) - 1; i >= 0; i-- {
		s := &h[i].Steps[0]
		if s.Do != do || h[i].Outcome != OK || len(s.Got) < 2 && do != Total || len(s.Got) == 0 || !allKnown(h, *s) {
			continue
		}
		s.Got = slices.Clone(s.Got)
		return change(s)
	}
	return false
}

// allKnown reports whether everything on a key is acknowledged or refused.
func allKnown(h History, s Step) bool {
	return !slices.ContainsFunc(h, func(o Op) bool {
		return o.Outcome == Unknown && slices.ContainsFunc(o.Steps, func(t Step) bool { return t.Key == s.Key })
	})
}

func TestAHistoryIsReadAsItWasWritten(t *testing.T) {
	h := made(3, 100, 4)
	var b bytes.Buffer
	if err := h.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	for i := range h {
		for j := range h[i].Steps {
			if len(h[i].Steps[j].Got) == 0 {
				h[i].Steps[j].Got = nil
			}
		}
	}
	if !reflect.DeepEqual(h, again) {
		t.Error("it is another one")
	}
	if _, err := Parse(bytes.NewReader([]byte("{}\nno history"))); err == nil {
		t.Error("junk is read")
	}
}
