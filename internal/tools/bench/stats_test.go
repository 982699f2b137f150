package main

import (
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		name   string
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{"of nothing", nil, 0.5, 0},
		{"of one value", []time.Duration{7}, 0.99, 7},
		{"the median of an even number is the lower one", hundred, 0.5, 50},
		{"p99 of a hundred is the last but one", hundred, 0.99, 99},
		{"p99.9 of a hundred is the greatest", hundred, 0.999, 100},
		{"all of them", hundred, 1, 100},
		{"none of them", hundred, 0, 1},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestMedianAndSpread(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("odd: %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("even: %v", got)
	}
	if got, want := spread([]float64{1.5, 0.5, 1}), "1.00 (0.50–1.50)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	ms := []time.Duration{time.Millisecond, 2 * time.Millisecond}
	if got, want := latencies(ms), "1.00 | 2.00 | 2.00 | 2.00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFiguresRows(t *testing.T) {
	got := figuresRows([]figure{{"bytes", 200}, {"nothing", 0}}, []figure{{"bytes", 97}, {"nothing", 3}})
	if want := "| bytes | 200.0 | 97.0 | 0.48 |\n| nothing | 0.00 | 3.00 | – |\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestInfoField(t *testing.T) {
	info := "# Persistence\r\nloading:0\r\nrdb_last_cow_size:4096\r\nrdb_last:1\r\n"
	if got := infoField(info, "rdb_last_cow_size"); got != "4096" {
		t.Errorf("got %q", got)
	}
	if got := infoField(info, "rdb_la"); got != "" {
		t.Errorf("a field that begins with the name: %q", got)
	}
}

func TestBenchmarkOutput(t *testing.T) {
	rate, err := parseBenchmark("\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"94339.62\",\"0.284\"\n")
	if err != nil || rate != 94339.62 {
		t.Errorf("%v, %v", rate, err)
	}
	for _, bad := range []string{"", "\"test\",\"rps\"\n", "\"test\",\"rps\"\n\"SET\",\"fast\"\n"} {
		if _, err := parseBenchmark(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
