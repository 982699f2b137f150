package command

import (
	"strconv"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// Ranges is the rows of the commands on parts of a string.
var Ranges = []*Row{
	{Name: "append", Arity: 3, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyInsert), Run: appendTo,
		Doc: Doc{Summary: "Adds to the end of the string at a key, which is created if missing.", Since: "2.0.0", Group: "string", Complexity: "O(1), amortised, for a short value"}},
	{Name: "strlen", Arity: 2, Flags: ReadOnly | Fast, ACL: CatString, Keys: OneKey(KeyRO), Run: strLen,
		Doc: Doc{Summary: "Returns the length of the string at a key.", Since: "2.2.0", Group: "string", Complexity: "O(1)"}},
	{Name: "setrange", Arity: 4, Flags: Write | DenyOOM, ACL: CatString, Keys: OneKey(KeyRW | KeyUpdate), Run: setRange,
		Doc: Doc{Summary: "Overwrites a part of the string at a key, which is padded with zero bytes up to it.", Since: "2.2.0", Group: "string", Complexity: "O(M) where M is the length of the value"}},
	{Name: "getrange", Arity: 4, Flags: ReadOnly, ACL: CatString, Keys: OneKey(KeyRO | KeyAccess), Run: getRange,
		Doc: Doc{Summary: "Returns a part of the string at a key.", Since: "2.4.0", Group: "string", Complexity: "O(N) where N is the length of the part"}},
	{Name: "substr", Arity: 4, Flags: ReadOnly, ACL: CatString, Keys: OneKey(KeyRO | KeyAccess), Run: getRange,
		Doc: Doc{Summary: "Returns a part of the string at a key.", Since: "1.0.0", Group: "string", Complexity: "O(N) where N is the length of the part", Deprecated: "2.0.0", ReplacedBy: "`GETRANGE`"}},
	{Name: "lcs", Arity: -3, Flags: ReadOnly, ACL: CatString, Keys: KeysFrom(1, 2, 1, KeyRO|KeyAccess), Run: lcs,
		Doc: Doc{Summary: "Finds the longest common subsequence of two strings.", Since: "7.0.0", Group: "string", Complexity: "O(N*M) where N and M are the lengths of the strings"}},
}

// longestString is how long a string may become, in bytes: as proto-max-bulk-len
// says, except where a stream is applied.
func (c *Ctx) longestString() int64 {
	if c.Tx.Applying() {
		return storage.MaxString
	}
	return min(c.Host.MaxBulk(), storage.MaxString)
}

// fits answers and returns false if a string of size bytes would be too long. It
// matches checkStringLength.
func (c *Ctx) fits(size int64) bool {
	if size < 0 || size > c.longestString() {
		c.Out.Error(resp.ErrStringTooLong)
		return false
	}
	return true
}

func appendTo(c *Ctx) {
	v, found, ok := c.edit(c.Args[1])
	if !ok {
		return
	}
	if !found {
		store(c, c.Args[1], c.Args[2], 0, false)
		c.Tx.Note(storage.ClassString, "append", c.Args[1])
		c.Out.Int(int64(len(c.Args[2])))
		return
	}
	old := len(v)
	size := old + len(c.Args[2])
	if !c.fits(int64(size)) {
		return
	}
	copy(c.Tx.GrowString(c.Args[1], size)[old:], c.Args[2])
	c.Tx.Note(storage.ClassString, "append", c.Args[1])
	c.Out.Int(int64(size))
}

func strLen(c *Ctx) {
	if v, _, ok := c.str(c.Args[1]); ok {
		c.Out.Int(int64(len(v)))
	}
}

func setRange(c *Ctx) {
	offset, ok := resp.ParseInt(c.Args[2])
	if !ok {
		c.Out.Error(resp.ErrNotInteger)
		return
	}
	if offset < 0 {
		c.Out.Error(resp.ErrOffset)
		return
	}
	v, _, ok := c.edit(c.Args[1])
	if !ok {
		return
	}
	part := c.Args[3]
	if len(part) == 0 {
		c.Out.Int(int64(len(v)))
		return
	}
	if !c.fits(offset + int64(len(part))) {
		return
	}
	size := max(len(v), int(offset)+len(part))
	copy(c.Tx.GrowString(c.Args[1], size)[offset:], part)
	c.Tx.Note(storage.ClassString, "setrange", c.Args[1])
	c.Out.Int(int64(size))
}

func getRange(c *Ctx) {
	start, ok1 := resp.ParseInt(c.Args[2])
	end, ok2 := resp.ParseInt(c.Args[3])
	if !ok1 || !ok2 {
		c.Out.Error(resp.ErrNotInteger)
		return
	}
	v, _, ok := c.str(c.Args[1])
	if !ok {
		return
	}
	n := int64(len(v))
	if start < 0 && end < 0 && start > end {
		c.Out.Bulk(nil)
		return
	}
	if start < 0 {
		start = max(n+start, 0)
	}
	if end < 0 {
		end = max(n+end, 0)
	}
	end = min(end, n-1)
	if start > end || n == 0 {
		c.Out.Bulk(nil)
		return
	}
	c.Out.Bulk(v[start : end+1])
}

