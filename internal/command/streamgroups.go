package command

import (
	"math"
	"strconv"

	"redoubt/internal/resp"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// StreamGroups is the rows of the commands on groups of consumers of streams, but
// for those that deliver items.
var StreamGroups = []*Row{
	{Name: "xgroup", Arity: -2, Doc: Doc{Summary: "Works on groups of consumers.", Since: "5.0.0", Group: "stream", Complexity: "Depends on the sub-command."}, Sub: []*Row{
		{Name: "create", Arity: -5, Flags: Write | DenyOOM, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRW|KeyInsert)}, Run: xGroupCreate,
			Doc: Doc{Summary: "Creates a group.", Since: "5.0.0", Group: "stream", Complexity: "O(1)", History: []Change{{"7.0.0", "The option `ENTRIESREAD` came."}},
				Args: []Arg{key("key"), text("group"), newIDSyntax, word("MKSTREAM").optional(), integer("entries-read").after("ENTRIESREAD").optional()}}},
		{Name: "createconsumer", Arity: 5, Flags: Write | DenyOOM, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRW|KeyInsert)}, Run: xGroupCreateConsumer,
			Doc: Doc{Summary: "Creates a consumer in a group.", Since: "6.2.0", Group: "stream", Complexity: "O(1)", Args: consumerSyntax}},
		{Name: "delconsumer", Arity: 5, Flags: Write, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRW|KeyDelete)}, Run: xGroupDelConsumer,
			Doc: Doc{Summary: "Removes a consumer from a group.", Since: "5.0.0", Group: "stream", Complexity: "O(N) where N is the number of items pending with the consumer", Args: consumerSyntax}},
		{Name: "destroy", Arity: 4, Flags: Write, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRW|KeyDelete)}, Run: xGroupDestroy,
			Doc: Doc{Summary: "Removes a group.", Since: "5.0.0", Group: "stream", Complexity: "O(N) where N is the number of items pending in the group", Args: []Arg{key("key"), text("group")}}},
		{Name: "help", Arity: 2, Flags: Loading | Stale, ACL: CatStream, Lock: LockNone, Run: xGroupHelp,
			Doc: Doc{Summary: "Lists the sub-commands.", Since: "5.0.0", Group: "stream", Complexity: "O(1)"}},
		{Name: "setid", Arity: -5, Flags: Write, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRW|KeyUpdate)}, Run: xGroupSetID,
			Doc: Doc{Summary: "Sets the last ID that a group was given.", Since: "5.0.0", Group: "stream", Complexity: "O(1)", History: []Change{{"7.0.0", "The option `ENTRIESREAD` came."}},
				Args: []Arg{key("key"), text("group"), newIDSyntax, integer("entriesread").after("ENTRIESREAD").optional()}}},
	}},
	{Name: "xack", Arity: -4, Flags: Write | Fast, ACL: CatStream, Keys: OneKey(KeyRW | KeyUpdate), Run: xAck,
		Doc: Doc{Summary: "Acknowledges items that are pending in a group.", Since: "5.0.0", Group: "stream", Complexity: "O(log(N)) for each item",
			Args: []Arg{key("key"), text("group"), text("ID").multiple()}}},
	{Name: "xpending", Arity: -3, Flags: ReadOnly, ACL: CatStream, Keys: OneKey(KeyRO | KeyAccess), Run: xPending,
		Doc: Doc{Summary: "Tells which items are pending in a group.", Since: "5.0.0", Group: "stream", Complexity: "O(N) where N is the number of items looked at, or of consumers without a range",
			Tips: []string{changing}, History: []Change{{"6.2.0", "The option `IDLE` and exclusive ranges came."}},
			Args: []Arg{key("key"), text("group"), block("filters", integer("min-idle-time").after("IDLE").optional().since("6.2.0"),
				text("start"), text("end"), integer("count"), text("consumer").optional()).optional()}}},
}

var (
	newIDSyntax    = oneOf("id-selector", text("id"), word("$").named("new-id"))
	consumerSyntax = []Arg{key("key"), text("group"), text("consumer")}
)

