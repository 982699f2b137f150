package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// story plays a key's life in words and returns the sum of the findings:
//
//	ok       a write that is acknowledged and replaces what is expected
//	ok=V     a write that is acknowledged and says that it replaced V
//	lost?    a write of unknown outcome
//	no       a refused write
//	=V       a read of V
//
// V is a sequence number, "-" for no value, or any other word for somebody
// else's value.
func story(t *testing.T, h *history, words string) (sum finding) {
	t.Helper()
	top := func() string {
		if n := len(h.effects); n > 0 {
			return h.value(h.effects[n-1].seq)
		}
		return h.before
	}
	observe := func(v string) {
		switch {
		case v == "-":
			v = ""
		case strings.Trim(v, "0123456789") == "":
			v = h.run + ":" + v
		}
		f := h.observe(v)
		sum.lost += f.lost
		sum.found += f.found
		sum.unacked += f.unacked
		sum.foreign = sum.foreign || f.foreign
	}
	for _, w := range strings.Fields(words) {
		verb, v, hasValue := strings.Cut(w, "=")
		switch verb {
		case "ok":
			seq, _ := h.issue()
			if hasValue {
				observe(v)
			} else if f := h.observe(top()); f != (finding{}) {
				t.Fatalf("%s: the expected value was a finding: %+v", words, f)
			}
			h.acknowledged(seq, time.Unix(int64(seq), 0))
		case "lost?":
			seq, _ := h.issue()
			h.unknown(seq)
		case "no":
			h.issue()
		case "":
			observe(v)
		default:
			t.Fatalf("unknown word %q", w)
		}
	}
	return sum
}

func TestHistory(t *testing.T) {
	for _, tc := range []struct {
		name  string
		words string
		want  finding
		gone  string // sequence numbers of the acknowledged writes that are gone
	}{
		{name: "a read of the last acknowledged write finds nothing", words: "ok ok =2"},
		{name: "an older value loses what came after it", words: "ok ok ok =1", want: finding{lost: 2}, gone: "2 3"},
		{name: "no value loses all", words: "ok ok =-", want: finding{lost: 2}, gone: "1 2"},
		{name: "a loss is counted once", words: "ok ok =1 =1 =1", want: finding{lost: 1}, gone: "2"},
		{name: "a write reports the loss it would have covered", words: "ok ok ok=1 =3", want: finding{lost: 1}, gone: "2"},
		{name: "an unknown write that is not seen is no finding", words: "ok lost? =1"},
		{name: "an unknown write that took effect is unacked", words: "ok lost? =2", want: finding{unacked: 1}},
		{name: "an unknown write is unacked once", words: "ok lost? =2 =2 ok =3", want: finding{unacked: 1}},
		{name: "an unknown write may take effect after a younger one", words: "ok lost? ok =2", want: finding{unacked: 1}},
		{name: "an unacked write that is gone again is no loss", words: "ok lost? =2 =1", want: finding{unacked: 1}},
		{name: "an unacked write is known to be there when a younger one replaced it", words: "lost? ok=1 =1", want: finding{unacked: 1, lost: 1}, gone: "2"},
		{name: "a refused write is nothing", words: "ok no =1"},
		{name: "a refused write that took effect all the same is unacked", words: "ok no =2", want: finding{unacked: 1}},
		{name: "a deposed primary's answer is taken back", words: "ok ok =1 =2", want: finding{lost: 1, found: 1}},
		{name: "what a deposed primary acknowledged is gone when the other is seen again", words: "ok ok ok=1 =2", want: finding{lost: 2, found: 1}, gone: "3"},
		{name: "seeing part of a lost branch takes back that part", words: "ok ok ok =1 =2", want: finding{lost: 2, found: 1}, gone: "3"},
		{name: "all of a lost branch comes back when its end is seen", words: "ok ok ok =1 =3", want: finding{lost: 2, found: 2}},
		{name: "a lost branch may come back in parts", words: "ok ok ok =1 =2 =3", want: finding{lost: 2, found: 2}},
		{name: "a branch of a lost branch comes back with its stem", words: "ok ok ok =2 =1 =3", want: finding{lost: 2, found: 2}},
		{name: "the value from before the run is older than all", words: "ok=old ok =old", want: finding{lost: 2}, gone: "1 2"},
		{name: "no value is older than the value from before the run", words: "ok=old =-", want: finding{lost: 1}, gone: "1"},
		{name: "a value of somebody else is foreign", words: "ok =stranger =1", want: finding{foreign: true}},
		{name: "a number that was never given out is foreign", words: "ok =7", want: finding{foreign: true}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := &history{run: "r"}
			if got := story(t, h, tc.words); got != tc.want {
				t.Errorf("found %+v, want %+v", got, tc.want)
			}
			var gone []string
			for _, e := range h.lost() {
				gone = append(gone, fmt.Sprint(e.seq))
				if e.at.IsZero() {
					t.Errorf("write %d has no time", e.seq)
				}
			}
			if got := strings.Join(gone, " "); got != tc.gone {
				t.Errorf("gone %q, want %q", got, tc.gone)
			}
		})
	}
}

func TestHistoryForgetsTheOldest(t *testing.T) {
	h := &history{run: "r"}
	for range 3 * maxHistory {
		story(t, h, "ok")
	}
	if len(h.effects) != maxHistory {
		t.Fatalf("%d effects are remembered", len(h.effects))
	}
	if got := story(t, h, "=5"); got.lost != maxHistory {
		t.Fatalf("an answer older than the history loses %d, want %d", got.lost, maxHistory)
	}
}

// TestHistoryAgainstAModel lets a key live on a primary and a replica that
// lags and takes over, and compares the verdict with what the model knows to
// be gone.
func TestHistoryAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{run: "r"}
		var primary []uint64 // effects in order
		replicated := 0      // how many of them the replica has
		acked := map[uint64]bool{}
		var delayed []uint64 // unknown writes that may yet take effect
		gone := map[uint64]bool{}
		value := func() string {
			if len(primary) == 0 {
				return ""
			}
			return h.value(primary[len(primary)-1])
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"write", "write", "unknown", "late", "read", "replicate", "failover"}).Draw(t, "step") {
			case "write":
				seq, _ := h.issue()
				h.observe(value())
				h.acknowledged(seq, time.Unix(1, 0))
				primary, acked[seq] = append(primary, seq), true
			case "unknown":
				seq, _ := h.issue()
				h.unknown(seq)
				delayed = append(delayed, seq)
			case "late":
				// The reply of a write that takes effect now is lost, and with
				// it what it replaced: the package says it cannot know that. So
				// here it replaces only what has been observed.
				if len(delayed) > 0 {
					h.observe(value())
					primary, delayed = append(primary, delayed[0]), delayed[1:]
				}
			case "read":
				h.observe(value())
			case "replicate":
				replicated = len(primary)
			case "failover":
				for _, seq := range primary[replicated:] {
					gone[seq] = acked[seq]
				}
				primary = primary[:replicated:replicated]
				delayed = nil // they waited in the socket of a dead process
			}
		}
		h.observe(value())
		found := map[uint64]bool{}
		for _, e := range h.lost() {
			found[e.seq] = true
		}
		for seq := range acked {
			if gone[seq] != found[seq] {
				t.Fatalf("write %d: gone %v, reported %v", seq, gone[seq], found[seq])
			}
		}
	})
}
