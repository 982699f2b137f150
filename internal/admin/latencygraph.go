package admin

import (
	"fmt"
	"strings"
)

const (
	graphColumns = 80
	graphRows    = 4
	graphMarks   = "_o#" // a third of a row each
)

// graph draws the samples of an event, the oldest first, as LATENCY GRAPH does: the
// worst as high as there are rows, and below each column how long ago that was.
func (s *latencySeries) graph(event string, now int64) string {
	low, high := s.samples[0].ms, s.samples[0].ms
	for _, v := range s.samples {
		low, high = min(low, v.ms), max(high, v.ms)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s - high %d ms, low %d ms (all time high %d ms)\n%s\n", event, high, low, s.worst, strings.Repeat("-", graphColumns))
	for from := 0; from < len(s.samples); from += graphColumns {
		if from > 0 {
			b.WriteByte('\n')
		}
		drawSamples(&b, s.samples[from:min(from+graphColumns, len(s.samples))], low, high, now)
	}
	return b.String()
}

// drawSamples draws as many samples as there are columns.
func drawSamples(b *strings.Builder, samples []latencySample, low, high, now int64) {
	const steps = graphRows * len(graphMarks)
	labels, longest := make([]string, len(samples)), 0
	for i, v := range samples {
		labels[i] = age(now - v.at)
		longest = max(longest, len(labels[i]))
	}
	line := make([]byte, len(samples))
	for row := range graphRows {
		for i, v := range samples {
			step := min((v.ms-low)*int64(steps)/max(high-low, 1), int64(steps-1))
			switch mark := int(step) - (graphRows-row-1)*len(graphMarks); {
			case mark < 0:
				line[i] = ' '
			case mark < len(graphMarks):
				line[i] = graphMarks[mark]
			default:
				line[i] = '|'
			}
		}
		fmt.Fprintf(b, "%s\n", line)
	}
	fmt.Fprintf(b, "%s\n", strings.Repeat(" ", len(samples)))
	for row := range longest {
		for i, label := range labels {
			line[i] = ' '
			if row < len(label) {
				line[i] = label[row]
			}
		}
		fmt.Fprintf(b, "%s\n", line)
	}
}

// age is how long ago something was, in its largest unit.
func age(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm", seconds/60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh", seconds/3600)
	}
	return fmt.Sprintf("%dd", seconds/(24*3600))
}

// latencyAdvice is what to look at when an event takes long.
var latencyAdvice = map[string]string{
	"command": "Look at SLOWLOG GET for the commands that take long, and use those that do less at once: " +
		"SCAN instead of KEYS, parts of large collections instead of all of them.",
	"fast-command": "Commands that cannot take long took long: something else held the processor or the key's slot. " +
		"Look whether the machine swaps or its processors are overcommitted, and for large keys in the same slot.",
	"command-unblocking": "Serving clients that had waited took long: many of them wait for the same keys.",
	"expire-cycle":       "Very many keys expired at the same moment. Spread their expiries, or make fewer of them large.",
	"eviction-cycle":     "Room had to be made for much at once. Raise maxmemory, or lower maxmemory-eviction-tenacity.",
	"active-defrag-cycle": "Moving large values took long. Raise active-defrag-ignore-bytes or active-defrag-threshold-lower, " +
		"or turn activedefrag off.",
	"aof-write":        "The disk takes the journal's bytes slowly. Look what else writes to it.",
	"aof-fsync-always": "The disk is slow to make writes durable, and replies wait for that. Use a faster disk, or appendfsync everysec.",
}

// report is what LATENCY DOCTOR says; the caller holds mu.
func (m *Latency) report(now int64, thresholdMs int64) string {
	if thresholdMs == 0 {
		return "Events are not watched, as latency-monitor-threshold is 0. Set it to the milliseconds from which an event is too slow, " +
			"by CONFIG SET latency-monitor-threshold, and ask again later.\n"
	}
	names := m.names()
	if len(names) == 0 {
		return fmt.Sprintf("No event has taken %d ms or more since the start or the last LATENCY RESET.\n", thresholdMs)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Events that took %d ms or more:\n\n", thresholdMs)
	for i, name := range names {
		s := m.events[name]
		mean, deviation := s.mean()
		fmt.Fprintf(&b, "%d. %s: %d spikes in seconds of their own, the first %s ago, one each %.1f s. On average %d ms, mean deviation %d ms, worst of all %d ms.\n",
			i+1, name, len(s.samples), age(now-s.samples[0].at), float64(now-s.samples[0].at)/float64(len(s.samples)), mean, deviation, s.worst)
	}
	b.WriteString("\nWhat may help:\n\n")
	for _, name := range names {
		if advice := latencyAdvice[name]; advice != "" {
			fmt.Fprintf(&b, "- %s: %s\n", name, advice)
		}
	}
	b.WriteString("- Transparent huge pages, swapping and a noisy neighbour slow down every event. redis-cli --intrinsic-latency measures the machine.\n")
	return b.String()
}

// mean is the average of the samples in milliseconds, and how far they are from it on
// average.
func (s *latencySeries) mean() (mean, deviation int64) {
	n := int64(len(s.samples))
	for _, v := range s.samples {
		mean += v.ms
	}
	mean /= n
	for _, v := range s.samples {
		deviation += max(v.ms-mean, mean-v.ms)
	}
	return mean, deviation / n
}
