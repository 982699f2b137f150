package replication

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

var (
	idA = strings.Repeat("a", 40)
	idB = strings.Repeat("b", 40)
	idC = strings.Repeat("c", 40)
)

func TestDecide(t *testing.T) {
	// The node was promoted at 150 (bytes 1 to 150 are of both histories); its
	// stream has bytes 101 to 200.
	promoted := History{ID: idA, ID2: idB, Second: 151}
	window := Window{First: 100, End: 200}
	cases := []struct {
		name    string
		history History
		request Request
		want    Verdict
	}{
		{"a new replica asks for everything", promoted, Request{"?", -1}, FullAsked},
		{"the next byte to be produced is in order", promoted, Request{idA, 201}, Partial},
		{"the first byte still there", promoted, Request{idA, 101}, Partial},
		{"the byte before it is trimmed", promoted, Request{idA, 100}, FullTrimmed},
		{"a byte beyond the next one", promoted, Request{idA, 202}, FullAhead},
		{"an id is compared without regard to case", promoted, Request{strings.ToUpper(idA), 150}, Partial},
		{"the previous history, in the middle", promoted, Request{idB, 120}, Partial},
		{"the previous history, at its end", promoted, Request{idB, 151}, Partial},
		{"the previous history, beyond its end", promoted, Request{idB, 152}, FullDiverged},
		{"the previous history, trimmed", promoted, Request{idB, 50}, FullTrimmed},
		{"a history never heard of", promoted, Request{idC, 150}, FullHistory},
		{"no previous history is no wildcard", NewHistory(idA), Request{NoID, 150}, FullHistory},
		{"an offset of nothing", promoted, Request{idA, 0}, FullTrimmed},
		{"a negative offset with a good id", promoted, Request{idA, -1}, FullTrimmed},
		{"the largest offset", promoted, Request{idA, 1<<63 - 1}, FullAhead},
		{"an empty id", promoted, Request{"", 150}, FullHistory},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := Decide(c.history, window, c.request)
			if got != c.want {
				t.Errorf("got %v, want %v: %s", got, c.want, got.Explain(c.history, window, c.request))
			}
			if why := got.Explain(c.history, window, c.request); why == "" || strings.Contains(why, "verdict") {
				t.Errorf("explained as %q", why)
			}
		})
	}
	t.Run("an empty stream grants its first byte", func(t *testing.T) {
		if got := Decide(NewHistory(idA), Window{0, 0}, Request{idA, 1}); got != Partial {
			t.Errorf("got %v", got)
		}
	})
}

func TestHistory(t *testing.T) {
	first := NewHistory(idA)
	cases := []struct {
		name      string
		got, want History
	}{
		{"a new history has no past", first, History{idA, NoID, -1}},
		{"a promotion keeps the old id up to its end", first.Branch(idB, 100), History{idB, idA, 101}},
		{"a second promotion forgets the first", first.Branch(idB, 100).Branch(idC, 150), History{idC, idB, 151}},
		{"a partial resync under the same id changes nothing", first.Continue(idA, 100), first},
		{"a partial resync under a new id keeps the old one", first.Continue(idB, 100), History{idB, idA, 101}},
		{"a demotion right after a promotion goes back", first.Branch(idB, 100).Rejoin(100), first},
		{"so does one of a node that has dropped what the promotion counted", first.Branch(idB, 100).Rejoin(80), first},
		{"a demotion after a write does not", first.Branch(idB, 100).Rejoin(101), History{idB, idA, 101}},
		{"a demotion without a past has nowhere to go back to", first.Rejoin(0), first},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.got != c.want {
				t.Errorf("got %+v, want %+v", c.got, c.want)
			}
		})
	}
}

func TestID(t *testing.T) {
	id, err := NewID(strings.NewReader(strings.Repeat("\xf0\x0d", 10)))
	if err != nil || id != strings.Repeat("f00d", 10) || !ValidID(id) {
		t.Errorf("%s, %v", id, err)
	}
	if _, err := NewID(strings.NewReader("short")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("too little randomness: %v", err)
	}
	for _, bad := range []string{"", "?", idA[1:], idA + "a", strings.Repeat("A", 40), strings.Repeat("g", 40)} {
		if ValidID(bad) {
			t.Errorf("%q is valid", bad)
		}
	}
	if !ValidID(NoID) {
		t.Error("the id of no history has the form of one")
	}
}

func TestAcks(t *testing.T) {
	start := time.Unix(1000, 0)
	after := func(d time.Duration) time.Time { return start.Add(d) }
	a := NewAcks()
	for id := ReplicaID(1); id <= 4; id++ {
		a.Attach(id)
	}
	for id := ReplicaID(1); id <= 3; id++ {
		a.Online(id, start)
	}
	a.Record(1, 100, 0, after(1*time.Second))
	a.Record(2, 200, 150, after(2*time.Second))
	a.Record(3, 300, 300, after(3*time.Second))
	a.Record(3, 250, 0, after(4*time.Second)) // goes back: not believed
	a.Record(4, 999, 999, after(4*time.Second))
	a.Record(9, 999, 999, after(4*time.Second)) // never attached

	for at, want := range map[Offset]int{1: 3, 100: 3, 101: 2, 200: 2, 300: 1, 301: 0} {
		if got := a.Applied(at); got != want {
			t.Errorf("%d replicas have applied %d, want %d", got, at, want)
		}
	}
	for at, want := range map[Offset]int{1: 2, 150: 2, 151: 1, 301: 0} {
		if got := a.Synced(at); got != want {
			t.Errorf("%d replicas have synced %d, want %d", got, at, want)
		}
	}
	// At 12.5 s the acknowledgements are 11.5, 10.5 and 8.5 s old.
	now := after(12500 * time.Millisecond)
	for lag, want := range map[time.Duration]int{8 * time.Second: 1, 10 * time.Second: 2, 11 * time.Second: 3, 7 * time.Second: 0} {
		if got := a.Good(now, lag); got != want {
			t.Errorf("%d replicas are good within %v, want %d", got, lag, want)
		}
	}
	a.Detach(3)
	if got := a.Applied(200); got != 1 {
		t.Errorf("%d replicas after one has left", got)
	}
	if _, ok := a.Get(3); ok {
		t.Error("a replica that left is still known")
	}
	if r, ok := a.Get(4); !ok || r.Online || r.Offset != 999 {
		t.Errorf("replica 4: %+v %v", r, ok)
	}
	if r, _ := a.Get(2); r.Lag(now) != 10*time.Second {
		t.Errorf("lag of replica 2 is %v", r.Lag(now))
	}
}
