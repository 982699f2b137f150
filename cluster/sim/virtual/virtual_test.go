package virtual

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// pair is two hosts that are up, and their network; the second listens.
type pair struct {
	*World
	net  *Network[string]
	a, b *Host
	// heard is what the handlers of each host were told.
	heard map[*Host][]string
	back  *End[string] // the end at b
}

const port = 1

func newPair() *pair {
	w := NewWorld(1)
	p := &pair{World: w, net: NewNetwork[string](w), a: w.AddHost(), b: w.AddHost(), heard: make(map[*Host][]string)}
	p.net.LatencyMin, p.net.LatencyMax = time.Millisecond, 5*time.Millisecond
	p.net.Listen(p.b, port, func(e *End[string]) Handler[string] {
		p.back = e
		return ear{p, p.b}
	})
	p.a.Start()
	p.b.Start()
	return p
}

// dial connects a with b.
func (p *pair) dial() *End[string] {
	e := p.net.Dial(p.a, p.b.IP, port, ear{p, p.a})
	p.Run(time.Second)
	return e
}

type ear struct {
	pair *pair
	host *Host
}

func (e ear) note(text string)    { e.pair.heard[e.host] = append(e.pair.heard[e.host], text) }
func (e ear) Opened()             { e.note("opened") }
func (e ear) Received(msg string) { e.note(msg) }
func (e ear) Closed(why Reason)   { e.note(fmt.Sprint("closed ", why)) }

func (p *pair) want(t *testing.T, h *Host, want ...string) {
	t.Helper()
	if !slices.Equal(p.heard[h], want) {
		t.Errorf("host %d has heard %q, want %q", h.Index, p.heard[h], want)
	}
}

func TestMessagesArriveInOrder(t *testing.T) {
	p := newPair()
	p.net.LossPercent = 50
	e := p.dial()
	want := []string{"opened"}
	for i := range 20 {
		e.Send(fmt.Sprint(i))
		want = append(want, fmt.Sprint(i))
	}
	p.back.Send("back")
	p.Run(10 * time.Second)
	p.want(t, p.b, want...)
	p.want(t, p.a, "opened", "back")
}

func TestWhatIsSentIntoACutWaits(t *testing.T) {
	p := newPair()
	e := p.dial()
	p.net.Cut(0, 1, false)
	e.Send("first")
	e.Send("second")
	p.Run(time.Minute)
	p.want(t, p.b, "opened")
	p.net.Heal()
	e.Send("third")
	p.Run(time.Second)
	p.want(t, p.b, "opened", "first", "second", "third")
}

func TestDialInVainSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(p *pair)
		port int
		want Reason
	}{
		{"nobody listens", func(*pair) {}, port + 1, Refused},
		{"nobody is up", func(p *pair) { p.b.Stop() }, port, Refused},
		{"no way back", func(p *pair) { p.net.Cut(1, 0, false) }, port, NoReply},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair()
			c.make(p)
			e := p.net.Dial(p.a, p.b.IP, c.port, ear{p, p.a})
			if !e.Broken() {
				t.Error("the end may be used")
			}
			p.Run(10 * time.Second)
			p.want(t, p.a, fmt.Sprint("closed ", c.want))
			p.want(t, p.b)
		})
	}
}

func TestOnlyTheSenderHearsOfARejection(t *testing.T) {
	for _, way := range []string{"it has dialled", "the other has dialled"} {
		t.Run(way, func(t *testing.T) {
			p := newPair()
			p.dial()
			p.Run(time.Second)
			sender, other := p.a, p.b
			if way == "the other has dialled" {
				sender, other = p.b, p.a
			}
			p.net.Reject(sender.Index, other.Index)
			p.Run(time.Minute)
			p.want(t, sender, "opened", fmt.Sprint("closed ", Reset))
			p.want(t, other, "opened")
		})
	}
}

func TestBothEndsHearOfAHangUp(t *testing.T) {
	p := newPair()
	p.dial().Close()
	p.Run(time.Second)
	p.want(t, p.a, "opened", fmt.Sprint("closed ", HungUp))
	p.want(t, p.b, "opened", fmt.Sprint("closed ", HungUp))
}

