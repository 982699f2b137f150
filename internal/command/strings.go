package command

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// Strings is the rows of the string commands.
var Strings = []*Row{
	{Name: "get", Arity: 2, Flags: ReadOnly | Fast, ACL: CatString, Keys: OneKey(KeyRO | KeyAccess), Run: get,
		Doc: Doc{Summary: "Returns the string at a key.", Since: "1.0.0", Group: "string", Complexity: "O(1)"}},
	{Name: "set", Arity: -3, Flags: Write | DenyOOM, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate | KeyVariable), Access: setAccess, Run: set,
		Doc: Doc{Summary: "Stores a string at a key, whatever the key held; can set a condition and an expiry.", Since: "1.0.0", Group: "string", Complexity: "O(1)"}},
	{Name: "setnx", Arity: 3, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyOW | KeyInsert), Run: setNX,
		Doc: Doc{Summary: "Stores a string at a key that does not exist.", Since: "1.0.0", Group: "string", Complexity: "O(1)", Deprecated: "2.6.12", ReplacedBy: "`SET` with the `NX` argument"}},
	{Name: "setex", Arity: 4, Flags: Write | DenyOOM, ACL: CatString, Keys: OneKey(KeyOW | KeyUpdate), Run: setEX,
		Doc: Doc{Summary: "Stores a string with a time to live in seconds.", Since: "2.0.0", Group: "string", Complexity: "O(1)", Deprecated: "2.6.12", ReplacedBy: "`SET` with the `EX` argument"}},
	{Name: "psetex", Arity: 4, Flags: Write | DenyOOM, ACL: CatString, Keys: OneKey(KeyOW | KeyUpdate), Run: pSetEX,
		Doc: Doc{Summary: "Stores a string with a time to live in milliseconds.", Since: "2.6.0", Group: "string", Complexity: "O(1)", Deprecated: "2.6.12", ReplacedBy: "`SET` with the `PX` argument"}},
	{Name: "getset", Arity: 3, Flags: Write | DenyOOM | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: getSet,
		Doc: Doc{Summary: "Stores a string and returns the one before it.", Since: "1.0.0", Group: "string", Complexity: "O(1)", Deprecated: "6.2.0", ReplacedBy: "`SET` with the `!GET` argument"}},
	{Name: "getdel", Arity: 2, Flags: Write | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyDelete), Run: getDel,
		Doc: Doc{Summary: "Returns the string at a key and deletes the key.", Since: "6.2.0", Group: "string", Complexity: "O(1)"}},
	{Name: "delifeq", Arity: 3, Flags: Write | Fast, ACL: CatString, Keys: OneKey(KeyRM | KeyDelete), Run: delIfEqual,
		Doc: Doc{Summary: "Deletes a key if it holds a certain string (Valkey 9).", Since: "9.0.0", Group: "string", Complexity: "O(1)",
			Args: []Arg{key("key"), text("value")}}},
	{Name: "delex", Arity: -2, Flags: Write | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyDelete), Run: delEx,
		Doc: Doc{Summary: "Deletes a key, if it holds a certain string or another one.", Since: "8.4.0", Group: "string", Complexity: "O(1)",
			Args: []Arg{key("key"), oneOf("condition", text("ifeq-value").after("IFEQ"), text("ifne-value").after("IFNE")).optional()}}},
	{Name: "msetex", Arity: -4, Flags: Write | DenyOOM | MovableKeys, ACL: CatString, Run: mSetEx,
		Keys: []KeySpec{{Flags: KeyOW | KeyUpdate, Begin: Begin{Index: 1}, Find: Find{KeyNum: true, FirstKey: 1, Step: 2}}},
		Doc: Doc{Summary: "Stores strings at several keys at once; can set a condition and an expiry.", Since: "8.4.0", Group: "string", Complexity: "O(N) where N is the number of keys",
			Args: []Arg{integer("numkeys"), block("data", key("key"), text("value")).multiple(), oneOf("condition", word("NX"), word("XX")).optional(),
				oneOf("expiration", append(ttlArgs("", ""), word("KEEPTTL"))...).optional()}}},
	{Name: "getex", Arity: -2, Flags: Write | Fast, ACL: CatString, Keys: OneKey(KeyRW | KeyAccess | KeyUpdate), Run: getEX,
		Doc: Doc{Summary: "Returns the string at a key and changes its expiry.", Since: "6.2.0", Group: "string", Complexity: "O(1)"}},
	{Name: "mget", Arity: -2, Flags: ReadOnly | Fast, ACL: CatString, Keys: KeysFrom(1, -1, 1, KeyRO|KeyAccess), Run: mGet,
		Doc: Doc{Summary: "Returns the strings at several keys.", Since: "1.0.0", Group: "string", Complexity: "O(N) where N is the number of keys", Tips: []string{"request_policy:multi_shard"}}},
	{Name: "mset", Arity: -3, Flags: Write | DenyOOM, ACL: CatString, Keys: KeysFrom(1, -1, 2, KeyOW|KeyUpdate), Run: mSet,
		Doc: Doc{Summary: "Stores strings at several keys at once.", Since: "1.0.1", Group: "string", Complexity: "O(N) where N is the number of keys", Tips: []string{"request_policy:multi_shard", "response_policy:all_succeeded"}}},
	{Name: "msetnx", Arity: -3, Flags: Write | DenyOOM, ACL: CatString, Keys: KeysFrom(1, -1, 2, KeyOW|KeyInsert), Run: mSetNX,
		Doc: Doc{Summary: "Stores strings at several keys if none of them exists.", Since: "1.0.1", Group: "string", Complexity: "O(N) where N is the number of keys"}},
}

