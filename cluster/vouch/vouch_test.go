package vouch

import (
	"strings"
	"testing"
	"time"
)

func TestAWordIsReadAsItWasWritten(t *testing.T) {
	for _, w := range []Word{
		{Sentinel: "a", Master: "m", Voters: 3, Epoch: 7, ConfigEpoch: 5, Primary: true},
		{Sentinel: "b", Master: "other-name", Voters: 1, Busy: true},
		{Sentinel: "c", Master: "m", Voters: 5, Epoch: 9, ConfigEpoch: 1, VoteEpoch: 9, Vote: "a"},
		{Sentinel: "c", Master: "m", Voters: 5, Epoch: 9, ConfigEpoch: 1, VoteEpoch: 8},
	} {
		got, ok := Parse(w.String())
		if !ok || got != w {
			t.Errorf("%q is read as %+v, %v", w, got, ok)
		}
	}
}

func TestWhatIsNoWordIsNotRead(t *testing.T) {
	const good = "vouch/1,a,m,3,7,5,primary,calm,0,-"
	if _, ok := Parse(good); !ok {
		t.Fatalf("%q is a word", good)
	}
	for _, text := range []string{
		"", "127.0.0.1,26379,0123456789012345678901234567890123456789,7,m,127.0.0.1,6379,5",
		strings.Replace(good, "vouch/1", "vouch/2", 1), good + ",x", strings.TrimSuffix(good, ",-"),
		strings.Replace(good, ",3,", ",0,", 1), strings.Replace(good, ",3,", ",-3,", 1), strings.Replace(good, ",3,", ",03,", 1),
		strings.Replace(good, ",3,", ",100000,", 1), strings.Replace(good, "primary", "Primary", 1), strings.Replace(good, "calm", "", 1),
		strings.Replace(good, ",a,", ",,", 1), strings.Replace(good, ",m,", ",m\nn,", 1), strings.Replace(good, ",m,", ",m m,", 1),
		strings.Replace(good, ",a,", ","+strings.Repeat("a", maxName+1)+",", 1), strings.Replace(good, ",7,", ",-7,", 1),
	} {
		if w, ok := Parse(text); ok {
			t.Errorf("%q is read as %+v", text, w)
		}
	}
}

func FuzzWord(f *testing.F) {
	f.Add("vouch/1,a,m,3,7,5,primary,calm,0,-")
	f.Fuzz(func(t *testing.T, text string) {
		if w, ok := Parse(text); ok && w.String() != text {
			t.Errorf("%q is read as %q", text, w)
		}
	})
}

// says is what a Sentinel of three says of the master m: "primary 5" or
// "replica 6", then, if it likes, "busy", or "vote EPOCH FOR".
func says(t *testing.T, id, what string) Word {
	t.Helper()
	w := Word{Sentinel: id, Master: "m", Voters: 3}
	f := strings.Fields(what)
	number := func(s string) uint64 {
		n := uint64(0)
		for _, c := range s {
			n = 10*n + uint64(c-'0')
		}
		return n
	}
	w.Primary, w.ConfigEpoch = f[0] == "primary", number(f[1])
	w.Epoch = w.ConfigEpoch
	for f = f[2:]; len(f) > 0; f = f[1:] {
		switch f[0] {
		case "busy":
			w.Busy = true
		case "epoch":
			w.Epoch = number(f[1])
			f = f[1:]
		case "vote":
			w.VoteEpoch = number(f[1])
			w.Epoch = max(w.Epoch, w.VoteEpoch)
			if f = f[1:]; len(f) > 1 {
				w.Vote = f[1]
				f = f[1:]
			}
		default:
			t.Fatalf("what is %q?", f[0])
		}
	}
	return w
}

func TestWhatSentinelsMakeOfARestartedPrimary(t *testing.T) {
	for _, c := range []struct {
		name  string
		words []string // "a: primary 5"
		want  State
	}{
		{"nobody has said anything", nil, Waiting},
		{"one of three is not enough", []string{"a: primary 5"}, Waiting},
		{"one that says it twice is not two", []string{"a: primary 5", "a: primary 5"}, Waiting},
		{"two of three", []string{"a: primary 5", "b: primary 5"}, Confirmed},
		{"one knows a newer configuration", []string{"a: primary 5", "b: primary 5", "c: replica 6"}, Replaced},
		{"… and is the first to say so", []string{"c: replica 6", "a: primary 5", "b: primary 5"}, Replaced},
		{"one has an older configuration", []string{"a: primary 5", "b: primary 5", "c: replica 4"}, Confirmed},
		{"two know configurations of different age", []string{"a: primary 5", "b: primary 4"}, Waiting},
		{"it was replaced, and made the primary again", []string{"a: replica 6", "a: primary 7", "b: primary 7"}, Confirmed},
		{"one is busy with a failover", []string{"a: primary 5", "b: primary 5 busy"}, Waiting},
		{"it is not any more", []string{"a: primary 5", "b: primary 5 busy", "b: primary 5"}, Confirmed},
		{"one has voted for one that has not said anything", []string{"a: primary 5", "b: primary 5 vote 6 c"}, Waiting},
		{"… that has been replaced by itself", []string{"a: primary 5", "b: primary 5 vote 6 c", "c: replica 6"}, Replaced},
		{"… that has given up", []string{"a: primary 5", "b: primary 5 vote 6 c", "c: primary 5 epoch 6"}, Confirmed},
		{"… that does not know of it yet", []string{"a: primary 5", "b: primary 5 vote 6 c", "c: primary 5"}, Waiting},
		{"nobody knows for whom one has voted", []string{"a: primary 5", "b: primary 5 vote 6"}, Waiting},
		{"… but none of all is busy", []string{"a: primary 5", "b: primary 5 vote 6", "c: primary 5"}, Confirmed},
		{"an old vote, which became this configuration", []string{"a: primary 5 vote 5 a", "b: primary 5"}, Confirmed},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			w := NewWatch([]Record{{Master: "m", Voters: 3}})
			if !w.Ask() {
				t.Fatal("there is nobody to wait for")
			}
			for _, line := range c.words {
				id, what, _ := strings.Cut(line, ": ")
				w.Hear(now, says(t, id, what))
			}
			if got := w.State(now); got != c.want {
				t.Errorf("it is %v, want %v", got, c.want)
			}
		})
	}
}

