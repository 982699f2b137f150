package command

import (
	"bytes"
	"math"
	"slices"
	"time"

	"redoubt/internal/resp"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// StreamReads is the rows of the commands that read items of streams which come
// later.
var StreamReads = []*Row{
	{Name: "xread", Arity: -4, Flags: ReadOnly | Blocking | MovableKeys, ACL: CatStream, Keys: streamKeys(1), FindKeys: findStreams, Run: xRead,
		Doc: Doc{Summary: "Returns the items of streams behind IDs, or waits for some.", Since: "5.0.0", Group: "stream", Complexity: readComplexity,
			Args: []Arg{integer("count").after("COUNT").optional(), integer("milliseconds").after("BLOCK").optional(), streamsSyntax}}},
	{Name: "xreadgroup", Arity: -7, Flags: Write | Blocking | MovableKeys, ACL: CatStream, Keys: streamKeys(4), FindKeys: findStreams, Run: xReadGroup,
		Doc: Doc{Summary: "Delivers items of streams to a consumer of a group, or waits for some.", Since: "5.0.0", Group: "stream", Complexity: readComplexity,
			Args: []Arg{block("group-block", text("group"), text("consumer")).after("GROUP"), integer("count").after("COUNT").optional(),
				integer("milliseconds").after("BLOCK").optional(), word("NOACK").optional(), streamsSyntax}}},
}

const readComplexity = "O(log(N)+M) for each stream, where N is its length and M the number of items returned"

var streamsSyntax = block("streams", key("key").multiple(), text("ID").multiple()).after("STREAMS")

func streamKeys(from int) []KeySpec {
	return []KeySpec{{Flags: KeyRO | KeyAccess, Begin: Begin{Index: from, Keyword: "STREAMS"}, Find: Find{Last: -1, Step: 1, Limit: 2}}}
}

// findStreams finds the keys of XREAD and XREADGROUP, whose other arguments may be
// the word STREAMS, too. It matches xreadGetKeys.
func findStreams(dst []int, args [][]byte) (_ []int, ok bool) {
	at, n := streamsAt(args)
	for i := range n {
		dst = append(dst, at+i)
	}
	return dst, n > 0
}

// streamsAt is where the keys begin, and how many there are; 0 if the arguments are
// wrong.
func streamsAt(args [][]byte) (at, n int) {
	for i := 1; i < len(args); i++ {
		switch a := args[i]; {
		case is(a, "BLOCK"), is(a, "COUNT"):
			i++
		case is(a, "GROUP"):
			i += 2
		case is(a, "NOACK"):
		case is(a, "STREAMS") && (len(args)-i-1)%2 == 0:
			return i + 1, (len(args) - i - 1) / 2
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// readOptions are the options of XREAD and XREADGROUP. It holds no views of the
// arguments: a client that waits is served later.
type readOptions struct {
	group   int // position of the group's name, the consumer's behind it; 0 without
	count   int64
	timeout time.Duration
	block   bool
	noAck   bool
	keys    int // position of the first key
	n       int // of keys
	// from are the IDs behind which items are wanted; chunk.MaxID is ">".
	from []chunk.ID
	// log and at are the stream, if it is the only one, and the group in it, while
	// nothing has changed since they were looked up.
	log *storage.Log
	at  storage.Group
}

func (o *readOptions) key(c *Ctx, i int) []byte { return c.Args[o.keys+i] }
func (o *readOptions) names(c *Ctx) (group, consumer []byte) {
	return c.Args[o.group], c.Args[o.group+1]
}

// parseRead reads all but the IDs. It matches the beginning of xreadCommand.
func (c *Ctx) parseRead(group bool) (o readOptions, ok bool) {
	for i := 1; i < len(c.Args) && o.keys == 0; i++ {
		more := len(c.Args) - 1 - i
		switch a := c.Args[i]; {
		case is(a, "BLOCK") && more > 0:
			i++
			o.block = true
			if _, scripted := c.Caller.(Scripted); scripted {
				c.Out.Error(resp.ErrInScriptBlock(c.Args[0]))
				return o, false
			}
			o.timeout, ok = c.milliseconds(c.Args[i])
		case is(a, "COUNT") && more > 0:
			i++
			o.count, ok = c.integer(c.Args[i])
			o.count = max(o.count, 0)
		case is(a, "STREAMS") && more > 0:
			o.keys, o.n = i+1, more/2
			if ok = more%2 == 0; !ok {
				c.Out.Error(resp.ErrUnbalanced(c.Row.Name, newSymbol(group)))
			}
		case is(a, "GROUP") && more > 1:
			o.group = i + 1
			i += 2
			ok = c.refuse(!group, resp.ErrReadGroup)
		case is(a, "NOACK"):
			o.noAck = true
			ok = c.refuse(!group, resp.ErrReadNoAck)
		default:
			ok = c.refuse(true, resp.ErrSyntax)
		}
		if !ok {
			return o, false
		}
	}
	return o, c.refuse(o.keys == 0, resp.ErrSyntax) && c.refuse(group && o.group == 0, resp.ErrReadGroupMissing)
}

// newSymbol is the ID for items that are new.
func newSymbol(group bool) string {
	if group {
		return ">"
	}
	return "$"
}

// refuse answers with an error and returns false if something is wrong. It is for
// errors whose text is there: one that is made of arguments would be made in vain.
func (c *Ctx) refuse(wrong bool, err resp.Error) (ok bool) {
	if wrong {
		c.Out.Error(err)
	}
	return !wrong
}

// milliseconds is seconds of a timeout in whole milliseconds.
func (c *Ctx) milliseconds(arg []byte) (wait time.Duration, ok bool) {
	ms, ok := resp.ParseInt(arg)
	switch {
	case !ok:
		c.Out.Error(resp.ErrBadTimeout)
	case ms < 0:
		c.Out.Error(resp.ErrNegTimeout)
	case ms > math.MaxInt64-c.Tx.Now():
		c.Out.Error(resp.ErrFarTimeout)
	default:
		return time.Duration(min(ms, longestWait.Milliseconds())) * time.Millisecond, true
	}
	return 0, false
}

func xRead(c *Ctx)      { read(c, false) }
func xReadGroup(c *Ctx) { read(c, true) }

// read matches xreadCommand. What XREADGROUP changes has effects of its own.
func read(c *Ctx, group bool) {
	o, ok := c.parseRead(group)
	if !ok {
		return
	}
	if group {
		c.Tx.NoEffect()
	}
	o.from = c.someIDs[:0]
	for i := range o.n {
		id, ok := c.readFrom(&o, i)
		if !ok {
			return
		}
		o.from = append(o.from, id)
	}
	if cap(o.from) <= idsKept {
		c.someIDs = o.from
	}
	switch {
	case c.serveStreams(&o, nil):
	case o.block:
		c.waitForItems(o)
	default:
		c.Out.NullArray()
	}
}

// waitForItems blocks a command that has found nothing. o is its own from now on.
func (c *Ctx) waitForItems(o readOptions) {
	o.from, o.log = slices.Clone(o.from), nil
	c.Block(&Wait{
		Keys: c.Args[o.keys : o.keys+o.n], Timeout: o.timeout, Expired: nullArray, Gone: o.group > 0,
		Serve: func(c *Ctx, key []byte) bool {
			if o.group > 0 {
				c.Tx.NoEffect()
			}
			return c.serveWaiting(&o, key)
		},
	})
}

// readFrom checks the i-th stream and reads its ID.
func (c *Ctx) readFrom(o *readOptions, i int) (id chunk.ID, ok bool) {
	l, ok := c.logToRead(o, o.key(c, i))
	if !ok {
		return id, false
	}
	switch text := c.Args[o.keys+o.n+i]; {
	case is(text, "$") && o.group > 0:
		return id, c.refuse(true, resp.ErrReadLast)
	case is(text, "$"):
		return l.LastID(), true
	case is(text, ">"):
		return chunk.MaxID, c.refuse(o.group == 0, resp.ErrReadNew)
	case is(text, "+") && o.group == 0:
		// Since Redis 7.4: the last item, or the first one that comes.
		id, _ = l.LastItem().Previous()
		if l.Len() == 0 {
			id = l.LastID()
		}
		return id, true
	default:
		return c.id(text, 0)
	}
}

// logToRead finds a stream, and its group if one reads; without that it answers
// with an error.
func (c *Ctx) logToRead(o *readOptions, key []byte) (l *storage.Log, ok bool) {
	if o.group == 0 {
		l, _, ok = c.log(key)
		return l, ok
	}
	if l, ok = c.editLogRead(key); !ok {
		return l, false
	}
	name, _ := o.names(c)
	g, found := l.Group(name)
	if !found {
		c.Out.Error(resp.ErrNoGroupToRead(key, name))
		return l, false
	}
	if o.n == 1 {
		o.log, o.at = l, g
	}
	return l, true
}

// serveWaiting serves a client that has waited, with a key that is ready, or tells
// it that its group is gone. Redis 7.2 looks at its other keys as well.
func (c *Ctx) serveWaiting(o *readOptions, key []byte) bool {
	e, found := c.Tx.Peek(key)
	isLog := found && e.Type() == storage.TypeStream
	if o.group == 0 {
		return isLog && c.serveStreams(o, key)
	}
	if _, ok := c.logToRead(o, key); !ok {
		return true
	}
	return c.serveStreams(o, key)
}

// serveStreams answers with what there is of all streams, or of one only, and
// reports whether there was anything.
func (c *Ctx) serveStreams(o *readOptions, only []byte) bool {
	at, n := c.Out.Len(), 0
	for i := range o.n {
		if key := o.key(c, i); only == nil || bytes.Equal(key, only) {
			served := false
			if o.group > 0 {
				served = c.deliver(o, key, o.from[i])
			} else {
				served = c.readStream(o, key, o.from[i])
			}
			if served {
				n++
			}
		}
	}
	if n > 0 {
		c.Out.MapAt(at, n)
	}
	return n > 0
}

// streamHead begins the reply of one stream.
func (c *Ctx) streamHead(key []byte) {
	if c.Out.Proto() == resp.Proto2 {
		c.Out.Array(2)
	}
	c.Out.Bulk(key)
}

// readStream answers with items of one stream, if there are any.
func (c *Ctx) readStream(o *readOptions, key []byte, from chunk.ID) bool {
	e, found := c.Tx.Look(key)
	if !found {
		return false
	}
	l := e.Log()
	if l.Len() == 0 || !from.Less(l.LastItem()) {
		return false
	}
	c.streamHead(key)
	low, _ := from.Next()
	c.replyRange(l, low, chunk.MaxID, o.count, nil)
	return true
}

// deliver answers with items of one stream for the group: with new ones, if there
// are any, or with those pending with the consumer.
func (c *Ctx) deliver(o *readOptions, key []byte, from chunk.ID) (served bool) {
	l, g, ok := c.groupToRead(o, key)
	switch {
	case !ok:
		return false
	case from == chunk.MaxID:
		return c.deliverNew(o, l, &g, key)
	}
	groupName, name := o.names(c)
	m, known := g.Consumer(name)
	dirty := 1
	if !known {
		m = c.newConsumer(key, &g, name)
		c.consumerEffect(key, groupName, name)
		dirty++
	}
	m.Seen = c.Tx.Now()
	c.streamHead(key)
	c.replyHistory(l, &g, &m, from, o.count)
	m.Save()
	l.CloseQuietly(dirty)
	return true
}

// groupToRead finds a stream and its group once more, as Redis does.
func (c *Ctx) groupToRead(o *readOptions, key []byte) (l *storage.Log, g storage.Group, ok bool) {
	if o.log != nil {
		c.Tx.CountLook(key, true)
		return o.log, o.at, true
	}
	l, _ = c.editLogRead(key)
	name, _ := o.names(c)
	g, ok = l.Group(name)
	return l, g, ok
}

// deliverNew answers with the items behind the group's last one, if there are any,
// which are pending with the consumer then. What lies side by side in the stream is
// looked for one after the other.
func (c *Ctx) deliverNew(o *readOptions, l *storage.Log, g *storage.Group, key []byte) bool {
	var first [16]chunk.ID
	ids := first[:0]
	if l.Len() > 0 && g.Last.Less(l.LastID()) {
		at := c.Out.Len()
		c.streamHead(key)
		low, _ := g.Last.Next()
		if c.replyRange(l, low, chunk.MaxID, o.count, func(id chunk.ID) { ids = append(ids, id) }) == 0 {
			c.Out.Truncate(at)
		}
	}
	groupName, name := o.names(c)
	dirty, now := 0, c.Tx.Now()
	if len(ids) > 0 {
		for _, id := range ids {
			g.ReadUpTo(id)
		}
		g.Save()
		dirty++
	}
	m, known := g.Consumer(name)
	if !known {
		m = c.newConsumer(key, g, name)
		if o.noAck || len(ids) == 0 { // no XCLAIM will make it
			c.consumerEffect(key, groupName, name)
		}
		dirty++
	}
	m.Seen = now
	switch {
	case len(ids) == 0:
	case o.noAck:
		c.groupEffect(key, groupName, g)
	default:
		m.Active = now
		c.claimEffects(key, groupName, name, ids)
	}
	m.Save()
	if !o.noAck {
		g.DeliverAll(&m, ids, now)
	}
	l.CloseQuietly(dirty)
	return len(ids) > 0
}

// claimEffects records that items were delivered to a consumer, each the last one of
// the group then.
func (c *Ctx) claimEffects(key, group, consumer []byte, ids []chunk.ID) {
	p := storage.Pending{Time: c.Tx.Now(), Count: 1}
	var text [48]byte
	for _, id := range ids {
		c.claimEffect(key, group, consumer, id.Append(text[:0]), &p, id)
	}
}

// replyHistory answers with items that are pending with the consumer, which count as
// delivered once more. It matches streamReplyWithRangeFromConsumerPEL.
func (c *Ctx) replyHistory(l *storage.Log, g *storage.Group, m *storage.Consumer, from chunk.ID, count int64) {
	if count == 0 {
		count = unlimited
	}
	at, n := c.Out.Len(), 0
	for from, more := from.Next(); more && int64(n) < count; n++ {
		p, ok := g.NextPendingOf(m, from)
		if !ok {
			break
		}
		if r := l.Find(p.ID); r != nil {
			c.replyItem(r)
			p.Time = c.Tx.Now()
			p.Again()
			g.Deliver(m, p)
		} else {
			c.Out.Array(2)
			c.replyID(p.ID)
			c.Out.NullArray()
		}
		from, more = p.ID.Next()
	}
	c.Out.ArrayAt(at, n)
}
