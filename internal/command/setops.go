package command

import (
	"math"
	"slices"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// SetOperations is the rows of the commands that make one set of several.
var SetOperations = []*Row{
	{Name: "sinter", Arity: -2, Flags: ReadOnly, ACL: CatSet, Keys: KeysFrom(1, -1, 1, KeyRO|KeyAccess), Run: sInter,
		Doc: Doc{Summary: "Returns the members that all of several sets have.", Since: "1.0.0", Group: "set", Complexity: interComplexity,
			Args: []Arg{key("key").multiple()}, Tips: []string{anyOrder}}},
	{Name: "sunion", Arity: -2, Flags: ReadOnly, ACL: CatSet, Keys: KeysFrom(1, -1, 1, KeyRO|KeyAccess), Run: sUnion,
		Doc: Doc{Summary: "Returns the members that any of several sets has.", Since: "1.0.0", Group: "set", Complexity: unionComplexity,
			Args: []Arg{key("key").multiple()}, Tips: []string{anyOrder}}},
	{Name: "sdiff", Arity: -2, Flags: ReadOnly, ACL: CatSet, Keys: KeysFrom(1, -1, 1, KeyRO|KeyAccess), Run: sDiff,
		Doc: Doc{Summary: "Returns the members of the first set that no other set has.", Since: "1.0.0", Group: "set", Complexity: unionComplexity,
			Args: []Arg{key("key").multiple()}, Tips: []string{anyOrder}}},
	{Name: "sinterstore", Arity: -3, Flags: Write | DenyOOM, ACL: CatSet, Keys: storeKeys(KeyRW), Run: sInterStore,
		Doc: Doc{Summary: "Stores the members that all of several sets have.", Since: "1.0.0", Group: "set", Complexity: interComplexity,
			Args: []Arg{key("destination"), key("key").spec(1).multiple()}}},
	{Name: "sunionstore", Arity: -3, Flags: Write | DenyOOM, ACL: CatSet, Keys: storeKeys(KeyOW), Run: sUnionStore,
		Doc: Doc{Summary: "Stores the members that any of several sets has.", Since: "1.0.0", Group: "set", Complexity: unionComplexity,
			Args: []Arg{key("destination"), key("key").spec(1).multiple()}}},
	{Name: "sdiffstore", Arity: -3, Flags: Write | DenyOOM, ACL: CatSet, Keys: storeKeys(KeyOW), Run: sDiffStore,
		Doc: Doc{Summary: "Stores the members of the first set that no other set has.", Since: "1.0.0", Group: "set", Complexity: unionComplexity,
			Args: []Arg{key("destination"), key("key").spec(1).multiple()}}},
	{Name: "sintercard", Arity: -3, Flags: ReadOnly | MovableKeys, ACL: CatSet, Keys: keysAfterNumber(1, KeyRO|KeyAccess), Run: sInterCard,
		Doc: Doc{Summary: "Counts the members that all of several sets have.", Since: "7.0.0", Group: "set", Complexity: interComplexity,
			Args: []Arg{integer("numkeys"), key("key").multiple(), integer("limit").after("LIMIT").optional()}}},
}

const (
	interComplexity = "O(N*M) where N is the size of the smallest set and M the number of sets"
	unionComplexity = "O(N) where N is the number of members of all sets"
)

func storeKeys(destination KeyFlags) []KeySpec {
	return append([]KeySpec{KeyAt(1, destination|KeyUpdate)}, KeysFrom(2, -1, 1, KeyRO|KeyAccess)...)
}

// operation calls f for each member of the result of several sets, once, until
// it returns false. A set may be one that does not exist. The members are views
// into the sets.
type operation func(sets []storage.Set, f func(member []byte) bool)

func sInter(c *Ctx) { c.replyOf(intersection) }
func sUnion(c *Ctx) { c.replyOf(union) }
func sDiff(c *Ctx)  { c.replyOf(difference) }

func sInterStore(c *Ctx) { c.storeOf(intersection, "sinterstore") }
func sUnionStore(c *Ctx) { c.storeOf(union, "sunionstore") }
func sDiffStore(c *Ctx)  { c.storeOf(difference, "sdiffstore") }

// sets finds the sets at several keys. It answers with WRONGTYPE and returns ok
// false if one holds another type.
func (c *Ctx) sets(keys [][]byte) (sets []storage.Set, ok bool) {
	for _, key := range keys {
		if e, found := c.Tx.Find(key); found && e.Type() != storage.TypeSet {
			c.Out.Error(resp.ErrWrongType)
			return nil, false
		}
	}
	// Now those whose time was past are deleted, and the sets stay where they
	// are.
	sets = make([]storage.Set, len(keys))
	for i, key := range keys {
		if e, found := c.Tx.Peek(key); found {
			sets[i] = e.Set()
		}
	}
	return sets, true
}

// result is the members that op finds in the sets at several keys.
func (c *Ctx) result(op operation, keys [][]byte) (members copies, ok bool) {
	sets, ok := c.sets(keys)
	if !ok {
		return copies{}, false
	}
	op(sets, func(member []byte) bool {
		members.add(member)
		return true
	})
	return members, true
}

func (c *Ctx) replyOf(op operation) {
	members, ok := c.result(op, c.Args[1:])
	if !ok {
		return
	}
	c.Out.Set(members.len())
	for m := range members.all {
		c.Out.Bulk(m)
	}
}

// storeOf puts the result of op in the place of whatever the first key holds,
// which may also be one of the sets.
func (c *Ctx) storeOf(op operation, event string) {
	key := c.Args[1]
	members, ok := c.result(op, c.Args[2:])
	if !ok {
		return
	}
	existed := c.Tx.Replace(key)
	c.Out.Int(int64(members.len()))
	if members.len() == 0 {
		if existed {
			c.Tx.Note(storage.ClassGeneric, "del", key)
		}
		return
	}
	s, _ := c.Tx.EditSet(key)
	s.BeginMany()
	for member := range members.all {
		s.Add(member)
	}
	s.EndMany()
	c.Tx.CountAs(1)
	c.Tx.Note(storage.ClassSet, event, key)
}

// intersection looks each member of the smallest set up in all others.
func intersection(sets []storage.Set, f func(member []byte) bool) {
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b storage.Set) int { return a.Len() - b.Len() })
	sets[0].Each(func(member []byte) bool {
		for i := range sets[1:] {
			if !sets[1+i].Has(member) {
				return true
			}
		}
		return f(member)
	})
}

