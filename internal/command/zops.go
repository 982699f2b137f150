package command

import (
	"bytes"
	"math"
	"slices"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// ZSetOperations is the rows of the commands that make one sorted set of
// several. Sets are taken as well: all their members have the score 1.
var ZSetOperations = []*Row{
	{Name: "zunion", Arity: -3, Flags: ReadOnly | MovableKeys, ACL: CatSortedSet, Keys: keysAfterNumber(1, KeyRO|KeyAccess), Run: combineCommand(zUnion, true),
		Doc: Doc{Summary: "Returns the members that any of several sorted sets has.", Since: "6.2.0", Group: "sorted-set", Complexity: zUnionComplexity,
			Args: []Arg{integer("numkeys"), key("key").multiple(), inputWeights, inputAggregate, rangeScores}}},
	{Name: "zinter", Arity: -3, Flags: ReadOnly | MovableKeys, ACL: CatSortedSet, Keys: keysAfterNumber(1, KeyRO|KeyAccess), Run: combineCommand(zInter, true),
		Doc: Doc{Summary: "Returns the members that all of several sorted sets have.", Since: "6.2.0", Group: "sorted-set", Complexity: zInterComplexity,
			Args: []Arg{integer("numkeys"), key("key").multiple(), inputWeights, inputAggregate, rangeScores}}},
	{Name: "zdiff", Arity: -3, Flags: ReadOnly | MovableKeys, ACL: CatSortedSet, Keys: keysAfterNumber(1, KeyRO|KeyAccess), Run: combineCommand(zDiff, false),
		Doc: Doc{Summary: "Returns the members of the first sorted set that no other one has.", Since: "6.2.0", Group: "sorted-set", Complexity: zDiffComplexity,
			Args: []Arg{integer("numkeys"), key("key").multiple(), rangeScores}}},
	{Name: "zunionstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, ACL: CatSortedSet, Keys: combineStoreKeys, Run: combineStoreCommand(zUnion, true, "zunionstore"),
		Doc: Doc{Summary: "Stores the members that any of several sorted sets has.", Since: "2.0.0", Group: "sorted-set", Complexity: zUnionComplexity,
			Args: []Arg{key("destination"), integer("numkeys"), key("key").spec(1).multiple(), inputWeights, inputAggregate}}},
	{Name: "zinterstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, ACL: CatSortedSet, Keys: combineStoreKeys, Run: combineStoreCommand(zInter, true, "zinterstore"),
		Doc: Doc{Summary: "Stores the members that all of several sorted sets have.", Since: "2.0.0", Group: "sorted-set", Complexity: zInterComplexity,
			Args: []Arg{key("destination"), integer("numkeys"), key("key").spec(1).multiple(), inputWeights, inputAggregate}}},
	{Name: "zdiffstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, ACL: CatSortedSet, Keys: combineStoreKeys, Run: combineStoreCommand(zDiff, false, "zdiffstore"),
		Doc: Doc{Summary: "Stores the members of the first sorted set that no other one has.", Since: "6.2.0", Group: "sorted-set", Complexity: zDiffComplexity,
			Args: []Arg{key("destination"), integer("numkeys"), key("key").spec(1).multiple()}}},
	{Name: "zintercard", Arity: -3, Flags: ReadOnly | MovableKeys, ACL: CatSortedSet, Keys: keysAfterNumber(1, KeyRO|KeyAccess), Run: zInterCard,
		Doc: Doc{Summary: "Counts the members that all of several sorted sets have.", Since: "7.0.0", Group: "sorted-set", Complexity: "O(N*K) where N is the size of the smallest input and K the number of inputs",
			Args: []Arg{integer("numkeys"), key("key").multiple(), integer("limit").after("LIMIT").optional()}}},
}

const (
	zUnionComplexity = "O(N)+O(M*log(M)) where N is the number of members of all inputs and M that of the result"
	zInterComplexity = "O(N*K)+O(M*log(M)) where N is the size of the smallest input, K the number of inputs and M the size of the result"
	zDiffComplexity  = "O(N*K)+O(M*log(M)) where N is the size of the first input, K the number of inputs and M the size of the result"
)

var (
	combineStoreKeys = append([]KeySpec{KeyAt(1, KeyOW|KeyUpdate)}, keysAfterNumber(2, KeyRO|KeyAccess)...)
	inputWeights     = integer("weight").after("WEIGHTS").optional().multiple()
	inputAggregate   = oneOf("aggregate", word("SUM"), word("MIN"), word("MAX")).after("AGGREGATE").optional()
)

// input is a sorted set, or a set, of which a command makes another one. The
// zero value is one without members.
type input struct {
	zset   *storage.ZSet
	set    *storage.Set
	weight float64
}

func (in *input) len() int {
	switch {
	case in.zset != nil:
		return in.zset.Len()
	case in.set != nil:
		return in.set.Len()
	}
	return 0
}

// score is the score of a member, without the weight.
func (in *input) score(member []byte) (score float64, ok bool) {
	switch {
	case in.zset != nil:
		return in.zset.Score(member)
	case in.set != nil:
		return 1, in.set.Has(member)
	}
	return 0, false
}

// each calls f for all members, until it returns false.
func (in *input) each(f func(member []byte, score float64) bool) {
	switch {
	case in.zset != nil:
		in.zset.Ascend(0, f)
	case in.set != nil:
		in.set.Each(func(member []byte) bool { return f(member, 1) })
	}
}

// weighted is a score of a member times the weight of its input; what is not a
// number (0 times infinity) is 0.
func (in *input) weighted(score float64) float64 {
	if score *= in.weight; math.IsNaN(score) {
		return 0
	}
	return score
}

// aggregate makes one score of those that a member has in several inputs.
type aggregate func(a, b float64) float64

// sum matches zunionInterAggregate: the sum of the two infinities is 0.
func sum(a, b float64) float64 {
	if a += b; math.IsNaN(a) {
		return 0
	}
	return a
}

// lesser and greater keep the first where the second is not a number.
func lesser(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func greater(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// combination calls f for each member of the result of several inputs, once,
// until it returns false.
type combination func(in []input, how aggregate, f func(member []byte, score float64) bool)

// zInter matches the intersection of zunionInterDiffGenericCommand, in the order
// of whose additions too: it decides the last digits of a sum.
func zInter(in []input, how aggregate, f func(member []byte, score float64) bool) {
	smallestFirst(in)
	in[0].each(func(member []byte, score float64) bool {
		total := in[0].weighted(score)
		for i := range in[1:] {
			other := &in[1+i]
			score, ok := other.score(member)
			if !ok {
				return true
			}
			total = how(total, score*other.weight)
		}
		return f(member, total)
	})
}

// zUnion matches the union of zunionInterDiffGenericCommand, see zInter.
func zUnion(in []input, how aggregate, f func(member []byte, score float64) bool) {
	smallestFirst(in)
	last := &in[len(in)-1]
	others := 0
	for i := range in[:len(in)-1] {
		others += in[i].len()
	}
	if others == 0 {
		last.each(func(member []byte, score float64) bool { return f(member, last.weighted(score)) })
		return
	}
	total := make(map[string]float64, max(others, last.len()))
	for i := range in {
		in[i].each(func(member []byte, score float64) bool {
			score = in[i].weighted(score)
			if before, ok := total[string(member)]; ok {
				score = how(before, score)
			}
			total[string(member)] = score
			return true
		})
	}
	for member, score := range total {
		if !f([]byte(member), score) {
			return
		}
	}
}

// zDiff looks the members of the first input up in all others.
func zDiff(in []input, _ aggregate, f func(member []byte, score float64) bool) {
	in[0].each(func(member []byte, score float64) bool {
		for i := range in[1:] {
			if _, ok := in[1+i].score(member); ok {
				return true
			}
		}
		return f(member, score)
	})
}

// smallestFirst orders the inputs for an operation in which their order does not
// matter.
func smallestFirst(in []input) {
	slices.SortStableFunc(in, func(a, b input) int { return a.len() - b.len() })
}

// combineOptions are the arguments of ZUNION and its like.
type combineOptions struct {
	inputs     []input
	how        aggregate
	withScores bool
	limit      int64
}

// combineForm says which options a command has.
type combineForm struct{ weights, scores, limit bool }

// combineOptions reads them, from the number of keys at argument i on. As in
// zunionInterDiffGenericCommand a key of a wrong type comes before what is wrong
// with the options.
func (c *Ctx) combineOptions(i int, form combineForm) (o combineOptions, ok bool) {
	n, ok := c.integer(c.Args[i])
	if !ok {
		return o, false
	}
	rest := c.Args[i+1:]
	switch {
	case n < 1:
		c.Out.Error(resp.ErrInputKeys(c.Row.FullName()))
		return o, false
	case n > int64(len(rest)):
		c.Out.Error(resp.ErrSyntax)
		return o, false
	}
	o.how = sum
	if o.inputs, ok = c.inputs(rest[:n]); !ok {
		return o, false
	}
	for rest = rest[n:]; len(rest) > 0 && ok; {
		rest, ok = o.option(c, rest, form)
	}
	return o, ok
}

// option reads the first of the options and returns the others.
func (o *combineOptions) option(c *Ctx, args [][]byte, form combineForm) (rest [][]byte, ok bool) {
	switch {
	case form.weights && len(args) > len(o.inputs) && is(args[0], "WEIGHTS"):
		for i := range o.inputs {
			if o.inputs[i].weight, ok = c.double(args[1+i], resp.ErrWeight); !ok {
				return nil, false
			}
		}
		return args[1+len(o.inputs):], true
	case form.weights && len(args) > 1 && is(args[0], "AGGREGATE"):
		switch how := args[1]; {
		case is(how, "SUM"):
			o.how = sum
		case is(how, "MIN"):
			o.how = lesser
		case is(how, "MAX"):
			o.how = greater
		default:
			c.Out.Error(resp.ErrSyntax)
			return nil, false
		}
		return args[2:], true
	case form.scores && is(args[0], "WITHSCORES"):
		o.withScores = true
		return args[1:], true
	case form.limit && len(args) > 1 && is(args[0], "LIMIT"):
		o.limit, ok = c.integerIn(args[1], 0, math.MaxInt64, resp.ErrLimit)
		return args[2:], ok
	}
	c.Out.Error(resp.ErrSyntax)
	return nil, false
}

// inputs finds the sorted sets and sets at several keys. It answers with
// WRONGTYPE and returns ok false if one holds another type.
func (c *Ctx) inputs(keys [][]byte) (in []input, ok bool) {
	for _, key := range keys {
		if e, found := c.Tx.Find(key); found && e.Type() != storage.TypeZSet && e.Type() != storage.TypeSet {
			c.Out.Error(resp.ErrWrongType)
			return nil, false
		}
	}
	// Now those whose time was past are deleted, and the others stay where they
	// are.
	in = make([]input, len(keys))
	for i, key := range keys {
		in[i].weight = 1
		e, found := c.Tx.Peek(key)
		switch {
		case !found:
		case e.Type() == storage.TypeZSet:
			z := e.ZSet()
			in[i].zset = &z
		default:
			s := e.Set()
			in[i].set = &s
		}
	}
	return in, true
}

// result is what a combination consists of, in the order of a sorted set.
func (o *combineOptions) result(op combination) []scored {
	var found scoredCopies
	op(o.inputs, o.how, func(member []byte, score float64) bool {
		found.add(member, score)
		return true
	})
	slices.SortFunc(found.list, func(a, b scored) int {
		switch {
		case a.score < b.score:
			return -1
		case a.score > b.score:
			return 1
		}
		return bytes.Compare(a.member, b.member)
	})
	return found.list
}

// combineCommand is the handler of the forms that return the result. ZDIFF has no
// weights.
func combineCommand(op combination, weights bool) Handler {
	return func(c *Ctx) {
		o, ok := c.combineOptions(1, combineForm{weights: weights, scores: true})
		if !ok {
			return
		}
		found := o.result(op)
		c.scoredArray(len(found), o.withScores)
		for _, s := range found {
			c.replyScored(s.member, s.score, o.withScores)
		}
	}
}

// combineStoreCommand is the handler of the forms that store the result.
func combineStoreCommand(op combination, weights bool, event string) Handler {
	return func(c *Ctx) {
		o, ok := c.combineOptions(2, combineForm{weights: weights})
		if ok {
			c.storeScored(c.Args[1], o.result(op), event)
		}
	}
}

func zInterCard(c *Ctx) {
	o, ok := c.combineOptions(1, combineForm{limit: true})
	if !ok {
		return
	}
	var count int64
	zInter(o.inputs, o.how, func([]byte, float64) bool {
		count++
		return count != o.limit
	})
	c.Out.Int(count)
}