// str finds the string at key. ok is false if the key holds another type; that
// has then been answered.
func (c *Ctx) str(key []byte) (v []byte, found, ok bool) {
	e, found := c.Tx.Find(key)
	return c.bytes(e, found)
}

// edit is str for a command that changes the string.
func (c *Ctx) edit(key []byte) (v []byte, found, ok bool) {
	e, found := c.Tx.Use(key)
	return c.bytes(e, found)
}

func (c *Ctx) bytes(e storage.Entry, exists bool) (v []byte, found, ok bool) {
	if !exists {
		return nil, false, true
	}
	if e.Type() != storage.TypeString {
		c.Out.Error(resp.ErrWrongType)
		return nil, true, false
	}
	return e.Bytes(), true, true
}

func get(c *Ctx) {
	v, found, ok := c.str(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Null()
	default:
		c.Out.Bulk(v)
	}
}

// setOptions is what may follow SET's and GETEX's value, and what may stand before
// the fields of HSETEX and HGETEX.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool
	fnx, fxx                      bool
	compared                      []byte // the argument of IFEQ or IFNE; nil if none
	unequal                       bool   // it is of IFNE
	expire                        []byte // the argument of EX, PX, EXAT or PXAT; nil if none
	unit                          int64  // milliseconds in one of its units
	absolute                      bool
}

// optionsOf says which options a command has besides EX and its like.
type optionsOf uint8

const (
	ofGet      optionsOf = iota // GETEX and HGETEX: PERSIST
	ofSet                       // SET: NX, XX, IFEQ, IFNE, GET, KEEPTTL
	ofPairs                     // MSETEX: NX, XX, KEEPTTL
	ofSetField                  // HSETEX: NX, XX, FNX, FXX, KEEPTTL
)

