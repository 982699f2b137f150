package clustertool

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgressText(t *testing.T) {
	start := time.Unix(1000, 0)
	for _, tc := range []struct {
		name string
		tally
		after time.Duration
		want  string
	}{
		{"at first no rate is known", tally{slots: 100, keys: 900}, 0, "[..........] 0 of 100 slots, 0 of 900 keys"},
		{"a tenth in a second", tally{slots: 100, keys: 900, slotsMoved: 10, keysMoved: 90}, time.Second,
			"[#.........] 10 of 100 slots, 90 of 900 keys, 10.0 slots/s, 90 keys/s, 9s left"},
		{"a rest of less than a second", tally{slots: 100, keys: 900, slotsMoved: 99, keysMoved: 900}, time.Minute,
			"[#########.] 99 of 100 slots, 900 of 900 keys, 1.6 slots/s, 15 keys/s, 1s left"},
		{"the end", tally{slots: 100, keys: 900, slotsMoved: 100, keysMoved: 900}, time.Minute,
			"[##########] 100 of 100 slots, 900 of 900 keys, 1.7 slots/s, 15 keys/s"},
		{"more keys than were counted", tally{slots: 2, keys: 0, slotsMoved: 1, keysMoved: 9}, time.Second,
			"[#########.] 1 of 2 slots, 9 of 9 keys, 1.0 slots/s, 9 keys/s, 1s left"},
		{"nothing to do", tally{}, time.Second, "[##########] 0 of 0 slots, 0 of 0 keys, 0.0 slots/s, 0 keys/s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.start = start
			if got := tc.bar(10) + " " + tc.text(start.Add(tc.after)); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// On a terminal the line is drawn over; elsewhere a line is written now and then.
func TestWhereProgressIsShown(t *testing.T) {
	for _, live := range []bool{true, false} {
		var out bytes.Buffer
		p := (&Tool{Out: &out, Live: live}).progressOf(2, 0)
		p.show()
		if out.Len() > 0 {
			t.Errorf("live %v: at once it shows %q", live, out.String())
		}
		p.slotsMoved, p.start, p.shown = 1, p.start.Add(-time.Hour), p.shown.Add(-time.Hour)
		p.show()
		p.end()
		got := out.String()
		if strings.Contains(got, "\r") != live || !strings.HasSuffix(got, "\n") || !strings.Contains(got, "1 of 2 slots") {
			t.Errorf("live %v: %q", live, got)
		}
	}
}