func TestCutKeepsTheNewsOfAHangUpAway(t *testing.T) {
	p := newPair()
	e := p.dial()
	p.net.Partition(1)
	p.b.Stop()
	p.net.HangUpAll(p.b)
	p.net.Heal()
	p.Run(time.Minute)
	p.want(t, p.a, "opened")
	if !e.Broken() {
		t.Error("the connection outlives its host")
	}
}

func TestFrozenHostDoesEverythingLater(t *testing.T) {
	p := newPair()
	var gap time.Duration
	p.b.Gap = func(d time.Duration) { gap = max(gap, d) }
	e := p.dial()
	p.b.Freeze(time.Minute)
	e.Send("hello")
	p.Run(59 * time.Second)
	p.want(t, p.b, "opened")
	p.Run(2 * time.Second)
	p.want(t, p.b, "opened", "hello")
	if gap < time.Minute {
		t.Errorf("it is told of a gap of %v", gap)
	}
}

func TestPlansDieWithTheirLife(t *testing.T) {
	p := newPair()
	alarm := NewAlarm(p.a, func() { t.Error("the alarm of an earlier life rings") })
	alarm.Set(p.Now().Add(time.Second))
	p.a.Later(time.Second, func() { t.Error("what was planned in an earlier life happens") })
	p.a.Freeze(2 * time.Second)
	p.a.Stop()
	p.a.Start()
	p.Run(time.Minute)
}

func TestAlarmRingsAtTheEarliestTime(t *testing.T) {
	p := newPair()
	var rings []time.Duration
	alarm := NewAlarm(p.a, func() { rings = append(rings, p.Elapsed()) })
	for _, s := range []int{3, 1, 2} {
		alarm.Set(p.Now().Add(time.Duration(s) * time.Second))
	}
	p.Run(time.Minute)
	if !slices.Equal(rings, []time.Duration{time.Second}) {
		t.Errorf("it rings at %v", rings)
	}
}

// An alarm that an earlier life has set must not keep a new life's from being set.
func TestAlarmRingsInTheNextLife(t *testing.T) {
	p := newPair()
	rings := 0
	alarm := NewAlarm(p.a, func() { rings++ })
	alarm.Set(p.Now().Add(time.Second))
	p.a.Stop()
	p.a.Start()
	alarm.Set(p.Now().Add(2 * time.Second))
	p.Run(time.Minute)
	if rings != 1 {
		t.Errorf("it rings %d times", rings)
	}
}

func TestDiskWritesTheNewestOfThoseThatWait(t *testing.T) {
	p := newPair()
	var kept, saved []int
	d := NewDisk[int](p.a)
	d.FsyncMax = 10 * time.Millisecond
	d.Keep = func(i int) { kept = append(kept, i) }
	d.Saved = func(i int) { saved = append(saved, i) }
	for i := range 4 {
		d.Write(i)
	}
	p.Run(time.Second)
	if want := []int{0, 3}; !slices.Equal(kept, want) || !slices.Equal(saved, want) {
		t.Errorf("kept %v, said to be safe %v, want %v", kept, saved, want)
	}
}

func TestCrashLosesWhatWasNotWritten(t *testing.T) {
	p := newPair()
	d := NewDisk[int](p.a)
	kept := 0
	d.Keep = func(i int) { kept = i }
	d.Saved = func(int) { t.Error("a program that is no more is told") }
	made := make(map[int]bool) // what the disk had after the crashes
	for range 100 {
		kept = 0
		d.Write(1)
		d.Write(2)
		p.a.Stop()
		d.Crash()
		p.a.Start()
		p.Run(time.Second)
		made[kept] = true
	}
	if !made[0] || !made[1] || made[2] {
		t.Errorf("after crashes it has %v", made)
	}
}

func TestBrokenRuleEndsTheRun(t *testing.T) {
	w := NewWorld(1)
	w.After(time.Second, func() { w.Break("the first") })
	w.After(2*time.Second, func() { w.Break("the second") })
	err := w.RunUntil(time.Minute, "never", func() bool { return false })
	if err == nil || err.Error() != "after 1s: the first" || w.Elapsed() > time.Second {
		t.Errorf("%v, at %v", err, w.Elapsed())
	}
}

