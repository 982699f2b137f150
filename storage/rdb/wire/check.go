package wire

import (
	"bytes"
	"cmp"
	"math"
	"slices"
)

// CheckHash returns corruption unless the elements make a hash: pairs, no field
// twice. The fields' values are the odd elements. It costs a sort of the
// elements; a loader that finds duplicates as it inserts has no need of it.
func (p Packed) CheckHash() error {
	if p.n%2 != 0 {
		return Corruptf("%d elements where pairs belong", p.n)
	}
	return p.checkDistinct(2)
}

// CheckZSet returns corruption unless the elements make a sorted set: pairs, no
// member twice, each score a number that is not NaN. The order is not checked:
// Redis does not, and it follows from the scores.
func (p Packed) CheckZSet() error {
	if err := p.CheckHash(); err != nil {
		return err
	}
	for member, score := range p.Pairs() {
		if _, ok := score.Double(); !ok {
			return Corruptf("score %.40q of member %.40q is not a number", score.String(), member.String())
		}
	}
	return nil
}

// CheckSet returns corruption unless the elements make a set: none is there
// twice.
func (p Packed) CheckSet() error { return p.checkDistinct(1) }

// checkDistinct returns corruption if two of each step-th elements are equal.
// It sorts their offsets: those take at most twice the memory of the elements,
// while a table of the elements themselves could take sixteen times as much.
func (p Packed) checkDistinct(step int) error {
	if p.format >= formatIntset16 {
		return nil // ascending, said the parser
	}
	if len(p.entries) > math.MaxUint32 {
		return Corruptf("packed encoding of %d bytes", len(p.entries)) // only a zipmap could be
	}
	at := make([]uint32, 0, p.n/step)
	c := p.Cursor()
	for i := 0; i < p.n; i++ {
		if i%step == 0 {
			at = append(at, uint32(c.pos))
		}
		c.Next()
	}
	slices.SortFunc(at, func(a, b uint32) int { return p.element(a).compare(p.element(b)) })
	for i := 1; i < len(at); i++ {
		if e := p.element(at[i]); e.compare(p.element(at[i-1])) == 0 {
			return Corruptf("%.40q is there twice", e.String())
		}
	}
	return nil
}

// element returns the element at an offset; in a zipmap it must be a field.
func (p Packed) element(at uint32) Element {
	c := p.Cursor()
	c.pos = int(at)
	e, _ := c.Next()
	return e
}

// compare orders elements so that those with the same string are equal.
// Integers come first, in whatever form they are written.
func (e Element) compare(o Element) int {
	a, aInt := e.Int64()
	b, bInt := o.Int64()
	switch {
	case aInt && bInt:
		return cmp.Compare(a, b)
	case aInt:
		return -1
	case bInt:
		return 1
	}
	return bytes.Compare(e.str, o.str)
}
