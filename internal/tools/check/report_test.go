package check

import (
	"strings"
	"testing"
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
		{"all is there", Report{Keys: 9, Writes: Tally{OK: 5}},
			"no acknowledged write is gone: 9 keys verified", true},
		{"nothing could be read", Report{Keys: 9, Writes: Tally{OK: 5}, Unverified: 9},
			"NOTHING COULD BE VERIFIED: none of the 9 keys could be read in the end", false},
		{"nothing was written", Report{Keys: 9, Writes: Tally{Refused: 5}},
			"NOTHING COULD BE VERIFIED: no write was acknowledged", false},
		{"some could not be read", Report{Keys: 9, Writes: Tally{OK: 5}, Unverified: 2},
			"NOT ALL COULD BE VERIFIED: 2 of 9 keys could not be read in the end; no write of the others is gone", false},
		{"somebody else wrote", Report{Keys: 9, Writes: Tally{OK: 5}, Foreign: 1},
			"NOT ALL COULD BE VERIFIED: 1 replies held values that this run did not write; no write of the others is gone", false},
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
