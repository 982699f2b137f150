package command

import (
	"redoubt/internal/bitmap"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// BitFields is the rows of the commands on integers within strings.
var BitFields = []*Row{
	{Name: "bitfield", Arity: -2, Flags: Write | DenyOOM, ACL: CatBitmap, Run: bitField, Access: bitFieldAccess,
		Keys: []KeySpec{{Flags: KeyRW | KeyUpdate | KeyAccess | KeyVariable, Begin: Begin{Index: 1}, Find: Find{Step: 1}, Notes: "With GET alone the key is only read"}},
		Doc: Doc{Summary: "Reads, sets and adds to integers of any width within the string at a key.", Since: "3.2.0", Group: "bitmap", Complexity: fieldComplexity,
			Args: []Arg{key("key"), oneOf("operation", getField.after("GET"),
				block("write", oneOf("overflow-block", word("WRAP"), word("SAT"), word("FAIL")).after("OVERFLOW").optional(),
					oneOf("write-operation", setField.after("SET"), addField.after("INCRBY")))).optional().multiple()}}},
	{Name: "bitfield_ro", Arity: -2, Flags: ReadOnly | Fast, ACL: CatBitmap, Keys: OneKey(KeyRO | KeyAccess), Run: bitFieldReadOnly,
		Doc: Doc{Summary: "Reads integers of any width within the string at a key.", Since: "6.0.0", Group: "bitmap", Complexity: fieldComplexity,
			Args: []Arg{key("key"), getField.after("GET").optional().multiple().repeated()}}},
}

const fieldComplexity = "O(1) for each operation"

var (
	getField = block("get-block", text("encoding"), integer("offset"))
	setField = block("set-block", text("encoding"), integer("offset"), integer("value"))
	addField = block("incrby-block", text("encoding"), integer("offset"), integer("increment"))
)

// fieldOperation is one operation of BITFIELD.
type fieldOperation struct {
	bitmap.Field
	kind     fieldKind
	overflow bitmap.Overflow
	value    int64 // to set or to add
}

type fieldKind uint8

const (
	fieldGet fieldKind = iota
	fieldSet
	fieldAdd
)

// bitFieldAccess matches bitfieldGetKeys: who only reads is told from who writes,
// and what is no BITFIELD counts as writing.
func bitFieldAccess(args [][]byte) KeyFlags {
	for i := 2; i < len(args); i++ {
		switch left := len(args) - i - 1; {
		case is(args[i], "GET") && left >= 2:
			i += 2
		case is(args[i], "OVERFLOW") && left >= 1:
			i++
		default:
			return KeyRW | KeyAccess | KeyUpdate
		}
	}
	return KeyRO | KeyAccess
}

// parseFields reads the operations, or answers what is wrong with them.
func (c *Ctx) parseFields(ops []fieldOperation) (_ []fieldOperation, ok bool) {
	overflow := bitmap.Wrap
	for args := c.Args[2:]; len(args) > 0; {
		op := fieldOperation{overflow: overflow}
		operands := 3
		switch a := args[0]; {
		case is(a, "GET") && len(args) > 2:
			operands = 2
		case is(a, "SET") && len(args) > 3:
			op.kind = fieldSet
		case is(a, "INCRBY") && len(args) > 3:
			op.kind = fieldAdd
		case is(a, "OVERFLOW") && len(args) > 1:
			if overflow, ok = parseOverflow(args[1]); !ok {
				c.Out.Error(resp.ErrOverflowType)
				return nil, false
			}
			args = args[2:]
			continue
		default:
			c.Out.Error(resp.ErrSyntax)
			return nil, false
		}
		if op.Signed, op.Width, ok = parseFieldType(args[1]); !ok {
			c.Out.Error(resp.ErrFieldType)
			return nil, false
		}
		offset, ok := c.bitOffset(args[2], op.Width)
		if !ok {
			return nil, false
		}
		op.Offset = uint64(offset)
		if op.kind != fieldGet {
			if op.value, ok = c.integer(args[3]); !ok {
				return nil, false
			}
		}
		ops = append(ops, op)
		args = args[1+operands:]
	}
	return ops, true
}

func parseOverflow(arg []byte) (o bitmap.Overflow, ok bool) {
	switch {
	case is(arg, "WRAP"):
		return bitmap.Wrap, true
	case is(arg, "SAT"):
		return bitmap.Saturate, true
	case is(arg, "FAIL"):
		return bitmap.Fail, true
	}
	return o, false
}

// parseFieldType reads "u8" or "i16".
func parseFieldType(arg []byte) (signed bool, width uint, ok bool) {
	if len(arg) < 2 || arg[0] != 'u' && arg[0] != 'i' {
		return false, 0, false
	}
	signed = arg[0] == 'i'
	n, ok := resp.ParseInt(arg[1:])
	return signed, uint(n), ok && n >= 1 && n <= 63+bit(signed)
}

func bitField(c *Ctx)         { bitFields(c, false) }
func bitFieldReadOnly(c *Ctx) { bitFields(c, true) }

// bitFields matches bitfieldGeneric. The string grows to the last bit that an
// operation would write, whether it does or not; Redis does not propagate that if
// none does, so its replicas lack what we have.
func bitFields(c *Ctx, readOnly bool) {
	var few [8]fieldOperation
	ops, ok := c.parseFields(few[:0])
	if !ok {
		return
	}
	end, writes := 0, false
	for i := range ops {
		if ops[i].kind != fieldGet {
			writes, end = true, max(end, int(ops[i].End()))
		}
	}
	if writes && readOnly {
		c.Out.Error(resp.ErrFieldReadOnly)
		return
	}
	find := c.str
	if writes {
		find = c.edit
	}
	v, _, ok := find(c.Args[1])
	if !ok {
		return
	}
	// Until something changes, v is what is stored, and not ours to change.
	grown := end > len(v)
	changed := grown
	if grown {
		v = c.Tx.GrowString(c.Args[1], end)
	}
	c.Out.Array(len(ops))
	changes := 0
	for i := range ops {
		op := &ops[i]
		old := op.Get(v)
		next, reply, ok := op.result(old)
		switch {
		case !ok:
			c.Out.Null()
			continue
		case next != old && !changed:
			v, changed = c.Tx.GrowString(c.Args[1], len(v)), true
		}
		c.Out.Int(int64(reply))
		if op.kind != fieldGet && (grown || next != old) {
			op.Set(v, next)
			changes++
		}
	}
	if changes > 0 {
		c.Tx.CountAs(changes)
		c.Tx.Note(storage.ClassString, "setbit", c.Args[1])
	}
}

// result is what a field that holds old holds after the operation, and what is
// answered. ok is false if it overflows and should not.
func (op *fieldOperation) result(old uint64) (next, reply uint64, ok bool) {
	switch op.kind {
	case fieldSet:
		next, ok = op.Fit(op.value, 0, op.overflow)
		return next, old, ok
	case fieldAdd:
		next, ok = op.Fit(int64(old), op.value, op.overflow)
		return next, next, ok
	}
	return old, old, true
}
