package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// median is the middle of the values, or the mean of the two in the middle.
func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// spread prints the median of ratios with their extremes.
func spread(ratios []float64) string {
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
}

// percentile is the smallest of the sorted values that at least a share p of
// them does not exceed; 0 if there are none.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	i := int(math.Ceil(p*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// latencies prints the percentiles of a run in milliseconds, as cells of a table.
func latencies(all []time.Duration) string {
	s := slices.Sorted(slices.Values(all))
	cells := make([]string, 0, 4)
	for _, p := range []float64{0.5, 0.99, 0.999, 1} {
		cells = append(cells, fmt.Sprintf("%.2f", percentile(s, p).Seconds()*1000))
	}
	return strings.Join(cells, " | ")
}

// A figure is one measured number by name.
type figure struct {
	name  string
	value float64
}

// figuresRows are the rows of a table of what both servers were measured for, in
// the same order. A ratio to nothing is left out.
func figuresRows(theirs, ours []figure) string {
	var b strings.Builder
	for i, t := range theirs {
		o := ours[i].value
		ratio := "–"
		if t.value > 0 {
			ratio = fmt.Sprintf("%.2f", o/t.value)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", t.name, short(t.value), short(o), ratio)
	}
	return b.String()
}

// short prints a number with as many digits as say something.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// infoField is a field of a reply to INFO, or "".
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
