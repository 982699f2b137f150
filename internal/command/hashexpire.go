package command

import (
	"redoubt/internal/resp"
	"redoubt/storage"
)

// HashExpiry is the rows of the commands on fields of hashes that expire, which are
// those of Valkey 9.
var HashExpiry = []*Row{
	{Name: "hexpire", Arity: -6, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyUpdate), Run: hExpire,
		Doc: Doc{Summary: "Sets the time to live of fields of a hash in seconds.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), integer("seconds"), fieldCondition, fields()}}},
	{Name: "hpexpire", Arity: -6, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyUpdate), Run: hPExpire,
		Doc: Doc{Summary: "Sets the time to live of fields of a hash in milliseconds.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), integer("milliseconds"), fieldCondition, fields()}}},
	{Name: "hexpireat", Arity: -6, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyUpdate), Run: hExpireAt,
		Doc: Doc{Summary: "Sets the Unix time in seconds at which fields of a hash expire.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), unixTime("unix-time-seconds"), fieldCondition, fields()}}},
	{Name: "hpexpireat", Arity: -6, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyUpdate), Run: hPExpireAt,
		Doc: Doc{Summary: "Sets the Unix time in milliseconds at which fields of a hash expire.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), unixTime("unix-time-milliseconds"), fieldCondition, fields()}}},
	{Name: "hpersist", Arity: -5, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyUpdate), Run: hPersist,
		Doc: Doc{Summary: "Takes the time to live from fields of a hash.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), fields()}}},
	{Name: "httl", Arity: -5, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hTTL,
		Doc: Doc{Summary: "Returns the seconds that fields of a hash have to live.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), fields()}, Tips: []string{changing}}},
	{Name: "hpttl", Arity: -5, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hPTTL,
		Doc: Doc{Summary: "Returns the milliseconds that fields of a hash have to live.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), fields()}, Tips: []string{changing}}},
	{Name: "hexpiretime", Arity: -5, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hExpireTime,
		Doc: Doc{Summary: "Returns the Unix times in seconds at which fields of a hash expire.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), fields()}}},
	{Name: "hpexpiretime", Arity: -5, Flags: ReadOnly | Fast, ACL: CatHash, Keys: OneKey(KeyRO | KeyAccess), Run: hPExpireTime,
		Doc: Doc{Summary: "Returns the Unix times in milliseconds at which fields of a hash expire.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), fields()}}},
	{Name: "hgetex", Arity: -5, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyAccess), Run: hGetEx,
		Doc: Doc{Summary: "Returns the values of fields of a hash, and may set or take their time to live.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), oneOf("expiration", append(ttlArgs("", ""), word("PERSIST"))...).optional(), fields()}}},
	{Name: "hsetex", Arity: -6, Flags: Write | DenyOOM | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyInsert), Run: hSetEx,
		Doc: Doc{Summary: "Sets fields of a hash, which is created if missing, and their time to live.", Since: "9.0.0", Group: "hash", Complexity: perField,
			Args: []Arg{
				key("key"),
				oneOf("key-condition", word("NX"), word("XX")).optional(),
				oneOf("fields-condition", word("FNX"), word("FXX")).optional(),
				oneOf("expiration", append(ttlArgs("", ""), word("KEEPTTL"))...).optional(),
				block("fields", integer("numfields"), block("data", text("field"), text("value")).multiple()).after("FIELDS"),
			}}},
	{Name: "hgetdel", Arity: -5, Flags: Write | Fast, ACL: CatHash, Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Run: hGetDel,
		Doc: Doc{Summary: "Returns the values of fields of a hash and removes the fields.", Since: "9.1.0", Group: "hash", Complexity: perField,
			Args: []Arg{key("key"), fields()}}},
}

const perField = "O(N) where N is the number of fields named"

// fieldCondition is the option of the four HEXPIRE commands.
var fieldCondition = oneOf("condition", word("NX"), word("XX"), word("GT"), word("LT")).optional()

// fields is the argument FIELDS numfields field [field ...].
func fields() Arg {
	return block("fields", integer("numfields"), text("field").multiple()).after("FIELDS")
}

var (
	nameHDel       = []byte("HDEL")
	nameHSetEx     = []byte("HSETEX")
	nameHPExpireAt = []byte("HPEXPIREAT")
	nameHPersist   = []byte("HPERSIST")
	wordFields     = []byte("FIELDS")
	wordPXAT       = []byte("PXAT")
	wordKeepTTL    = []byte("KEEPTTL")
)

// What HEXPIRE and its like answer for a field.
const (
	fieldMissing   = -2
	fieldStays     = -1 // HTTL, HPERSIST: it does not expire
	fieldUnchanged = 0  // the condition is not met
	fieldChanged   = 1
	fieldDeleted   = 2 // at once: the time is past
)

// expireFields deletes those fields whose time is past and that a command is about
// to set: every step-th of names. For Valkey they expire at that moment, too.
func (c *Ctx) expireFields(h *storage.Hash, names [][]byte, step int) {
	if h.DropExpired(names, step) > 0 {
		c.Tx.Note(storage.ClassHash, "hexpired", c.Args[1])
	}
}

// fieldArgs finds the word FIELDS at argument i or behind it, and returns the
// options before it and what stands behind numfields, which is width arguments for
// each field. Without the word there are no fields, which is an error too.
func (c *Ctx) fieldArgs(i, width int, options func(args [][]byte) bool) (names [][]byte, ok bool) {
	from := i
	for ; i < len(c.Args)-1; i++ {
		if !is(c.Args[i], "FIELDS") {
			continue
		}
		if !options(c.Args[from:i]) {
			return nil, false
		}
		n, ok := c.integer(c.Args[i+1])
		if !ok {
			return nil, false
		}
		if names = c.Args[i+2:]; n > 0 && n <= int64(len(names)) && int(n)*width == len(names) {
			return names, true
		}
		break
	}
	c.Out.Error(resp.ErrNumFields)
	return nil, false
}

// onlyFields is fieldArgs for a command without options, with FIELDS as its second
// argument.
func (c *Ctx) onlyFields(refusal resp.Error) (names [][]byte, ok bool) {
	if !is(c.Args[2], "FIELDS") {
		c.Out.Error(resp.ErrSyntax)
		return nil, false
	}
	n, ok := c.integer(c.Args[3])
	if !ok {
		return nil, false
	}
	if names = c.Args[4:]; n != int64(len(names)) {
		c.Out.Error(refusal)
		return nil, false
	}
	return names, true
}

// fieldTime reads a time of fields as Unix milliseconds. It matches Valkey's
// convertExpireArgumentToUnixTime: 0 and the past are allowed, a negative number is
// not.
func (c *Ctx) fieldTime(arg []byte, unit, base int64) (at int64, ok bool) {
	v, ok := c.integer(arg)
	if !ok {
		return 0, false
	}
	if at, ok = expiry(v, unit, base); !ok || v < 0 {
		c.Out.Error(resp.ErrExpireTime(c.Row.Name))
		return 0, false
	}
	return at, true
}

// past reports whether fields that are told to expire at a time go at once. Where
// a stream is applied they stay until it deletes them.
func (c *Ctx) past(at int64) bool { return at <= c.Tx.Now() && !c.Tx.Applying() }

// dueAt is the expiry that a field gets: 0 stands for none.
func dueAt(at int64) int64 { return max(at, 1) }

func hExpire(c *Ctx)    { setFieldExpiry(c, 1000, c.Tx.Now()) }
func hPExpire(c *Ctx)   { setFieldExpiry(c, 1, c.Tx.Now()) }
func hExpireAt(c *Ctx)  { setFieldExpiry(c, 1000, 0) }
func hPExpireAt(c *Ctx) { setFieldExpiry(c, 1, 0) }

// setFieldExpiry matches Valkey's hexpireGenericCommand. Its effect names the fields
// that it has changed and the absolute time, without the condition.
func setFieldExpiry(c *Ctx, unit, base int64) {
	var o condition
	names, ok := c.fieldArgs(3, 1, func(args [][]byte) (ok bool) {
		o, ok = parseCondition(c, args)
		return ok
	})
	if !ok {
		return
	}
	at, ok := c.fieldTime(c.Args[2], unit, base)
	if !ok {
		return
	}
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	past := c.past(at)
	var changed [][]byte
	c.Out.Array(len(names))
	h.BeginMany()
	for _, name := range names {
		_, now, found := h.GetDue(name)
		switch {
		case !found:
			c.Out.Int(fieldMissing)
			continue
		case !o.holds(now, at):
			c.Out.Int(fieldUnchanged)
			continue
		case past:
			h.Delete(name)
			c.Out.Int(fieldDeleted)
		default:
			h.ExpireAt(name, dueAt(at))
			c.Out.Int(fieldChanged)
		}
		changed = append(changed, name)
	}
	h.EndMany()
	c.effectFields(&h, past, at, changed)
}

// effectFields records that fields were deleted because they were told to expire in
// the past, or that they expire at a time now.
func (c *Ctx) effectFields(h *storage.Hash, past bool, at int64, names [][]byte) {
	switch {
	case len(names) == 0:
	case past:
		c.Tx.Effect(append([][]byte{nameHDel, c.Args[1]}, names...)...)
		c.Tx.CountExpired(len(names))
		c.noteRemoved(storage.ClassHash, "hexpired", c.Args[1], h.Exists())
	default:
		c.Tx.Effect(append([][]byte{nameHPExpireAt, c.Args[1], itoa(at), wordFields, itoa(int64(len(names)))}, names...)...)
		c.Tx.Note(storage.ClassHash, "hexpire", c.Args[1])
	}
}

// hPersist matches Valkey's hpersistCommand.
func hPersist(c *Ctx) {
	names, ok := c.onlyFields(resp.ErrNumFields)
	if !ok {
		return
	}
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(names))
	var changed [][]byte
	h.BeginMany()
	for _, name := range names {
		_, due, found := h.GetDue(name)
		switch {
		case !found:
			c.Out.Int(fieldMissing)
		case due == 0:
			c.Out.Int(fieldStays)
		default:
			h.ExpireAt(name, 0)
			changed = append(changed, name)
			c.Out.Int(fieldChanged)
		}
	}
	h.EndMany()
	c.effectPersist(changed)
}

// effectPersist records that fields do not expire any more.
func (c *Ctx) effectPersist(names [][]byte) {
	if len(names) > 0 {
		c.Tx.Effect(append([][]byte{nameHPersist, c.Args[1], wordFields, itoa(int64(len(names)))}, names...)...)
		c.Tx.Note(storage.ClassHash, "hpersist", c.Args[1])
	}
}

func hTTL(c *Ctx)         { replyFieldExpiry(c, 1000, c.Tx.Now()) }
func hPTTL(c *Ctx)        { replyFieldExpiry(c, 1, c.Tx.Now()) }
func hExpireTime(c *Ctx)  { replyFieldExpiry(c, 1000, 0) }
func hPExpireTime(c *Ctx) { replyFieldExpiry(c, 1, 0) }

// replyFieldExpiry matches Valkey's httlGenericCommand.
func replyFieldExpiry(c *Ctx, unit, base int64) {
	names, ok := c.onlyFields(resp.ErrSyntax)
	if !ok {
		return
	}
	h, _, ok := c.hash(c.Args[1])
	if !ok {
		return
	}
	c.Out.Array(len(names))
	for _, name := range names {
		_, due, found := h.GetDue(name)
		switch {
		case !found:
			due = fieldMissing
		case due == 0:
			due = fieldStays
		default:
			if due = max(due-base, 0); unit == 1000 {
				due = (due + 500) / 1000
			}
		}
		c.Out.Int(due)
	}
}

// hGetEx matches Valkey's hgetexCommand. It is in the stream as what it does: HDEL,
// HPEXPIREAT or HPERSIST of the fields that it has changed.
func hGetEx(c *Ctx) {
	var o setOptions
	names, ok := c.fieldArgs(2, 1, func(args [][]byte) (ok bool) {
		if o, ok = parseSetOptions(args, ofGet); !ok {
			c.Out.Error(resp.ErrSyntax)
		}
		return ok
	})
	if !ok {
		return
	}
	h, _, ok := c.hash(c.Args[1])
	if !ok {
		return
	}
	if o.expire == nil && !o.persist {
		c.Out.Array(len(names))
		for _, name := range names {
			replyField(c, &h, name)
		}
		return
	}
	at := int64(0)
	if o.expire != nil {
		if at, ok = c.fieldTime(o.expire, o.unit, o.base(c)); !ok {
			return
		}
	}
	h, _ = c.editHash(c.Args[1])
	c.Out.Array(len(names))
	if o.persist {
		c.getAndPersist(&h, names)
		return
	}
	past := c.past(at)
	var changed [][]byte
	h.BeginMany()
	for _, name := range names {
		replyField(c, &h, name)
		if _, ok := h.Get(name); !ok {
			continue
		}
		if changed = append(changed, name); past {
			h.Delete(name)
		} else {
			h.ExpireAt(name, dueAt(at))
		}
	}
	h.EndMany()
	c.effectFields(&h, past, at, changed)
}

// base is what the time of the options counts from.
func (o *setOptions) base(c *Ctx) int64 {
	if o.absolute {
		return 0
	}
	return c.Tx.Now()
}

// getAndPersist answers with the values of fields and takes their expiry.
func (c *Ctx) getAndPersist(h *storage.Hash, names [][]byte) {
	var changed [][]byte
	h.BeginMany()
	for _, name := range names {
		replyField(c, h, name)
		if _, due, _ := h.GetDue(name); due != 0 {
			h.ExpireAt(name, 0)
			changed = append(changed, name)
		}
	}
	h.EndMany()
	c.effectPersist(changed)
}

// hSetEx matches Valkey's hsetexCommand. It is in the stream without conditions and
// with the absolute time; with a time in the past it is an HDEL.
func hSetEx(c *Ctx) {
	var o setOptions
	pairs, ok := c.fieldArgs(2, 2, func(args [][]byte) (ok bool) {
		if o, ok = parseSetOptions(args, ofSetField); !ok {
			c.Out.Error(resp.ErrSyntax)
		}
		return ok
	})
	if !ok {
		return
	}
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	if o.nx && h.Exists() || o.xx && !h.Exists() {
		c.Out.Int(0)
		return
	}
	at := int64(0)
	if o.expire != nil {
		if at, ok = c.fieldTime(o.expire, o.unit, o.base(c)); !ok {
			return
		}
	}
	if !o.fieldsMeet(&h, pairs) {
		c.Out.Int(0)
		return
	}
	if o.expire != nil && c.past(at) {
		c.deletePairs(&h, pairs)
	} else {
		c.expireFields(&h, pairs, 2)
		c.setPairs(&h, &o, at, pairs)
	}
	c.Out.Int(1)
}

// fieldsMeet reports whether the condition on all fields is met.
func (o *setOptions) fieldsMeet(h *storage.Hash, pairs [][]byte) bool {
	if !o.fnx && !o.fxx {
		return true
	}
	for i := 0; i < len(pairs); i += 2 {
		if _, found := h.Get(pairs[i]); found == o.fnx {
			return false
		}
	}
	return true
}

// setPairs sets fields to values and makes them expire as the options say.
func (c *Ctx) setPairs(h *storage.Hash, o *setOptions, at int64, pairs [][]byte) {
	h.BeginMany()
	for i := 0; i < len(pairs); i += 2 {
		expires := int64(0)
		switch {
		case o.expire != nil:
			expires = dueAt(at)
		case o.keepTTL:
			_, expires, _ = h.GetDue(pairs[i])
		}
		h.SetDue(pairs[i], pairs[i+1], expires)
	}
	h.EndMany()
	effect := [][]byte{nameHSetEx, c.Args[1]}
	switch {
	case o.expire != nil:
		effect = append(effect, wordPXAT, itoa(at))
	case o.keepTTL:
		effect = append(effect, wordKeepTTL)
	}
	effect = append(effect, wordFields, itoa(int64(len(pairs)/2)))
	c.Tx.Effect(append(effect, pairs...)...)
	c.Tx.Note(storage.ClassHash, "hset", c.Args[1])
	if o.expire != nil {
		c.Tx.Note(storage.ClassHash, "hexpire", c.Args[1])
	}
}

// deletePairs is setPairs with a time in the past. Valkey notes what happens to the
// fields in between, and counts them all.
func (c *Ctx) deletePairs(h *storage.Hash, pairs [][]byte) {
	h.Show()
	effect := [][]byte{nameHDel, c.Args[1]}
	h.BeginMany()
	for i := 0; i < len(pairs); i += 2 {
		if h.Delete(pairs[i]) {
			effect = append(effect, pairs[i])
		}
	}
	h.EndMany()
	if len(effect) > 2 {
		c.Tx.Effect(effect...)
	}
	c.Tx.CountExpired(len(pairs) / 2)
	c.Tx.Note(storage.ClassHash, "hset", c.Args[1])
	c.Tx.Note(storage.ClassHash, "hexpire", c.Args[1])
	c.noteRemoved(storage.ClassHash, "hexpired", c.Args[1], h.Exists())
}

// hGetDel matches Valkey's hgetdelCommand. Its effect is an HDEL.
func hGetDel(c *Ctx) {
	names, ok := c.onlyFields(resp.ErrNumFields)
	if !ok {
		return
	}
	h, ok := c.editHash(c.Args[1])
	if !ok {
		return
	}
	effect := [][]byte{nameHDel, c.Args[1]}
	c.Out.Array(len(names))
	h.BeginMany()
	for _, name := range names {
		if replyField(c, &h, name); h.Delete(name) {
			effect = append(effect, name)
		}
	}
	h.EndMany()
	if len(effect) > 2 {
		c.Tx.Effect(effect...)
		c.noteRemoved(storage.ClassHash, "hdel", c.Args[1], h.Exists())
	}
}
