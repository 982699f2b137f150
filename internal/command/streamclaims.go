package command

import (
	"math"

	"redoubt/internal/resp"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// StreamClaims is the rows of the commands that give pending items to another
// consumer.
var StreamClaims = []*Row{
	{Name: "xclaim", Arity: -6, Flags: Write | Fast, ACL: CatStream, Keys: OneKey(KeyRW | KeyUpdate), Run: xClaim,
		Doc: Doc{Summary: "Gives items that are pending in a group to a consumer.", Since: "5.0.0", Group: "stream", Complexity: "O(log(N)) for each item, where N is the number of items pending in the group",
			Tips: []string{changing}, Args: []Arg{key("key"), text("group"), text("consumer"), text("min-idle-time"), text("ID").multiple(),
				integer("ms").after("IDLE").optional(), unixTime("unix-time-milliseconds").after("TIME").optional(), integer("count").after("RETRYCOUNT").optional(),
				word("FORCE").optional(), word("JUSTID").optional(), text("lastid").after("LASTID").optional()}}},
	{Name: "xautoclaim", Arity: -6, Flags: Write | Fast, ACL: CatStream, Keys: OneKey(KeyRW | KeyDelete), Run: xAutoClaim,
		Doc: Doc{Summary: "Gives items that have been pending in a group for long to a consumer.", Since: "6.2.0", Group: "stream", Complexity: "O(N) where N is the number of items looked at, ten times COUNT at most",
			Tips: []string{changing}, History: []Change{{"7.0.0", "The reply has the items that are gone and are pending no more."}},
			Args: []Arg{key("key"), text("group"), text("consumer"), text("min-idle-time"), text("start"), integer("count").after("COUNT").optional(), word("JUSTID").optional()}}},
}

// claim is an XCLAIM or XAUTOCLAIM under way.
type claim struct {
	c       *Ctx
	l       *storage.Log
	isLog   bool
	g       storage.Group
	m       storage.Consumer
	made    bool  // the consumer was, for this
	minIdle int64 // ms
	justID  bool
	time    int64 // of the delivery, Unix milliseconds
	retries int64 // what the number of deliveries is to be, -1 if it is to grow
	force   bool
	last    chunk.ID // LASTID

	claimed []chunk.ID
	dirty   int
}

// look finds the key.
func (x *claim) look() {
	x.l, x.isLog = x.c.Tx.EditLog(x.c.Args[1])
	x.c.Tx.CountLook(x.c.Args[1], !x.isLog || x.l.Exists())
}

// begin finds the group.
func (x *claim) begin() (ok bool) {
	c := x.c
	if !c.rightType(x.isLog) {
		return false
	}
	if x.g, ok = x.l.Group(c.Args[2]); !ok {
		c.Out.Error(resp.ErrNoGroup(c.Args[1], c.Args[2]))
	}
	return ok
}

// consumer finds the consumer or makes it.
func (x *claim) consumer() {
	c := x.c
	var known bool
	if x.m, known = x.g.Consumer(c.Args[3]); !known {
		x.m = c.newConsumer(c.Args[1], &x.g, c.Args[3])
		x.made = true
		x.dirty++
	}
	x.m.Seen = c.Tx.Now()
}

// parseMinIdle reads the fourth argument.
func (x *claim) parseMinIdle() (ok bool) {
	n, ok := resp.ParseInt(x.c.Args[4])
	x.minIdle = max(n, 0)
	if !ok {
		x.c.Out.Error(resp.ErrClaimMinIdle(upper(x.c.Row.Name)))
	}
	return ok
}

// end writes all.
func (x *claim) end() {
	if x.made && len(x.claimed) == 0 {
		x.c.consumerEffect(x.c.Args[1], x.c.Args[2], x.m.Name())
	}
	x.m.Save()
	x.g.Save()
	x.l.CloseQuietly(x.dirty)
}

func (x *claim) reply() {
	x.c.Out.Array(len(x.claimed))
	for _, id := range x.claimed {
		if x.justID {
			x.c.replyID(id)
		} else {
			x.c.replyItem(x.l.Find(id))
		}
	}
}

// effect records what has become of a pending item, which is with owner.
func (x *claim) effect(id []byte, owner []byte, p *storage.Pending) {
	x.c.claimEffect(x.c.Args[1], x.c.Args[2], owner, id, p, x.g.Last)
	x.dirty++
}

// forget makes an item that is gone from the stream pending no more. Its effect is an
// XCLAIM, which comes to the same wherever the item is gone.
func (x *claim) forget(id []byte, p storage.Pending) {
	x.effect(id, x.g.OwnerName(p), &p)
	x.g.Drop(p.ID)
}

// take gives a pending item to the consumer.
func (x *claim) take(id []byte, p storage.Pending) {
	p.Time = x.time
	switch {
	case x.retries >= 0:
		p.Count = uint64(x.retries)
	case !x.justID:
		p.Again()
	}
	x.g.Deliver(&x.m, p)
	x.m.Active = x.c.Tx.Now()
	x.claimed = append(x.claimed, p.ID)
	x.effect(id, x.m.Name(), &p)
}

// xClaim matches xclaimCommand.
func xClaim(c *Ctx) {
	x := &claim{c: c, retries: -1}
	x.look()
	if !x.begin() || !x.parseMinIdle() {
		return
	}
	ids := []chunk.ID(nil)
	i := 5
	for ; i < len(c.Args); i++ {
		id, ok := parseID(c.Args[i], 0)
		if !ok {
			break
		}
		ids = append(ids, id)
	}
	if !x.parse(i) {
		return
	}
	c.Tx.NoEffect()
	moved := x.g.Last.Less(x.last)
	switch {
	case !moved:
	case c.Tx.Applying() && len(ids) == 1 && ids[0] == x.last:
		// XREADGROUP has delivered an item. Redis 7 leaves it at the last ID, so that
		// its replicas and restarts do not know the group's lag any more.
		x.g.ReadUpTo(x.last)
	default:
		x.g.Last = x.last
	}
	x.consumer()
	told := false
	for j, id := range ids {
		if x.one(c.Args[5+j], id) && !told {
			// The effect has the last ID, but may look like one of XREADGROUP.
			told, moved = true, moved && id == x.last
		}
	}
	if moved {
		c.groupEffect(c.Args[1], c.Args[2], &x.g)
		x.dirty++
	}
	x.end()
	x.reply()
}

// parse reads the options of an XCLAIM from the i-th argument on.
func (x *claim) parse(i int) (ok bool) {
	c, now := x.c, x.c.Tx.Now()
	x.time = -1
	for ; i < len(c.Args); i++ {
		a, more := c.Args[i], i+1 < len(c.Args)
		ok = true
		switch {
		case is(a, "FORCE"):
			x.force = true
		case is(a, "JUSTID"):
			x.justID = true
		case is(a, "IDLE") && more:
			i++
			x.time, ok = c.number(c.Args[i], resp.ErrClaimIdle)
			x.time = now - x.time
		case is(a, "TIME") && more:
			i++
			x.time, ok = c.number(c.Args[i], resp.ErrClaimTime)
		case is(a, "RETRYCOUNT") && more:
			i++
			x.retries, ok = c.number(c.Args[i], resp.ErrClaimRetryCount)
		case is(a, "LASTID") && more:
			i++
			x.last, ok = c.id(c.Args[i], 0)
		default:
			ok = c.refuse(true, resp.ErrClaimOption(a))
		}
		if !ok {
			return false
		}
	}
	if x.time < 0 || x.time > now && !c.Tx.Applying() { // the primary's clock is right
		x.time = now
	}
	return true
}

// number reads a whole number, or answers with an error.
func (c *Ctx) number(text []byte, err resp.Error) (n int64, ok bool) {
	n, ok = resp.ParseInt(text)
	return n, c.refuse(!ok, err)
}

// one claims an item that was named, if that may be, and reports whether it has an
// effect.
func (x *claim) one(text []byte, id chunk.ID) bool {
	p, pending := x.g.FindPending(id)
	if x.l.Find(id) == nil {
		if pending {
			x.forget(text, p)
		}
		return pending
	}
	switch {
	case !pending && !x.force:
		return false
	case !pending:
		p = storage.Pending{ID: id, Count: 1}
	case x.minIdle > 0 && x.c.Tx.Now()-p.Time < x.minIdle:
		return false
	}
	x.take(text, p)
	return true
}

// autoClaimLooks is how many items XAUTOCLAIM looks at for each that it may claim.
const autoClaimLooks = 10

// xAutoClaim matches xautoclaimCommand.
func xAutoClaim(c *Ctx) {
	x := &claim{c: c, retries: -1, time: c.Tx.Now()}
	x.look()
	if !x.parseMinIdle() {
		return
	}
	from, ok := c.lowest(c.Args[5])
	if !ok {
		return
	}
	count, ok := x.parseAuto()
	if !ok || !x.begin() {
		return
	}
	c.Tx.NoEffect()
	x.consumer()
	var gone []chunk.ID
	var text [48]byte
	more := true
	for looks := count * autoClaimLooks; looks > 0 && count > 0 && more; looks-- {
		p, found := x.g.NextPending(from)
		if !found {
			more = false
			break
		}
		from, more = p.ID.Next()
		id := p.ID.Append(text[:0])
		switch {
		case x.l.Find(p.ID) == nil:
			x.forget(id, p)
			gone = append(gone, p.ID)
			count--
		case x.minIdle > 0 && c.Tx.Now()-p.Time < x.minIdle:
		default:
			x.take(id, p)
			count--
		}
	}
	var next storage.Pending
	if more {
		next, _ = x.g.NextPending(from)
	}
	x.end()
	c.Out.Array(3)
	c.replyID(next.ID)
	x.reply()
	c.Out.Array(len(gone))
	for _, id := range gone {
		c.replyID(id)
	}
}

// parseAuto reads the options of an XAUTOCLAIM.
func (x *claim) parseAuto() (count int64, ok bool) {
	c := x.c
	count = 100
	for i := 6; i < len(c.Args); i++ {
		switch a := c.Args[i]; {
		case is(a, "COUNT") && i+1 < len(c.Args):
			i++
			const idBytes = 16
			if count, ok = c.integerIn(c.Args[i], 1, math.MaxInt64/idBytes, resp.ErrAutoClaimCount); !ok {
				return 0, false
			}
		case is(a, "JUSTID"):
			x.justID = true
		default:
			return 0, c.refuse(true, resp.ErrSyntax)
		}
	}
	return count, true
}
