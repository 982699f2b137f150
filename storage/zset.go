package storage

import (
	"bytes"
	"math"
	"strconv"

	"redoubt/slots"
)

// scored is a member of a sorted set with its score.
type scored struct {
	score  float64
	member []byte
}

// sorted is the value of a sorted set: its members by score, equal scores by
// the bytes of the member, and an index of the scores by member. The index keeps
// a score as the bits of the float, in the value of a field.
type sorted struct {
	order sequence[scored]
	index fields
	bytes int
	large bool // what OBJECT ENCODING calls skiplist, for good
}

func newSorted() value { return new(sorted) }

func (v *sorted) typ() Type { return TypeZSet }

func (v *sorted) encoding() string {
	if v.large {
		return "skiplist"
	}
	return "listpack"
}

func (v *sorted) size() int { return v.bytes + 104*v.order.n }

func (v *sorted) clone() value {
	c := *v
	c.order, c.index.sequence = v.order.clone(), v.index.sequence.clone()
	return &c
}

func (v *sorted) image() value { return v.clone() }

func (v *sorted) digest(d *digester) {
	v.order.ascend(0, func(s scored) bool {
		var one digester
		one.mix(s.member)
		one.mix(appendDigestScore(nil, s.score))
		d.xor(one.sum[:])
		return true
	})
}

// appendDigestScore writes a score as C's %.17g does.
func appendDigestScore(b []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	}
	exp, digits := 0, strconv.AppendFloat(nil, f, 'e', 16, 64)
	if i := bytes.IndexByte(digits, 'e'); i >= 0 {
		exp, _ = strconv.Atoi(string(digits[i+1:]))
	}
	if exp < -4 || exp >= 17 {
		mantissa, power, _ := bytes.Cut(digits, []byte("e"))
		return append(append(append(b, trimZeros(mantissa)...), 'e'), power...)
	}
	return append(b, trimZeros(strconv.AppendFloat(nil, f, 'f', 16-exp, 64))...)
}

func trimZeros(b []byte) []byte {
	if bytes.IndexByte(b, '.') < 0 {
		return b
	}
	return bytes.TrimSuffix(bytes.TrimRight(b, "0"), []byte("."))
}

// rank is the position of an element, or that at which it would stand.
func (v *sorted) rank(score float64, member []byte) int {
	return v.order.search(func(s scored) bool {
		return s.score < score || s.score == score && bytes.Compare(s.member, member) < 0
	})
}

// ZSet is a sorted set as a command works on it. Its members are ordered by
// score, equal scores by bytes; a rank is a position in that order, from 0.
type ZSet struct{ collection }

// ZSet is the entry's sorted set; its type must be TypeZSet.
func (e Entry) ZSet() ZSet {
	return ZSet{collection{tx: e.tx, key: e.rec.key(), p: place{slot: slots.Of(e.rec.key()), rec: e.rec}}}
}

// EditZSet finds key for a command that changes a sorted set; see collection.
func (tx *Tx) EditZSet(key []byte) (ZSet, bool) {
	c, ok := tx.edit(key, TypeZSet)
	return ZSet{c}, ok
}

func (z *ZSet) value() *sorted { return z.collection.value().(*sorted) }

// Len is the number of members; 0 if the key does not exist.
func (z *ZSet) Len() int {
	if !z.p.found() {
		return 0
	}
	return z.value().order.n
}

// Score returns the score of a member.
func (z *ZSet) Score(member []byte) (score float64, ok bool) {
	if !z.p.found() {
		return 0, false
	}
	v := z.value()
	i, ok := v.index.find(z.tx.ks.hash(member), member)
	if !ok {
		return 0, false
	}
	return scoreOf(v.index.at(i)), true
}

func scoreOf(f field) float64 {
	n, _ := strconv.ParseFloat(string(f.value), 64)
	return n
}

// Set gives a member, which is copied, a score, which is no NaN, and reports
// whether the member is new.
func (z *ZSet) Set(member []byte, score float64) (added bool) {
	before := z.change(newSorted)
	v, hash := z.value(), z.tx.ks.hash(member)
	text := strconv.AppendFloat(nil, score, 'g', -1, 64)
	i, found := v.index.find(hash, member)
	if found {
		f := v.index.at(i)
		v.order.remove(v.rank(scoreOf(f), member))
		f.value = text
		v.index.set(i, f)
		member = f.name
	} else {
		member = append([]byte(nil), member...)
		v.index.insert(i, field{hash, member, text})
		v.bytes += len(member)
	}
	v.order.insert(v.rank(score, member), scored{score, member})
	l := &z.tx.ks.limits
	v.large = v.large || v.order.n > l.ZSetEntries || len(member) > l.ZSetValue
	z.changed(before, v.order.n, 1)
	return !found
}

// Remove takes a member out and reports whether it was there. The key goes with
// its last member.
func (z *ZSet) Remove(member []byte) bool {
	score, ok := z.Score(member)
	if ok {
		z.RemoveRange(z.value().rank(score, member), 1)
	}
	return ok
}

// RemoveRange takes n members from a rank on out. The key goes with its last
// member.
func (z *ZSet) RemoveRange(rank, n int) {
	if n == 0 {
		return
	}
	before := z.change(newSorted)
	v := z.value()
	for range n {
		s := v.order.at(rank)
		i, _ := v.index.find(z.tx.ks.hash(s.member), s.member)
		v.index.remove(i)
		v.order.remove(rank)
		v.bytes -= len(s.member)
	}
	z.changed(before, v.order.n, n)
}

// Rank returns the rank and the score of a member.
func (z *ZSet) Rank(member []byte) (rank int, score float64, ok bool) {
	score, ok = z.Score(member)
	if !ok {
		return 0, 0, false
	}
	return z.value().rank(score, member), score, true
}

// At is the member at a rank, which must exist.
func (z *ZSet) At(rank int) (member []byte, score float64) {
	s := z.value().order.at(rank)
	return s.member, s.score
}

// CountBelow is how many members have a score below score, or equal to it if
// inclusive: the rank of the first one behind.
func (z *ZSet) CountBelow(score float64, inclusive bool) int {
	if !z.p.found() {
		return 0
	}
	return z.value().order.search(func(s scored) bool {
		return s.score < score || inclusive && s.score == score
	})
}

// CountBefore is how many members come before member in the order of bytes, or
// are equal to it if inclusive. It means something only where all scores are
// the same (ZRANGEBYLEX).
func (z *ZSet) CountBefore(member []byte, inclusive bool) int {
	if !z.p.found() {
		return 0
	}
	return z.value().order.search(func(s scored) bool {
		c := bytes.Compare(s.member, member)
		return c < 0 || inclusive && c == 0
	})
}

// Ascend calls f for the members from a rank on until it returns false.
func (z *ZSet) Ascend(rank int, f func(member []byte, score float64) bool) {
	if z.p.found() {
		z.value().order.ascend(rank, func(s scored) bool { return f(s.member, s.score) })
	}
}

// Descend calls f for the members from a rank down to the first until it returns
// false.
func (z *ZSet) Descend(rank int, f func(member []byte, score float64) bool) {
	if z.p.found() {
		z.value().order.descend(min(rank, z.Len()-1), func(s scored) bool { return f(s.member, s.score) })
	}
}

// Scan is Hash.Scan for members and their scores.
func (z *ZSet) Scan(cursor uint64, count int, f func(member []byte, score float64)) (next uint64) {
	if !z.p.found() {
		return 0
	}
	return z.value().index.scan(cursor, count, func(x field) { f(x.name, scoreOf(x)) })
}