// parseSetOptions matches Valkey's parseExtendedCommandArgumentsOrReply.
func parseSetOptions(args [][]byte, of optionsOf) (o setOptions, ok bool) {
	forSet := of != ofGet
	for i := 0; i < len(args); i++ {
		a := args[i]
		unit, absolute := int64(0), false
		switch {
		case forSet && is(a, "NX") && !o.xx && o.compared == nil:
			o.nx = true
		case forSet && is(a, "XX") && !o.nx && o.compared == nil:
			o.xx = true
		case of == ofSet && (is(a, "IFEQ") || is(a, "IFNE")) && !o.nx && !o.xx && o.compared == nil && i+1 < len(args):
			i++
			o.compared, o.unequal = args[i], is(a, "IFNE")
		case of == ofSetField && is(a, "FNX") && !o.fxx:
			o.fnx = true
		case of == ofSetField && is(a, "FXX") && !o.fnx:
			o.fxx = true
		case of == ofSet && is(a, "GET"):
			o.get = true
		case forSet && is(a, "KEEPTTL") && o.expire == nil:
			o.keepTTL = true
		case !forSet && is(a, "PERSIST") && o.expire == nil:
			o.persist = true
		case is(a, "EX"):
			unit = 1000
		case is(a, "PX"):
			unit = 1
		case is(a, "EXAT"):
			unit, absolute = 1000, true
		case is(a, "PXAT"):
			unit, absolute = 1, true
		default:
			return o, false
		}
		if unit != 0 {
			// The same option may stand again, and then the last one counts.
			other := o.expire != nil && (o.unit != unit || o.absolute != absolute)
			if i++; other || o.keepTTL || o.persist || i == len(args) {
				return o, false
			}
			o.expire, o.unit, o.absolute = args[i], unit, absolute
		}
	}
	return o, true
}

// expireAt is the absolute expiry of the options, 0 if they name none. It
// answers and returns ok false when the argument is no valid time.
func (o *setOptions) expireAt(c *Ctx) (at int64, ok bool) {
	if o.expire == nil {
		return 0, true
	}
	v, ok := resp.ParseInt(o.expire)
	if !ok {
		c.Out.Error(resp.ErrNotInteger)
		return 0, false
	}
	base := c.Tx.Now()
	if o.absolute {
		base = 0
	}
	if at, ok = expiry(v, o.unit, base); !ok || v <= 0 {
		c.Out.Error(resp.ErrExpireTime(c.Row.Name))
		return 0, false
	}
	return at, true
}

