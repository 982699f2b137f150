package command

import (
	"math"
	"math/rand/v2"
	"strconv"

	"redoubt/internal/glob"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// ZSets is the rows of the commands on members of a sorted set.
var ZSets = []*Row{
	{Name: "zadd", Arity: -4, Flags: Write | DenyOOM | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyUpdate), Run: zAdd,
		Doc: Doc{Summary: "Gives members of a sorted set scores, new ones or others, and counts the new ones.", Since: "1.2.0", Group: "sorted-set", Complexity: "O(log(N)) for each member where N is the size of the sorted set",
			Args: []Arg{key("key"),
				oneOf("condition", word("NX"), word("XX")).optional().since("3.0.2"),
				oneOf("comparison", word("GT"), word("LT")).optional().since("6.2.0"),
				word("CH").named("change").optional().since("3.0.2"), word("INCR").named("increment").optional().since("3.0.2"),
				block("data", double("score"), text("member")).multiple()},
			History: []Change{{"2.4.0", "Takes several members."}, {"3.0.2", "The options `XX`, `NX`, `CH` and `INCR` came."}, {"6.2.0", "The options `GT` and `LT` came."}}}},
	{Name: "zincrby", Arity: 4, Flags: Write | DenyOOM | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: zIncrBy,
		Doc: Doc{Summary: "Adds a number to the score of a member; a missing member counts as 0.", Since: "1.2.0", Group: "sorted-set", Complexity: logComplexity,
			Args: []Arg{key("key"), integer("increment"), text("member")}}},
	{Name: "zscore", Arity: 3, Flags: ReadOnly | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: zScore,
		Doc: Doc{Summary: "Returns the score of a member.", Since: "1.2.0", Group: "sorted-set", Complexity: "O(1)",
			Args: []Arg{key("key"), text("member")}}},
	{Name: "zmscore", Arity: -3, Flags: ReadOnly | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: zMScore,
		Doc: Doc{Summary: "Returns the scores of members.", Since: "6.2.0", Group: "sorted-set", Complexity: "O(N) where N is the number of members",
			Args: []Arg{key("key"), text("member").multiple()}}},
	{Name: "zcard", Arity: 2, Flags: ReadOnly | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRO), Run: zCard,
		Doc: Doc{Summary: "Returns the number of members of a sorted set.", Since: "1.2.0", Group: "sorted-set", Complexity: "O(1)",
			Args: []Arg{key("key")}}},
	{Name: "zrank", Arity: -3, Flags: ReadOnly | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: zRank,
		Doc: Doc{Summary: "Returns how many members have lower scores than one.", Since: "2.0.0", Group: "sorted-set", Complexity: logComplexity,
			Args: rankArgs, History: rankHistory}},
	{Name: "zrevrank", Arity: -3, Flags: ReadOnly | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: zRevRank,
		Doc: Doc{Summary: "Returns how many members have higher scores than one.", Since: "2.0.0", Group: "sorted-set", Complexity: logComplexity,
			Args: rankArgs, History: rankHistory}},
	{Name: "zrem", Arity: -3, Flags: Write | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyDelete), Run: zRem,
		Doc: Doc{Summary: "Removes members from a sorted set and counts those it had.", Since: "1.2.0", Group: "sorted-set", Complexity: "O(M*log(N)) where N is the size of the sorted set and M the number of members",
			Args: []Arg{key("key"), text("member").multiple()}, History: severalMembers}},
	{Name: "zrandmember", Arity: -2, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: zRandMember,
		Doc: Doc{Summary: "Returns members of a sorted set chosen at random.", Since: "6.2.0", Group: "sorted-set", Complexity: "O(N) where N is the number of members returned",
			Args: []Arg{key("key"), block("options", integer("count"), word("WITHSCORES").optional()).optional()}, Tips: []string{changing}}},
	{Name: "zscan", Arity: -3, Flags: ReadOnly, ACL: CatSortedSet, Keys: OneKey(KeyRO | KeyAccess), Run: zScan,
		Doc: Doc{Summary: "Iterates over the members of a sorted set.", Since: "2.8.0", Group: "sorted-set", Complexity: "O(1) for each call, O(N) for a whole iteration",
			Args: append(collectionScanArgs(), word("NOSCORES").optional().since("8.0.0")),
			Tips: []string{changing}, History: []Change{{"8.0.0", "The option `NOSCORES` came, with Valkey."}}}},
}

const logComplexity = "O(log(N)) where N is the size of the sorted set"

var (
	rankArgs    = []Arg{key("key"), text("member"), word("WITHSCORE").optional().since("7.2.0")}
	rankHistory = []Change{{"7.2.0", "The option `WITHSCORE` came."}}
)

