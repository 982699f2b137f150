package command

import (
	"math"
	"math/big"
	"time"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// Waits is the rows of the commands that wait for an element of a list or a
// sorted set if there is none.
var Waits = []*Row{
	{Name: "blpop", Arity: -3, Flags: Write | Blocking, ACL: CatList, Keys: KeysFrom(1, -2, 1, KeyRW|KeyAccess|KeyDelete), Run: bLPop,
		Doc: Doc{Summary: "Takes the first element out of the first list that has any, or waits for one.", Since: "2.0.0", Group: "list", Complexity: waitComplexity,
			Args: []Arg{key("key").multiple(), double("timeout")}, History: timeoutHistory}},
	{Name: "brpop", Arity: -3, Flags: Write | Blocking, ACL: CatList, Keys: KeysFrom(1, -2, 1, KeyRW|KeyAccess|KeyDelete), Run: bRPop,
		Doc: Doc{Summary: "Takes the last element out of the first list that has any, or waits for one.", Since: "2.0.0", Group: "list", Complexity: waitComplexity,
			Args: []Arg{key("key").multiple(), double("timeout")}, History: timeoutHistory}},
	{Name: "blmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, ACL: CatList, Keys: keysAfterNumber(2, KeyRW|KeyAccess|KeyDelete), Run: bLMPop,
		Doc: Doc{Summary: "Takes elements out of the first list that has any, or waits for some.", Since: "7.0.0", Group: "list", Complexity: "O(N+M) where N is the number of keys and M the number of elements returned",
			Args: []Arg{double("timeout"), integer("numkeys"), key("key").multiple(), oneOf("where", word("LEFT"), word("RIGHT")), integer("count").after("COUNT").optional()}}},
	{Name: "blmove", Arity: 6, Flags: Write | DenyOOM | Blocking, ACL: CatList, Keys: moveKeys, Run: bLMove,
		Doc: Doc{Summary: "Moves an element from one list to another and returns it, or waits for one.", Since: "6.2.0", Group: "list", Complexity: "O(1)",
			Args: []Arg{key("source"), key("destination").spec(1), oneOf("wherefrom", word("LEFT"), word("RIGHT")), oneOf("whereto", word("LEFT"), word("RIGHT")), double("timeout")}}},
	{Name: "brpoplpush", Arity: 4, Flags: Write | DenyOOM | Blocking, ACL: CatList, Keys: moveKeys, Run: bRPopLPush,
		Doc: Doc{Summary: "Moves the last element of a list in front of another list and returns it, or waits for one.", Since: "2.2.0", Group: "list", Complexity: "O(1)",
			Args: []Arg{key("source"), key("destination").spec(1), double("timeout")}, History: timeoutHistory, Deprecated: "6.2.0", ReplacedBy: "`BLMOVE` with the `RIGHT` and `LEFT` arguments"}},
	{Name: "bzpopmin", Arity: -3, Flags: Write | Blocking | Fast, ACL: CatSortedSet, Keys: KeysFrom(1, -2, 1, KeyRW|KeyAccess|KeyDelete), Run: bZPopMin,
		Doc: Doc{Summary: "Takes the member with the lowest score out of the first sorted set that has any, or waits for one.", Since: "5.0.0", Group: "sorted-set", Complexity: logComplexity,
			Args: []Arg{key("key").multiple(), double("timeout")}, History: timeoutHistory}},
	{Name: "bzpopmax", Arity: -3, Flags: Write | Blocking | Fast, ACL: CatSortedSet, Keys: KeysFrom(1, -2, 1, KeyRW|KeyAccess|KeyDelete), Run: bZPopMax,
		Doc: Doc{Summary: "Takes the member with the highest score out of the first sorted set that has any, or waits for one.", Since: "5.0.0", Group: "sorted-set", Complexity: logComplexity,
			Args: []Arg{key("key").multiple(), double("timeout")}, History: timeoutHistory}},
	{Name: "bzmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, ACL: CatSortedSet, Keys: keysAfterNumber(2, KeyRW|KeyAccess|KeyDelete), Run: bZMPop,
		Doc: Doc{Summary: "Takes members out of the first sorted set that has any, or waits for some.", Since: "7.0.0", Group: "sorted-set", Complexity: zMPopComplexity,
			Args: []Arg{double("timeout"), integer("numkeys"), key("key").multiple(), oneOf("where", word("MIN"), word("MAX")), integer("count").after("COUNT").optional()}}},
}

const waitComplexity = "O(N) where N is the number of keys"

var timeoutHistory = []Change{{"6.0.0", "The timeout may have a fraction."}}

// longestWait is how long a client waits at most that has set itself an end;
// nobody sees it, and the sum with a clock does not overflow.
const longestWait = 100 * 365 * 24 * time.Hour

// seconds reads the timeout of a command that waits, 0 for ever. It matches
// getTimeoutFromObjectOrReply: what is not a whole number of milliseconds is
// rounded up.
func (c *Ctx) seconds(arg []byte) (wait time.Duration, ok bool) {
	f := parseFloat(arg)
	if f == nil {
		c.Out.Error(resp.ErrBadSeconds)
		return 0, false
	}
	if !f.IsInf() {
		f = f.Mul(f, big.NewFloat(1000))
	}
	ms, accuracy := f.Int64()
	if accuracy == big.Below && ms < math.MaxInt64 {
		ms++
	}
	switch {
	case ms < 0:
		c.Out.Error(resp.ErrNegTimeout)
	case ms > math.MaxInt64-c.Tx.Now():
		c.Out.Error(resp.ErrFarTimeout)
	case ms > int64(longestWait/time.Millisecond):
		return longestWait, true
	default:
		return time.Duration(ms) * time.Millisecond, true
	}
	return 0, false
}

// holds reports whether key holds a value of type t, for a client that waits for
// one: it goes on waiting if another type comes.
func (c *Ctx) holds(key []byte, t storage.Type) bool {
	e, found := c.Tx.Peek(key)
	return found && e.Type() == t
}

func nullArray(out *resp.Writer) { out.NullArray() }
func null(out *resp.Writer)      { out.Null() }

// waitFor makes the client wait for a value of type t at one of the keys. serve
// answers for one of them, which has such a value.
func (c *Ctx) waitFor(t storage.Type, keys [][]byte, timeout time.Duration, serve func(c *Ctx, key []byte)) {
	c.Block(&Wait{
		Keys: keys, Timeout: timeout, Expired: nullArray,
		Serve: func(c *Ctx, key []byte) bool {
			if !c.holds(key, t) {
				return false
			}
			serve(c, key)
			return true
		},
	})
}

func bLPop(c *Ctx) { bPop(c, atHead) }
func bRPop(c *Ctx) { bPop(c, atTail) }

// bPop matches blockingPopGenericCommand for one element.
func bPop(c *Ctx, where end) {
	last := len(c.Args) - 1
	timeout, ok := c.seconds(c.Args[last])
	if !ok {
		return
	}
	keys := c.Args[1:last]
	l, key, ok := c.firstList(keys)
	switch {
	case !ok:
	case l.Exists():
		c.popWithKey(&l, key, where)
	default:
		c.waitFor(storage.TypeList, keys, timeout, func(c *Ctx, key []byte) {
			l, _ := c.Tx.EditList(key)
			c.popWithKey(&l, key, where)
		})
	}
}

// popWithKey takes an element from an end of the list at key and answers with
// both. Its effect is LPOP or RPOP.
func (c *Ctx) popWithKey(l *storage.List, key []byte, where end) {
	c.Out.Array(2)
	c.Out.Bulk(key)
	c.Out.Bulk(l.At(where.position(l.Len())))
	c.takeOff(l, key, where, 1)
	c.Tx.Effect(where.effect(), key)
}

// bLMPop matches blmpopCommand, in which a wrong timeout comes after what else
// may be wrong.
func bLMPop(c *Ctx) {
	o, ok := parseMPop(c, 2, ofList)
	if !ok {
		return
	}
	timeout, ok := c.seconds(c.Args[1])
	if !ok || c.popFromFirst(o.keys, o.where, o.count) {
		return
	}
	c.waitFor(storage.TypeList, o.keys, timeout, func(c *Ctx, key []byte) {
		c.popFromFirst([][]byte{key}, o.where, o.count)
	})
}

var (
	nameLMove     = []byte("LMOVE")
	nameRPopLPush = []byte("RPOPLPUSH")
)

// bLMove matches blmoveCommand; its effect is an LMOVE.
func bLMove(c *Ctx) {
	from, ok := c.end(c.Args[3], ofList)
	if !ok {
		return
	}
	to, ok := c.end(c.Args[4], ofList)
	if !ok {
		return
	}
	c.moveOrWait(c.Args[5], func(c *Ctx) bool {
		moved := c.moveElement(c.Args[1], c.Args[2], from, to)
		if c.Tx.Dirty() > 0 {
			c.Tx.Effect(nameLMove, c.Args[1], c.Args[2], c.Args[3], c.Args[4])
		}
		return moved
	})
}

// bRPopLPush matches brpoplpushCommand; its effect is an RPOPLPUSH.
func bRPopLPush(c *Ctx) {
	c.moveOrWait(c.Args[3], func(c *Ctx) bool {
		moved := c.moveElement(c.Args[1], c.Args[2], atTail, atHead)
		if c.Tx.Dirty() > 0 {
			c.Tx.Effect(nameRPopLPush, c.Args[1], c.Args[2])
		}
		return moved
	})
}

// moveOrWait runs move, or makes the client wait for a list at the source if
// that has nothing to do. A target of a wrong type is found when there is an
// element. Where nobody can wait the reply is a null, and not the null array of
// a timeout.
func (c *Ctx) moveOrWait(timeout []byte, move func(c *Ctx) bool) {
	wait, ok := c.seconds(timeout)
	if !ok || move(c) {
		return
	}
	c.Block(&Wait{
		Keys: c.Args[1:2], Also: c.Args[2:3], Timeout: wait, Expired: nullArray, Refused: null,
		Serve: func(c *Ctx, key []byte) bool { return c.holds(key, storage.TypeList) && move(c) },
	})
}

func bZPopMin(c *Ctx) { bZPop(c, atHead) }
func bZPopMax(c *Ctx) { bZPop(c, atTail) }

// bZPop matches blockingGenericZpopCommand for one member.
func bZPop(c *Ctx, where end) {
	last := len(c.Args) - 1
	timeout, ok := c.seconds(c.Args[last])
	if !ok {
		return
	}
	keys := c.Args[1:last]
	z, key, ok := c.firstZSet(keys)
	switch {
	case !ok:
	case z.Exists():
		c.zPopWithKey(&z, key, where)
	default:
		c.waitFor(storage.TypeZSet, keys, timeout, func(c *Ctx, key []byte) {
			z, _ := c.Tx.EditZSet(key)
			c.zPopWithKey(&z, key, where)
		})
	}
}

// zPopWithKey takes a member from an end of the sorted set at key and answers
// with both and the score. Its effect is ZPOPMIN or ZPOPMAX.
func (c *Ctx) zPopWithKey(z *storage.ZSet, key []byte, where end) {
	c.Out.Array(3)
	c.Out.Bulk(key)
	c.popScored(z, key, where, 1, false)
	c.Tx.Effect(where.zEffect(), key)
}

// bZMPop matches bzmpopCommand.
func bZMPop(c *Ctx) {
	o, ok := parseMPop(c, 2, ofZSet)
	if !ok {
		return
	}
	timeout, ok := c.seconds(c.Args[1])
	if !ok || c.zPopFromFirst(o.keys, o.where, o.count) {
		return
	}
	c.waitFor(storage.TypeZSet, o.keys, timeout, func(c *Ctx, key []byte) {
		c.zPopFromFirst([][]byte{key}, o.where, o.count)
	})
}
