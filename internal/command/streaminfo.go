package command

import (
	"redoubt/internal/resp"
	"redoubt/storage"
	"redoubt/storage/chunk"
)

// StreamInfo is the row of XINFO.
var StreamInfo = []*Row{
	{Name: "xinfo", Arity: -2, Doc: Doc{Summary: "Tells about streams and their groups.", Since: "5.0.0", Group: "stream", Complexity: "Depends on the sub-command."}, Sub: []*Row{
		{Name: "consumers", Arity: 4, Flags: ReadOnly, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRO|KeyAccess)}, Run: xInfoConsumers,
			Doc: Doc{Summary: "Lists the consumers of a group.", Since: "5.0.0", Group: "stream", Complexity: "O(N) where N is the number of consumers", Tips: []string{changing},
				Args: []Arg{key("key"), text("group")}, History: []Change{{"7.2.0", "The field `inactive` came."}}}},
		{Name: "groups", Arity: 3, Flags: ReadOnly, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRO|KeyAccess)}, Run: xInfoGroups,
			Doc: Doc{Summary: "Lists the groups of a stream.", Since: "5.0.0", Group: "stream", Complexity: "O(N) where N is the number of groups",
				Args: []Arg{key("key")}, History: []Change{{"7.0.0", "The fields `entries-read` and `lag` came."}}}},
		{Name: "help", Arity: 2, Flags: Loading | Stale, ACL: CatStream, Lock: LockNone, Run: xInfoHelp,
			Doc: Doc{Summary: "Lists the sub-commands.", Since: "5.0.0", Group: "stream", Complexity: "O(1)"}},
		{Name: "stream", Arity: -3, Flags: ReadOnly, ACL: CatStream, Keys: []KeySpec{KeyAt(2, KeyRO|KeyAccess)}, Run: xInfoStream,
			Doc: Doc{Summary: "Tells about a stream.", Since: "5.0.0", Group: "stream", Complexity: "O(1)",
				Args: []Arg{key("key"), block("full-block", word("FULL"), integer("count").after("COUNT").optional()).optional()},
				History: []Change{{"6.0.0", "The option `FULL` came."},
					{"7.0.0", "The fields `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag` came."},
					{"7.2.0", "The field `active-time` came; `seen-time` is when a consumer last asked."}}}},
	}},
}

func xInfoHelp(c *Ctx) {
	Help(c,
		"CONSUMERS <key> <groupname>", "    Show consumers of <groupname>.",
		"GROUPS <key>", "    Show the stream consumer groups.",
		"STREAM <key> [FULL [COUNT <count>]", "    Show information about the stream.")
}

// logToTell finds the key of an XINFO, which must exist.
func (c *Ctx) logToTell() (l *storage.Log, ok bool) {
	l, found, ok := c.log(c.Args[2])
	return l, ok && c.refuse(!found, resp.ErrNoKey)
}

func (c *Ctx) fieldInt(name string, n int64) {
	c.Out.BulkString(name)
	c.Out.Int(n)
}

func (c *Ctx) fieldID(name string, id chunk.ID) {
	c.Out.BulkString(name)
	c.replyID(id)
}

func (c *Ctx) fieldName(name []byte) {
	c.Out.BulkString("name")
	c.Out.Bulk(name)
}

func xInfoConsumers(c *Ctx) {
	l, ok := c.logToTell()
	if !ok {
		return
	}
	g, ok := l.Group(c.Args[3])
	if !ok {
		c.Out.Error(resp.ErrNoGroupOfKey(c.Args[2], c.Args[3]))
		return
	}
	now := c.Tx.Now()
	c.Out.Array(g.Consumers())
	g.EachConsumer(func(m *storage.Consumer) bool {
		inactive := int64(storage.NeverActive)
		if m.Active != storage.NeverActive {
			inactive = now - m.Active
		}
		c.Out.Map(4)
		c.fieldName(m.Name())
		c.fieldInt("pending", int64(m.Pending()))
		c.fieldInt("idle", max(now-m.Seen, 0))
		c.fieldInt("inactive", inactive)
		return true
	})
}

func xInfoGroups(c *Ctx) {
	l, ok := c.logToTell()
	if !ok {
		return
	}
	c.Out.Array(l.Groups())
	l.EachGroup(func(g *storage.Group) bool {
		c.Out.Map(6)
		c.fieldName(g.Name())
		c.fieldInt("consumers", int64(g.Consumers()))
		c.fieldInt("pending", int64(g.Pending()))
		c.fieldID("last-delivered-id", g.Last)
		c.replyProgress(g)
		return true
	})
}

