package command

import (
	"bytes"
	"math"
	"strconv"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// ListMoves is the rows of the commands that take elements from one of several
// lists, or from one list to another.
var ListMoves = []*Row{
	{Name: "lmove", Arity: 5, Flags: Write | DenyOOM, ACL: CatList, Keys: moveKeys, Run: lMove,
		Doc: Doc{Summary: "Moves an element from an end of one list to an end of another and returns it.", Since: "6.2.0", Group: "list", Complexity: "O(1)",
			Args: []Arg{key("source"), key("destination").spec(1), oneOf("wherefrom", word("LEFT"), word("RIGHT")), oneOf("whereto", word("LEFT"), word("RIGHT"))}}},
	{Name: "rpoplpush", Arity: 3, Flags: Write | DenyOOM, ACL: CatList, Keys: moveKeys, Run: rPopLPush,
		Doc: Doc{Summary: "Moves the last element of a list in front of another list and returns it.", Since: "1.2.0", Group: "list", Complexity: "O(1)",
			Args: []Arg{key("source"), key("destination").spec(1)}, Deprecated: "6.2.0", ReplacedBy: "`LMOVE` with the `RIGHT` and `LEFT` arguments"}},
	{Name: "lmpop", Arity: -4, Flags: Write | MovableKeys, ACL: CatList, Keys: keysAfterNumber(1, KeyRW|KeyAccess|KeyDelete), Run: lMPop,
		Doc: Doc{Summary: "Takes elements out of the first list that has any and returns them.", Since: "7.0.0", Group: "list", Complexity: "O(N+M) where N is the number of keys and M the number of elements returned",
			Args: []Arg{integer("numkeys"), key("key").multiple(), oneOf("where", word("LEFT"), word("RIGHT")), integer("count").after("COUNT").optional()}}},
}

var moveKeys = []KeySpec{KeyAt(1, KeyRW|KeyAccess|KeyDelete), KeyAt(2, KeyRW|KeyInsert)}

// end is one of the two ends of a list, or of a sorted set, whose head is the
// member with the lowest score.
type end uint8

const (
	atHead end = iota
	atTail
)

// pushed and popped are the events of the commands that work at the end, effect
// is the one that takes elements out there.
func (e end) pushed() string { return [...]string{"lpush", "rpush"}[e] }
func (e end) popped() string { return [...]string{"lpop", "rpop"}[e] }
func (e end) effect() []byte { return popEffects[e] }

var popEffects = [...][]byte{[]byte("LPOP"), []byte("RPOP")}

// position is where the end of a list with n elements is.
func (e end) position(n int) int {
	if e == atHead {
		return 0
	}
	return n - 1
}

func (e end) push(l *storage.List, element []byte) {
	if e == atHead {
		l.PushFront(element)
	} else {
		l.PushBack(element)
	}
}

// endNames are the words for the two ends.
type endNames [2]string

var (
	ofList = endNames{"LEFT", "RIGHT"}
	ofZSet = endNames{"MIN", "MAX"}
)

// end reads one of the words. It matches getListPositionFromObjectOrReply.
func (c *Ctx) end(arg []byte, names endNames) (e end, ok bool) {
	for i, name := range names {
		if is(arg, name) {
			return end(i), true
		}
	}
	c.Out.Error(resp.ErrSyntax)
	return atHead, false
}

func lPop(c *Ctx) { pop(c, atHead) }
func rPop(c *Ctx) { pop(c, atTail) }

// pop matches popGenericCommand.
func pop(c *Ctx, where end) {
	count, counted, ok := int64(1), len(c.Args) == 3, true
	if len(c.Args) > 3 {
		c.Out.Error(resp.ErrArity(c.Row.Name))
		return
	}
	if counted {
		if count, ok = c.integerIn(c.Args[2], 0, math.MaxInt64, resp.ErrNotPositive); !ok {
			return
		}
	}
	l, ok := c.editList(c.Args[1])
	switch {
	case !ok:
	case !l.Exists() && counted:
		c.Out.NullArray()
	case !l.Exists():
		c.Out.Null()
	case counted && count == 0:
		c.Out.Array(0)
	case counted:
		n := int(min(count, int64(l.Len())))
		c.replyEnd(&l, where, n)
		c.takeOff(&l, c.Args[1], where, n)
	default:
		c.Out.Bulk(l.At(where.position(l.Len())))
		c.takeOff(&l, c.Args[1], where, 1)
	}
}

// replyEnd answers with n elements of a list, at least one, in the order in
// which they would be popped.
func (c *Ctx) replyEnd(l *storage.List, where end, n int) {
	c.Out.Array(n)
	walk := l.Ascend
	if where == atTail {
		walk = l.Descend
	}
	walk(where.position(l.Len()), func(element []byte) bool {
		c.Out.Bulk(element)
		n--
		return n > 0
	})
}

// takeOff removes n elements, at least one, from an end of the list at key. It
// matches listElementsRemoved.
func (c *Ctx) takeOff(l *storage.List, key []byte, where end, n int) {
	if where == atHead {
		l.Remove(0, n)
	} else {
		l.Remove(l.Len()-n, n)
	}
	c.noteRemoved(storage.ClassList, where.popped(), key, l.Exists())
}

func lMove(c *Ctx) {
	from, ok := c.end(c.Args[3], ofList)
	if !ok {
		return
	}
	to, ok := c.end(c.Args[4], ofList)
	if !ok {
		return
	}
	if !c.moveElement(c.Args[1], c.Args[2], from, to) {
		c.Out.Null()
	}
}

func rPopLPush(c *Ctx) {
	if !c.moveElement(c.Args[1], c.Args[2], atTail, atHead) {
		c.Out.Null()
	}
}

// moveElement moves an element from an end of the list at one key to an end of
// the list at another, which may be the same, and answers with it. It returns
// false, without an answer, if there is nothing to be moved. It matches
// lmoveGenericCommand. The command in progress is the effect.
func (c *Ctx) moveElement(fromKey, toKey []byte, from, to end) (answered bool) {
	// The target is looked up, and deleted if its time is past, while no list is at
	// hand; but not before the source is known to be one.
	var e storage.Entry
	var found bool
	if c.holds(fromKey, storage.TypeList) {
		e, found = c.Tx.Peek(toKey)
	}
	source, ok := c.editList(fromKey)
	switch {
	case !ok:
		return true
	case !source.Exists():
		return false
	case found && e.Type() != storage.TypeList:
		c.Out.Error(resp.ErrWrongType)
		return true
	}
	at := from.position(source.Len())
	element := c.bulk(source.At(at))
	if bytes.Equal(fromKey, toKey) {
		source.Rotate(at, to.position(source.Len()))
		c.Tx.Note(storage.ClassList, to.pushed(), toKey)
		c.Tx.Note(storage.ClassList, from.popped(), fromKey)
		return true
	}
	source.Remove(at, 1)
	gone := !source.Exists()
	target, _ := c.Tx.EditList(toKey)
	to.push(&target, element)
	c.Tx.Note(storage.ClassList, to.pushed(), toKey)
	c.noteRemoved(storage.ClassList, from.popped(), fromKey, !gone)
	c.Tx.CountAs(1)
	return true
}

// lMPop matches lmpopGenericCommand.
func lMPop(c *Ctx) {
	o, ok := parseMPop(c, 1, ofList)
	if ok && !c.popFromFirst(o.keys, o.where, o.count) {
		c.Out.NullArray()
	}
}

// mpopOptions are the arguments of LMPOP and ZMPOP.
type mpopOptions struct {
	keys  [][]byte
	where end
	count int64
}

// parseMPop reads them, from the number of keys at argument i on.
func parseMPop(c *Ctx, i int, names endNames) (o mpopOptions, ok bool) {
	n, ok := c.integerIn(c.Args[i], 1, math.MaxInt64, resp.ErrNumKeys)
	if !ok {
		return o, false
	}
	rest := c.Args[i+1:]
	if n >= int64(len(rest)) {
		c.Out.Error(resp.ErrSyntax)
		return o, false
	}
	o.keys, rest = rest[:n], rest[n:]
	if o.where, ok = c.end(rest[0], names); !ok {
		return o, false
	}
	switch rest = rest[1:]; {
	case len(rest) == 0:
		o.count = 1
	case len(rest) == 1 || !is(rest[0], "COUNT"):
		c.Out.Error(resp.ErrSyntax)
		return o, false
	default:
		if o.count, ok = c.integerIn(rest[1], 1, math.MaxInt64, resp.ErrPopCount); !ok {
			return o, false
		}
		if len(rest) > 2 {
			c.Out.Error(resp.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

// firstList finds the first of the keys that exists. It returns a list that does
// not exist if there is none, and ok false if it holds another type, which has
// then been answered.
func (c *Ctx) firstList(keys [][]byte) (l storage.List, key []byte, ok bool) {
	for _, key = range keys {
		if l, ok = c.editList(key); !ok || l.Exists() {
			return l, key, ok
		}
	}
	return storage.List{}, nil, true
}

// popFromFirst takes up to count elements out of the first of the lists that
// exists and answers with its key and them. It returns false, without an answer,
// if none exists. It matches mpopGenericCommand; its effect is an LPOP or RPOP
// of that key.
func (c *Ctx) popFromFirst(keys [][]byte, where end, count int64) (answered bool) {
	l, key, ok := c.firstList(keys)
	if !ok {
		return true
	}
	if !l.Exists() {
		return false
	}
	n := int(min(count, int64(l.Len())))
	c.Out.Array(2)
	c.Out.Bulk(key)
	c.replyEnd(&l, where, n)
	c.takeOff(&l, key, where, n)
	var digits [20]byte
	c.Tx.Effect(where.effect(), key, strconv.AppendInt(digits[:0], int64(n), 10))
	return true
}
