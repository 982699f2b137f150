package admin

import (
	"strings"
	"testing"
	"time"
)

// The lines and the arithmetic are those of redis-server 7.0.
func TestInfoWhileDataAreLoaded(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name  string
		p     LoadProgress
		after time.Duration
		want  string
	}{
		{"at the beginning", LoadProgress{began, 1000, 0}, 0, "1000 0 0.00 1"},
		{"a quarter", LoadProgress{began, 1000, 250}, 10 * time.Second, "1000 250 25.00 30"},
		{"all of it", LoadProgress{began, 1000, 1000}, 10 * time.Second, "1000 1000 100.00 0"},
		{"of unknown size", LoadProgress{began, 0, 500}, 10 * time.Second, "0 500 0.00 0"},
		{"the clock was set back", LoadProgress{began, 1000, 250}, -time.Hour, "1000 250 25.00 1"},
	} {
		var b strings.Builder
		infoLoading(&b, c.p, began.Add(c.after))
		f := strings.Fields(c.want)
		want := "loading_start_time:1800000000\r\nloading_total_bytes:" + f[0] + "\r\nloading_loaded_bytes:" + f[1] +
			"\r\nloading_loaded_perc:" + f[2] + "\r\nloading_eta_seconds:" + f[3] + "\r\n"
		if b.String() != want {
			t.Errorf("%s:\n%swant\n%s", c.name, b.String(), want)
		}
	}
}
