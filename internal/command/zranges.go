package command

import (
	"redoubt/internal/resp"
	"redoubt/storage"
)

// ZRanges is the rows of the commands on a range of a sorted set.
var ZRanges = []*Row{
	{Name: "zrange", Arity: -4, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: rangeCommand(rangeForm{}),
		Doc: Doc{Summary: "Returns the members of a range of a sorted set by rank, score or their bytes.", Since: "1.2.0", Group: "sorted-set", Complexity: rangeComplexity,
			Args:    []Arg{key("key"), text("start"), text("stop"), rangeBy.since("6.2.0"), word("REV").optional().since("6.2.0"), rangeLimit.since("6.2.0"), rangeScores},
			History: []Change{{"6.2.0", "The options `REV`, `BYSCORE`, `BYLEX` and `LIMIT` came."}}}},
	{Name: "zrangestore", Arity: -5, Flags: Write | DenyOOM, ACL: CatSortedSet, Keys: []KeySpec{KeyAt(1, KeyOW|KeyUpdate), KeyAt(2, KeyRO|KeyAccess)}, Run: zRangeStore,
		Doc: Doc{Summary: "Stores the members of a range of a sorted set.", Since: "6.2.0", Group: "sorted-set", Complexity: "O(log(N)+M) where N is the size of the sorted set and M the number of members stored",
			Args: []Arg{key("dst"), key("src").spec(1), text("min"), text("max"), rangeBy, word("REV").optional(), rangeLimit}}},
	{Name: "zrangebyscore", Arity: -4, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: rangeCommand(rangeForm{kind: byScore, way: forward}),
		Doc: Doc{Summary: "Returns the members whose scores are in a range.", Since: "1.0.5", Group: "sorted-set", Complexity: rangeComplexity,
			Args: []Arg{key("key"), double("min"), double("max"), rangeScores.since("2.0.0"), rangeLimit}, History: []Change{{"2.0.0", "The option `WITHSCORES` came."}},
			Deprecated: "6.2.0", ReplacedBy: "`ZRANGE` with the `BYSCORE` argument"}},
	{Name: "zrevrange", Arity: -4, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: rangeCommand(rangeForm{kind: byRank, way: backward}),
		Doc: Doc{Summary: "Returns the members of a range of ranks, the highest score first.", Since: "1.2.0", Group: "sorted-set", Complexity: rangeComplexity,
			Args: []Arg{key("key"), integer("start"), integer("stop"), rangeScores}, Deprecated: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` argument"}},
	{Name: "zrevrangebyscore", Arity: -4, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: rangeCommand(rangeForm{kind: byScore, way: backward}),
		Doc: Doc{Summary: "Returns the members whose scores are in a range, the highest score first.", Since: "2.2.0", Group: "sorted-set", Complexity: rangeComplexity,
			Args: []Arg{key("key"), double("max"), double("min"), rangeScores, rangeLimit}, History: []Change{{"2.1.6", "`min` and `max` can be exclusive."}},
			Deprecated: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` and `BYSCORE` arguments"}},
	{Name: "zrangebylex", Arity: -4, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: rangeCommand(rangeForm{kind: byLex, way: forward}),
		Doc: Doc{Summary: "Returns the members between two others, where all scores are the same.", Since: "2.8.9", Group: "sorted-set", Complexity: rangeComplexity,
			Args: []Arg{key("key"), text("min"), text("max"), rangeLimit}, Deprecated: "6.2.0", ReplacedBy: "`ZRANGE` with the `BYLEX` argument"}},
	{Name: "zrevrangebylex", Arity: -4, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: rangeCommand(rangeForm{kind: byLex, way: backward}),
		Doc: Doc{Summary: "Returns the members between two others, the last one first.", Since: "2.8.9", Group: "sorted-set", Complexity: rangeComplexity,
			Args: []Arg{key("key"), text("max"), text("min"), rangeLimit}, Deprecated: "6.2.0", ReplacedBy: "`ZRANGE` with the `REV` and `BYLEX` arguments"}},
	{Name: "zcount", Arity: 4, Flags: ReadOnly | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: countCommand(byScore),
		Doc: Doc{Summary: "Counts the members whose scores are in a range.", Since: "2.0.0", Group: "sorted-set", Complexity: logComplexity,
			Args: []Arg{key("key"), double("min"), double("max")}}},
	{Name: "zlexcount", Arity: 4, Flags: ReadOnly | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: countCommand(byLex),
		Doc: Doc{Summary: "Counts the members between two others, where all scores are the same.", Since: "2.8.9", Group: "sorted-set", Complexity: logComplexity,
			Args: []Arg{key("key"), text("min"), text("max")}}},
	{Name: "zremrangebyrank", Arity: 4, Flags: Write, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyDelete), Run: removeCommand(byRank, "zremrangebyrank"),
		Doc: Doc{Summary: "Removes the members in a range of ranks and counts them.", Since: "2.0.0", Group: "sorted-set", Complexity: removeComplexity,
			Args: []Arg{key("key"), integer("start"), integer("stop")}}},
	{Name: "zremrangebyscore", Arity: 4, Flags: Write, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyDelete), Run: removeCommand(byScore, "zremrangebyscore"),
		Doc: Doc{Summary: "Removes the members whose scores are in a range and counts them.", Since: "1.2.0", Group: "sorted-set", Complexity: removeComplexity,
			Args: []Arg{key("key"), double("min"), double("max")}}},
	{Name: "zremrangebylex", Arity: 4, Flags: Write, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyDelete), Run: removeCommand(byLex, "zremrangebylex"),
		Doc: Doc{Summary: "Removes the members between two others, where all scores are the same, and counts them.", Since: "2.8.9", Group: "sorted-set", Complexity: removeComplexity,
			Args: []Arg{key("key"), text("min"), text("max")}}},
}

