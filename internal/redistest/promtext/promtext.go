// Package promtext reads pages in the text format of Prometheus, for tests. It refuses
// what Prometheus refuses, and what Prometheus takes but means that a page is wrong: two
// samples that look alike, a family in two places, a histogram that does not add up.
package promtext

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Family is the samples of one name.
type Family struct {
	Name, Help, Kind string
	Samples          []Sample
}

// Sample is one line.
type Sample struct {
	Name   string
	Labels map[string]string
	Value  float64
}

// Find returns the value of the first sample of that name with these labels, of which
// there may be more; NaN if there is none.
func (f *Family) Find(name string, labels ...string) float64 {
	if f == nil {
		return math.NaN()
	}
next:
	for _, s := range f.Samples {
		if s.Name != name {
			continue
		}
		for i := 0; i+1 < len(labels); i += 2 {
			if s.Labels[labels[i]] != labels[i+1] {
				continue next
			}
		}
		return s.Value
	}
	return math.NaN()
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
)

// Parse reads a page.
func Parse(page string) (map[string]*Family, error) {
	if !strings.HasSuffix(page, "\n") {
		return nil, fmt.Errorf("the page does not end with a line")
	}
	families, seen := map[string]*Family{}, map[string]bool{}
	var current *Family
	for i, line := range strings.Split(strings.TrimSuffix(page, "\n"), "\n") {
		err := func() error {
			if rest, ok := strings.CutPrefix(line, "# HELP "); ok {
				name, help, ok := strings.Cut(rest, " ")
				if !ok || metricName.FindString(name) != name || families[name] != nil {
					return fmt.Errorf("help of %q: a wrong name, or one that was there", name)
				}
				current = &Family{Name: name, Help: help}
				families[name] = current
				return nil
			}
			if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
				name, kind, _ := strings.Cut(rest, " ")
				if current == nil || current.Name != name || current.Kind != "" || !slices.Contains([]string{"counter", "gauge", "histogram", "summary", "untyped"}, kind) {
					return fmt.Errorf("type %q of %q", kind, name)
				}
				current.Kind = kind
				return nil
			}
			s, err := sample(line)
			if err != nil {
				return err
			}
			if current == nil || current.Kind == "" || !current.owns(s.Name) {
				return fmt.Errorf("a sample of %q outside of its family", s.Name)
			}
			key := s.key("")
			if seen[key] {
				return fmt.Errorf("%s is there twice", key)
			}
			seen[key] = true
			if current.Kind == "counter" && !(s.Value >= 0) {
				return fmt.Errorf("the counter %s is %v", key, s.Value)
			}
			current.Samples = append(current.Samples, s)
			return nil
		}()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, f := range families {
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return families, nil
}

// owns reports whether a sample of that name is one of the family.
func (f *Family) owns(name string) bool {
	switch suffix := strings.TrimPrefix(name, f.Name); suffix {
	case "":
		return f.Kind != "histogram"
	case "_sum", "_count":
		return f.Kind == "histogram" || f.Kind == "summary"
	case "_bucket":
		return f.Kind == "histogram"
	}
	return false
}

// key names a series: the name and the labels, but for one of them.
func (s *Sample) key(but string) string {
	var list []string
	for name, value := range s.Labels {
		if name != but {
			list = append(list, name+"="+strconv.Quote(value))
		}
	}
	slices.Sort(list)
	return s.Name + "{" + strings.Join(list, ",") + "}"
}

func sample(line string) (s Sample, err error) {
	if !utf8.ValidString(line) {
		return s, fmt.Errorf("%q is not UTF-8", line)
	}
	s.Name = metricName.FindString(line)
	rest := line[len(s.Name):]
	if s.Name == "" {
		return s, fmt.Errorf("no name in %q", line)
	}
	s.Labels = map[string]string{}
	if strings.HasPrefix(rest, "{") {
		if rest, err = s.labels(rest[1:]); err != nil {
			return s, fmt.Errorf("%w in %q", err, line)
		}
	}
	text, ok := strings.CutPrefix(rest, " ")
	if s.Value, err = strconv.ParseFloat(text, 64); !ok || err != nil {
		return s, fmt.Errorf("the value of %q is no number", line)
	}
	return s, nil
}

func (s *Sample) labels(text string) (rest string, err error) {
	for {
		name := labelName.FindString(text)
		if _, twice := s.Labels[name]; name == "" || twice || !strings.HasPrefix(text[len(name):], `="`) {
			return "", fmt.Errorf("a wrong label %q", name)
		}
		var value strings.Builder
		i := len(name) + 2
	value:
		for ; ; i++ {
			if i >= len(text) {
				return "", fmt.Errorf("a label does not end")
			}
			switch c := text[i]; c {
			case '"':
				break value
			case '\\':
				i++
				at := -1
				if i < len(text) {
					at = strings.IndexByte(`\"n`, text[i])
				}
				if at < 0 {
					return "", fmt.Errorf("an unknown escape")
				}
				value.WriteByte("\\\"\n"[at])
			default:
				value.WriteByte(c)
			}
		}
		s.Labels[name] = value.String()
		text = text[i+1:]
		switch {
		case strings.HasPrefix(text, "}"):
			return text[1:], nil
		case !strings.HasPrefix(text, ","):
			return "", fmt.Errorf("labels go on with %q", text)
		}
		text = text[1:]
	}
}

// check looks at histograms: each must grow up to its count.
func (f *Family) check() error {
	if f.Kind == "" || len(f.Samples) == 0 {
		return fmt.Errorf("no type, or no sample")
	}
	if f.Kind != "histogram" {
		return nil
	}
	type series struct {
		bound, value float64
		count        float64
	}
	all := map[string]*series{}
	of := func(s *Sample) *series {
		k := *s
		k.Name = f.Name
		key := k.key("le")
		if all[key] == nil {
			all[key] = &series{bound: math.Inf(-1), count: math.NaN()}
		}
		return all[key]
	}
	for i := range f.Samples {
		s := &f.Samples[i]
		h := of(s)
		switch s.Name {
		case f.Name + "_count":
			h.count = s.Value
		case f.Name + "_bucket":
			bound, err := strconv.ParseFloat(s.Labels["le"], 64)
			if err != nil || bound <= h.bound || s.Value < h.value {
				return fmt.Errorf("the bucket %q of %s after %v with %v", s.Labels["le"], s.key("le"), h.bound, h.value)
			}
			h.bound, h.value = bound, s.Value
		}
	}
	for key, h := range all {
		if !math.IsInf(h.bound, 1) || h.value != h.count {
			return fmt.Errorf("%s ends at %v with %v of %v", key, h.bound, h.value, h.count)
		}
	}
	return nil
}
