package command

import (
	"bytes"
	"math"
	"sort"
	"strconv"
	"strings"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// parseDouble reads a double as string2d does: what strtod takes, no spaces, no
// trailing bytes, no NaN, nothing too large or too small for one.
func parseDouble(b []byte) (float64, bool) {
	if f, ok := shortInteger(b); ok {
		return f, true
	}
	f, ranged, ok := strtod(string(b))
	return f, ok && !ranged
}

// shortInteger reads digits, behind a minus or not, that a double holds exactly:
// most scores.
func shortInteger(b []byte) (f float64, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 15 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if f = float64(n); negative {
		f = -f // also of zero, which has a sign
	}
	return f, true
}

// strtod reads the whole of s as a double. ranged is whether the number is too
// large or too small for one, which leaves an infinity or a zero.
func strtod(s string) (f float64, ranged, ok bool) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 {
		return 0, false, false
	}
	switch lower(digits) {
	case "inf", "infinity":
		return math.Inf(1 - 2*strings.Count(s, "-")), false, true
	}
	base, mantissa, ok := floatSyntax(digits)
	if !ok {
		return 0, false, false
	}
	if base == 0 && !strings.ContainsAny(s, "pP") {
		s += "p0" // C can do without
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return f, true, true
	}
	return f, f == 0 && strings.Trim(mantissa, "0.") != "", true
}

// double reads a number as getDoubleFromObjectOrReply does, or answers with
// refusal.
func (c *Ctx) double(arg []byte, refusal resp.Error) (float64, bool) {
	f, ok := parseDouble(arg)
	if !ok {
		c.Out.Error(refusal)
	}
	return f, ok
}

// interval is a stretch of a sorted set: n members from a rank on.
type interval struct{ rank, n int }

// between is the interval from the member at rank from to the one before rank to.
func between(from, to int) interval {
	if from >= to {
		return interval{}
	}
	return interval{from, to - from}
}

// limit leaves out members at the beginning of an interval, at its end if
// reversed, and all behind count others; a negative count means all. It matches
// what LIMIT does: a negative offset leaves nothing.
func (v interval) limit(offset, count int64, reversed bool) interval {
	if offset < 0 || offset >= int64(v.n) {
		return interval{}
	}
	n := v.n - int(offset)
	if count >= 0 {
		n = int(min(count, int64(n)))
	}
	if reversed {
		return interval{v.rank + v.n - int(offset) - n, n}
	}
	return interval{v.rank + int(offset), n}
}

// bounds are the two ends of a range of a sorted set, of one kind.
type bounds struct {
	kind   rangeKind // byRank, byScore or byLex
	ranks  rankRange
	scores scoreRange
	lex    lexRange
}

// of is what of a sorted set lies between them.
func (b *bounds) of(z *storage.ZSet) interval {
	switch b.kind {
	case byScore:
		return b.scores.of(z)
	case byLex:
		return b.lex.of(z)
	}
	return b.ranks.of(z)
}

// rankRange is a range by ranks, which count from the end if they are negative.
type rankRange struct {
	start, stop int64
	reversed    bool // they are counted from the highest score
}

func (r rankRange) of(z *storage.ZSet) interval {
	from, n := span(r.start, r.stop, z.Len())
	if r.reversed {
		from = z.Len() - from - n
	}
	return interval{from, n}
}

// scoreRange is a range by scores.
type scoreRange struct{ low, high scoreBound }

type scoreBound struct {
	score     float64
	exclusive bool
}

func (r scoreRange) of(z *storage.ZSet) interval {
	return between(z.CountBelow(r.low.score, r.low.exclusive), z.CountBelow(r.high.score, !r.high.exclusive))
}

// parseScoreBound matches zslParseRange, which is laxer than what parses scores:
// nothing is zero, and what does not fit a double is an infinity or zero.
func parseScoreBound(b []byte) (s scoreBound, ok bool) {
	if len(b) > 0 && b[0] == '(' {
		s.exclusive, b = true, b[1:]
	}
	b, _, _ = bytes.Cut(b, []byte{0}) // to C it ends there
	if len(b) == 0 {
		return s, true
	}
	s.score, _, ok = strtod(strings.TrimLeft(string(b), " \t\n\v\f\r"))
	return s, ok
}

// lexRange is a range by the bytes of members, which is meant for where all
// scores are the same.
type lexRange struct{ low, high lexBound }

type lexBound struct {
	member    []byte
	exclusive bool
	beyond    int8 // -1: before all members, 1: behind all members
}

func (r lexRange) of(z *storage.ZSet) interval {
	return between(r.low.before(z, r.low.exclusive), r.high.before(z, !r.high.exclusive))
}

// before is how many members stand before the bound, those equal to it among
// them if inclusive. With several scores it is right, as in Redis, where the
// order of the scores is that of the members.
func (b *lexBound) before(z *storage.ZSet, inclusive bool) int {
	n := z.Len()
	switch {
	case b.beyond < 0 || n == 0:
		return 0
	case b.beyond > 0:
		return n
	}
	_, first := z.At(0)
	if _, last := z.At(n - 1); first == last {
		return z.CountBefore(b.member, inclusive)
	}
	return sort.Search(n, func(i int) bool {
		member, _ := z.At(i)
		c := bytes.Compare(member, b.member)
		return c > 0 || c == 0 && !inclusive
	})
}

// parseLexBound matches zslParseLexRangeItem.
func parseLexBound(b []byte) (l lexBound, ok bool) {
	if len(b) == 0 {
		return l, false
	}
	switch alone := len(b) == 1 || b[1] == 0; b[0] {
	case '-':
		return lexBound{beyond: -1}, alone
	case '+':
		return lexBound{beyond: 1}, alone
	case '(':
		return lexBound{member: b[1:], exclusive: true}, true
	case '[':
		return lexBound{member: b[1:]}, true
	}
	return l, false
}

// rangeKind says what the bounds of a range are.
type rangeKind uint8

const (
	byAny rangeKind = iota // the options tell; ranks if they do not
	byRank
	byScore
	byLex
)

// bounds reads the two ends of a range, or answers what is wrong with them.
func (c *Ctx) bounds(low, high []byte, kind rangeKind) (b bounds, ok bool) {
	switch b.kind = kind; kind {
	case byScore:
		b.scores, ok = c.scoreRange(low, high)
	case byLex:
		b.lex, ok = c.lexRange(low, high)
	default:
		b.kind = byRank
		if b.ranks.start, ok = c.integer(low); ok {
			b.ranks.stop, ok = c.integer(high)
		}
	}
	return b, ok
}

func (c *Ctx) scoreRange(low, high []byte) (r scoreRange, ok bool) {
	if r.low, ok = parseScoreBound(low); ok {
		r.high, ok = parseScoreBound(high)
	}
	if !ok {
		c.Out.Error(resp.ErrScoreRange)
	}
	return r, ok
}

func (c *Ctx) lexRange(low, high []byte) (r lexRange, ok bool) {
	if r.low, ok = parseLexBound(low); ok {
		r.high, ok = parseLexBound(high)
	}
	if !ok {
		c.Out.Error(resp.ErrLexRange)
	}
	return r, ok
}
