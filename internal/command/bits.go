package command

import (
	"redoubt/internal/bitmap"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// Bits is the rows of the commands on the bits of strings.
var Bits = []*Row{
	{Name: "setbit", Arity: 4, Flags: Write | DenyOOM, ACL: CatBitmap, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: setBit,
		Doc: Doc{Summary: "Sets or clears one bit of the string at a key and returns what it was.", Since: "2.2.0", Group: "bitmap", Complexity: "O(1)",
			Args: []Arg{key("key"), integer("offset"), integer("value")}}},
	{Name: "getbit", Arity: 3, Flags: ReadOnly | Fast, ACL: CatBitmap, Keys: OneKey(KeyRO | KeyAccess), Run: getBit,
		Doc: Doc{Summary: "Returns one bit of the string at a key.", Since: "2.2.0", Group: "bitmap", Complexity: "O(1)",
			Args: []Arg{key("key"), integer("offset")}}},
	{Name: "bitcount", Arity: -2, Flags: ReadOnly, ACL: CatBitmap, Keys: OneKey(KeyRO | KeyAccess), Run: bitCount,
		Doc: Doc{Summary: "Counts the bits of a string, or of a part of it, that are set.", Since: "2.6.0", Group: "bitmap", Complexity: bitsComplexity,
			Args:    []Arg{key("key"), block("range", integer("start"), integer("end"), bitUnit).optional()},
			History: bitUnitHistory}},
	{Name: "bitpos", Arity: -3, Flags: ReadOnly, ACL: CatBitmap, Keys: OneKey(KeyRO | KeyAccess), Run: bitPos,
		Doc: Doc{Summary: "Finds the first bit of a string, or of a part of it, that is set or not set.", Since: "2.8.7", Group: "bitmap", Complexity: bitsComplexity,
			Args:    []Arg{key("key"), integer("bit"), block("range", integer("start"), block("end-unit-block", integer("end"), bitUnit).optional()).optional()},
			History: bitUnitHistory}},
	{Name: "bitop", Arity: -4, Flags: Write | DenyOOM, ACL: CatBitmap, Keys: []KeySpec{KeyAt(2, KeyOW|KeyUpdate), KeysFrom(3, -1, 1, KeyRO|KeyAccess)[0]}, Run: bitOp,
		Doc: Doc{Summary: "Combines the bits of strings by AND, OR, XOR, NOT and others, and stores the result.", Since: "2.6.0", Group: "bitmap", Complexity: bitsComplexity,
			Args:    []Arg{oneOf("operation", word("AND"), word("OR"), word("XOR"), word("NOT"), word("DIFF"), word("DIFF1"), word("ANDOR"), word("ONE")), key("destkey"), key("key").spec(1).multiple()},
			History: []Change{{"8.2.0", "The operations `DIFF`, `DIFF1`, `ANDOR` and `ONE`."}}}},
}

const bitsComplexity = "O(N) where N is the length of the strings"

var (
	bitUnit        = oneOf("unit", word("BYTE"), word("BIT")).optional().since("7.0.0")
	bitUnitHistory = []Change{{"7.0.0", "The option `BYTE` or `BIT` came."}}
)

// bitOffset reads a bit's number, which must lie within the largest string. A
// number behind "#" counts fields of width bits; width 0 is for commands without
// fields. It matches getBitOffsetFromArgument.
func (c *Ctx) bitOffset(arg []byte, width uint) (int64, bool) {
	of := int64(1)
	if width > 0 && len(arg) > 0 && arg[0] == '#' {
		arg, of = arg[1:], int64(width)
	}
	n, ok := resp.ParseInt(arg)
	if ok && of > 1 {
		n *= of // a product that wraps around to a bit that exists is taken, as in Redis
	}
	if !ok || n < 0 || n>>3 >= c.longestString() {
		c.Out.Error(resp.ErrBitOffset)
		return 0, false
	}
	return n, true
}

func setBit(c *Ctx) {
	n, ok := c.bitOffset(c.Args[2], 0)
	if !ok {
		return
	}
	on, ok := resp.ParseInt(c.Args[3])
	if !ok || on&^1 != 0 {
		c.Out.Error(resp.ErrBitValue)
		return
	}
	v, _, ok := c.edit(c.Args[1])
	if !ok {
		return
	}
	mask := byte(0x80) >> (n & 7)
	there := n>>3 < int64(len(v))
	old := there && v[n>>3]&mask != 0
	c.Out.Int(bit(old))
	if there && old == (on != 0) {
		return // no change, also for who watches the key
	}
	b := c.Tx.GrowString(c.Args[1], int(n>>3)+1)
	if on != 0 {
		b[n>>3] |= mask
	} else {
		b[n>>3] &^= mask
	}
	c.Tx.Note(storage.ClassString, "setbit", c.Args[1])
}

func getBit(c *Ctx) {
	n, ok := c.bitOffset(c.Args[2], 0)
	if !ok {
		return
	}
	if v, _, ok := c.str(c.Args[1]); ok {
		c.Out.Int(bit(n>>3 < int64(len(v)) && v[n>>3]&(0x80>>(n&7)) != 0))
	}
}

func bit(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// bitRange is the bits from start to end, in bytes or bits as unit says (nil:
// bytes), of a string of size bytes. Both count from the end if they are negative.
// some is false if there are no such bits.
func bitRange(start, end int64, unit []byte, size int) (r bitmap.Range, some, ok bool) {
	total, inBits := int64(size), false
	switch {
	case unit == nil, is(unit, "BYTE"):
	case is(unit, "BIT"):
		total, inBits = total*8, true
	default:
		return r, false, false
	}
	if start < 0 {
		start = max(total+start, 0)
	}
	if end < 0 {
		end = max(total+end, 0)
	}
	if end = min(end, total-1); start > end {
		return r, false, true
	}
	if inBits {
		return bitmap.Range{First: start, Last: end}, true, true
	}
	return bitmap.Range{First: start * 8, Last: end*8 + 7}, true, true
}

// bitCount matches bitcountCommand: of a missing key nothing else is looked at.
func bitCount(c *Ctx) {
	v, found, ok := c.str(c.Args[1])
	if !ok {
		return
	}
	var unit []byte
	start, end := int64(0), int64(-1)
	switch n := len(c.Args); {
	case !found:
		c.Out.Int(0)
		return
	case n == 2:
		c.Out.Int(bitmap.Count(v))
		return
	case n != 4 && n != 5:
		c.Out.Error(resp.ErrSyntax)
		return
	case n == 5:
		unit = c.Args[4]
	}
	if start, ok = c.integer(c.Args[2]); !ok {
		return
	}
	if end, ok = c.integer(c.Args[3]); !ok {
		return
	}
	if start < 0 && end < 0 && start > end {
		c.Out.Int(0) // before the unit is looked at
		return
	}
	r, some, ok := bitRange(start, end, unit, len(v))
	switch {
	case !ok:
		c.Out.Error(resp.ErrSyntax)
	case !some:
		c.Out.Int(0)
	default:
		c.Out.Int(bitmap.CountIn(v, r))
	}
}

// bitPos matches bitposCommand. If no end is given, zeros follow the string.
func bitPos(c *Ctx) {
	sought, ok := c.integer(c.Args[2])
	if !ok {
		return
	}
	if sought&^1 != 0 {
		c.Out.Error(resp.ErrBitSought)
		return
	}
	v, found, ok := c.str(c.Args[1])
	if !ok {
		return
	}
	var unit []byte
	start, end := int64(0), int64(-1)
	switch n := len(c.Args); {
	case !found:
		c.Out.Int(-sought)
		return
	case n > 6:
		c.Out.Error(resp.ErrSyntax)
		return
	case n == 6:
		unit = c.Args[5]
	}
	if len(c.Args) > 3 {
		if start, ok = c.integer(c.Args[3]); !ok {
			return
		}
	}
	if _, _, ok = bitRange(0, 0, unit, 0); !ok {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	if len(c.Args) > 4 {
		if end, ok = c.integer(c.Args[4]); !ok {
			return
		}
	}
	at := int64(-1)
	if r, some, _ := bitRange(start, end, unit, len(v)); some {
		if at = bitmap.Find(v, sought == 1, r); at < 0 && sought == 0 && len(c.Args) < 5 {
			at = int64(len(v)) * 8
		}
	}
	c.Out.Int(at)
}

var bitOperations = []struct {
	name string
	op   bitmap.Operation
}{{"AND", bitmap.And}, {"OR", bitmap.Or}, {"XOR", bitmap.Xor}, {"NOT", bitmap.Not},
	{"DIFF", bitmap.Diff}, {"DIFF1", bitmap.Diff1}, {"ANDOR", bitmap.AndOr}, {"ONE", bitmap.One}}

// bitOp matches bitopCommand, with the operations that Redis 8.2 documents. The result
// is made where it is stored. Replicas of Redis 7 do not know these: they get the result.
func bitOp(c *Ctx) {
	op, known := bitmap.Operation(0), false
	for _, o := range bitOperations {
		if is(c.Args[1], o.name) {
			op, known = o.op, true
		}
	}
	dest, keys := c.Args[2], c.Args[3:]
	switch {
	case !known:
		c.Out.Error(resp.ErrSyntax)
		return
	case op == bitmap.Not && len(keys) != 1:
		c.Out.Error(resp.ErrBitOpNot)
		return
	case len(keys) < op.Least():
		c.Out.Error(resp.ErrBitOpTwo(c.Args[1]))
		return
	}
	size := 0
	for _, key := range keys {
		v, _, ok := c.str(key)
		if !ok {
			return
		}
		size = max(size, len(v))
	}
	c.Out.Int(int64(size))
	e, found := c.Tx.Peek(dest)
	if size == 0 {
		if found {
			c.Tx.Delete(dest)
			c.Tx.Note(storage.ClassGeneric, "del", dest)
			if op > bitmap.Not {
				c.Tx.Effect(nameDel, dest)
			}
		}
		return
	}
	if found && e.Type() != storage.TypeString {
		c.Tx.Replace(dest)
	}
	c.Tx.ResizeString(dest, size)
	c.Tx.SetExpire(dest, 0)
	// Now nothing moves any more.
	var few [8][]byte
	sources := few[:0]
	for _, key := range keys {
		e, found := c.Tx.Peek(key)
		if found {
			sources = append(sources, e.Bytes())
		} else {
			sources = append(sources, nil)
		}
	}
	e, _ = c.Tx.Peek(dest)
	bitmap.Combine(e.Bytes(), op, sources)
	c.Tx.CountAs(1)
	if op > bitmap.Not {
		c.Tx.Effect(nameSet, dest, e.Bytes())
	}
	c.Tx.Note(storage.ClassString, "set", dest)
}
