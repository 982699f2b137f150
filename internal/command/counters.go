package command

import (
	"math"
	"math/big"
	"redoubt/internal/resp"
	"redoubt/storage"
	"strconv"
)

// Counters is the rows of the commands that add to a string holding a number.
var Counters = []*Row{
	{Name: "incr", Arity: 2, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: incr,
		Doc: Doc{Summary: "Adds one to the integer at a key; a missing key counts as 0.", Since: "1.0.0", Group: "string", Complexity: "O(1)"}},
	{Name: "decr", Arity: 2, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: decr,
		Doc: Doc{Summary: "Takes one from the integer at a key; a missing key counts as 0.", Since: "1.0.0", Group: "string", Complexity: "O(1)"}},
	{Name: "incrby", Arity: 3, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: incrBy,
		Doc: Doc{Summary: "Adds a number to the integer at a key; a missing key counts as 0.", Since: "1.0.0", Group: "string", Complexity: "O(1)"}},
	{Name: "decrby", Arity: 3, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: decrBy,
		Doc: Doc{Summary: "Takes a number from the integer at a key; a missing key counts as 0.", Since: "1.0.0", Group: "string", Complexity: "O(1)"}},
	{Name: "incrbyfloat", Arity: 3, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: incrByFloat,
		Doc: Doc{Summary: "Adds a floating-point number to the number at a key; a missing key counts as 0.", Since: "2.6.0", Group: "string", Complexity: "O(1)"}},
}

func incr(c *Ctx) { add(c, 1) }
func decr(c *Ctx) { add(c, -1) }

func incrBy(c *Ctx) {
	if n, ok := resp.ParseInt(c.Args[2]); ok {
		add(c, n)
	} else {
		c.Out.Error(resp.ErrNotInteger)
	}
}

func decrBy(c *Ctx) {
	n, ok := resp.ParseInt(c.Args[2])
	switch {
	case !ok:
		c.Out.Error(resp.ErrNotInteger)
	case n == math.MinInt64:
		c.Out.Error(resp.ErrDecrOverflow) // its negation does not exist
	default:
		add(c, -n)
	}
}

// add matches incrDecrCommand. The request itself is the effect: adding the
// same number to the same value gives the same result everywhere.
func add(c *Ctx, n int64) {
	v, found, ok := c.edit(c.Args[1])
	if !ok {
		return
	}
	var old int64
	if found {
		if old, ok = resp.ParseInt(v); !ok {
			c.Out.Error(resp.ErrNotInteger)
			return
		}
	}
	if addOverflows(old, n) {
		c.Out.Error(resp.ErrIncrOverflow)
		return
	}
	var buf [20]byte
	store(c, c.Args[1], strconv.AppendInt(buf[:0], old+n, 10), 0, true)
	c.Tx.Note(storage.ClassString, "incrby", c.Args[1])
	c.Out.Int(old + n)
}

// incrByFloat matches incrbyfloatCommand. Its effect is the result, since a
// replica might add with another precision.
func incrByFloat(c *Ctx) {
	v, found, ok := c.edit(c.Args[1])
	if !ok {
		return
	}
	sum := new(big.Float).SetPrec(extended)
	if found {
		if sum = parseFloat(v); sum == nil {
			c.Out.Error(resp.ErrNotFloat)
			return
		}
	}
	n := parseFloat(c.Args[2])
	if n == nil {
		c.Out.Error(resp.ErrNotFloat)
		return
	}
	if sum.IsInf() || n.IsInf() {
		c.Out.Error(resp.ErrIncrNaN)
		return
	}
	if sum.Add(sum, n); overflows(sum) {
		c.Out.Error(resp.ErrIncrNaN)
		return
	}
	text := formatFloat(sum)
	store(c, c.Args[1], text, 0, true)
	c.Tx.Note(storage.ClassString, "incrbyfloat", c.Args[1])
	c.Tx.Effect(nameSet, c.Args[1], text, nameKeepTTL)
	c.Out.Bulk(text)
}