// replyProgress answers with how far a group has read.
func (c *Ctx) replyProgress(g *storage.Group) {
	c.Out.BulkString("entries-read")
	if g.Read != storage.UnknownRead {
		c.Out.Int(g.Read)
	} else {
		c.Out.Null()
	}
	c.Out.BulkString("lag")
	if lag, ok := g.Lag(); ok {
		c.Out.Int(lag)
	} else {
		c.Out.Null()
	}
}

// fullDefault is how many items and pending ones XINFO STREAM FULL shows.
const fullDefault = 10

// xInfoStream matches xinfoReplyWithStreamInfo.
func xInfoStream(c *Ctx) {
	l, ok := c.logToTell()
	if !ok {
		return
	}
	count, full := int64(fullDefault), len(c.Args) > 3
	if n := len(c.Args); full {
		if n != 4 && n != 6 || !is(c.Args[3], "FULL") || n == 6 && !is(c.Args[4], "COUNT") {
			c.subcommandSyntax()
			return
		}
		if n == 6 {
			if count, ok = c.integer(c.Args[5]); !ok {
				return
			}
			if count < 0 {
				count = fullDefault
			}
		}
	}
	fields := 10
	if full {
		fields = 9
	}
	c.Out.Map(fields)
	c.fieldInt("length", int64(l.Len()))
	c.fieldInt("radix-tree-keys", int64(l.Chunks()))
	c.fieldInt("radix-tree-nodes", l.RadixNodes())
	c.fieldID("last-generated-id", l.LastID())
	c.fieldID("max-deleted-entry-id", l.MaxDeleted())
	c.fieldInt("entries-added", int64(l.Added()))
	c.fieldID("recorded-first-entry-id", l.FirstID())
	if full {
		c.replyFull(l, count)
		return
	}
	c.fieldInt("groups", int64(l.Groups()))
	c.Out.BulkString("first-entry")
	c.replyOne(l.Range)
	c.Out.BulkString("last-entry")
	c.replyOne(l.RangeBack)
}

// replyOne answers with the first item that walk comes by, or null.
func (c *Ctx) replyOne(walk func(low, high chunk.ID, f func(r *chunk.Reader) bool)) {
	found := false
	walk(chunk.ID{}, chunk.MaxID, func(r *chunk.Reader) bool {
		found = true
		c.replyItem(r)
		return false
	})
	if !found {
		c.Out.Null()
	}
}

// replyFull answers with items and groups, at most count of items, and of pending
// ones of each group and consumer; 0 is all.
func (c *Ctx) replyFull(l *storage.Log, count int64) {
	c.Out.BulkString("entries")
	c.replyRange(l, chunk.ID{}, chunk.MaxID, count, nil)
	if count == 0 {
		count = unlimited
	}
	c.Out.BulkString("groups")
	c.Out.Array(l.Groups())
	l.EachGroup(func(g *storage.Group) bool {
		c.Out.Map(7)
		c.fieldName(g.Name())
		c.fieldID("last-delivered-id", g.Last)
		c.replyProgress(g)
		c.fieldInt("pel-count", int64(g.Pending()))
		c.Out.BulkString("pending")
		c.replyPending(g, nil, count)
		c.Out.BulkString("consumers")
		c.Out.Array(g.Consumers())
		g.EachConsumer(func(m *storage.Consumer) bool {
			c.Out.Map(5)
			c.fieldName(m.Name())
			c.fieldInt("seen-time", m.Seen)
			c.fieldInt("active-time", m.Active)
			c.fieldInt("pel-count", int64(m.Pending()))
			c.Out.BulkString("pending")
			c.replyPending(g, m, count)
			return true
		})
		return true
	})
}

// replyPending answers with up to count pending items of a group, or of a consumer
// of it.
func (c *Ctx) replyPending(g *storage.Group, m *storage.Consumer, count int64) {
	at, n := c.Out.Len(), int64(0)
	o := pendingOptions{high: chunk.MaxID, count: count}
	for p := range c.pendingFrom(g, m, &o) {
		if n == count {
			break
		}
		n++
		if m == nil {
			c.Out.Array(4)
			c.replyID(p.ID)
			c.Out.Bulk(g.OwnerName(p))
		} else {
			c.Out.Array(3)
			c.replyID(p.ID)
		}
		c.Out.Int(p.Time)
		c.Out.Int(int64(p.Count))
	}
	c.Out.ArrayAt(at, int(n))
}
