package metrics

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is what the samples of a family are.
type Kind uint8

const (
	Gauge     Kind = iota // goes up and down
	Counter               // only grows, but for a restart or CONFIG RESETSTAT
	Histogram             // how many times were no longer than so much
	Summary               // how long times were, without saying how they are spread
)

// String is the kind as a line # TYPE has it.
func (k Kind) String() string {
	return [...]string{"gauge", "counter", "histogram", "summary"}[k]
}

// ContentType is that of a Page: the text format of Prometheus.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Page is the answer to one scrape. Its memory can be used for the next one; see Reset.
type Page struct {
	families map[string]*Family
	included map[string]*Family // of other pages
}

// Family is samples of one name, which differ by the values of their labels. Two
// samples must not have the same values.
type Family struct {
	name, help string
	kind       Kind
	labels     []string
	text       []byte
}

// NewPage returns an empty page.
func NewPage() *Page { return &Page{families: make(map[string]*Family, 256)} }

// Family returns the family of that name, which is empty if there was none. Name and
// labels are those of programmers, and are not checked.
func (p *Page) Family(name string, kind Kind, help string, labels ...string) *Family {
	f := p.families[name]
	if f == nil {
		f = &Family{name: name, help: help, kind: kind, labels: labels}
		p.families[name] = f
	}
	return f
}

// Reset empties the page. Most of what a scrape costs besides is to find memory for each
// family anew.
func (p *Page) Reset() {
	for _, f := range p.families {
		f.text = f.text[:0]
	}
	p.included = nil
}

// Include takes in the families of another page, which may be on many pages and must not
// change any more. A family that is on both stays as it is.
func (p *Page) Include(other *Page) { p.included = other.families }

// Bytes is the page as Prometheus reads it, by the names of the families. One without a
// sample is left out.
func (p *Page) Bytes() []byte {
	list := make([]*Family, 0, len(p.families)+len(p.included))
	size := 0
	take := func(f *Family) {
		list = append(list, f)
		size += len(f.text) + 2*len(f.name) + len(f.help) + 64
	}
	for _, f := range p.families {
		if len(f.text) > 0 {
			take(f)
		}
	}
	for name, f := range p.included {
		if own := p.families[name]; len(f.text) > 0 && (own == nil || len(own.text) == 0) {
			take(f)
		}
	}
	slices.SortFunc(list, func(a, b *Family) int { return strings.Compare(a.name, b.name) })
	b := make([]byte, 0, size)
	for _, f := range list {
		b = append(append(append(b, "# HELP "...), f.name...), ' ')
		b = append(append(b, helpText.Replace(f.help)...), "\n# TYPE "...)
		b = append(append(append(b, f.name...), ' '), f.kind.String()...)
		b = append(append(b, '\n'), f.text...)
	}
	return b
}

var (
	helpText  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelText = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// Set writes a sample. There are as many values as the family has labels.
func (f *Family) Set(value float64, values ...string) {
	f.sample("", "", "", values)
	f.end(value)
}

// Int is Set for a number that is whole.
func (f *Family) Int(value int64, values ...string) {
	f.sample("", "", "", values)
	f.text = append(strconv.AppendInt(f.text, value, 10), '\n')
}

// Bool is Set for what is true (1) or not (0).
func (f *Family) Bool(value bool, values ...string) {
	n := int64(0)
	if value {
		n = 1
	}
	f.Int(n, values...)
}

// Spread writes a histogram: how many of all count samples, whose sum is given, were at
// most as large as each bound.
func (f *Family) Spread(bounds []string, upTo []uint64, count uint64, sum float64, values ...string) {
	const last = "+Inf"
	start := len(f.text)
	f.sample("_bucket", "le", last, values)
	before := len(f.text) - len(last) - len(`"} `) // the same for all bounds
	prefix := string(f.text[start:before])
	f.text = f.text[:start]
	for i, bound := range bounds {
		f.text = append(append(append(f.text, prefix...), bound...), `"} `...)
		f.uint(upTo[i])
	}
	f.text = append(append(append(f.text, prefix...), last...), `"} `...)
	f.uint(count)
	f.total(count, sum, values)
}

// Quantiles writes a summary: the values that were not exceeded by a share of all
// samples.
func (f *Family) Quantiles(shares, of []float64, count uint64, sum float64, values ...string) {
	for i, share := range shares {
		f.sample("", "quantile", strconv.FormatFloat(share, 'g', -1, 64), values)
		f.end(of[i])
	}
	f.total(count, sum, values)
}

// total is the last lines of a histogram or a summary.
func (f *Family) total(count uint64, sum float64, values []string) {
	f.sample("_sum", "", "", values)
	f.end(sum)
	f.sample("_count", "", "", values)
	f.uint(count)
}

// sample writes a sample up to its value. The label extra comes after those of the
// family.
func (f *Family) sample(suffix, extra, value string, values []string) {
	f.text = append(append(f.text, f.name...), suffix...)
	open := byte('{')
	for i, v := range values {
		f.label(open, f.labels[i], v)
		open = ','
	}
	if extra != "" {
		f.label(open, extra, value)
		open = ','
	}
	if open == ',' {
		f.text = append(f.text, '}')
	}
	f.text = append(f.text, ' ')
}

func (f *Family) label(before byte, name, value string) {
	f.text = append(append(append(f.text, before), name...), '=', '"')
	if strings.ContainsAny(value, "\\\n\"") {
		value = labelText.Replace(value)
	}
	f.text = append(append(f.text, strings.ToValidUTF8(value, "\uFFFD")...), '"')
}

func (f *Family) end(value float64) {
	switch {
	case math.IsInf(value, 1):
		f.text = append(f.text, "+Inf"...)
	case math.IsInf(value, -1):
		f.text = append(f.text, "-Inf"...)
	case value == math.Trunc(value) && math.Abs(value) < 1<<53: // as people read it
		f.text = strconv.AppendInt(f.text, int64(value), 10)
	default: // NaN is NaN
		f.text = strconv.AppendFloat(f.text, value, 'g', -1, 64)
	}
	f.text = append(f.text, '\n')
}

func (f *Family) uint(n uint64) { f.text = append(strconv.AppendUint(f.text, n, 10), '\n') }

// seconds is a time as Prometheus has it.
func seconds(d time.Duration) float64 { return d.Seconds() }
