package command

import (
	"redoubt/internal/resp"
	"redoubt/storage"
)

// Expiry is the rows of the commands on a key's time to live.
var Expiry = []*Row{
	{Name: "expire", Arity: -3, Flags: Write | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRW | KeyUpdate), Run: expire,
		Doc: Doc{Summary: "Sets a key's time to live in seconds.", Since: "1.0.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "pexpire", Arity: -3, Flags: Write | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRW | KeyUpdate), Run: pExpire,
		Doc: Doc{Summary: "Sets a key's time to live in milliseconds.", Since: "2.6.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "expireat", Arity: -3, Flags: Write | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRW | KeyUpdate), Run: expireAt,
		Doc: Doc{Summary: "Sets the Unix time in seconds at which a key expires.", Since: "1.2.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "pexpireat", Arity: -3, Flags: Write | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRW | KeyUpdate), Run: pExpireAt,
		Doc: Doc{Summary: "Sets the Unix time in milliseconds at which a key expires.", Since: "2.6.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "persist", Arity: 2, Flags: Write | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRW | KeyUpdate), Run: persist,
		Doc: Doc{Summary: "Takes the time to live from a key.", Since: "2.2.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "ttl", Arity: 2, Flags: ReadOnly | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRO | KeyAccess), Run: ttl,
		Doc: Doc{Summary: "Returns the seconds a key has to live.", Since: "1.0.0", Group: "generic", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}}},
	{Name: "pttl", Arity: 2, Flags: ReadOnly | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRO | KeyAccess), Run: pTTL,
		Doc: Doc{Summary: "Returns the milliseconds a key has to live.", Since: "2.6.0", Group: "generic", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}}},
	{Name: "expiretime", Arity: 2, Flags: ReadOnly | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRO | KeyAccess), Run: expireTime,
		Doc: Doc{Summary: "Returns the Unix time in seconds at which a key expires.", Since: "7.0.0", Group: "generic", Complexity: "O(1)"}},
	{Name: "pexpiretime", Arity: 2, Flags: ReadOnly | Fast, ACL: CatKeyspace, Keys: OneKey(KeyRO | KeyAccess), Run: pExpireTime,
		Doc: Doc{Summary: "Returns the Unix time in milliseconds at which a key expires.", Since: "7.0.0", Group: "generic", Complexity: "O(1)"}},
}

func expire(c *Ctx)    { setExpiry(c, 1000, c.Tx.Now()) }
func pExpire(c *Ctx)   { setExpiry(c, 1, c.Tx.Now()) }
func expireAt(c *Ctx)  { setExpiry(c, 1000, 0) }
func pExpireAt(c *Ctx) { setExpiry(c, 1, 0) }

// condition is the option of an EXPIRE command.
type condition struct{ nx, xx, gt, lt bool }

// parseCondition matches parseExtendedExpireArgumentsOrReply.
func parseCondition(c *Ctx, args [][]byte) (o condition, ok bool) {
	for _, a := range args {
		switch {
		case is(a, "NX"):
			o.nx = true
		case is(a, "XX"):
			o.xx = true
		case is(a, "GT"):
			o.gt = true
		case is(a, "LT"):
			o.lt = true
		default:
			c.Out.Error(resp.ErrExpireOption(a))
			return o, false
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		c.Out.Error(resp.ErrExpireNX)
	case o.gt && o.lt:
		c.Out.Error(resp.ErrExpireGTLT)
	default:
		return o, true
	}
	return o, false
}

// holds reports whether a key that expires at now (0: never) may be made to
// expire at next. No expiry counts as infinite.
func (o condition) holds(now, next int64) bool {
	switch {
	case o.nx && now != 0, o.xx && now == 0:
		return false
	case o.gt && (now == 0 || next <= now), o.lt && now != 0 && next >= now:
		return false
	}
	return true
}

// setExpiry matches expireGenericCommand. Its effect has the absolute time and
// keeps the options, which hold again wherever the stream is applied.
func setExpiry(c *Ctx, unit, base int64) {
	o, ok := parseCondition(c, c.Args[3:])
	if !ok {
		return
	}
	v, ok := resp.ParseInt(c.Args[2])
	if !ok {
		c.Out.Error(resp.ErrNotInteger)
		return
	}
	at, ok := expiry(v, unit, base)
	if !ok {
		c.Out.Error(resp.ErrExpireTime(c.Row.Name))
		return
	}
	e, found := c.Tx.Use(c.Args[1])
	if !found || !o.holds(e.ExpireAt(), at) {
		c.Out.Int(0)
		return
	}
	if at <= c.Tx.Now() && !c.Tx.Applying() {
		c.Tx.Delete(c.Args[1])
		c.Tx.Effect(nameDel, c.Args[1])
		c.Tx.Note(storage.ClassGeneric, "del", c.Args[1])
		c.Out.Int(1)
		return
	}
	// An expiry at the epoch or before it has passed wherever it is read; 0 is
	// the mark for "none".
	c.Tx.SetExpire(c.Args[1], max(at, 1))
	c.Tx.Note(storage.ClassGeneric, "expire", c.Args[1])
	if unit != 1 || base != 0 {
		effect := append(make([][]byte, 0, 8), namePExpireAt, c.Args[1], itoa(at))
		c.Tx.Effect(append(effect, c.Args[3:]...)...)
	}
	c.Out.Int(1)
}

func persist(c *Ctx) {
	e, found := c.Tx.Use(c.Args[1])
	if !found || e.ExpireAt() == 0 {
		c.Out.Int(0)
		return
	}
	c.Tx.SetExpire(c.Args[1], 0)
	c.Tx.Note(storage.ClassGeneric, "persist", c.Args[1])
	c.Out.Int(1)
}

func ttl(c *Ctx)         { replyExpiry(c, 1000, true) }
func pTTL(c *Ctx)        { replyExpiry(c, 1, true) }
func expireTime(c *Ctx)  { replyExpiry(c, 1000, false) }
func pExpireTime(c *Ctx) { replyExpiry(c, 1, false) }

// replyExpiry matches ttlGenericCommand: -2 for no key, -1 for no expiry;
// seconds are rounded to the nearest.
func replyExpiry(c *Ctx, unit int64, relative bool) {
	e, found := c.Tx.Look(c.Args[1])
	switch {
	case !found:
		c.Out.Int(-2)
		return
	case e.ExpireAt() == 0:
		c.Out.Int(-1)
		return
	}
	v := e.ExpireAt()
	if relative {
		v = max(v-c.Tx.Now(), 0)
	}
	if unit == 1000 {
		v = (v + 500) / 1000
	}
	c.Out.Int(v)
}
