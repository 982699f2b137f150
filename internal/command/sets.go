package command

import (
	"math"
	"math/rand/v2"

	"redoubt/internal/glob"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// Sets is the rows of the commands on one set, and SMOVE.
var Sets = []*Row{
	{Name: "sadd", Arity: -3, Flags: Write | DenyOOM | Fast, ACL: CatSet, Keys: OneKey(KeyRW | KeyInsert), Run: sAdd,
		Doc: Doc{Summary: "Adds members to a set, which is created if missing, and counts the new ones.", Since: "1.0.0", Group: "set", Complexity: "O(N) where N is the number of members",
			Args: []Arg{key("key"), text("member").multiple()}, History: severalMembers}},
	{Name: "srem", Arity: -3, Flags: Write | Fast, ACL: CatSet, Keys: OneKey(KeyRW | KeyDelete), Run: sRem,
		Doc: Doc{Summary: "Removes members from a set and counts those it had.", Since: "1.0.0", Group: "set", Complexity: "O(N) where N is the number of members",
			Args: []Arg{key("key"), text("member").multiple()}, History: severalMembers}},
	{Name: "smove", Arity: 4, Flags: Write | Fast, ACL: CatSet, Keys: []KeySpec{KeyAt(1, KeyRW|KeyAccess|KeyDelete), KeyAt(2, KeyRW|KeyInsert)}, Run: sMove,
		Doc: Doc{Summary: "Moves a member from one set to another.", Since: "1.0.0", Group: "set", Complexity: "O(1)",
			Args: []Arg{key("source"), key("destination").spec(1), text("member")}}},
	{Name: "sismember", Arity: 3, Flags: ReadOnly | Fast, ACL: CatSet, Keys: OneKey(KeyRO), Run: sIsMember,
		Doc: Doc{Summary: "Tells whether a set has a member.", Since: "1.0.0", Group: "set", Complexity: "O(1)",
			Args: []Arg{key("key"), text("member")}}},
	{Name: "smismember", Arity: -3, Flags: ReadOnly | Fast, ACL: CatSet, Keys: OneKey(KeyRO | KeyAccess), Run: sMIsMember,
		Doc: Doc{Summary: "Tells of several members whether a set has them.", Since: "6.2.0", Group: "set", Complexity: "O(N) where N is the number of members",
			Args: []Arg{key("key"), text("member").multiple()}}},
	{Name: "scard", Arity: 2, Flags: ReadOnly | Fast, ACL: CatSet, Keys: OneKey(KeyRO), Run: sCard,
		Doc: Doc{Summary: "Returns the number of members of a set.", Since: "1.0.0", Group: "set", Complexity: "O(1)",
			Args: []Arg{key("key")}}},
	{Name: "spop", Arity: -2, Flags: Write | Fast, ACL: CatSet, Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Run: sPop,
		Doc: Doc{Summary: "Takes members chosen at random out of a set and returns them.", Since: "1.0.0", Group: "set", Complexity: "O(N) where N is the number of members returned",
			Args: []Arg{key("key"), integer("count").optional().since("3.2.0")}, Tips: []string{changing}, History: []Change{{"3.2.0", "The argument `count` came."}}}},
	{Name: "srandmember", Arity: -2, Flags: ReadOnly, ACL: CatSet, Keys: OneKey(KeyRO | KeyAccess), Run: sRandMember,
		Doc: Doc{Summary: "Returns members of a set chosen at random.", Since: "1.0.0", Group: "set", Complexity: "O(N) where N is the number of members returned",
			Args: []Arg{key("key"), integer("count").optional().since("2.6.0")}, Tips: []string{changing}, History: []Change{{"2.6.0", "The argument `count` came."}}}},
	{Name: "smembers", Arity: 2, Flags: ReadOnly, ACL: CatSet, Keys: OneKey(KeyRO | KeyAccess), Run: sMembers,
		Doc: Doc{Summary: "Returns all members of a set.", Since: "1.0.0", Group: "set", Complexity: "O(N) where N is the size of the set",
			Args: []Arg{key("key")}, Tips: []string{anyOrder}}},
	{Name: "sscan", Arity: -3, Flags: ReadOnly, ACL: CatSet, Keys: OneKey(KeyRO | KeyAccess), Run: sScan,
		Doc: Doc{Summary: "Iterates over the members of a set.", Since: "2.8.0", Group: "set", Complexity: "O(1) for each call, O(N) for a whole iteration",
			Args: collectionScanArgs(), Tips: []string{changing}}},
}

var severalMembers = []Change{{"2.4.0", "Takes several members."}}

func sAdd(c *Ctx) {
	s, ok := c.editSet(c.Args[1])
	if !ok {
		return
	}
	n := 0
	s.BeginMany()
	for _, member := range c.Args[2:] {
		if s.Add(member) {
			n++
		}
	}
	s.EndMany()
	c.Out.Int(int64(n))
	if n > 0 {
		c.Tx.Note(storage.ClassSet, "sadd", c.Args[1])
	}
}

func sRem(c *Ctx) {
	s, ok := c.editSet(c.Args[1])
	if !ok {
		return
	}
	n := 0
	s.BeginMany()
	for _, member := range c.Args[2:] {
		if s.Remove(member) {
			n++
		}
	}
	s.EndMany()
	c.Out.Int(int64(n))
	if n > 0 {
		c.noteRemoved(storage.ClassSet, "srem", c.Args[1], s.Exists())
	}
}

// sMove matches smoveCommand.
func sMove(c *Ctx) {
	fromKey, toKey, member := c.Args[1], c.Args[2], c.Args[3]
	// This look-up also deletes the target if its time is past, while no set is
	// at hand.
	e, found := c.Tx.Peek(toKey)
	source, ok := c.editSet(fromKey)
	switch {
	case !ok:
		return
	case !source.Exists():
		c.Out.Int(0)
		return
	case found && e.Type() != storage.TypeSet:
		c.Out.Error(resp.ErrWrongType)
		return
	case string(fromKey) == string(toKey):
		c.replyYes(source.Has(member))
		return
	case !source.Remove(member):
		c.Out.Int(0)
		return
	}
	c.noteRemoved(storage.ClassSet, "srem", fromKey, source.Exists())
	target, _ := c.Tx.EditSet(toKey)
	if target.Add(member) {
		c.Tx.Note(storage.ClassSet, "sadd", toKey)
	}
	c.Out.Int(1)
}

func sIsMember(c *Ctx) {
	if s, _, ok := c.set(c.Args[1]); ok {
		c.replyYes(s.Has(c.Args[2]))
	}
}

func sMIsMember(c *Ctx) {
	s, _, ok := c.set(c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		c.replyYes(s.Has(member))
	}
}

func sCard(c *Ctx) {
	if s, _, ok := c.set(c.Args[1]); ok {
		c.Out.Int(int64(s.Len()))
	}
}

func sMembers(c *Ctx) {
	if s, _, ok := c.set(c.Args[1]); ok {
		c.replyMembers(&s)
	}
}

func (c *Ctx) replyMembers(s *storage.Set) {
	c.Out.Set(s.Len())
	s.Each(func(member []byte) bool { c.Out.Bulk(member); return true })
}

var nameSRem = []byte("SREM")

// sPop matches spopCommand. Its effect is the removal of what was chosen.
func sPop(c *Ctx) {
	switch {
	case len(c.Args) > 3:
		c.Out.Error(resp.ErrSyntax)
		return
	case len(c.Args) == 3:
		sPopCount(c)
		return
	}
	key := c.Args[1]
	s, ok := c.editSet(key)
	if !ok {
		return
	}
	if !s.Exists() {
		c.Out.Null()
		return
	}
	member := c.bulk(s.At(rand.IntN(s.Len())))
	c.Tx.Effect(nameSRem, key, member)
	s.Remove(member)
	c.noteRemoved(storage.ClassSet, "spop", key, s.Exists())
}

// sPopCount matches spopWithCountCommand.
func sPopCount(c *Ctx) {
	key := c.Args[1]
	count, ok := c.integerIn(c.Args[2], 0, math.MaxInt64, resp.ErrNotPositive)
	if !ok {
		return
	}
	s, ok := c.editSet(key)
	if !ok {
		return
	}
	if count == 0 || !s.Exists() {
		c.Out.Set(0)
		return
	}
	size := int64(s.Len())
	if count >= size {
		// Redis answers as SUNION does, and counts the hit of a read.
		all, _, _ := c.set(key)
		c.replyMembers(&all)
		c.Tx.Delete(key)
		c.Tx.CountAs(int(size))
		c.Tx.Effect(c.serverDel(), key)
	} else {
		c.popMembers(&s, key, int(count))
	}
	c.noteRemoved(storage.ClassSet, "spop", key, count < size)
}

// popBatch is how many members one SREM of a SPOP's effects has.
const popBatch = 1024

// popMembers takes n members of the set at key out and answers with them.
func (c *Ctx) popMembers(s *storage.Set, key []byte, n int) {
	var chosen copies
	c.Out.Set(n)
	for _, i := range distinct(s.Len(), n) {
		member := s.At(i)
		c.Out.Bulk(member)
		chosen.add(member)
	}
	effect := [][]byte{nameSRem, key}
	for member := range chosen.all {
		s.Remove(member)
		if effect = append(effect, member); len(effect) == 2+popBatch {
			c.Tx.Effect(effect...)
			effect = effect[:2]
		}
	}
	if len(effect) > 2 {
		c.Tx.Effect(effect...)
	}
}

// copies is byte strings one behind the other.
type copies struct {
	buf  []byte
	ends []int
}

func (s *copies) add(b []byte) {
	s.buf = append(s.buf, b...)
	s.ends = append(s.ends, len(s.buf))
}

// len is how many strings there are.
func (s *copies) len() int { return len(s.ends) }

// all calls f for each string, in the order in which they came, until it returns
// false.
func (s *copies) all(f func([]byte) bool) {
	start := 0
	for _, end := range s.ends {
		if !f(s.buf[start:end:end]) {
			return
		}
		start = end
	}
}

// sRandMember matches srandmemberCommand.
func sRandMember(c *Ctx) {
	count, many := int64(1), len(c.Args) == 3
	switch {
	case len(c.Args) > 3:
		c.Out.Error(resp.ErrSyntax)
		return
	case many:
		var ok bool
		if count, ok = c.integerIn(c.Args[2], -math.MaxInt64, math.MaxInt64, ""); !ok {
			return
		}
	}
	s, found, ok := c.set(c.Args[1])
	switch {
	case !ok:
	case !found && many:
		c.Out.Array(0)
	case !found:
		c.Out.Null()
	case many:
		reply := func(member []byte) bool { c.Out.Bulk(member); return true }
		c.draw(s.Len(), count, 1, func(i int) { reply(s.At(i)) }, func() { s.Each(reply) })
	default:
		c.Out.Bulk(s.At(rand.IntN(s.Len())))
	}
}

// sScan matches sscanCommand.
func sScan(c *Ctx) {
	cursor, ok := c.cursor(c.Args[2])
	if !ok {
		return
	}
	e, found, ok := c.scanned(c.Args[1], storage.TypeSet)
	if !found || !ok {
		return
	}
	o, ok := parseScanOptions(c, c.Args[3:], storage.TypeSet)
	if !ok {
		return
	}
	s := e.Set()
	var members copies
	next := s.Scan(cursor, o.atOnce(e, s.Len()), func(member []byte) {
		if o.match == nil || glob.Match(o.match, member) {
			members.add(member)
		}
	})
	c.replyScan(next, members)
}