func xGroupHelp(c *Ctx) {
	Help(c,
		"CREATE <key> <groupname> <id|$> [option]", "    Create a new consumer group. Options are:", "    * MKSTREAM", "      Create the empty stream if it does not exist.",
		"    * ENTRIESREAD entries_read", "      Set the group's entries_read counter (internal use).",
		"CREATECONSUMER <key> <groupname> <consumer>", "    Create a new consumer in the specified group.",
		"DELCONSUMER <key> <groupname> <consumer>", "    Remove the specified consumer.",
		"DESTROY <key> <groupname>", "    Remove the specified group.",
		"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]", "    Set the current group ID and entries_read counter.")
}

// groupOptions are the options of XGROUP CREATE and SETID.
type groupOptions struct {
	create bool // MKSTREAM
	read   int64
}

// parseGroup reads the options behind the ID; MKSTREAM is one if it may be.
func (c *Ctx) parseGroup(mayCreate bool) (o groupOptions, ok bool) {
	o.read = storage.UnknownRead
	for i := 5; i < len(c.Args); i++ {
		switch a := c.Args[i]; {
		case mayCreate && is(a, "MKSTREAM"):
			o.create = true
		case is(a, "ENTRIESREAD") && i+1 < len(c.Args):
			i++
			if o.read, ok = c.integer(c.Args[i]); !ok {
				return o, false
			}
			if o.read < 0 && o.read != storage.UnknownRead {
				c.Out.Error(resp.ErrEntriesRead)
				return o, false
			}
		default:
			return o, c.subcommandSyntax()
		}
	}
	return o, true
}

// subcommandSyntax answers that arguments are wrong, and returns false.
func (c *Ctx) subcommandSyntax() bool {
	c.Out.Error(resp.ErrSubcommandSyntax(c.Row.Parent().Name, c.Args[1]))
	return false
}

// editLogOfGroups finds the key of an XGROUP, which must exist.
func (c *Ctx) editLogOfGroups() (l *storage.Log, ok bool) {
	if l, ok = c.editLog(c.Args[2]); ok && !l.Exists() {
		c.Out.Error(resp.ErrGroupNoKey)
		return l, false
	}
	return l, ok
}

// editGroup finds the key and the group of an XGROUP.
func (c *Ctx) editGroup() (l *storage.Log, g storage.Group, ok bool) {
	if l, ok = c.editLogOfGroups(); !ok {
		return l, g, false
	}
	if g, ok = l.Group(c.Args[3]); !ok {
		c.Out.Error(resp.ErrNoGroupOfKey(c.Args[2], c.Args[3]))
	}
	return l, g, ok
}

// idOrLast reads an ID, or "$" for the last one of a stream.
func (c *Ctx) idOrLast(l *storage.Log, text []byte, read func(text []byte, missing uint64) (chunk.ID, bool)) (chunk.ID, bool) {
	if is(text, "$") {
		return l.LastID(), true
	}
	return read(text, 0)
}

func xGroupCreate(c *Ctx) {
	o, ok := c.parseGroup(true)
	if !ok {
		return
	}
	l, ok := c.editLog(c.Args[2])
	switch {
	case !ok:
		return
	case !l.Exists() && !o.create:
		c.Out.Error(resp.ErrGroupNoKey)
		return
	case len(c.Args) > 8:
		c.subcommandSyntax()
		return
	}
	id, ok := c.idOrLast(l, c.Args[4], c.id)
	if !ok {
		return
	}
	fresh := !l.Exists()
	g, ok := l.CreateGroup(c.Args[3], id, o.read)
	if !ok {
		c.Out.Error(resp.ErrBusyGroup)
		return
	}
	g.Save()
	if fresh {
		l.Close(1)
	} else {
		l.CloseQuietly(1)
	}
	c.Out.OK()
	c.Tx.Note(storage.ClassStream, "xgroup-create", c.Args[2])
}