const (
	rangeComplexity  = "O(log(N)+M) where N is the size of the sorted set and M the number of members returned"
	removeComplexity = "O(log(N)+M) where N is the size of the sorted set and M the number of members removed"
)

var (
	rangeBy     = oneOf("sortby", word("BYSCORE"), word("BYLEX")).optional()
	rangeLimit  = block("limit", integer("offset"), integer("count")).after("LIMIT").optional()
	rangeScores = word("WITHSCORES").optional()
)

// direction is which way a range is walked.
type direction uint8

const (
	anyWay direction = iota // the options tell; forward if they do not
	forward
	backward
)

// rangeForm is what a command fixes of the range that it asks for, and then what
// its options have added.
type rangeForm struct {
	kind          rangeKind
	way           direction
	withScores    bool
	offset, count int64 // of LIMIT; a negative count is no limit
}

// parse reads the options of ZRANGE and its like, or answers what is wrong with
// them. store is ZRANGESTORE, which always takes the scores along.
func (f *rangeForm) parse(c *Ctx, args [][]byte, store bool) (ok bool) {
	f.count = -1
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case !store && is(a, "WITHSCORES"):
			f.withScores = true
		case is(a, "LIMIT") && i+2 < len(args):
			if f.offset, ok = c.integer(args[i+1]); !ok {
				return false
			}
			if f.count, ok = c.integer(args[i+2]); !ok {
				return false
			}
			i += 2
		case f.way == anyWay && is(a, "REV"):
			f.way = backward
		case f.kind == byAny && is(a, "BYLEX"):
			f.kind = byLex
		case f.kind == byAny && is(a, "BYSCORE"):
			f.kind = byScore
		default:
			c.Out.Error(resp.ErrSyntax)
			return false
		}
	}
	byRanks := f.kind == byAny || f.kind == byRank
	switch {
	case f.count != -1 && byRanks:
		c.Out.Error(resp.ErrRangeLimit)
	case f.withScores && f.kind == byLex:
		c.Out.Error(resp.ErrLexScores)
	default:
		return true
	}
	return false
}

