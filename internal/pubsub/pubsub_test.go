package pubsub

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"redoubt/slots"
)

// log is a sink that writes down what it is told.
type log struct {
	mu    sync.Mutex
	lines []string
}

func (l *log) Deliver(m *Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch m.Kind {
	case Channel:
		l.lines = append(l.lines, fmt.Sprintf("message %s %s", m.Channel, m.Payload))
	case Pattern:
		l.lines = append(l.lines, fmt.Sprintf("pmessage %s %s %s", m.Pattern, m.Channel, m.Payload))
	case Shard:
		l.lines = append(l.lines, fmt.Sprintf("smessage %s %s", m.Channel, m.Payload))
	}
}

func (l *log) Dropped(channel string, left int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf("sunsubscribe %s %d", channel, left))
}

// take returns what was written since the last time, sorted: the order of
// deliveries of one message is free.
func (l *log) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	slices.Sort(lines)
	return lines
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestPublishReachesChannelsAndPatterns(t *testing.T) {
	r, la, lb := New(), new(log), new(log)
	a, b := NewSubscriber(la), NewSubscriber(lb)
	if n := r.Publish([]byte("news"), []byte("0")); n != 0 {
		t.Errorf("nobody listens, but Publish = %d", n)
	}
	for _, s := range []struct {
		who  *Subscriber
		kind Kind
		name string
		want bool
	}{
		{a, Channel, "news", true}, {a, Channel, "news", false}, {a, Pattern, "n*", true}, {a, Pattern, "new?", true},
		{b, Pattern, "n*", true}, {b, Channel, "sport", true}, {b, Shard, "news", true},
	} {
		if got := r.Subscribe(s.who, s.kind, s.name); got != s.want {
			t.Errorf("Subscribe(%d, %q) = %v", s.kind, s.name, got)
		}
	}
	if n := r.Publish([]byte("news"), []byte("1")); n != 4 {
		t.Errorf("Publish = %d, want 4", n)
	}
	expect(t, "a", la.take(), []string{"message news 1", "pmessage n* news 1", "pmessage new? news 1"})
	expect(t, "b", lb.take(), []string{"pmessage n* news 1"})

	if n := r.PublishShard([]byte("news"), []byte("2")); n != 1 {
		t.Errorf("PublishShard = %d, want 1", n)
	}
	expect(t, "a", la.take(), nil)
	expect(t, "b", lb.take(), []string{"smessage news 2"})
}

func TestCountsAndNames(t *testing.T) {
	r := New()
	a, b := NewSubscriber(new(log)), NewSubscriber(new(log))
	for _, name := range []string{"one", "two", "three"} {
		r.Subscribe(a, Channel, name)
		r.Subscribe(a, Shard, name)
	}
	r.Subscribe(b, Channel, "two")
	r.Subscribe(a, Pattern, "x*")
	r.Subscribe(b, Pattern, "x*")

	expect(t, "all channels", r.Active(Channel), []string{"one", "three", "two"})
	expect(t, "channels of a pattern", r.Active(Channel, "t*"), []string{"three", "two"})
	expect(t, "channels of the empty pattern", r.Active(Channel, ""), nil)
	expect(t, "shard channels", r.Active(Shard, "one"), []string{"one"})
	expect(t, "channels of a", a.Names(Channel), []string{"one", "three", "two"})
	for what, ok := range map[string]bool{
		"NUMSUB two":      r.Subscribers(Channel, "two") == 2,
		"NUMSUB nothing":  r.Subscribers(Channel, "nothing") == 0,
		"SHARDNUMSUB two": r.Subscribers(Shard, "two") == 1,
		"NUMPAT":          r.Len(Pattern) == 1,
		"clients":         r.Clients() == 2,
		"count of a":      a.Count(Channel) == 3 && a.Count(Pattern) == 1 && a.Count(Shard) == 3,
	} {
		if !ok {
			t.Errorf("%s is wrong", what)
		}
	}

	if !r.Unsubscribe(a, Channel, "two") || r.Unsubscribe(a, Channel, "two") {
		t.Error("a channel can be left once")
	}
	expect(t, "channels still heard", r.Active(Channel), []string{"one", "three", "two"})
	r.Close(a)
	expect(t, "channels after a left", r.Active(Channel), []string{"two"})
	expect(t, "names of a", a.Names(Shard), []string{})
	if n := r.Clients(); n != 1 {
		t.Errorf("%d clients after a left", n)
	}
	r.Close(b)
	if n := r.Clients(); n != 0 {
		t.Errorf("%d clients after all left", n)
	}
	for kind := range kinds {
		if r.Len(kind) != 0 || r.Active(kind) != nil {
			t.Errorf("kind %d: %d names are left: %q", kind, r.Len(kind), r.Active(kind))
		}
	}
}

