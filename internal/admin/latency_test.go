package admin

import (
	"strings"
	"testing"
	"time"
)

// The drawing is that of a redis-server 7.0 after the same spikes.
func TestGraphOfSamples(t *testing.T) {
	var m Latency
	for i, ms := range []int64{10, 1300, 60, 2} {
		m.Add("command", []int64{94, 97, 98, 99}[i], time.Duration(ms)*time.Millisecond)
	}
	want := strings.Join([]string{
		"command - high 1300 ms, low 2 ms (all time high 1300 ms)", strings.Repeat("-", 80),
		" #  ", " |  ", " |  ", "_|__", "    ", "6321", "ssss", "",
	}, "\n")
	if got := m.events["command"].graph("command", 100); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Samples beyond the width of the drawing stand below.
func TestGraphOfManySamples(t *testing.T) {
	var m Latency
	for i := range int64(200) {
		m.Add("e", i, time.Millisecond)
	}
	lines := strings.Split(m.events["e"].graph("e", 1000), "\n")
	if n := len(lines); n != 2+2*(4+1+3)+2 || len(lines[2]) != 80 {
		t.Errorf("%d lines, the first with %d columns", n, len(lines[2]))
	}
}

func TestTheDoctorNamesEvents(t *testing.T) {
	var m Latency
	if got := m.report(100, 0); !strings.Contains(got, "latency-monitor-threshold") {
		t.Error(got)
	}
	if got := m.report(100, 5); !strings.Contains(got, "No event") {
		t.Error(got)
	}
	m.Add("aof-write", 90, 70*time.Millisecond)
	m.Add("aof-write", 95, 50*time.Millisecond)
	got := m.report(100, 5)
	for _, want := range []string{"aof-write: 2 spikes", "average 60 ms, mean deviation 10 ms, worst of all 70 ms", "The disk takes"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}