// set matches setGenericCommand.
func set(c *Ctx) {
	key, value := c.Args[1], c.Args[2]
	o, ok := parseSetOptions(c.Args[3:], ofSet)
	if !ok {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	at, ok := o.expireAt(c)
	if !ok {
		return
	}
	if o.get {
		if get(c); holdsOther(c, key) {
			return
		}
	}
	if !o.allows(c, key) {
		return
	}
	store(c, key, value, at, o.keepTTL)
	c.noteSet(key, o.expire != nil)
	switch {
	case o.expire != nil:
		effectSetPXAT(c, key, value, at)
	case o.get || o.compared != nil:
		effectOfSet(c)
	}
	if !o.get {
		c.Out.OK()
	}
}

// allows reports whether the condition of SET holds. If it does not, that has been
// answered. IFEQ is of Valkey 8.1, IFNE of Redis 8.4, where a missing key is unequal
// to anything.
func (o *setOptions) allows(c *Ctx, key []byte) bool {
	allowed := true
	switch {
	case o.nx || o.xx:
		_, found := c.Tx.Use(key)
		allowed = found == o.xx
	case o.compared != nil:
		v, found, ok := c.edit(key)
		if !ok {
			return false
		}
		allowed = (found && bytes.Equal(v, o.compared)) != o.unequal
	}
	if !allowed && !o.get {
		c.Out.Null()
	}
	return allowed
}

// setAccess: without GET and a comparison a SET only overwrites. The word counts
// wherever it stands among the options, as in setGetKeys.
func setAccess(args [][]byte) KeyFlags {
	words := args[min(len(args), 3):]
	o, ok := parseSetOptions(words, ofSet)
	if ok && o.compared != nil || slices.ContainsFunc(words, func(w []byte) bool { return is(w, "GET") }) {
		return KeyRW | KeyAccess | KeyUpdate
	}
	return KeyOW | KeyUpdate
}

func holdsOther(c *Ctx, key []byte) bool {
	e, found := c.Tx.Peek(key)
	return found && e.Type() != storage.TypeString
}

func store(c *Ctx, key, value []byte, expireAt int64, keepTTL bool) {
	var f storage.SetFlags
	if keepTTL {
		f = storage.KeepTTL
	}
	c.Tx.SetString(key, value, expireAt, f)
}

// noteSet notes that a string was stored, with an expiry or without.
func (c *Ctx) noteSet(key []byte, expires bool) {
	c.Tx.Note(storage.ClassString, "set", key)
	if expires {
		c.Tx.Note(storage.ClassGeneric, "expire", key)
	}
}

// effectSetPXAT records a SET whose expiry is absolute, which drops all other
// options, as Redis's propagation does (setGenericCommand).
func effectSetPXAT(c *Ctx, key, value []byte, at int64) {
	var buf [20]byte
	c.Tx.Effect(nameSet, key, value, namePXAT, strconv.AppendInt(buf[:0], at, 10))
}

// effectOfSet records a SET without what only concerns its reply, and without
// IFEQ and IFNE, which replicas of Redis do not know, and which have held.
func effectOfSet(c *Ctx) {
	args := make([][]byte, 0, len(c.Args))
	for i := 0; i < len(c.Args); i++ {
		switch a := c.Args[i]; {
		case i >= 3 && is(a, "GET"):
		case i >= 3 && (is(a, "IFEQ") || is(a, "IFNE")):
			i++
		default:
			args = append(args, a)
		}
	}
	if c.Row.Renamed() {
		args[0] = nameSet
	}
	c.Tx.Effect(args...)
}

var (
	nameSet       = []byte("SET")
	nameDel       = []byte("DEL")
	nameUnlink    = []byte("UNLINK")
	namePXAT      = []byte("PXAT")
	namePersist   = []byte("PERSIST")
	namePExpireAt = []byte("PEXPIREAT")
	nameKeepTTL   = []byte("KEEPTTL")
)

func setNX(c *Ctx) {
	if _, found := c.Tx.Use(c.Args[1]); found {
		c.Out.Int(0)
		return
	}
	store(c, c.Args[1], c.Args[2], 0, false)
	c.noteSet(c.Args[1], false)
	c.Out.Int(1)
}

func setEX(c *Ctx)  { setWithTTL(c, 1000) }
func pSetEX(c *Ctx) { setWithTTL(c, 1) }

func setWithTTL(c *Ctx, unit int64) {
	o := setOptions{expire: c.Args[2], unit: unit}
	at, ok := o.expireAt(c)
	if !ok {
		return
	}
	store(c, c.Args[1], c.Args[3], at, false)
	c.noteSet(c.Args[1], true)
	effectSetPXAT(c, c.Args[1], c.Args[3], at)
	c.Out.OK()
}

func getSet(c *Ctx) {
	get(c)
	if holdsOther(c, c.Args[1]) {
		return
	}
	store(c, c.Args[1], c.Args[2], 0, false)
	c.noteSet(c.Args[1], false)
	c.Tx.Effect(nameSet, c.Args[1], c.Args[2])
}

func getDel(c *Ctx) {
	v, found, ok := c.str(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Null()
	default:
		c.Out.Bulk(v)
		c.Tx.Delete(c.Args[1])
		c.Tx.Effect(nameDel, c.Args[1])
		c.Tx.Note(storage.ClassGeneric, "del", c.Args[1])
	}
}

// delIfEqual is Valkey's DELIFEQ: it answers with 1 if it has deleted the key.
func delIfEqual(c *Ctx) { c.deleteIf(c.Args[2], false) }

// delEx is Redis's DELEX of 8.4 without its digests, which nothing else has.
func delEx(c *Ctx) {
	switch args := c.Args[2:]; {
	case len(args) == 0:
		if _, found := c.Tx.Use(c.Args[1]); found {
			c.deleteKey(c.Args[1])
		} else {
			c.Out.Int(0)
		}
	case len(args) == 2 && (is(args[0], "IFEQ") || is(args[0], "IFNE")):
		c.deleteIf(args[1], is(args[0], "IFNE"))
	default:
		c.Out.Error(resp.ErrSyntax)
	}
}

// deleteIf deletes the key of the command if it holds a string, or if unequal any
// but this one.
func (c *Ctx) deleteIf(value []byte, unequal bool) {
	v, found, ok := c.edit(c.Args[1])
	switch {
	case !ok:
	case !found || bytes.Equal(v, value) == unequal:
		c.Out.Int(0)
	default:
		c.deleteKey(c.Args[1])
	}
}

func (c *Ctx) deleteKey(key []byte) {
	c.Tx.Delete(key)
	c.Tx.Note(storage.ClassGeneric, "del", key)
	c.Tx.Effect(nameDel, key)
	c.Out.Int(1)
}

// mSetEx is MSETEX of Redis 8.4 and Valkey 9.1, which answers with 1 if it has set
// the keys. In the stream it is a SET for each of them.
func mSetEx(c *Ctx) {
	n, ok := c.integerIn(c.Args[1], 1, int64(math.MaxInt32), resp.ErrNumKeys)
	if !ok {
		return
	}
	if 2*n > int64(len(c.Args)-2) {
		c.Out.Error(resp.ErrArity(c.Row.Name))
		return
	}
	pairs := c.Args[2 : 2+2*n]
	o, ok := parseSetOptions(c.Args[2+2*n:], ofPairs)
	if !ok {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	at, ok := o.expireAt(c)
	if !ok {
		return
	}
	for i := 0; i < len(pairs) && (o.nx || o.xx); i += 2 {
		if _, found := c.Tx.Use(pairs[i]); found == o.nx {
			c.Out.Int(0)
			return
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		key, value := pairs[i], pairs[i+1]
		store(c, key, value, at, o.keepTTL)
		c.noteSet(key, o.expire != nil)
		switch {
		case o.expire != nil:
			effectSetPXAT(c, key, value, at)
		case o.keepTTL:
			c.Tx.Effect(nameSet, key, value, nameKeepTTL)
		default:
			c.Tx.Effect(nameSet, key, value)
		}
	}
	c.Out.Int(1)
}

// getEX matches getexCommand: a time in the past deletes the key.
func getEX(c *Ctx) {
	key := c.Args[1]
	o, ok := parseSetOptions(c.Args[2:], ofGet)
	if !ok {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	v, found, ok := c.str(key)
	if !ok {
		return
	}
	if !found {
		c.Out.Null()
		return
	}
	at, ok := o.expireAt(c)
	if !ok {
		return
	}
	c.Out.Bulk(v)
	switch {
	case o.expire != nil:
		expireKey(c, key, at)
	case o.persist:
		if e, found := c.Tx.Peek(key); found && e.ExpireAt() != 0 {
			c.Tx.SetExpire(key, 0)
			c.Tx.Effect(namePersist, key)
			c.Tx.Note(storage.ClassGeneric, "persist", key)
		}
	}
}

// expireKey gives an existing key an absolute expiry and records it; a time
// that has passed deletes the key instead, except where a stream is applied.
func expireKey(c *Ctx, key []byte, at int64) {
	if at <= c.Tx.Now() && !c.Tx.Applying() {
		c.Tx.Delete(key)
		c.Tx.Effect(nameDel, key)
		c.Tx.Note(storage.ClassGeneric, "del", key)
		return
	}
	c.Tx.SetExpire(key, at)
	c.Tx.Note(storage.ClassGeneric, "expire", key)
	var buf [20]byte
	c.Tx.Effect(namePExpireAt, key, strconv.AppendInt(buf[:0], at, 10))
}

func mGet(c *Ctx) {
	c.Out.Array(len(c.Args) - 1)
	for _, key := range c.Args[1:] {
		if e, found := c.Tx.Find(key); found && e.Type() == storage.TypeString {
			c.Out.Bulk(e.Bytes())
		} else {
			c.Out.Null()
		}
	}
}

func mSet(c *Ctx) {
	if len(c.Args)%2 == 0 {
		c.Out.Error(resp.ErrArity("mset"))
		return
	}
	storePairs(c)
	c.Out.OK()
}

func mSetNX(c *Ctx) {
	if len(c.Args)%2 == 0 {
		c.Out.Error(resp.ErrArity("msetnx"))
		return
	}
	for i := 1; i < len(c.Args); i += 2 {
		if _, found := c.Tx.Use(c.Args[i]); found {
			c.Out.Int(0)
			return
		}
	}
	storePairs(c)
	c.Out.Int(1)
}

func storePairs(c *Ctx) {
	for i := 1; i < len(c.Args); i += 2 {
		store(c, c.Args[i], c.Args[i+1], 0, false)
		c.noteSet(c.Args[i], false)
	}
}

// addOverflows reports whether a+b leaves the range of int64.
func addOverflows(a, b int64) bool {
	return (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b)
}