// fewSets is up to how many sets a member is looked up in each of them, instead
// of in a list of the members seen so far.
const fewSets = 4

func union(sets []storage.Set, f func(member []byte) bool) {
	var seen map[string]bool
	if len(sets) > fewSets {
		seen = map[string]bool{}
	}
	fresh := func(i int, member []byte) bool {
		if seen == nil {
			return !inAny(sets[:i], member)
		}
		if seen[string(member)] {
			return false
		}
		seen[string(member)] = true
		return true
	}
	more := true
	for i := 0; i < len(sets) && more; i++ {
		sets[i].Each(func(member []byte) bool {
			if fresh(i, member) {
				more = f(member)
			}
			return more
		})
	}
}

func inAny(sets []storage.Set, member []byte) bool {
	for i := range sets {
		if sets[i].Has(member) {
			return true
		}
	}
	return false
}

// difference chooses between two ways, as sunionDiffGenericCommand does: to look
// the members of the first set up in all others, or in a list of what the others
// have.
func difference(sets []storage.Set, f func(member []byte) bool) {
	first, others := &sets[0], sets[1:]
	total := 0
	for i := range others {
		total += others[i].Len()
	}
	has := func(member []byte) bool { return inAny(others, member) }
	if len(others) > fewSets && total < first.Len()*len(others) {
		listed := make(map[string]bool, total)
		for i := range others {
			others[i].Each(func(member []byte) bool {
				listed[string(member)] = true
				return true
			})
		}
		has = func(member []byte) bool { return listed[string(member)] }
	}
	first.Each(func(member []byte) bool { return has(member) || f(member) })
}

// sInterCard matches sinterCardCommand.
func sInterCard(c *Ctx) {
	n, ok := c.integerIn(c.Args[1], 1, math.MaxInt64, resp.ErrNumKeys)
	if !ok {
		return
	}
	rest := c.Args[2:]
	if n > int64(len(rest)) {
		c.Out.Error(resp.ErrManyKeys)
		return
	}
	keys, options := rest[:n], rest[n:]
	limit := int64(0)
	for ; len(options) > 0; options = options[2:] {
		if len(options) == 1 || !is(options[0], "LIMIT") {
			c.Out.Error(resp.ErrSyntax)
			return
		}
		if limit, ok = c.integerIn(options[1], 0, math.MaxInt64, resp.ErrLimit); !ok {
			return
		}
	}
	sets, ok := c.sets(keys)
	if !ok {
		return
	}
	var count int64
	intersection(sets, func([]byte) bool {
		count++
		return count != limit
	})
	c.Out.Int(count)
}