func TestWordsGrowOld(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch([]Record{{Master: "m", Voters: 3}})
	w.Hear(now, says(t, "a", "primary 5"))
	w.Hear(now.Add(freshness+1), says(t, "b", "primary 5"))
	if got := w.State(now.Add(freshness + 1)); got != Waiting {
		t.Errorf("with a word that is too old it is %v", got)
	}
	// That there is another primary stays true.
	w.Hear(now, says(t, "a", "replica 6"))
	if got := w.State(now.Add(time.Hour)); got != Replaced {
		t.Errorf("an hour after it was replaced it is %v", got)
	}
}

func TestOnlyAMajorityIsRemembered(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch(nil)
	if w.Ask() {
		t.Error("it waits for Sentinels that it has never heard of")
	}
	first := says(t, "a", "primary 5")
	first.Voters = 5
	w.Hear(now, first)
	second := says(t, "b", "primary 5")
	second.Voters = 5
	w.Hear(now, second)
	if r := w.Records(); len(r) != 0 {
		t.Errorf("two of five are remembered as %v: the others may never say a word", r)
	}
	third := says(t, "c", "primary 5")
	third.Voters = 5
	w.Hear(now, third)
	if r := w.Records(); len(r) != 1 || r[0] != (Record{"m", 5}) {
		t.Errorf("three of five are remembered as %v", r)
	}
	// One that has just started knows no other; it does not make the others fewer.
	alone := says(t, "a", "primary 5")
	alone.Voters = 1
	w.Hear(now, alone)
	if r := w.Records(); len(r) != 1 || r[0] != (Record{"m", 5}) {
		t.Errorf("then they are remembered as %v", r)
	}
	// Nor does it after a restart of the node.
	w = NewWatch(w.Records())
	w.Ask()
	w.Hear(now, alone)
	if got := w.State(now); got != Waiting {
		t.Errorf("one of five that knows no other makes it %v", got)
	}
}

// A Sentinel that has just been set up knows none of the others. If those turn out to
// say nothing, it is not waited for.
func TestOneSentinelAmongOthersIsNotRemembered(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch(nil)
	word := says(t, "a", "primary 5")
	word.Voters = 1
	w.Hear(now, word)
	if r := w.Records(); len(r) != 1 {
		t.Fatalf("the only one is remembered as %v", r)
	}
	word.Voters = 3
	w.Hear(now, word)
	if r := w.Records(); len(r) != 0 {
		t.Errorf("one of three is remembered as %v", r)
	}
	// A node that waits does not take others that were added for a reason to wait for
	// nobody.
	w = NewWatch([]Record{{"m", 3}})
	w.Ask()
	word.Voters = 7
	w.Hear(now, word)
	if got := w.State(now); got != Waiting {
		t.Errorf("with one of seven, where there were three, it is %v", got)
	}
}

func TestWhoeverHasNotSaidAnythingIsForgotten(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch([]Record{{Master: "gone", Voters: 3}, {Master: "m", Voters: 3}})
	w.Ask()
	w.Hear(now, says(t, "a", "primary 5"))
	w.Hear(now, says(t, "b", "primary 5"))
	if got := w.State(now); got != Waiting {
		t.Errorf("without a word of those of the other name it is %v", got)
	}
	w.Forget(now)
	if r := w.Records(); len(r) != 1 || r[0].Master != "m" {
		t.Errorf("%v are remembered", r)
	}
	if got := w.State(now); got != Confirmed {
		t.Errorf("then it is %v", got)
	}
}

func TestAPromotionByHandHolds(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch(nil)
	w.Hear(now, says(t, "a", "replica 5"))
	w.Promote()
	w.Hear(now, says(t, "a", "replica 5"))
	if got := w.State(now); got == Replaced {
		t.Error("what was known before undoes it")
	}
	w.Hear(now, says(t, "a", "replica 6"))
	if got := w.State(now); got != Replaced {
		t.Errorf("after a newer configuration it is %v", got)
	}
}

func TestTheWatchIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	w := NewWatch(nil)
	for i := range 10 * maxMasters {
		word := says(t, "a", "primary 5")
		word.Master = strings.Repeat("m", i%maxName+1)
		w.Hear(now, word)
	}
	for i := range 10 * maxCallers {
		w.Hear(now, says(t, strings.Repeat("a", i%maxName+1), "primary 5"))
	}
	calls := 0
	for _, m := range w.masters {
		calls = max(calls, len(m.calls))
	}
	if len(w.masters) > maxMasters || calls > maxCallers {
		t.Errorf("it has %d names and %d Sentinels", len(w.masters), calls)
	}
}