// find is the stretch of the sorted set at key that the range consists of. It
// matches zrangeGenericCommand up to its step 4: what is wrong with the bounds
// or the key has been answered if ok is false.
func (f *rangeForm) find(c *Ctx, key, low, high []byte) (z storage.ZSet, v interval, ok bool) {
	byRanks := f.kind == byAny || f.kind == byRank
	if f.way == backward && !byRanks {
		low, high = high, low
	}
	b, ok := c.bounds(low, high, f.kind)
	if !ok {
		return z, v, false
	}
	z, found, ok := c.zset(key)
	if !found || !ok {
		return z, v, ok
	}
	if b.kind == byRank {
		b.ranks.reversed = f.way == backward
		return z, b.of(&z), true
	}
	return z, b.of(&z).limit(f.offset, f.count, f.way == backward), true
}

// walk calls emit for the members of a stretch, in the direction of the range.
func (f *rangeForm) walk(z *storage.ZSet, v interval, emit func(member []byte, score float64)) {
	if v.n == 0 {
		return
	}
	left := v.n
	each := func(member []byte, score float64) bool {
		emit(member, score)
		left--
		return left > 0
	}
	if f.way == backward {
		z.Descend(v.rank+v.n-1, each)
	} else {
		z.Ascend(v.rank, each)
	}
}

// rangeCommand is the handler of ZRANGE and the commands that it has replaced,
// which fix the form of the range.
func rangeCommand(form rangeForm) Handler {
	return func(c *Ctx) {
		f := form
		if !f.parse(c, c.Args[4:], false) {
			return
		}
		z, v, ok := f.find(c, c.Args[1], c.Args[2], c.Args[3])
		if !ok {
			return
		}
		c.scoredArray(v.n, f.withScores)
		f.walk(&z, v, func(member []byte, score float64) { c.replyScored(member, score, f.withScores) })
	}
}

// scored is a member with its score.
type scored struct {
	member []byte
	score  float64
}

// scoredCopies are copies of members with their scores.
type scoredCopies struct {
	list []scored
	buf  []byte
}

func (s *scoredCopies) add(member []byte, score float64) {
	start := len(s.buf)
	s.buf = append(s.buf, member...) // if it moves, what is in the list stays where it is
	s.list = append(s.list, scored{s.buf[start:len(s.buf):len(s.buf)], score})
}

func zRangeStore(c *Ctx) {
	var f rangeForm
	if !f.parse(c, c.Args[5:], true) {
		return
	}
	z, v, ok := f.find(c, c.Args[2], c.Args[3], c.Args[4])
	if !ok {
		return
	}
	var found scoredCopies
	f.walk(&z, v, found.add)
	c.storeScored(c.Args[1], found.list, "zrangestore")
}

// storeScored puts members with their scores in the place of whatever key holds,
// and answers with their number. It is one change, as in Redis. It reports whether
// there was a key.
func (c *Ctx) storeScored(key []byte, found []scored, event string) (existed bool) {
	existed = c.Tx.Replace(key)
	c.Out.Int(int64(len(found)))
	if len(found) == 0 {
		if existed {
			c.Tx.Note(storage.ClassGeneric, "del", key)
		}
		return existed
	}
	z, _ := c.Tx.EditZSet(key)
	z.BeginMany()
	for _, s := range found {
		z.Set(s.member, s.score)
	}
	z.EndMany()
	z.Complete()
	c.Tx.CountAs(1)
	c.Tx.Note(storage.ClassZSet, event, key)
	return existed
}

// countCommand is the handler of ZCOUNT and ZLEXCOUNT.
func countCommand(kind rangeKind) Handler {
	return func(c *Ctx) {
		b, ok := c.bounds(c.Args[2], c.Args[3], kind)
		if !ok {
			return
		}
		if z, _, ok := c.zset(c.Args[1]); ok {
			c.Out.Int(int64(b.of(&z).n))
		}
	}
}

// removeCommand is the handler of ZREMRANGEBYRANK and its like. It matches
// zremrangeGenericCommand.
func removeCommand(kind rangeKind, event string) Handler {
	return func(c *Ctx) {
		b, ok := c.bounds(c.Args[2], c.Args[3], kind)
		if !ok {
			return
		}
		z, ok := c.editZSet(c.Args[1])
		if !ok {
			return
		}
		v := b.of(&z)
		c.Out.Int(int64(v.n))
		if v.n > 0 {
			z.RemoveRange(v.rank, v.n)
			c.noteRemoved(storage.ClassZSet, event, c.Args[1], z.Exists())
		}
	}
}
