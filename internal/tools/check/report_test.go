package check

import (
	"strings"
	"testing"
	"time"
)

// The last line says what is proven, and Good, on which the exit code depends,
// says the same.
func TestTheLastLineOfAReport(t *testing.T) {
	for _, tc := range []struct {
		name string
		rep  Report
		want string
		good bool
	}{
		{"all is there", Report{Keys: 9, Writes: Tally{OK: 5}, VerifiedKeys: 4, VerifiedWrites: 5},
			"no acknowledged write is gone: 5 writes to 4 keys verified", true},
		{"nothing could be read", Report{Keys: 9, Writes: Tally{OK: 5}, Unverified: 9},
			"NOTHING COULD BE VERIFIED: none of the 9 keys could be read in the end", false},
		{"nothing was written", Report{Keys: 9, Writes: Tally{Refused: 5}},
			"NOTHING COULD BE VERIFIED: no write was acknowledged", false},
		{"some could not be read", Report{Keys: 9, Writes: Tally{OK: 5}, Unverified: 2, VerifiedKeys: 3, VerifiedWrites: 4},
			"NOT ALL COULD BE VERIFIED: 2 of 9 keys could not be read in the end; 4 writes to 3 other keys are there", false},
		{"somebody else wrote", Report{Keys: 9, Writes: Tally{OK: 5}, Foreign: 1, VerifiedKeys: 4, VerifiedWrites: 5},
			"NOT ALL COULD BE VERIFIED: 1 replies held values that this run did not write; 5 writes to 4 other keys are there", false},
		{"a write is gone, and not all could be read", Report{Keys: 9, Writes: Tally{OK: 5}, Unverified: 2, Lost: []LostWrite{{Key: "k", Value: "v", Shard: 1}}},
			"  k = v, acknowledged 0001-01-01T00:00:00.000Z, shard 1", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			tc.rep.Print(&out)
			lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
			if last := lines[len(lines)-1]; last != tc.want || tc.rep.Good() != tc.good {
				t.Errorf("good %v, and the last line is %q, want %q", tc.rep.Good(), last, tc.want)
			}
		})
	}
}

// A shard is down from its last success on, once there are errors.
func TestSinceWhenAShardIsDown(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	for _, tc := range []struct {
		name string
		do   func(reads, writes *gap)
		want time.Time // zero: it is not down
	}{
		{"nothing has happened yet", func(_, _ *gap) {}, time.Time{}},
		{"a success long ago, and no error", func(r, w *gap) { r.success(at(1)); w.success(at(2)) }, time.Time{}},
		{"an error since", func(r, w *gap) { w.success(at(20)); w.failure() }, at(20)},
		{"an error before the last success", func(r, w *gap) { w.failure(); w.success(at(20)) }, time.Time{}},
		{"an error a moment after a success", func(r, w *gap) { w.success(at(950)); w.failure() }, time.Time{}},
		{"no success at all", func(r, w *gap) { w.failure() }, start},
		{"reads fail longer than writes", func(r, w *gap) { r.success(at(10)); w.success(at(30)); r.failure(); w.failure() }, at(10)},
		{"reads alone fail", func(r, w *gap) { r.success(at(10)); w.success(at(30)); r.failure() }, at(10)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, w := newGap(start), newGap(start)
			tc.do(r, w)
			since, down := downSince(r, w, at(1000))
			if down == tc.want.IsZero() || down && !since.Equal(tc.want) {
				t.Errorf("down %v since %v, want %v", down, since, tc.want)
			}
		})
	}
}
