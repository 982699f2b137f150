package check

import (
	"strconv"
	"strings"
	"time"
)

// maxHistory bounds the writes that are remembered of a key. Only a loss that
// reaches further back than that is reported incompletely.
const maxHistory = 64

// effect is a write that is known, or believed, to have taken effect.
type effect struct {
	seq   uint64
	acked bool
	at    time.Time // of the acknowledgement
}

// branch is effects that a later observation showed to be gone. They stay
// known, for the observation may have been a deposed primary's.
type branch struct {
	after   uint64 // the effect they followed, 0 for the beginning
	effects []effect
}

// history is what is believed of one key. The key's writer owns it.
//
// Invariant: a sequence number is in at most one of effects, pending and the
// branches.
type history struct {
	run     string // prefix of this run's values
	last    uint64 // the last sequence number given out
	acked   int    // writes that were acknowledged
	effects []effect
	pending map[uint64]struct{} // writes of unknown outcome, not seen yet
	gone    []branch
	trimmed uint64 // the highest sequence number dropped from effects
	// before is the value that the key had when the run began.
	before      string
	beforeKnown bool
}

// finding is what an observation changed.
type finding struct {
	lost    int  // acknowledged writes that now look gone
	found   int  // acknowledged writes that looked gone and are there
	unacked int  // writes of unknown outcome that took effect
	foreign bool // somebody else's value
}

// issue returns the next value to be written.
func (h *history) issue() (seq uint64, value string) {
	h.last++
	return h.last, h.value(h.last)
}

func (h *history) value(seq uint64) string { return h.run + ":" + strconv.FormatUint(seq, 10) }

// acknowledged notes that write seq was acknowledged. The value that it
// replaced must have been observed before.
func (h *history) acknowledged(seq uint64, at time.Time) {
	h.acked++
	h.push(effect{seq: seq, acked: true, at: at})
}

// unknown notes that nobody knows what became of write seq.
func (h *history) unknown(seq uint64) {
	if h.pending == nil {
		h.pending = map[uint64]struct{}{}
	}
	h.pending[seq] = struct{}{}
}

// observe compares a reply, the value of the key or "" if it had none, with
// the history.
func (h *history) observe(value string) finding {
	seq, ours := h.parse(value)
	switch {
	case ours:
	case !h.beforeKnown:
		h.before, h.beforeKnown = value, true
	case value != h.before && value != "":
		return finding{foreign: true}
	}
	if _, ok := h.pending[seq]; ok {
		delete(h.pending, seq)
		h.push(effect{seq: seq})
		return finding{unacked: 1}
	}
	if i := h.index(seq); i >= 0 || seq == 0 {
		return finding{lost: h.cut(i)}
	}
	if b, _ := h.find(seq); b >= 0 {
		var f finding
		h.restore(seq, &f)
		return f
	}
	if seq <= h.trimmed {
		return finding{lost: h.cut(-1)}
	}
	// A write that was refused, and has been executed after all.
	h.push(effect{seq: seq})
	return finding{unacked: 1}
}

// parse returns the sequence number of a value; that of a value from before
// the run is 0.
func (h *history) parse(value string) (seq uint64, ours bool) {
	digits, ok := strings.CutPrefix(value, h.run+":")
	if !ok {
		return 0, false
	}
	seq, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || seq == 0 || seq > h.last {
		return 0, false
	}
	return seq, true
}

func (h *history) push(e effect) {
	h.effects = append(h.effects, e)
	if len(h.effects) > maxHistory {
		h.trimmed = max(h.trimmed, h.effects[0].seq)
		h.effects = append(h.effects[:0], h.effects[1:]...)
	}
}

// index returns where seq is among the effects, or -1.
func (h *history) index(seq uint64) int {
	for i := len(h.effects) - 1; i >= 0; i-- {
		if h.effects[i].seq == seq {
			return i
		}
	}
	return -1
}

// cut moves the effects behind index i, all of them if i is -1, to a branch
// and returns how many of them were acknowledged.
func (h *history) cut(i int) (lost int) {
	rest := h.effects[i+1:]
	if len(rest) == 0 {
		return 0
	}
	b := branch{effects: append([]effect(nil), rest...)}
	if i >= 0 {
		b.after = h.effects[i].seq
	}
	h.gone = append(h.gone, b)
	h.effects = h.effects[:i+1]
	return ackedIn(b.effects)
}

func ackedIn(es []effect) int {
	n := 0
	for _, e := range es {
		if e.acked {
			n++
		}
	}
	return n
}

// find returns the branch that holds seq and the place in it, or -1.
func (h *history) find(seq uint64) (b, i int) {
	for b := range h.gone {
		for i, e := range h.gone[b].effects {
			if e.seq == seq {
				return b, i
			}
		}
	}
	return -1, 0
}

// restore makes seq, which lies in a branch, the last effect: it and what it
// followed are there, and what took their place is gone. Each call takes one
// branch out, which ends the recursion.
func (h *history) restore(seq uint64, f *finding) {
	n, i := h.find(seq)
	if n < 0 {
		return
	}
	b := h.gone[n]
	h.gone = append(h.gone[:n], h.gone[n+1:]...)
	if b.after != 0 && h.index(b.after) < 0 {
		h.restore(b.after, f)
	}
	f.lost += h.cut(h.index(b.after))
	for _, e := range b.effects[:i+1] {
		h.push(e)
	}
	f.found += ackedIn(b.effects[:i+1])
	if rest := b.effects[i+1:]; len(rest) > 0 {
		h.gone = append(h.gone, branch{after: seq, effects: rest})
	}
}

// lost returns the acknowledged writes that are gone, as far as is known now.
func (h *history) lost() []effect {
	var out []effect
	for _, b := range h.gone {
		for _, e := range b.effects {
			if e.acked {
				out = append(out, e)
			}
		}
	}
	return out
}