func TestDropSlotsEndsShardSubscriptionsOfThoseSlots(t *testing.T) {
	r, l := New(), new(log)
	s := NewSubscriber(l)
	for _, name := range []string{"{a}1", "{a}2", "{b}1"} {
		r.Subscribe(s, Shard, name)
	}
	r.Subscribe(s, Channel, "{a}1")
	var gone slots.Set
	gone.Add(slots.Of([]byte("a")))
	r.DropSlots(&gone)

	lines := l.take()
	if len(lines) != 2 || lines[0][:15] != "sunsubscribe {a" || lines[1][:15] != "sunsubscribe {a" {
		t.Errorf("told %q", lines)
	}
	expect(t, "shard channels", s.Names(Shard), []string{"{b}1"})
	expect(t, "channels", s.Names(Channel), []string{"{a}1"})
	if r.PublishShard([]byte("{a}1"), nil) != 0 || r.PublishShard([]byte("{b}1"), nil) != 1 {
		t.Error("shard messages go the wrong way")
	}
	r.Close(s)
	if r.Len(Shard) != 0 {
		t.Errorf("%d shard channels are left", r.Len(Shard))
	}
}

// Two publishers of one channel must not reach two subscribers in different
// orders, and with all of it going on at a time nothing may be lost.
func TestSubscribersOfAChannelSeeOneOrder(t *testing.T) {
	r := New()
	logs := []*log{new(log), new(log), new(log)}
	for i, l := range logs {
		s := NewSubscriber(l)
		if i == 2 {
			r.Subscribe(s, Pattern, "c*")
		} else {
			r.Subscribe(s, Channel, "c")
		}
	}
	const publishers, messages = 4, 200
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			other := NewSubscriber(new(log))
			for m := range messages {
				r.Subscribe(other, Channel, "c")
				r.Subscribe(other, Shard, "s")
				r.Publish([]byte("c"), fmt.Appendf(nil, "%d/%d", p, m))
				all := slots.All()
				r.DropSlots(&all)
				r.Close(other)
			}
		})
	}
	wg.Wait()
	if len(logs[0].lines) != publishers*messages {
		t.Fatalf("%d messages arrived", len(logs[0].lines))
	}
	expect(t, "the second subscriber", logs[1].lines, logs[0].lines)
	for i, line := range logs[2].lines {
		if want := "pmessage c* c " + logs[0].lines[i][len("message c "):]; line != want {
			t.Fatalf("the pattern's message %d is %q, want %q", i, line, want)
		}
	}
	if r.Len(Channel) != 1 || r.Len(Shard) != 0 {
		t.Errorf("%d channels and %d shard channels are left", r.Len(Channel), r.Len(Shard))
	}
}

func TestPublishingToNobodyCostsNothing(t *testing.T) {
	r := New()
	channel, payload := []byte("channel"), []byte("payload")
	if n := testing.AllocsPerRun(100, func() {
		r.Publish(channel, payload)
		r.PublishShard(channel, payload)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