func TestClockNeverGoesBack(t *testing.T) {
	w := NewWorld(1)
	var at []time.Duration
	note := func() { at = append(at, w.Elapsed()) }
	w.After(2*time.Second, func() {
		w.At(w.Now().Add(-time.Second), note)
		w.After(0, note)
	})
	w.Run(time.Minute)
	if !slices.Equal(at, []time.Duration{2 * time.Second, 2 * time.Second}) {
		t.Errorf("what was planned too late happens at %v", at)
	}
}

// A firewall that rejects: the process lives, and looks dead from one side.
func TestFirewallRefusesConnections(t *testing.T) {
	p := newPair()
	p.dial()
	p.net.Refuse(p.a.Index, p.b.Index)
	p.Run(time.Second)
	p.want(t, p.a, "opened", "closed connection reset")
	p.want(t, p.b, "opened", "closed connection reset")
	p.dial()
	p.want(t, p.a, "opened", "closed connection reset", "closed connection refused")
	if p.net.Whole() || !p.net.Refused(p.a, p.b) || p.net.Refused(p.b, p.a) {
		t.Error("the network does not know what is wrong with it")
	}
	p.net.Heal()
	p.dial()
	p.want(t, p.a, "opened", "closed connection reset", "closed connection refused", "opened")
}

func TestMendEndsOneCut(t *testing.T) {
	p := newPair()
	e := p.dial()
	c := p.AddHost()
	p.net.Cut(p.a.Index, p.b.Index, true)
	p.net.Cut(c.Index, p.b.Index, true)
	e.Send("during the cut")
	p.Run(time.Second)
	p.want(t, p.b, "opened")
	p.net.Mend(p.b.Index, p.a.Index)
	p.Run(time.Second)
	p.want(t, p.b, "opened", "during the cut")
	if p.net.Open(c, p.b) {
		t.Error("the other cut has ended, too")
	}
}

func TestGrayLinksAreSlowOneWay(t *testing.T) {
	p := newPair()
	e := p.dial()
	p.net.Gray(p.a.Index, p.b.Index, time.Minute, 100)
	e.Send("there")
	p.back.Send("back")
	p.Run(10 * time.Millisecond)
	p.want(t, p.a, "opened", "back")
	p.want(t, p.b, "opened")
	p.Run(2 * time.Minute)
	p.want(t, p.b, "opened", "there")
}

func TestStalledAndFullDisks(t *testing.T) {
	w := NewWorld(1)
	h := w.AddHost()
	h.Start()
	var saved []int
	full := 0
	d := NewDisk[int](h)
	d.Keep, d.Saved, d.Full = func(int) {}, func(s int) { saved = append(saved, s) }, func() { full++ }
	d.Stall(time.Second)
	d.Write(1)
	w.Run(900 * time.Millisecond)
	if len(saved) > 0 {
		t.Error("a write ends while the disk hangs")
	}
	w.Run(200 * time.Millisecond)
	d.Bad = true
	d.Write(2)
	w.Run(time.Second)
	if !slices.Equal(saved, []int{1}) || full != 1 {
		t.Errorf("%v were saved, and the program was told %d times that the disk is full", saved, full)
	}
}

// A host's clock has the two readings of time.Now, and a step is one of the wall clock.
func TestClockHasTwoReadings(t *testing.T) {
	w := NewWorld(1)
	h := w.AddHost()
	h.Start()
	before := h.Clock()
	w.Run(3 * time.Second)
	h.StepClock(-5 * time.Hour)
	after := h.Clock()
	if d := after.Sub(before); d != 3*time.Second {
		t.Errorf("%v have passed, want 3 s", d)
	}
	if d := after.Round(0).Sub(before.Round(0)); d != 3*time.Second-5*time.Hour {
		t.Errorf("%v have passed on the wall, want five hours back", d)
	}
	if want := start.Add(3*time.Second - 5*time.Hour); !after.Round(0).Equal(want) || after.Unix() != want.Unix() {
		t.Errorf("the wall shows %v, want %v", after, want)
	}
	if at := h.When(after.Add(time.Minute)); !at.Equal(w.Now().Add(time.Minute)) {
		t.Errorf("a minute from now is at %v, now is %v", at, w.Now())
	}
	if real := time.Now(); !strings.Contains(real.String(), "m=") || !strings.Contains(after.String(), "m=+3.0") {
		t.Errorf("times with a monotonic reading look like %v, these like %v", real, after)
	}
}