func xGroupSetID(c *Ctx) {
	o, ok := c.parseGroup(false)
	if !ok {
		return
	}
	l, g, ok := c.editGroup()
	if !ok {
		return
	}
	if len(c.Args) != 5 && len(c.Args) != 7 {
		c.subcommandSyntax()
		return
	}
	if g.Last, ok = c.idOrLast(l, c.Args[4], c.idOrEdge); !ok {
		return
	}
	g.Read = o.read
	g.Save()
	l.CloseQuietly(1)
	c.Out.OK()
	c.Tx.Note(storage.ClassStream, "xgroup-setid", c.Args[2])
}

func xGroupDestroy(c *Ctx) {
	l, ok := c.editLogOfGroups()
	if !ok {
		return
	}
	g, ok := l.Group(c.Args[3])
	if !ok {
		c.Out.Int(0)
		return
	}
	g.Destroy()
	l.CloseQuietly(1)
	l.Wake() // those who wait to read for the group
	c.Out.Int(1)
	c.Tx.Note(storage.ClassStream, "xgroup-destroy", c.Args[2])
}

func xGroupCreateConsumer(c *Ctx) {
	l, g, ok := c.editGroup()
	if !ok {
		return
	}
	if _, found := g.Consumer(c.Args[4]); found {
		c.Out.Int(0)
		return
	}
	c.newConsumer(c.Args[2], &g, c.Args[4])
	l.CloseQuietly(1)
	c.Out.Int(1)
}

// newConsumer makes a consumer of a group of the stream at key.
func (c *Ctx) newConsumer(key []byte, g *storage.Group, name []byte) storage.Consumer {
	c.Tx.Note(storage.ClassStream, "xgroup-createconsumer", key)
	return g.CreateConsumer(name, c.Tx.Now())
}

func xGroupDelConsumer(c *Ctx) {
	l, g, ok := c.editGroup()
	if !ok {
		return
	}
	m, found := g.Consumer(c.Args[4])
	if !found {
		c.Out.Int(0)
		return
	}
	pending := m.Delete()
	l.CloseQuietly(1)
	c.Out.Int(int64(pending))
	c.Tx.Note(storage.ClassStream, "xgroup-delconsumer", c.Args[2])
}

// xAck matches xackCommand.
func xAck(c *Ctx) {
	l, ok := c.editLogRead(c.Args[1])
	if !ok {
		return
	}
	g, ok := l.Acks(c.Args[2])
	if !ok {
		c.Out.Int(0)
		return
	}
	ids, ok := c.ids(3)
	if !ok {
		return
	}
	n := 0
	for _, id := range ids {
		if g.Drop(id) {
			n++
		}
	}
	l.CloseQuietly(n)
	c.Out.Int(int64(n))
}

// pendingOptions are what XPENDING is asked for beside the group.
type pendingOptions struct {
	low, high chunk.ID
	count     int64
	idle      int64 // ms
	consumer  []byte
}

func (c *Ctx) parsePending() (o pendingOptions, ok bool) {
	i, n := 3, len(c.Args)
	if is(c.Args[3], "IDLE") {
		if o.idle, ok = c.integer(c.Args[4]); !ok {
			return o, false
		}
		if i = 5; n < 8 {
			c.Out.Error(resp.ErrSyntax)
			return o, false
		}
	}
	if o.count, ok = c.integer(c.Args[i+2]); !ok {
		return o, false
	}
	if o.low, ok = c.lowest(c.Args[i]); !ok {
		return o, false
	}
	if o.high, ok = c.highest(c.Args[i+1]); !ok {
		return o, false
	}
	if i+3 < n {
		o.consumer = c.Args[i+3]
	}
	return o, true
}

