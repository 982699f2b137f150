package command

import (
	"bytes"
	"math"
	"slices"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// Lists is the rows of the list commands that do not wait.
var Lists = []*Row{
	{Name: "lpush", Arity: -3, Flags: Write | DenyOOM | Fast, ACL: CatList, Keys: OneKey(KeyRW | KeyInsert), Run: lPush,
		Doc: Doc{Summary: "Puts elements in front of a list, which is created if missing.", Since: "1.0.0", Group: "list", Complexity: "O(N) where N is the number of elements put",
			Args: []Arg{key("key"), text("element").multiple()}, History: severalElements("2.4.0")}},
	{Name: "rpush", Arity: -3, Flags: Write | DenyOOM | Fast, ACL: CatList, Keys: OneKey(KeyRW | KeyInsert), Run: rPush,
		Doc: Doc{Summary: "Puts elements behind a list, which is created if missing.", Since: "1.0.0", Group: "list", Complexity: "O(N) where N is the number of elements put",
			Args: []Arg{key("key"), text("element").multiple()}, History: severalElements("2.4.0")}},
	{Name: "lpushx", Arity: -3, Flags: Write | DenyOOM | Fast, ACL: CatList, Keys: OneKey(KeyRW | KeyInsert), Run: lPushX,
		Doc: Doc{Summary: "Puts elements in front of a list that exists.", Since: "2.2.0", Group: "list", Complexity: "O(N) where N is the number of elements put",
			Args: []Arg{key("key"), text("element").multiple()}, History: severalElements("4.0.0")}},
	{Name: "rpushx", Arity: -3, Flags: Write | DenyOOM | Fast, ACL: CatList, Keys: OneKey(KeyRW | KeyInsert), Run: rPushX,
		Doc: Doc{Summary: "Puts elements behind a list that exists.", Since: "2.2.0", Group: "list", Complexity: "O(N) where N is the number of elements put",
			Args: []Arg{key("key"), text("element").multiple()}, History: severalElements("4.0.0")}},
	{Name: "lpop", Arity: -2, Flags: Write | Fast, ACL: CatList, Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Run: lPop,
		Doc: Doc{Summary: "Takes the first elements out of a list and returns them.", Since: "1.0.0", Group: "list", Complexity: "O(N) where N is the number of elements returned",
			Args: []Arg{key("key"), integer("count").optional().since("6.2.0")}, History: popHistory}},
	{Name: "rpop", Arity: -2, Flags: Write | Fast, ACL: CatList, Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Run: rPop,
		Doc: Doc{Summary: "Takes the last elements out of a list and returns them.", Since: "1.0.0", Group: "list", Complexity: "O(N) where N is the number of elements returned",
			Args: []Arg{key("key"), integer("count").optional().since("6.2.0")}, History: popHistory}},
	{Name: "llen", Arity: 2, Flags: ReadOnly | Fast, ACL: CatList, Keys: OneKey(KeyRO), Run: lLen,
		Doc: Doc{Summary: "Returns the length of a list.", Since: "1.0.0", Group: "list", Complexity: "O(1)",
			Args: []Arg{key("key")}}},
	{Name: "lindex", Arity: 3, Flags: ReadOnly, ACL: CatList, Keys: OneKey(KeyRO | KeyAccess), Run: lIndex,
		Doc: Doc{Summary: "Returns the element at an index of a list; -1 is the last one.", Since: "1.0.0", Group: "list", Complexity: "O(log(N)) where N is the length of the list",
			Args: []Arg{key("key"), integer("index")}}},
	{Name: "lset", Arity: 4, Flags: Write | DenyOOM, ACL: CatList, Keys: OneKey(KeyRW | KeyUpdate), Run: lSet,
		Doc: Doc{Summary: "Replaces the element at an index of a list.", Since: "1.0.0", Group: "list", Complexity: "O(log(N)) where N is the length of the list",
			Args: []Arg{key("key"), integer("index"), text("element")}}},
	{Name: "lrange", Arity: 4, Flags: ReadOnly, ACL: CatList, Keys: OneKey(KeyRO | KeyAccess), Run: lRange,
		Doc: Doc{Summary: "Returns the elements of a list from one index to another.", Since: "1.0.0", Group: "list", Complexity: "O(log(N)+M) where N is the length of the list and M the number of elements returned",
			Args: []Arg{key("key"), integer("start"), integer("stop")}}},
	{Name: "ltrim", Arity: 4, Flags: Write, ACL: CatList, Keys: OneKey(KeyRW | KeyDelete), Run: lTrim,
		Doc: Doc{Summary: "Removes what is not between two indexes of a list.", Since: "1.0.0", Group: "list", Complexity: "O(N) where N is the number of elements removed",
			Args: []Arg{key("key"), integer("start"), integer("stop")}}},
	{Name: "lrem", Arity: 4, Flags: Write, ACL: CatList, Keys: OneKey(KeyRW | KeyDelete), Run: lRem,
		Doc: Doc{Summary: "Removes equal elements from a list, all or a number from either end.", Since: "1.0.0", Group: "list", Complexity: "O(N+M*log(N)) where N is the length of the list and M the number of elements removed",
			Args: []Arg{key("key"), integer("count"), text("element")}}},
	{Name: "linsert", Arity: 5, Flags: Write | DenyOOM, ACL: CatList, Keys: OneKey(KeyRW | KeyInsert), Run: lInsert,
		Doc: Doc{Summary: "Puts an element before or after another one of a list.", Since: "2.2.0", Group: "list", Complexity: "O(N) where N is the number of elements up to the other one",
			Args: []Arg{key("key"), oneOf("where", word("BEFORE"), word("AFTER")), text("pivot"), text("element")}}},
	{Name: "lpos", Arity: -3, Flags: ReadOnly, ACL: CatList, Keys: OneKey(KeyRO | KeyAccess), Run: lPos,
		Doc: Doc{Summary: "Finds the indexes at which a list has an element.", Since: "6.0.6", Group: "list", Complexity: "O(N) where N is the number of elements compared",
			Args: []Arg{key("key"), text("element"), integer("rank").after("RANK").optional(), integer("num-matches").after("COUNT").optional(), integer("len").after("MAXLEN").optional()}}},
}

func severalElements(since string) []Change {
	return []Change{{since, "Takes several elements."}}
}

var popHistory = []Change{{"6.2.0", "The argument `count` came."}}

func lPush(c *Ctx)  { push(c, atHead, false) }
func rPush(c *Ctx)  { push(c, atTail, false) }
func lPushX(c *Ctx) { push(c, atHead, true) }
func rPushX(c *Ctx) { push(c, atTail, true) }

// push matches pushGenericCommand.
func push(c *Ctx, where end, mustExist bool) {
	key := c.Args[1]
	l, ok := c.editList(key)
	if !ok {
		return
	}
	if mustExist && !l.Exists() {
		c.Out.Int(0)
		return
	}
	l.BeginMany()
	for _, element := range c.Args[2:] {
		where.push(&l, element)
	}
	l.EndMany()
	c.Out.Int(int64(l.Len()))
	c.Tx.Note(storage.ClassList, where.pushed(), key)
}

func lLen(c *Ctx) {
	if l, _, ok := c.list(c.Args[1]); ok {
		c.Out.Int(int64(l.Len()))
	}
}

// position turns an index, which counts from the end if it is negative, into a
// position in a list of n elements.
func position(index int64, n int) (_ int, ok bool) {
	if index < 0 {
		index += int64(n)
	}
	return int(index), 0 <= index && index < int64(n)
}

func lIndex(c *Ctx) {
	l, found, ok := c.list(c.Args[1])
	if !ok {
		return
	}
	if !found {
		c.Out.Null()
		return
	}
	index, ok := c.integer(c.Args[2])
	if !ok {
		return
	}
	if i, ok := position(index, l.Len()); ok {
		c.Out.Bulk(l.At(i))
	} else {
		c.Out.Null()
	}
}

func lSet(c *Ctx) {
	l, ok := c.editList(c.Args[1])
	if !ok {
		return
	}
	if !l.Exists() {
		c.Out.Error(resp.ErrNoKey)
		return
	}
	index, ok := c.integer(c.Args[2])
	if !ok {
		return
	}
	i, ok := position(index, l.Len())
	if !ok {
		c.Out.Error(resp.ErrIndexRange)
		return
	}
	l.Set(i, c.Args[3])
	c.Out.OK()
	c.Tx.Note(storage.ClassList, "lset", c.Args[1])
}

// span turns two indexes, both of which belong to what is asked for, into a
// position and a number of elements, in a list of n.
func span(start, stop int64, n int) (from, count int) {
	length := int64(n)
	if start < 0 {
		start = max(start+length, 0)
	}
	if stop < 0 {
		stop += length
	}
	stop = min(stop, length-1)
	if start > stop || start >= length {
		return 0, 0
	}
	return int(start), int(stop - start + 1)
}

// startStop reads the two indexes of LRANGE and LTRIM.
func (c *Ctx) startStop() (start, stop int64, ok bool) {
	if start, ok = c.integer(c.Args[2]); !ok {
		return 0, 0, false
	}
	stop, ok = c.integer(c.Args[3])
	return start, stop, ok
}

func lRange(c *Ctx) {
	start, stop, ok := c.startStop()
	if !ok {
		return
	}
	l, _, ok := c.list(c.Args[1])
	if !ok {
		return
	}
	from, n := span(start, stop, l.Len())
	c.Out.Array(n)
	if n == 0 {
		return
	}
	l.Ascend(from, func(element []byte) bool {
		c.Out.Bulk(element)
		n--
		return n > 0
	})
}

// lTrim matches ltrimCommand, whose event comes even if nothing is removed.
func lTrim(c *Ctx) {
	start, stop, ok := c.startStop()
	if !ok {
		return
	}
	l, ok := c.editList(c.Args[1])
	if !ok {
		return
	}
	c.Out.OK()
	if !l.Exists() {
		return
	}
	from, n := span(start, stop, l.Len())
	l.Remove(from+n, l.Len()-from-n)
	l.Remove(0, from)
	c.noteRemoved(storage.ClassList, "ltrim", c.Args[1], l.Exists())
}

// lRem matches lremCommand: a negative count counts from the end.
func lRem(c *Ctx) {
	count, ok := c.integer(c.Args[2])
	if !ok {
		return
	}
	l, ok := c.editList(c.Args[1])
	if !ok {
		return
	}
	s := search{element: c.Args[3], most: count}
	if count < 0 {
		// The smallest integer has no negation and means all.
		s.most, s.backwards = max(-count, 0), true
	}
	at := s.find(&l)
	c.Out.Int(int64(len(at)))
	if len(at) == 0 {
		return
	}
	removeAll(&l, at, s.backwards)
	c.noteRemoved(storage.ClassList, "lrem", c.Args[1], l.Exists())
}

// removeAll removes the elements at the positions, which descend or ascend, the
// last one first, so that the others stay where they are. Neighbours go at once.
func removeAll(l *storage.List, at []int, descending bool) {
	if descending {
		slices.Reverse(at)
	}
	for end := len(at); end > 0; {
		start := end - 1
		for start > 0 && at[start-1] == at[start]-1 {
			start--
		}
		l.Remove(at[start], end-start)
		end = start
	}
}

// lInsert matches linsertCommand.
func lInsert(c *Ctx) {
	after := is(c.Args[2], "AFTER")
	if !after && !is(c.Args[2], "BEFORE") {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	l, ok := c.editList(c.Args[1])
	if !ok {
		return
	}
	if !l.Exists() {
		c.Out.Int(0)
		return
	}
	s := search{element: c.Args[3], most: 1}
	at := s.find(&l)
	if len(at) == 0 {
		c.Out.Int(-1)
		return
	}
	i := at[0]
	if after {
		i++
	}
	l.Insert(i, c.Args[4])
	c.Tx.Note(storage.ClassList, "linsert", c.Args[1])
	c.Out.Int(int64(l.Len()))
}

// search looks for equal elements of a list.
type search struct {
	element   []byte
	backwards bool  // from the last element on
	skip      int64 // matches before the first one wanted
	most      int64 // matches wanted; 0: all
	look      int64 // elements looked at; 0: all
}

// find returns the positions of the matches, in the order in which it comes by
// them.
func (s *search) find(l *storage.List) (at []int) {
	i, step, walk := 0, 1, l.Ascend
	if s.backwards {
		i, step, walk = l.Len()-1, -1, l.Descend
	}
	skip, looked := s.skip, int64(0)
	walk(i, func(element []byte) bool {
		if bytes.Equal(element, s.element) {
			if skip--; skip < 0 {
				at = append(at, i)
			}
		}
		i += step
		looked++
		return (s.most == 0 || int64(len(at)) < s.most) && (s.look == 0 || looked < s.look)
	})
	return at
}

// parsePos reads the options of LPOS. many is whether COUNT stands among them,
// which makes the reply an array.
func parsePos(c *Ctx) (s search, many, ok bool) {
	s = search{element: c.Args[2], most: 1}
	for i := 3; i < len(c.Args); i += 2 {
		last := i+1 == len(c.Args)
		switch a := c.Args[i]; {
		case is(a, "RANK") && !last:
			rank, ok := c.integerIn(c.Args[i+1], -math.MaxInt64, math.MaxInt64, "")
			if !ok {
				return s, many, false
			}
			if rank == 0 {
				c.Out.Error(resp.ErrRank)
				return s, many, false
			}
			s.backwards = rank < 0
			s.skip = max(rank, -rank) - 1
		case is(a, "COUNT") && !last:
			many = true
			if s.most, ok = c.integerIn(c.Args[i+1], 0, math.MaxInt64, resp.ErrPosCount); !ok {
				return s, many, false
			}
		case is(a, "MAXLEN") && !last:
			if s.look, ok = c.integerIn(c.Args[i+1], 0, math.MaxInt64, resp.ErrPosMaxLen); !ok {
				return s, many, false
			}
		default:
			c.Out.Error(resp.ErrSyntax)
			return s, many, false
		}
	}
	return s, many, true
}

// lPos matches lposCommand.
func lPos(c *Ctx) {
	s, many, ok := parsePos(c)
	if !ok {
		return
	}
	l, _, ok := c.list(c.Args[1])
	if !ok {
		return
	}
	at := s.find(&l)
	switch {
	case many:
		c.Out.Array(len(at))
		for _, i := range at {
			c.Out.Int(int64(i))
		}
	case len(at) == 0:
		c.Out.Null()
	default:
		c.Out.Int(int64(at[0]))
	}
}
