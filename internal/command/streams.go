package command

import (
	"bytes"
	"math"
	"strconv"

	"redoubt/internal/resp"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// Streams is the rows of the commands on the items of streams, which storage calls
// logs.
var Streams = []*Row{
	{Name: "xadd", Arity: -5, Flags: Write | DenyOOM | Fast, ACL: CatStream, Run: xAdd,
		Keys: []KeySpec{{Flags: KeyRW | KeyUpdate, Begin: Begin{Index: 1}, Find: Find{Step: 1}, Notes: "UPDATE instead of INSERT because of the optional trimming feature"}},
		Doc: Doc{Summary: "Appends an item to a stream, which is created if missing.", Since: "5.0.0", Group: "stream", Complexity: "O(1) to append, O(N) to trim where N is the number of items removed",
			Tips: []string{changing}, Args: []Arg{key("key"), word("NOMKSTREAM").optional().since("6.2.0"), trimSyntax.optional(),
				oneOf("id-selector", word("*").named("auto-id"), text("id")), block("data", text("field"), text("value")).multiple()},
			History: []Change{{"6.2.0", "The options `NOMKSTREAM`, `MINID` and `LIMIT` came."}, {"7.0.0", "Takes IDs of the form `<ms>-*`."}}}},
	{Name: "xlen", Arity: 2, Flags: ReadOnly | Fast, ACL: CatStream, Keys: OneKey(KeyRO), Run: xLen,
		Doc: Doc{Summary: "Returns the number of items in a stream.", Since: "5.0.0", Group: "stream", Complexity: "O(1)", Args: []Arg{key("key")}}},
	{Name: "xrange", Arity: -4, Flags: ReadOnly, ACL: CatStream, Keys: OneKey(KeyRO | KeyAccess), Run: xRange,
		Doc: Doc{Summary: "Returns the items of a stream in a range of IDs.", Since: "5.0.0", Group: "stream", Complexity: itemsComplexity,
			Args: []Arg{key("key"), text("start"), text("end"), integer("count").after("COUNT").optional()}, History: exclusiveHistory}},
	{Name: "xrevrange", Arity: -4, Flags: ReadOnly, ACL: CatStream, Keys: OneKey(KeyRO | KeyAccess), Run: xRevRange,
		Doc: Doc{Summary: "Returns the items of a stream in a range of IDs, the last one first.", Since: "5.0.0", Group: "stream", Complexity: itemsComplexity,
			Args: []Arg{key("key"), text("end"), text("start"), integer("count").after("COUNT").optional()}, History: exclusiveHistory}},
	{Name: "xdel", Arity: -3, Flags: Write | Fast, ACL: CatStream, Keys: OneKey(KeyRW | KeyDelete), Run: xDel,
		Doc: Doc{Summary: "Removes items from a stream by their IDs.", Since: "5.0.0", Group: "stream", Complexity: "O(log(N)) for each item",
			Args: []Arg{key("key"), text("ID").multiple()}}},
	{Name: "xtrim", Arity: -4, Flags: Write, ACL: CatStream, Keys: OneKey(KeyRW | KeyDelete), Run: xTrim,
		Doc: Doc{Summary: "Removes the first items of a stream.", Since: "5.0.0", Group: "stream", Complexity: "O(N) where N is the number of items removed",
			Tips: []string{changing}, Args: []Arg{key("key"), trimSyntax}, History: []Change{{"6.2.0", "The options `MINID` and `LIMIT` came."}}}},
	{Name: "xsetid", Arity: -3, Flags: Write | DenyOOM | Fast, ACL: CatStream, Keys: OneKey(KeyRW | KeyUpdate), Run: xSetID,
		Doc: Doc{Summary: "Sets the last ID of a stream and what it counts; nodes send it to each other.", Since: "5.0.0", Group: "stream", Complexity: "O(1)",
			Args:    []Arg{key("key"), text("last-id"), integer("entries-added").after("ENTRIESADDED").optional().since("7.0.0"), text("max-deleted-id").after("MAXDELETEDID").optional().since("7.0.0")},
			History: []Change{{"7.0.0", "The options `ENTRIESADDED` and `MAXDELETEDID` came."}}}},
}

const itemsComplexity = "O(log(N)+M) where N is the length of the stream and M the number of items returned"

var (
	exclusiveHistory = []Change{{"6.2.0", "Takes exclusive ranges."}}
	trimSyntax       = block("trim", oneOf("strategy", word("MAXLEN"), word("MINID").since("6.2.0")),
		oneOf("operator", word("=").named("equal"), word("~").named("approximately")).optional(),
		text("threshold"), integer("count").after("LIMIT").optional().since("6.2.0"))
)

// log finds a key for a command that reads a stream; see list.
func (c *Ctx) log(key []byte) (v *storage.Log, found, ok bool) {
	e, found, ok := c.entry(key, storage.TypeStream)
	if found && ok {
		return e.Log(), true, true
	}
	return &noLog, found, ok
}

// noLog is a stream without anything, for reading.
var noLog storage.Log

// editLog is log for a command that changes a stream.
func (c *Ctx) editLog(key []byte) (*storage.Log, bool) {
	v, ok := c.Tx.EditLog(key)
	return v, c.rightType(ok)
}

// editLogRead is editLog for a command that Redis counts as one that reads the key.
func (c *Ctx) editLogRead(key []byte) (*storage.Log, bool) {
	v, ok := c.Tx.EditLog(key)
	c.Tx.CountLook(key, !ok || v.Exists())
	return v, c.rightType(ok)
}

// longestID is the longest text that is looked at as an ID.
const longestID = 127

// parseID reads an ID, whose number is missing if it has none. It matches
// streamGenericParseIDOrReply, without its "-" and "+".
func parseID(text []byte, missing uint64) (id chunk.ID, ok bool) {
	if len(text) > longestID {
		return id, false
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	ms, seq, two := bytes.Cut(text, []byte{'-'})
	if id.Ms, ok = parseUnsigned(ms); !ok {
		return id, false
	}
	if id.Seq = missing; two {
		id.Seq, ok = parseUnsigned(seq)
	}
	return id, ok
}

// parseUnsigned matches string2ull: a number as it is printed, or what strtoull
// takes.
func parseUnsigned(text []byte) (n uint64, ok bool) {
	if i, ok := resp.ParseInt(text); ok {
		return uint64(i), i >= 0
	}
	text = bytes.TrimLeft(text, " \t\n\v\f\r")
	negative := false
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		negative, text = text[0] == '-', text[1:]
	}
	for _, ch := range text {
		if ch < '0' || ch > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if negative {
		n = -n
	}
	return n, err == nil
}

// id reads an ID that names one item (streamParseStrictIDOrReply).
func (c *Ctx) id(text []byte, missing uint64) (id chunk.ID, ok bool) {
	if id, ok = parseID(text, missing); !ok {
		c.Out.Error(resp.ErrStreamID)
	}
	return id, ok
}

// idOrEdge is id with "-" and "+" for the first and the last one there can be
// (streamParseIDOrReply).
func (c *Ctx) idOrEdge(text []byte, missing uint64) (id chunk.ID, ok bool) {
	switch {
	case is(text, "-"):
		return chunk.ID{}, true
	case is(text, "+"):
		return chunk.MaxID, true
	}
	return c.id(text, missing)
}

// lowest and highest read the ends of a range of IDs; "(" leaves the ID itself out
// (streamParseIntervalIDOrReply).
func (c *Ctx) lowest(text []byte) (id chunk.ID, ok bool) {
	return c.intervalEnd(text, 0, chunk.ID.Next, resp.ErrIntervalStart)
}

func (c *Ctx) highest(text []byte) (id chunk.ID, ok bool) {
	return c.intervalEnd(text, math.MaxUint64, chunk.ID.Previous, resp.ErrIntervalEnd)
}

func (c *Ctx) intervalEnd(text []byte, missing uint64, within func(chunk.ID) (chunk.ID, bool), none resp.Error) (id chunk.ID, ok bool) {
	if len(text) < 2 || text[0] != '(' {
		return c.idOrEdge(text, missing)
	}
	if id, ok = c.id(text[1:], missing); !ok {
		return id, false
	}
	if id, ok = within(id); !ok {
		c.Out.Error(none)
	}
	return id, ok
}

// replyID answers with an ID.
func (c *Ctx) replyID(id chunk.ID) {
	var buf [48]byte
	c.Out.Bulk(id.Append(buf[:0]))
}

// replyItem answers with the item at which a reader is.
func (c *Ctx) replyItem(r *chunk.Reader) {
	c.Out.Array(2)
	c.replyID(r.ID)
	n := r.Pairs
	c.Out.Array(2 * n)
	for range n {
		field, value := r.Pair()
		c.Out.Bulk(field)
		c.Out.Bulk(value)
	}
}

// replyRange answers with the items from low to high, at most count of them if that
// is not 0, and returns how many there were (streamReplyWithRange). each is called
// with every ID, if it is not nil.
func (c *Ctx) replyRange(l *storage.Log, low, high chunk.ID, count int64, each func(chunk.ID)) (n int) {
	at := c.Out.Len()
	l.Range(low, high, func(r *chunk.Reader) bool {
		n++
		if each != nil {
			each(r.ID)
		}
		c.replyItem(r)
		return int64(n) != count
	})
	c.Out.ArrayAt(at, n)
	return n
}

// itemOptions are the options of XADD and XTRIM.
type itemOptions struct {
	noCreate  bool
	trims     bool
	trim      storage.Trim
	threshold int // position of the argument that says what is left

	at       int // position of the ID
	id       chunk.ID
	given    bool // the ID is, not "*"
	seqGiven bool // its number is, too
}

// parseAdd reads the options of XADD, or with trim those of XTRIM. It matches
// streamParseAddOrTrimArgsOrReply.
func (c *Ctx) parseAdd(trim bool) (o itemOptions, ok bool) {
	limit, limited := int64(0), false
	i := 2
options:
	for ; i < len(c.Args); i++ {
		more := len(c.Args) - 1 - i
		switch a := c.Args[i]; {
		case !trim && is(a, "*"):
			break options
		case (is(a, "MAXLEN") || is(a, "MINID")) && more > 0:
			if i, ok = c.parseTrim(&o, i); !ok {
				return o, false
			}
		case is(a, "LIMIT") && more > 0:
			if limit, ok = c.integer(c.Args[i+1]); !ok {
				return o, false
			}
			if limit < 0 {
				c.Out.Error(resp.ErrTrimLimit)
				return o, false
			}
			limited = true
			i++
		case trim:
			c.Out.Error(resp.ErrSyntax)
			return o, false
		case is(a, "NOMKSTREAM"):
			o.noCreate = true
		default:
			if !c.parseNewID(&o, a) {
				return o, false
			}
			break options
		}
	}
	o.at = i
	return o, c.checkLimit(&o, trim, limit, limited)
}

// parseTrim reads MAXLEN or MINID at position i, which something follows, and
// returns the position of its threshold.
func (c *Ctx) parseTrim(o *itemOptions, i int) (next int, ok bool) {
	if o.trims {
		c.Out.Error(resp.ErrTrimTwice)
		return i, false
	}
	o.trims, o.trim.ByLength = true, is(c.Args[i], "MAXLEN")
	i++
	if i+1 < len(c.Args) {
		if o.trim.Approx = is(c.Args[i], "~"); o.trim.Approx || is(c.Args[i], "=") {
			i++
		}
	}
	o.threshold = i
	if !o.trim.ByLength {
		o.trim.MinID, ok = c.id(c.Args[i], 0)
		return i, ok
	}
	n, ok := c.integer(c.Args[i])
	if ok && n < 0 {
		c.Out.Error(resp.ErrTrimMaxLen)
		return i, false
	}
	o.trim.MaxLen = uint64(n)
	return i, ok
}

// parseNewID reads the ID of a new item, whose number may be "*".
func (c *Ctx) parseNewID(o *itemOptions, text []byte) (ok bool) {
	o.given, o.seqGiven = true, true
	if ms, found := bytes.CutSuffix(text, []byte("-*")); found && bytes.IndexByte(ms, '-') < 0 {
		o.seqGiven, text = false, ms
	}
	o.id, ok = c.id(text, 0)
	return ok
}

// The most items that an approximate trimming removes, if it is not told.
const (
	trimNodes    = 100
	trimDefault  = 10_000
	trimMostEver = 1_000_000
)

// checkLimit checks LIMIT, or chooses one.
func (c *Ctx) checkLimit(o *itemOptions, trim bool, limit int64, given bool) (ok bool) {
	switch {
	case limit != 0 && !o.trims:
		c.Out.Error(resp.ErrTrimLimitAlone)
		return false
	case trim && !o.trims:
		c.Out.Error(resp.ErrTrimNothing)
		return false
	case c.Tx.Applying(): // what another node has decided is not limited
		return true
	case given && !o.trim.Approx:
		c.Out.Error(resp.ErrTrimLimitExact)
		return false
	case !given && o.trim.Approx:
		if limit = int64(trimNodes * c.Tx.Limits().NodeItems); limit <= 0 {
			limit = trimDefault
		}
		limit = min(limit, trimMostEver)
	}
	o.trim.Limit = uint64(limit)
	return true
}

// largestItem is how many bytes the fields and values of an item have at most.
const largestItem = 1 << 30

// xAdd matches xaddCommand.
func xAdd(c *Ctx) {
	o, ok := c.parseAdd(false)
	if !ok {
		return
	}
	if o.at+1 >= len(c.Args) || (len(c.Args)-o.at)%2 == 0 {
		c.Out.Error(resp.ErrArity(c.Row.Name))
		return
	}
	if o.given && o.seqGiven && o.id.IsZero() {
		c.Out.Error(resp.ErrStreamZeroID)
		return
	}
	l, ok := c.editLog(c.Args[1])
	if !ok {
		return
	}
	if o.noCreate && !l.Exists() {
		c.Out.Null()
		return
	}
	id, err := c.newID(&o, l.LastID())
	pairs := c.Args[o.at+1:]
	if err == "" && chunk.Growth(pairs) > largestItem {
		err = resp.ErrStreamElements
	}
	if err != "" {
		c.Out.Error(err)
		return
	}
	l.Append(id, pairs)
	c.replyID(id)
	trimmed := o.trims && l.Trim(o.trim) > 0
	c.addEffect(&o, l, id)
	l.Close(1) // before the events, of which the first is that the key is new
	c.Tx.Note(storage.ClassStream, "xadd", c.Args[1])
	if trimmed {
		c.Tx.Note(storage.ClassStream, "xtrim", c.Args[1])
	}
}

// newID is the ID of a new item of a stream (streamAppendItem).
func (c *Ctx) newID(o *itemOptions, last chunk.ID) (id chunk.ID, err resp.Error) {
	if last == chunk.MaxID {
		return id, resp.ErrStreamExhausted
	}
	switch id = o.id; {
	case !o.given:
		if id = (chunk.ID{Ms: uint64(c.Tx.Now())}); id.Ms <= last.Ms {
			id, _ = last.Next()
		}
	case !o.seqGiven && id.Ms == last.Ms:
		if last.Seq == math.MaxUint64 {
			return id, resp.ErrStreamSmallID
		}
		id.Seq = last.Seq + 1
	}
	if !last.Less(id) {
		return id, resp.ErrStreamSmallID
	}
	return id, ""
}

// addEffect makes the command's effect one of the same outcome everywhere: with the
// ID it has chosen, and what its approximate trimming came to.
func (c *Ctx) addEffect(o *itemOptions, l *storage.Log, id chunk.ID) {
	if o.seqGiven && !o.trim.Approx || c.Tx.Applying() {
		return
	}
	var buf [16][]byte
	args := append(buf[:0], c.Args...)
	if !o.seqGiven {
		args[o.at] = id.Append(l.Scratch(0))
	}
	if o.trim.Approx {
		c.exactly(args, o, l)
	}
	c.Tx.Effect(args...)
}

var equals = []byte("=")

// exactly makes the trimming in args an exact one of what is there now. It matches
// streamRewriteTrimArgument.
func (c *Ctx) exactly(args [][]byte, o *itemOptions, l *storage.Log) {
	scratch := l.Scratch(1)
	args[o.threshold-1] = equals
	if o.trim.ByLength {
		args[o.threshold] = strconv.AppendUint(scratch, l.Len(), 10)
	} else {
		args[o.threshold] = l.Edge().Append(scratch)
	}
}

func xTrim(c *Ctx) {
	o, ok := c.parseAdd(true)
	if !ok {
		return
	}
	l, ok := c.editLog(c.Args[1])
	switch {
	case !ok:
		return
	case !l.Exists():
		c.Out.Int(0)
		return
	}
	removed := l.Trim(o.trim)
	if removed > 0 {
		c.Tx.Note(storage.ClassStream, "xtrim", c.Args[1])
		if o.trim.Approx {
			args := append([][]byte(nil), c.Args...)
			c.exactly(args, &o, l)
			c.Tx.Effect(args...)
		}
	}
	l.Close(int(removed))
	c.Out.Int(int64(removed))
}

func xLen(c *Ctx) {
	if l, _, ok := c.log(c.Args[1]); ok {
		c.Out.Int(int64(l.Len()))
	}
}

func xRange(c *Ctx)    { c.rangeOf(c.Args[2], c.Args[3], false) }
func xRevRange(c *Ctx) { c.rangeOf(c.Args[3], c.Args[2], true) }

// rangeOf matches xrangeGenericCommand.
func (c *Ctx) rangeOf(start, end []byte, back bool) {
	low, ok := c.lowest(start)
	if !ok {
		return
	}
	high, ok := c.highest(end)
	if !ok {
		return
	}
	count := int64(-1)
	for i := 4; i < len(c.Args); i += 2 {
		if !is(c.Args[i], "COUNT") || i+1 == len(c.Args) {
			c.Out.Error(resp.ErrSyntax)
			return
		}
		if count, ok = c.integer(c.Args[i+1]); !ok {
			return
		}
		count = max(count, 0)
	}
	l, found, ok := c.log(c.Args[1])
	switch {
	case !ok:
	case !found:
		c.Out.Array(0)
	case count == 0:
		c.Out.NullArray()
	case back:
		c.replyBack(l, low, high, count)
	default:
		c.replyRange(l, low, high, count, nil)
	}
}

// replyBack is replyRange from high to low.
func (c *Ctx) replyBack(l *storage.Log, low, high chunk.ID, count int64) {
	at, n := c.Out.Len(), 0
	l.RangeBack(low, high, func(r *chunk.Reader) bool {
		n++
		c.replyItem(r)
		return int64(n) != count
	})
	c.Out.ArrayAt(at, n)
}

// idsKept is for how many IDs a call leaves memory to the next ones.
const idsKept = 1024

// ids reads all IDs from the i-th argument on. They are valid during the call.
func (c *Ctx) ids(i int) (ids []chunk.ID, ok bool) {
	ids = c.someIDs[:0]
	for _, text := range c.Args[i:] {
		id, ok := c.id(text, 0)
		if !ok {
			return nil, false
		}
		ids = append(ids, id)
	}
	if cap(ids) <= idsKept {
		c.someIDs = ids
	}
	return ids, true
}

func xDel(c *Ctx) {
	l, ok := c.editLog(c.Args[1])
	switch {
	case !ok:
		return
	case !l.Exists():
		c.Out.Int(0)
		return
	}
	ids, ok := c.ids(2)
	if !ok {
		return
	}
	n := 0
	for _, id := range ids {
		if l.Delete(id) {
			n++
		}
	}
	if n > 0 {
		c.Tx.Note(storage.ClassStream, "xdel", c.Args[1])
	}
	l.Close(n)
	c.Out.Int(int64(n))
}

// xSetID matches xsetidCommand.
func xSetID(c *Ctx) {
	id, ok := c.id(c.Args[2], 0)
	if !ok {
		return
	}
	added, deleted := int64(-1), chunk.ID{}
	for i := 3; i < len(c.Args); i += 2 {
		more := i+1 < len(c.Args)
		switch a := c.Args[i]; {
		case is(a, "ENTRIESADDED") && more:
			if added, ok = c.integer(c.Args[i+1]); ok && added < 0 {
				c.Out.Error(resp.ErrEntriesAdded)
				return
			}
		case is(a, "MAXDELETEDID") && more:
			if deleted, ok = c.id(c.Args[i+1], 0); ok && id.Less(deleted) {
				c.Out.Error(resp.ErrSetIDDeleted)
				return
			}
		default:
			c.Out.Error(resp.ErrSyntax)
			return
		}
		if !ok {
			return
		}
	}
	l, ok := c.editLog(c.Args[1])
	if !ok {
		return
	}
	switch {
	case !l.Exists():
		c.Out.Error(resp.ErrNoKey)
		return
	case id.Less(l.MaxDeleted()):
		c.Out.Error(resp.ErrSetIDMaxDeleted)
		return
	case id.Less(l.LastItem()):
		c.Out.Error(resp.ErrSetIDItem)
		return
	case added >= 0 && l.Len() > uint64(added):
		c.Out.Error(resp.ErrSetIDAdded)
		return
	}
	l.SetLastID(id)
	if added >= 0 {
		l.SetAdded(uint64(added))
	}
	if !deleted.IsZero() {
		l.SetMaxDeleted(deleted)
	}
	l.CloseQuietly(1)
	c.Out.OK()
	c.Tx.Note(storage.ClassStream, "xsetid", c.Args[1])
}