// xPending matches xpendingCommand.
func xPending(c *Ctx) {
	n := len(c.Args)
	if n != 3 && (n < 6 || n > 9) {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	var o pendingOptions
	ok := true
	if n > 3 {
		if o, ok = c.parsePending(); !ok {
			return
		}
	}
	l, _, ok := c.log(c.Args[1])
	if !ok {
		return
	}
	g, ok := l.Group(c.Args[2])
	switch {
	case !ok:
		c.Out.Error(resp.ErrNoGroup(c.Args[1], c.Args[2]))
	case n == 3:
		c.pendingSummary(&g)
	default:
		c.pendingItems(&g, &o)
	}
}

func (c *Ctx) pendingSummary(g *storage.Group) {
	c.Out.Array(4)
	c.Out.Int(int64(g.Pending()))
	first, ok := g.NextPending(chunk.ID{})
	if !ok {
		c.Out.Null()
		c.Out.Null()
		c.Out.NullArray()
		return
	}
	c.replyID(first.ID)
	c.replyID(g.LastPending().ID)
	at, n := c.Out.Len(), 0
	g.EachConsumer(func(m *storage.Consumer) bool {
		if pending := m.Pending(); pending > 0 {
			n++
			c.Out.Array(2)
			c.Out.Bulk(m.Name())
			c.Out.BulkInt(int64(pending))
		}
		return true
	})
	c.Out.ArrayAt(at, n)
}

// pendingItems answers with the pending items that o asks for.
func (c *Ctx) pendingItems(g *storage.Group, o *pendingOptions) {
	var m *storage.Consumer
	if o.consumer != nil {
		one, ok := g.Consumer(o.consumer)
		if !ok {
			c.Out.Array(0)
			return
		}
		m = &one
	}
	at, n, now := c.Out.Len(), int64(0), c.Tx.Now()
	for p := range c.pendingFrom(g, m, o) {
		if n == o.count {
			break
		}
		if o.idle != 0 && now-p.Time < o.idle {
			continue
		}
		n++
		c.Out.Array(4)
		c.replyID(p.ID)
		c.Out.Bulk(g.OwnerName(p))
		c.Out.Int(max(now-p.Time, 0))
		c.Out.Int(int64(p.Count))
	}
	c.Out.ArrayAt(at, int(n))
}

// pendingFrom returns the pending items of a group, or of one consumer, in a range.
func (c *Ctx) pendingFrom(g *storage.Group, m *storage.Consumer, o *pendingOptions) func(yield func(storage.Pending) bool) {
	return func(yield func(storage.Pending) bool) {
		for from := o.low; o.count > 0; {
			p, ok := g.NextPending(from)
			if m != nil {
				p, ok = g.NextPendingOf(m, from)
			}
			if !ok || o.high.Less(p.ID) || !yield(p) {
				return
			}
			if from, ok = p.ID.Next(); !ok {
				return
			}
		}
	}
}

// claimEffect records that an item is pending with a consumer. It matches
// streamPropagateXCLAIM.
func (c *Ctx) claimEffect(key, group, consumer, id []byte, p *storage.Pending, last chunk.ID) {
	var buf [3][48]byte
	c.Tx.Effect(nameXClaim, key, group, consumer, zero, id,
		wordTime, strconv.AppendInt(buf[0][:0], p.Time, 10),
		wordRetryCount, strconv.AppendUint(buf[1][:0], p.Count, 10),
		wordForce, wordJustID, wordLastID, last.Append(buf[2][:0]))
}

// consumerEffect records a consumer that nothing was delivered to. Redis does so for
// XREADGROUP with NOACK only, and its replicas lack the others.
func (c *Ctx) consumerEffect(key, group, name []byte) {
	c.Tx.Effect(nameXGroup, wordCreateConsumer, key, group, name)
}

// groupEffect records how far a group has read (streamPropagateGroupID).
func (c *Ctx) groupEffect(key, name []byte, g *storage.Group) {
	var buf [2][48]byte
	c.Tx.Effect(nameXGroup, wordSetID, key, name, g.Last.Append(buf[0][:0]), wordEntriesRead, strconv.AppendInt(buf[1][:0], g.Read, 10))
}

// The words of effects on groups.
var (
	nameXClaim         = []byte("XCLAIM")
	nameXGroup         = []byte("XGROUP")
	wordCreateConsumer = []byte("CREATECONSUMER")
	wordSetID          = []byte("SETID")
	wordEntriesRead    = []byte("ENTRIESREAD")
	wordTime           = []byte("TIME")
	wordRetryCount     = []byte("RETRYCOUNT")
	wordForce          = []byte("FORCE")
	wordJustID         = []byte("JUSTID")
	wordLastID         = []byte("LASTID")
	zero               = []byte("0")
)

// unlimited is a count that nothing reaches.
const unlimited = math.MaxInt64