// addOptions are what may stand before the scores of ZADD.
type addOptions struct{ nx, xx, gt, lt, changed, incr bool }

// parse reads the options of ZADD from args on and returns what follows.
func (o *addOptions) parse(args [][]byte) (rest [][]byte) {
	for i, a := range args {
		switch {
		case is(a, "NX"):
			o.nx = true
		case is(a, "XX"):
			o.xx = true
		case is(a, "GT"):
			o.gt = true
		case is(a, "LT"):
			o.lt = true
		case is(a, "CH"):
			o.changed = true
		case is(a, "INCR"):
			o.incr = true
		default:
			return args[i:]
		}
	}
	return nil
}

// refusal is why the options cannot stand together, with so many members.
func (o *addOptions) refusal(members int) resp.Error {
	switch {
	case o.nx && o.xx:
		return resp.ErrAddNXXX
	case o.gt && o.nx, o.lt && o.nx, o.gt && o.lt:
		return resp.ErrAddGTLTNX
	case o.incr && members > 1:
		return resp.ErrAddIncr
	}
	return ""
}

// added says what became of a member.
type added uint8

const (
	addRefused added = iota // an option forbids it
	addKept                 // it has that score already
	addNaN
	addChanged // and the following: the set has changed
	addCreated
	addResults // how many there are
)

// add gives a member a score, or adds to the one it has. It matches zsetAdd.
func (o *addOptions) add(z *storage.ZSet, member []byte, score float64) (result float64, became added) {
	z.Update(member, func(old float64, found bool) (float64, bool) {
		result, became = o.choose(old, found, score)
		return result, became >= addChanged
	})
	return result, became
}

// choose is what becomes of a member, and its score then. If it is found it has
// the score old.
func (o *addOptions) choose(old float64, found bool, score float64) (float64, added) {
	switch {
	case !found && o.xx, found && o.nx:
		return 0, addRefused
	case !found:
		return score, addCreated
	}
	if o.incr {
		if score += old; math.IsNaN(score) {
			return 0, addNaN
		}
	}
	switch {
	case o.lt && score >= old, o.gt && score <= old:
		return 0, addRefused
	case score == old:
		return score, addKept
	}
	return score, addChanged
}

func zAdd(c *Ctx)    { addMembers(c, addOptions{}) }
func zIncrBy(c *Ctx) { addMembers(c, addOptions{incr: true}) }

