package storage

import (
	"bytes"
	"math"
	"strconv"

	"redoubt/storage/tree"
)

// The encodings of a sorted set by name; it never becomes a listpack again.
const (
	codingListpackZSet = iota
	codingSkiplist
)

// ZSet is a sorted set as a command works on it. Its members are ordered by
// score, equal scores by bytes; a rank is a position in that order, from 0.
type ZSet struct {
	*collection
	t *tree.ZSetTree
}

// ZSet is the entry's sorted set; its type must be TypeZSet.
func (e Entry) ZSet() ZSet {
	c, t := e.read(TypeZSet)
	return ZSet{c, (*tree.ZSetTree)(t)}
}

// EditZSet finds key for a command that changes a sorted set; see collection.
func (tx *Tx) EditZSet(key []byte) (ZSet, bool) {
	c, t, ok := tx.edit(key, TypeZSet)
	return ZSet{c, (*tree.ZSetTree)(t)}, ok
}

// Score returns the score of a member.
func (z *ZSet) Score(member []byte) (score float64, ok bool) {
	if z.t == nil {
		return 0, false
	}
	return z.t.Score(member)
}

// Set gives a member, which is copied, a score, which is no NaN, and reports
// whether the member is new.
func (z *ZSet) Set(member []byte, score float64) (added bool) {
	z.Update(member, func(_ float64, found bool) (float64, bool) {
		added = !found
		return score, true
	})
	return added
}

// Update gives a member, which is copied, the score that choose returns, which is
// no NaN, unless choose returns false: then nothing happens. choose gets the score
// that the member has, if it is found, and must not use the set. -0 becomes 0 as
// long as the set is a listpack, as in zsetAdd.
func (z *ZSet) Update(member []byte, choose func(old float64, found bool) (score float64, ok bool)) {
	before := z.change()
	if !z.t.Update(member, func(old float64, found bool) (float64, bool) {
		score, ok := choose(old, found)
		if ok && score == 0 && math.Signbit(score) && z.coding() == codingListpackZSet && !z.outgrows(member, found) {
			score = 0
			z.zeros = append(z.zeros, bytes.Clone(member))
		}
		return score, ok
	}) {
		return
	}
	coding := z.coding()
	if l := &z.tx.ks.limits; z.Len() > l.ZSetEntries || len(member) > l.ZSetValue {
		coding = codingSkiplist
	}
	z.changed(before, coding, 1)
}

// outgrows reports whether the set is no listpack any more when it has member,
// which may be found in it already.
func (z *ZSet) outgrows(member []byte, found bool) bool {
	l, n := &z.tx.ks.limits, z.Len()
	if !found {
		n++
	}
	return n > l.ZSetEntries || len(member) > l.ZSetValue
}

// Complete follows the last of many calls of Set that made the set: Redis chooses
// the encoding of a set that it stores or loads by all members, so those of a
// skiplist have their -0.
func (z *ZSet) Complete() {
	zeros := z.zeros
	z.zeros = nil
	if z.coding() == codingListpackZSet {
		return
	}
	for _, member := range zeros {
		z.Set(member, math.Copysign(0, -1))
	}
}

// Remove takes a member out and reports whether it was there. The key goes with
// its last member.
func (z *ZSet) Remove(member []byte) bool {
	before := z.change()
	if !z.t.Delete(member) {
		return false
	}
	z.changed(before, z.coding(), 1)
	return true
}

// RemoveRange takes n members from a rank on out. The key goes with its last
// member.
func (z *ZSet) RemoveRange(rank, n int) {
	switch n {
	case 0:
		return
	case z.Len():
		z.empty(n)
		return
	}
	before := z.change()
	z.t.Remove(rank, n)
	z.changed(before, z.coding(), n)
}

// Rank returns the rank and the score of a member.
func (z *ZSet) Rank(member []byte) (rank int, score float64, ok bool) {
	if z.t == nil {
		return 0, 0, false
	}
	return z.t.Rank(member)
}

// At is the member at a rank, which must exist.
func (z *ZSet) At(rank int) (member []byte, score float64) { return z.t.At(rank) }

// AscendFrom calls f for the members whose score is not below score, in order, until
// it returns false. f must not change the set.
func (z *ZSet) AscendFrom(score float64, f func(member []byte, score float64) bool) {
	if z.t != nil {
		z.t.AscendFrom(score, f)
	}
}

// CountBelow is how many members have a score below score, or equal to it if
// inclusive: the rank of the first one behind.
func (z *ZSet) CountBelow(score float64, inclusive bool) int {
	if z.t == nil {
		return 0
	}
	return z.t.CountBelow(score, inclusive)
}

// CountBefore is how many members come before member in the order of bytes, or
// are equal to it if inclusive. It means something only where all scores are
// the same (ZRANGEBYLEX).
func (z *ZSet) CountBefore(member []byte, inclusive bool) int {
	if z.t == nil {
		return 0
	}
	return z.t.CountBefore(member, inclusive)
}

// Ascend calls f for the members from a rank on until it returns false.
func (z *ZSet) Ascend(rank int, f func(member []byte, score float64) bool) {
	if z.t != nil {
		z.t.Ascend(rank, f)
	}
}

// Descend calls f for the members from a rank down to the first until it returns
// false.
func (z *ZSet) Descend(rank int, f func(member []byte, score float64) bool) {
	if z.t != nil {
		z.t.Descend(min(rank, z.Len()-1), f)
	}
}

// Scan is Hash.Scan for members and their scores.
func (z *ZSet) Scan(cursor uint64, count int, f func(member []byte, score float64)) (next uint64) {
	if z.t == nil {
		return 0
	}
	return z.t.Scan(cursor, count, f)
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
