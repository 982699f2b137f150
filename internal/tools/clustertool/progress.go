package clustertool

import (
	"fmt"
	"strings"
	"time"
)

// progress shows how far a move of many slots is: on a terminal as one line that
// changes, elsewhere as a line from time to time.
type progress struct {
	tally
	t     *Tool
	shown time.Time
	drawn bool // a line on a terminal is not ended yet
}

// tally is what progress counts. Keys that clients create meanwhile move too, so that
// there may be more in the end than were counted before.
type tally struct {
	start       time.Time
	slots, keys int // in all
	slotsMoved  int
	keysMoved   int
}

// How often progress is shown.
const (
	redrawAfter = 100 * time.Millisecond // on a terminal
	lineAfter   = 5 * time.Second
)

func (t *Tool) progressOf(slots, keys int) *progress {
	now := time.Now()
	return &progress{tally: tally{start: now, slots: slots, keys: keys}, t: t, shown: now}
}

// show is called after every step.
func (p *progress) show() {
	now := time.Now()
	switch since := now.Sub(p.shown); {
	case p.t.Live && since >= redrawAfter:
		fmt.Fprintf(p.t.Out, "\r%s %s\x1b[K", p.bar(20), p.text(now))
		p.drawn = true
	case !p.t.Live && since >= lineAfter:
		p.t.line("%3d%% %s", int(100*p.part()), p.text(now))
	default:
		return
	}
	p.shown = now
}

// end leaves the line on a terminal, so that others can be written.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprintf(p.t.Out, "\r%s %s\x1b[K\n", p.bar(20), p.text(time.Now()))
		p.drawn = false
	}
}

// part is how much of the work is done, from 0 to 1. A slot takes about as many
// commands as a few keys; here it counts as one.
func (p *tally) part() float64 {
	all := p.slots + max(p.keys, p.keysMoved)
	if all == 0 {
		return 1
	}
	return float64(p.slotsMoved+p.keysMoved) / float64(all)
}

func (p *tally) bar(width int) string {
	full := int(p.part() * float64(width))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// text is "12 of 100 slots, 345 of 3000 keys, 6.0 slots/s, 172 keys/s, 15s left".
func (p *tally) text(now time.Time) string {
	text := fmt.Sprintf("%d of %d slots, %d of %d keys", p.slotsMoved, p.slots, p.keysMoved, max(p.keys, p.keysMoved))
	took := now.Sub(p.start).Seconds()
	if took < 0.1 {
		return text
	}
	text += fmt.Sprintf(", %.1f slots/s, %.0f keys/s", float64(p.slotsMoved)/took, float64(p.keysMoved)/took)
	if part := p.part(); part > 0 && part < 1 {
		left := time.Duration(took * (1 - part) / part * float64(time.Second))
		text += fmt.Sprintf(", %v left", max(time.Second, left.Round(time.Second)))
	}
	return text
}
