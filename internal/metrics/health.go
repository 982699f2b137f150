package metrics

import "strings"

// Report is the answer to whether a process works, or serves.
type Report struct {
	// Problems are why it does not, each in a sentence for an operator; none: it does.
	Problems []string
	// Notes are what is wrong besides, without being a reason to say no.
	Notes []string
}

// Fault adds a problem.
func (r *Report) Fault(text string) { r.Problems = append(r.Problems, text) }

// Note adds what is wrong besides.
func (r *Report) Note(text string) { r.Notes = append(r.Notes, text) }

// text is what is sent: good or bad, then a line for each reason.
func (r *Report) text(good, bad string) string {
	var b strings.Builder
	b.WriteString(good)
	if len(r.Problems) > 0 {
		b.Reset()
		b.WriteString(bad)
	}
	b.WriteByte('\n')
	for _, p := range r.Problems {
		b.WriteString("- " + p + "\n")
	}
	for _, n := range r.Notes {
		b.WriteString("note: " + n + "\n")
	}
	return b.String()
}