// lcsOptions is what may follow LCS's two keys.
type lcsOptions struct {
	length, index, withLen bool
	minLen                 int64
}

func parseLCSOptions(c *Ctx) (o lcsOptions, ok bool) {
	for i := 3; i < len(c.Args); i++ {
		switch a := c.Args[i]; {
		case is(a, "IDX"):
			o.index = true
		case is(a, "LEN"):
			o.length = true
		case is(a, "WITHMATCHLEN"):
			o.withLen = true
		case is(a, "MINMATCHLEN") && i+1 < len(c.Args):
			i++
			n, ok := resp.ParseInt(c.Args[i])
			if !ok {
				c.Out.Error(resp.ErrNotInteger)
				return o, false
			}
			o.minLen = max(n, 0)
		default:
			c.Out.Error(resp.ErrSyntax)
			return o, false
		}
	}
	if o.length && o.index {
		c.Out.Error(resp.ErrLCSBoth)
		return o, false
	}
	return o, true
}

// lcsMatch is one run common to both strings: positions, both ends included.
type lcsMatch struct{ aFirst, aLast, bFirst, bLast int }

// lcs matches lcsCommand.
func lcs(c *Ctx) {
	var s [2][]byte
	for i := range s {
		if e, found := c.Tx.Find(c.Args[1+i]); found {
			if e.Type() != storage.TypeString {
				c.Out.Error(resp.ErrLCSTypes)
				return
			}
			s[i] = e.Bytes()
		}
	}
	o, ok := parseLCSOptions(c)
	if !ok {
		return
	}
	if lcsTooLong(int64(len(s[0])), int64(len(s[1])), c.Host.MaxBulk()) {
		c.Out.Error(resp.ErrLCSTooLong)
		return
	}
	text, matches := longestCommon(s[0], s[1])
	switch {
	case o.length:
		c.Out.Int(int64(len(text)))
	case o.index:
		replyMatches(c, matches, len(text), o)
	default:
		c.Out.Bulk(text)
	}
}

// lcsTooLong reports whether the table for strings of these lengths takes more than
// most bytes. The product of the lengths may not fit an integer.
func lcsTooLong(a, b, most int64) bool {
	const cellBytes = 4
	return b+1 > most/cellBytes/(a+1)
}

func replyMatches(c *Ctx, matches []lcsMatch, length int, o lcsOptions) {
	long := matches[:0]
	for _, m := range matches {
		if int64(m.aLast-m.aFirst+1) >= o.minLen {
			long = append(long, m)
		}
	}
	c.Out.Map(2)
	c.Out.BulkString("matches")
	c.Out.Array(len(long))
	for _, m := range long {
		if o.withLen {
			c.Out.Array(3)
		} else {
			c.Out.Array(2)
		}
		for _, r := range [2][2]int{{m.aFirst, m.aLast}, {m.bFirst, m.bLast}} {
			c.Out.Array(2)
			c.Out.Int(int64(r[0]))
			c.Out.Int(int64(r[1]))
		}
		if o.withLen {
			c.Out.Int(int64(m.aLast - m.aFirst + 1))
		}
	}
	c.Out.BulkString("len")
	c.Out.Int(int64(length))
}

// longestCommon computes the subsequence by the usual table of prefix lengths,
// then walks back from its far corner, so matches come last first, as in Redis.
func longestCommon(a, b []byte) (text []byte, matches []lcsMatch) {
	width := len(b) + 1
	t := make([]uint32, (len(a)+1)*width)
	for i := range a {
		for j := range b {
			if at := (i+1)*width + j + 1; a[i] == b[j] {
				t[at] = t[at-width-1] + 1
			} else {
				t[at] = max(t[at-1], t[at-width])
			}
		}
	}
	left := int(t[len(t)-1])
	text = make([]byte, left)
	i, j := len(a), len(b)
	for i > 0 && j > 0 && left > 0 {
		switch {
		case a[i-1] == b[j-1]:
			i, j, left = i-1, j-1, left-1
			text[left] = a[i]
			if n := len(matches) - 1; n >= 0 && matches[n].aFirst == i+1 && matches[n].bFirst == j+1 {
				matches[n].aFirst, matches[n].bFirst = i, j
			} else {
				matches = append(matches, lcsMatch{i, i, j, j})
			}
		case t[(i-1)*width+j] > t[i*width+j-1]:
			i--
		default:
			j--
		}
	}
	return text, matches
}

// itoa is strconv.Itoa for a signed 64-bit value as bytes.
func itoa(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
