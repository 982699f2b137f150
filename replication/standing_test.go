package replication

import (
	"testing"
	"time"
)

func TestStanding(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	later := at.Add(time.Minute)
	never := time.Time{}
	const end = Offset(100)
	p, sibling, other := Source{"p", "s"}, Source{"r", "s"}, Source{"q", "t"}
	inStep := func(s *Standing) { s.Follow(p); s.Sync(at) }
	cases := []struct {
		name    string
		do      func(s *Standing)
		offset  Offset
		contact time.Time
	}{
		{"a primary tells its offset", func(s *Standing) {}, end, never},
		{"a new replica has nothing", func(s *Standing) { s.Follow(p) }, 0, never},
		{"a replica in step", inStep, end, at},
		{"and later", func(s *Standing) { inStep(s); s.Hear(later) }, end, later},
		{"time does not go back", func(s *Standing) { inStep(s); s.Hear(later); s.Hear(at) }, end, later},
		{"a primary that is not in step is not heard", func(s *Standing) { s.Follow(p); s.Hear(later) }, 0, never},
		{"a promoted replica", func(s *Standing) { inStep(s); s.Promote() }, end, never},
		{"a deposed primary has its own writes", func(s *Standing) { inStep(s); s.Promote(); s.Follow(sibling) }, 0, never},
		{"until it is in step", func(s *Standing) { s.Promote(); s.Follow(sibling); s.Sync(later) }, end, later},
		{"a deposed primary that follows itself no more", func(s *Standing) { inStep(s); s.Promote(); s.Follow(p) }, 0, never},
		{"a sibling's replica keeps its contact", func(s *Standing) { inStep(s); s.Follow(sibling) }, 0, at},
		{"which does not count for the new primary", func(s *Standing) { inStep(s); s.Follow(sibling); s.Hear(later) }, 0, at},
		{"another shard", func(s *Standing) { inStep(s); s.Follow(other) }, 0, never},
		{"another shard and back", func(s *Standing) { inStep(s); s.Follow(other); s.Follow(p) }, 0, never},
		{"a shard that gets another name", func(s *Standing) { inStep(s); s.Follow(Source{"p", "t"}) }, end, at},
		{"also when not in step", func(s *Standing) { inStep(s); s.Follow(sibling); s.Follow(Source{"r", "t"}) }, 0, at},
		{"a primary that was forgotten", func(s *Standing) { inStep(s); s.Follow(Source{"", "s"}) }, 0, at},
		{"half a snapshot", func(s *Standing) { inStep(s); s.Load() }, 0, never},
		{"a snapshot that could not be loaded", func(s *Standing) { inStep(s); s.Load(); s.Keep() }, end, at},
		{"nor what was there before", func(s *Standing) { inStep(s); s.Load(); s.Forget() }, 0, never},
		{"a whole snapshot", func(s *Standing) { s.Follow(p); s.Load(); s.Sync(at) }, end, at},
		{"an emptied node", func(s *Standing) { inStep(s); s.Forget(); s.Follow(p) }, 0, never},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var s Standing
			c.do(&s)
			if offset, contact := s.Offer(end); offset != c.offset || contact != c.contact {
				t.Errorf("offers %d, %v; want %d, %v", offset, contact, c.offset, c.contact)
			}
		})
	}
}

func TestStandingSurvivesARestart(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	p := Source{"p", "s"}
	var before Standing
	before.Follow(p)
	before.Sync(at)
	restarted := func(now time.Time, src Source) (s Standing) {
		s.Restore(before.Fitness(), now)
		s.Follow(src)
		return s
	}
	cases := []struct {
		name    string
		now     time.Time
		source  Source
		offset  Offset
		contact time.Time
	}{
		{"under the same primary", at.Add(time.Hour), p, 7, at},
		{"under its successor", at.Add(time.Hour), Source{"r", "s"}, 0, at},
		{"in another shard", at.Add(time.Hour), Source{"q", "t"}, 0, time.Time{}},
		{"with a clock that was set back", at.Add(-time.Hour), p, 7, at.Add(-time.Hour)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := restarted(c.now, c.source)
			if offset, contact := s.Offer(7); offset != c.offset || contact != c.contact {
				t.Errorf("offers %d, %v; want %d, %v", offset, contact, c.offset, c.contact)
			}
			if s.Source() != c.source {
				t.Errorf("follows %v", s.Source())
			}
		})
	}
}

// The age of what was restored must not change when somebody sets the clock.
func TestARestoredContactAgesByTheMonotonicClock(t *testing.T) {
	now := time.Now()
	saved := now.Add(-time.Minute).Round(0) // as the disk has it
	var s Standing
	s.Restore(Fitness{Shard: "s", Primary: "p", Contact: saved}, now)
	got := s.Fitness().Contact
	if age := now.Sub(got); age < 59*time.Second || age > 61*time.Second {
		t.Errorf("it is %v old", age)
	}
	if got == got.Round(0) {
		t.Error("its time is one of the wall clock")
	}
	s.Restore(Fitness{}, now)
	if !s.Fitness().Contact.IsZero() {
		t.Error("there was no contact, and there is one")
	}
}