// addMembers matches zaddGenericCommand. As there, ZINCRBY takes the options of
// ZADD for what they are, but never has the number of arguments for one.
func addMembers(c *Ctx, o addOptions) {
	pairs := o.parse(c.Args[2:])
	if len(pairs) == 0 || len(pairs)%2 != 0 {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	if err := o.refusal(len(pairs) / 2); err != "" {
		c.Out.Error(err)
		return
	}
	var few [8]float64
	scores := few[:0]
	for i := 0; i < len(pairs); i += 2 {
		score, ok := c.double(pairs[i], resp.ErrNotFloat)
		if !ok {
			return
		}
		scores = append(scores, score)
	}
	c.addScored(o, scores, pairs[1:], 2)
}

// addScored gives members scores and answers; the member of a score is every step
// members one.
func (c *Ctx) addScored(o addOptions, scores []float64, members [][]byte, step int) {
	z, ok := c.editZSet(c.Args[1])
	if !ok {
		return
	}
	var count [addResults]int64
	var last float64
	z.BeginMany()
	for i, score := range scores {
		var a added
		last, a = o.add(&z, members[i*step], score)
		count[a]++
	}
	z.EndMany()
	event := "zadd"
	switch {
	case count[addNaN] > 0:
		c.Out.Error(resp.ErrScoreNaN)
		return
	case o.incr && count[addRefused] > 0:
		c.Out.Null()
	case o.incr:
		event = "zincr"
		c.Out.Double(last)
	case o.changed:
		c.Out.Int(count[addCreated] + count[addChanged])
	default:
		c.Out.Int(count[addCreated])
	}
	if count[addCreated]+count[addChanged] > 0 {
		c.Tx.Note(storage.ClassZSet, event, c.Args[1])
	}
}

func zScore(c *Ctx) {
	if z, _, ok := c.zset(c.Args[1]); ok {
		replyScore(c, &z, c.Args[2])
	}
}

func replyScore(c *Ctx, z *storage.ZSet, member []byte) {
	if score, found := z.Score(member); found {
		c.Out.Double(score)
	} else {
		c.Out.Null()
	}
}

func zMScore(c *Ctx) {
	z, _, ok := c.zset(c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		replyScore(c, &z, member)
	}
}

func zCard(c *Ctx) {
	if z, _, ok := c.zset(c.Args[1]); ok {
		c.Out.Int(int64(z.Len()))
	}
}

func zRank(c *Ctx)    { replyRank(c, false) }
func zRevRank(c *Ctx) { replyRank(c, true) }

// replyRank matches zrankGenericCommand.
func replyRank(c *Ctx, reversed bool) {
	withScore := len(c.Args) > 3
	switch {
	case len(c.Args) > 4:
		c.Out.Error(resp.ErrArity(c.Row.Name))
		return
	case withScore && !is(c.Args[3], "WITHSCORE"):
		c.Out.Error(resp.ErrSyntax)
		return
	}
	z, _, ok := c.zset(c.Args[1])
	if !ok {
		return
	}
	rank, score, found := z.Rank(c.Args[2])
	if reversed {
		rank = z.Len() - 1 - rank
	}
	switch {
	case found && withScore:
		c.Out.Array(2)
		c.Out.Int(int64(rank))
		c.Out.Double(score)
	case found:
		c.Out.Int(int64(rank))
	case withScore:
		c.Out.NullArray()
	default:
		c.Out.Null()
	}
}

func zRem(c *Ctx) {
	z, ok := c.editZSet(c.Args[1])
	if !ok {
		return
	}
	n := 0
	z.BeginMany()
	for _, member := range c.Args[2:] {
		if z.Remove(member) {
			n++
		}
	}
	z.EndMany()
	c.Out.Int(int64(n))
	if n > 0 {
		c.noteRemoved(storage.ClassZSet, "zrem", c.Args[1], z.Exists())
	}
}

// zRandMember matches zrandmemberCommand. A count is read before the key is
// looked at.
func zRandMember(c *Ctx) {
	count, many, withScores := int64(1), len(c.Args) > 2, false
	if many {
		var ok bool
		if count, withScores, ok = c.drawOptions("WITHSCORES"); !ok {
			return
		}
	}
	z, found, ok := c.zset(c.Args[1])
	switch {
	case !ok:
	case !found && many:
		c.Out.Array(0)
	case !found:
		c.Out.Null()
	case many:
		c.drawScored(&z, count, withScores)
	default:
		member, _ := z.At(rand.IntN(z.Len()))
		c.Out.Bulk(member)
	}
}

// drawScored answers with members chosen at random: with their scores as pairs,
// which RESP2 has one after the other.
func (c *Ctx) drawScored(z *storage.ZSet, count int64, withScores bool) {
	width := 1
	if withScores && c.Out.Proto() != resp.Proto3 {
		width = 2
	}
	reply := func(member []byte, score float64) bool {
		c.replyScored(member, score, withScores)
		return true
	}
	c.draw(z.Len(), count, width, func(i int) { reply(z.At(i)) }, func() { z.Ascend(0, reply) })
}

// scoredArray begins an array of n members, with their scores or without.
func (c *Ctx) scoredArray(n int, withScores bool) {
	if withScores && c.Out.Proto() != resp.Proto3 {
		n *= 2
	}
	c.Out.Array(n)
}

// replyScored writes an element of it: with the score a pair, which RESP2 has
// one after the other.
func (c *Ctx) replyScored(member []byte, score float64, withScore bool) {
	if withScore && c.Out.Proto() == resp.Proto3 {
		c.Out.Array(2)
	}
	c.Out.Bulk(member)
	if withScore {
		c.Out.Double(score)
	}
}

// zScan matches zscanCommand.
func zScan(c *Ctx) {
	cursor, ok := c.cursor(c.Args[2])
	if !ok {
		return
	}
	e, found, ok := c.scanned(c.Args[1], storage.TypeZSet)
	if !found || !ok {
		return
	}
	o, ok := parseScanOptions(c, c.Args[3:], storage.TypeZSet)
	if !ok {
		return
	}
	z := e.ZSet()
	var members copies
	var digits [32]byte
	next := z.Scan(cursor, o.atOnce(e, z.Len()), func(member []byte, score float64) {
		if o.match == nil || glob.Match(o.match, member) {
			members.add(member)
			if !o.namesOnly {
				members.add(resp.AppendDouble(digits[:0], score))
			}
		}
	})
	c.replyScan(next, members)
}

// ZPops is the rows of the commands that take members from an end of a sorted
// set.
var ZPops = []*Row{
	{Name: "zpopmin", Arity: -2, Flags: Write | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Run: zPopMin,
		Doc: Doc{Summary: "Takes the members with the lowest scores out of a sorted set and returns them.", Since: "5.0.0", Group: "sorted-set", Complexity: zPopComplexity,
			Args: []Arg{key("key"), integer("count").optional()}}},
	{Name: "zpopmax", Arity: -2, Flags: Write | Fast, ACL: CatSortedSet, Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Run: zPopMax,
		Doc: Doc{Summary: "Takes the members with the highest scores out of a sorted set and returns them.", Since: "5.0.0", Group: "sorted-set", Complexity: zPopComplexity,
			Args: []Arg{key("key"), integer("count").optional()}}},
	{Name: "zmpop", Arity: -4, Flags: Write | MovableKeys, ACL: CatSortedSet, Keys: keysAfterNumber(1, KeyRW|KeyAccess|KeyDelete), Run: zMPop,
		Doc: Doc{Summary: "Takes members with the lowest or highest scores out of the first sorted set that has any and returns them.", Since: "7.0.0", Group: "sorted-set", Complexity: zMPopComplexity,
			Args: []Arg{integer("numkeys"), key("key").multiple(), oneOf("where", word("MIN"), word("MAX")), integer("count").after("COUNT").optional()}}},
}

const (
	zPopComplexity  = "O(M*log(N)) where N is the size of the sorted set and M the number of members returned"
	zMPopComplexity = "O(K)+O(M*log(N)) where K is the number of keys, N the size of the sorted set and M the number of members returned"
)

// zPopped and zEffect are the event and the effect of taking members from an end
// of a sorted set.
func (e end) zPopped() string { return [...]string{"zpopmin", "zpopmax"}[e] }
func (e end) zEffect() []byte { return zPopEffects[e] }

var zPopEffects = [...][]byte{[]byte("ZPOPMIN"), []byte("ZPOPMAX")}

func zPopMin(c *Ctx) { zPop(c, atHead) }
func zPopMax(c *Ctx) { zPop(c, atTail) }

// zPop matches zpopMinMaxCommand: in RESP3 a count makes pairs of the reply.
func zPop(c *Ctx, where end) {
	count, counted, ok := int64(1), len(c.Args) == 3, true
	if len(c.Args) > 3 {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	if counted {
		if count, ok = c.integerIn(c.Args[2], 0, math.MaxInt64, resp.ErrNotPositive); !ok {
			return
		}
	}
	z, ok := c.editZSet(c.Args[1])
	if !ok {
		return
	}
	n := int(min(count, int64(z.Len())))
	pairs := counted && c.Out.Proto() == resp.Proto3
	if pairs {
		c.Out.Array(n)
	} else {
		c.Out.Array(2 * n)
	}
	if n > 0 {
		c.popScored(&z, c.Args[1], where, n, pairs)
	}
}

// popScored takes n members, at least one, from an end of the sorted set at key
// and writes them with their scores.
func (c *Ctx) popScored(z *storage.ZSet, key []byte, where end, n int, pairs bool) {
	left := n
	reply := func(member []byte, score float64) bool {
		if pairs {
			c.Out.Array(2)
		}
		c.Out.Bulk(member)
		c.Out.Double(score)
		left--
		return left > 0
	}
	if where == atHead {
		z.Ascend(0, reply)
		z.RemoveRange(0, n)
	} else {
		z.Descend(z.Len()-1, reply)
		z.RemoveRange(z.Len()-n, n)
	}
	c.noteRemoved(storage.ClassZSet, where.zPopped(), key, z.Exists())
}

// zMPop matches zmpopGenericCommand.
func zMPop(c *Ctx) {
	o, ok := parseMPop(c, 1, ofZSet)
	if ok && !c.zPopFromFirst(o.keys, o.where, o.count) {
		c.Out.NullArray()
	}
}

// firstZSet is firstList for sorted sets.
func (c *Ctx) firstZSet(keys [][]byte) (z storage.ZSet, key []byte, ok bool) {
	for _, key = range keys {
		if z, ok = c.editZSet(key); !ok || z.Exists() {
			return z, key, ok
		}
	}
	return storage.ZSet{}, nil, true
}

// zPopFromFirst takes up to count members from an end of the first of the sorted
// sets that exists and answers with its key and them. It returns false, without
// an answer, if none exists. Its effect is a ZPOPMIN or ZPOPMAX of that key.
func (c *Ctx) zPopFromFirst(keys [][]byte, where end, count int64) (answered bool) {
	z, key, ok := c.firstZSet(keys)
	if !ok {
		return true
	}
	if !z.Exists() {
		return false
	}
	n := int(min(count, int64(z.Len())))
	c.Out.Array(2)
	c.Out.Bulk(key)
	c.Out.Array(n)
	c.popScored(&z, key, where, n, true)
	var digits [20]byte
	c.Tx.Effect(where.zEffect(), key, strconv.AppendInt(digits[:0], int64(n), 10))
	return true
}
