package server

import (
	"sync"
	"sync/atomic"

	"redoubt/internal/command"
	"redoubt/internal/pubsub"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
)

// subscriber is a connection as pub/sub sees it. Publishers put messages into
// its inbox from any goroutine; its loop moves them to the output.
type subscriber struct {
	*pubsub.Subscriber
	c     *conn
	proto atomic.Int32

	mu     sync.Mutex
	inbox  []byte             // guarded by mu; encoded messages
	at     replication.Offset // guarded by mu; the gate of the last of them
	posted bool               // guarded by mu; the loop has been asked to empty the inbox
}

// publication is a message that is sent when its unit has ended: subscribers
// must not hear of what is not in the stream yet.
type publication struct {
	reply            int // where in the output the number of receivers goes
	channel, payload []byte
	sharded          bool
}

var pubsubRows = []*command.Row{
	pubsubRow("subscribe", -2, subscribes, "2.0.0", "Subscribes to channels.", subscribing(pubsub.Channel)),
	pubsubRow("unsubscribe", -1, subscribes, "2.0.0", "Ends subscriptions to channels.", unsubscribing(pubsub.Channel)),
	pubsubRow("psubscribe", -2, subscribes, "2.0.0", "Subscribes to all channels whose names match.", subscribing(pubsub.Pattern)),
	pubsubRow("punsubscribe", -1, subscribes, "2.0.0", "Ends subscriptions to patterns.", unsubscribing(pubsub.Pattern)),
	shardRow(pubsubRow("ssubscribe", -2, subscribes, "7.0.0", "Subscribes to channels that belong to slots.", subscribing(pubsub.Shard)), -1),
	shardRow(pubsubRow("sunsubscribe", -1, subscribes, "7.0.0", "Ends subscriptions to channels of slots.", unsubscribing(pubsub.Shard)), -1),
	{Name: "publish", Arity: 3, Flags: command.PubSub | command.Loading | command.Stale | command.Fast | command.MayReplicate | command.Publishes, Lock: command.LockNone, Run: publishCommand,
		Doc: doc("2.0.0", "pubsub", "Sends a message to who listens to a channel.")},
	shardRow(&command.Row{Name: "spublish", Arity: 3, Flags: command.PubSub | command.Loading | command.Stale | command.Fast | command.MayReplicate | command.Publishes, Lock: command.LockNone, Run: spublishCommand,
		Doc: doc("7.0.0", "pubsub", "Sends a message to who listens to a channel of a slot.")}, 1),
	{Name: "pubsub", Arity: -2, Doc: doc("2.8.0", "pubsub", "Tells who listens to what."), Sub: []*command.Row{
		pubsubRow("channels", -2, command.Loading|command.Stale, "2.8.0", "Names the channels that somebody listens to.", activeChannels(pubsub.Channel)),
		pubsubRow("numsub", -2, command.Loading|command.Stale, "2.8.0", "Counts who listens to each of the channels.", numSub(pubsub.Channel)),
		pubsubRow("numpat", 2, command.Loading|command.Stale, "2.8.0", "Counts the patterns that somebody listens to.", pubsubNumPat),
		pubsubRow("shardchannels", -2, command.Loading|command.Stale, "7.0.0", "Names the channels of slots that somebody listens to.", activeChannels(pubsub.Shard)),
		pubsubRow("shardnumsub", -2, command.Loading|command.Stale, "7.0.0", "Counts who listens to each of the channels of slots.", numSub(pubsub.Shard)),
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Lock: command.LockNone, Run: pubsubHelp, Doc: doc("6.2.0", "pubsub", "Lists the sub-commands.")},
	}},
}

// subscribes is the flags of the commands that begin and end subscriptions.
const subscribes = command.NoScript | command.Loading | command.Stale | command.WhileSubscribed

func pubsubRow(name string, arity int, flags command.Flags, since, summary string, run command.Handler) *command.Row {
	return &command.Row{Name: name, Arity: arity, Flags: flags | command.PubSub, Lock: command.LockNone, Run: run, Doc: doc(since, "pubsub", summary)}
}

// shardRow makes a row's arguments up to last the names by which it is routed.
func shardRow(r *command.Row, last int) *command.Row {
	r.Keys = command.KeysFrom(1, last, 1, command.KeyNotKey)
	r.Flags |= command.OfShards
	return r
}

// kindWords are the words of confirmations.
var kindWords = map[pubsub.Kind]struct{ on, off string }{
	pubsub.Channel: {"subscribe", "unsubscribe"},
	pubsub.Pattern: {"psubscribe", "punsubscribe"},
	pubsub.Shard:   {"ssubscribe", "sunsubscribe"},
}

func subscribing(kind pubsub.Kind) command.Handler {
	return func(x *command.Ctx) {
		c := connOf(x)
		if kind == pubsub.Shard && loopOf(x).inExec {
			x.Out.Error(resp.ErrSSubscribeDenied) // the older two are let pass for the sake of old clients
			return
		}
		if c.subs == nil {
			c.subs = &subscriber{c: c}
			c.subs.Subscriber = pubsub.NewSubscriber(c.subs)
			c.subs.proto.Store(int32(c.out.Proto()))
		}
		for _, name := range x.Args[1:] {
			c.srv.pubsub.Subscribe(c.subs.Subscriber, kind, string(name))
			c.confirm(kindWords[kind].on, name, c.subs.left(kind))
		}
		c.subscribedChanged()
	}
}

func unsubscribing(kind pubsub.Kind) command.Handler {
	return func(x *command.Ctx) {
		c := connOf(x)
		names := x.Args[1:]
		if len(names) == 0 && c.subs != nil {
			for _, name := range c.subs.Names(kind) {
				names = append(names, []byte(name))
			}
		}
		for _, name := range names {
			if c.subs != nil {
				c.srv.pubsub.Unsubscribe(c.subs.Subscriber, kind, string(name))
			}
			c.confirm(kindWords[kind].off, name, c.subs.left(kind))
		}
		if len(names) == 0 {
			c.confirm(kindWords[kind].off, nil, c.subs.left(kind))
		}
		c.subscribedChanged()
	}
}

// left is the count in confirmations: shard channels are counted apart.
func (s *subscriber) left(kind pubsub.Kind) int {
	channels, patterns, shards := s.counts()
	if kind == pubsub.Shard {
		return shards
	}
	return channels + patterns
}

// counts is the subscriptions by kind; a nil subscriber has none.
func (s *subscriber) counts() (channels, patterns, shards int) {
	if s == nil {
		return 0, 0, 0
	}
	return s.Count(pubsub.Channel), s.Count(pubsub.Pattern), s.Count(pubsub.Shard)
}

func (s *subscriber) count() int {
	channels, patterns, shards := s.counts()
	return channels + patterns + shards
}

// confirm tells the client what it is subscribed to; name nil is null.
func (c *conn) confirm(word string, name []byte, left int) {
	l, start := c.home.Load(), c.out.Len()
	c.out.Push(3)
	c.out.BulkString(word)
	if name == nil {
		c.out.Null()
	} else {
		c.out.Bulk(name)
	}
	c.out.Int(int64(left))
	l.pushes = append(l.pushes, span{start, c.out.Len()})
}

// span is a part of a connection's output.
type span struct{ start, end int }

// keepPushes drops the request's output, which begins at start, but for its
// pushes: a transaction may have both.
func (l *loop) keepPushes(c *conn, start int) {
	b, end := c.out.Bytes(), start
	for _, p := range l.pushes {
		end += copy(b[end:], b[p.start:p.end])
	}
	c.out.Truncate(end)
}

// subscribedChanged keeps what depends on the connection's subscriptions and
// protocol.
func (c *conn) subscribedChanged() {
	c.conds &^= condSubscribed
	if c.subs == nil {
		return
	}
	c.subs.proto.Store(int32(c.out.Proto()))
	if c.out.Proto() == resp.Proto2 && c.subs.count() > 0 {
		c.conds |= condSubscribed
	}
}

// unsubscribeAll ends all subscriptions without a word to the client.
func (s *Server) unsubscribeAll(c *conn) {
	if c.subs != nil {
		s.pubsub.Close(c.subs.Subscriber)
		c.subs = nil
		c.conds &^= condSubscribed
	}
}

// Deliver takes a published message into the inbox: pubsub.Sink.
func (s *subscriber) Deliver(m *pubsub.Message) {
	s.put(func(w *resp.Writer) {
		switch m.Kind {
		case pubsub.Pattern:
			w.Push(4)
			w.BulkString("pmessage")
			w.BulkString(m.Pattern)
		case pubsub.Shard:
			w.Push(3)
			w.BulkString("smessage")
		default:
			w.Push(3)
			w.BulkString("message")
		}
		w.Bulk(m.Channel)
		w.Bulk(m.Payload)
	})
}

// Dropped tells the client that its shard channel is served elsewhere now:
// pubsub.Sink.
func (s *subscriber) Dropped(channel string, left int) {
	s.put(func(w *resp.Writer) {
		w.Push(3)
		w.BulkString("sunsubscribe")
		w.BulkString(channel)
		w.Int(int64(left))
	})
}

// put appends an encoded message to the inbox. What is published follows its
// unit, so the stream's end covers the unit's gate.
func (s *subscriber) put(encode func(w *resp.Writer)) {
	at := s.c.srv.stream.End()
	s.mu.Lock()
	w := resp.NewWriter(s.inbox, int(s.proto.Load()))
	encode(w)
	s.inbox, s.at = w.Bytes(), max(s.at, at)
	post := !s.posted
	s.posted = true
	s.mu.Unlock()
	if post {
		home := s.c.home.Load()
		home.post(func() { home.takeInbox(s) })
	}
}

// takeInbox moves a subscriber's messages to its output.
func (l *loop) takeInbox(s *subscriber) {
	s.mu.Lock()
	messages, at := s.inbox, s.at
	s.inbox, s.at, s.posted = nil, 0, false
	s.mu.Unlock()
	c := s.c
	if c.is(stateClosed | stateClosing) {
		return
	}
	l.push(c, messages, at)
	c.subscribedChanged() // a dropped channel may have been the last one
}

// push appends output that no request of the connection asked for.
func (l *loop) push(c *conn, b []byte, at replication.Offset) {
	l.openOutput(c)
	start := c.out.Len()
	c.out.Raw(b)
	l.hold(c, start, at)
	l.checkOutput(c)
	l.wantWrite(c)
}

func publishCommand(x *command.Ctx)  { loopOf(x).publish(x, false) }
func spublishCommand(x *command.Ctx) { loopOf(x).publish(x, true) }

func (l *loop) publish(x *command.Ctx, sharded bool) {
	l.published = append(l.published, publication{x.Out.Len(), x.Args[1], x.Args[2], sharded})
	if l.srv.cluster != nil {
		l.srv.forBus.Add(int64(len(x.Args[1]) + len(x.Args[2])))
	}
	if l.srv.cluster == nil && x.Tx != nil {
		x.Tx.Force() // replicas have subscribers, too; in a cluster the bus tells them
	}
}

// sendPublished sends what the unit published and puts the numbers of receivers
// where the replies go.
func (l *loop) sendPublished(c *conn) {
	shift := 0
	for i := range l.published {
		p := &l.published[i]
		n := 0
		if p.sharded {
			n = l.srv.pubsub.PublishShard(p.channel, p.payload)
		} else {
			n = l.srv.pubsub.Publish(p.channel, p.payload)
		}
		if l.srv.cluster != nil {
			l.srv.cluster.Publish(p.channel, p.payload, p.sharded)
			l.srv.forBus.Add(-int64(len(p.channel) + len(p.payload)))
		}
		tail := append(l.encoded[:0], c.out.Bytes()[p.reply+shift:]...)
		l.encoded = tail
		c.out.Truncate(p.reply + shift)
		at := p.reply + shift
		c.out.Int(int64(n))
		shift = c.out.Len() - p.reply
		c.out.Raw(tail)
		for j := range l.pushes {
			if push := &l.pushes[j]; push.start >= at {
				by := p.reply + shift - at
				push.start, push.end = push.start+by, push.end+by
			}
		}
	}
	clear(l.published)
	l.published = l.published[:0]
}

// Side takes a command of the primary's stream that is about clients instead of
// data: a published message.
func (s *Server) Side(row *command.Row, args [][]byte) {
	if row.Is(command.Publishes) && row.Takes(len(args)) {
		s.Publish(args[1], args[2], row.Is(command.OfShards))
	}
}

// DropShardChannels ends the subscriptions to shard channels in slots that the
// node does not serve any more, and tells their clients.
func (s *Server) DropShardChannels(gone *slots.Set) { s.pubsub.DropSlots(gone) }

// Publish delivers a message that came over the cluster bus to the clients of
// this node.
func (s *Server) Publish(channel, payload []byte, sharded bool) {
	if sharded {
		s.pubsub.PublishShard(channel, payload)
		return
	}
	s.pubsub.Publish(channel, payload)
}

func activeChannels(kind pubsub.Kind) command.Handler {
	return func(x *command.Ctx) {
		if len(x.Args) > 3 {
			x.Out.Error(resp.ErrSubcommandSyntax("pubsub", x.Args[1]))
			return
		}
		var patterns []string
		if len(x.Args) == 3 {
			patterns = []string{string(x.Args[2])}
		}
		names := serverOf(x).pubsub.Active(kind, patterns...)
		x.Out.Array(len(names))
		for _, name := range names {
			x.Out.BulkString(name)
		}
	}
}

func numSub(kind pubsub.Kind) command.Handler {
	return func(x *command.Ctx) {
		x.Out.Array(2 * (len(x.Args) - 2))
		for _, name := range x.Args[2:] {
			x.Out.Bulk(name)
			x.Out.Int(int64(serverOf(x).pubsub.Subscribers(kind, string(name))))
		}
	}
}

func pubsubNumPat(x *command.Ctx) { x.Out.Int(int64(serverOf(x).pubsub.Len(pubsub.Pattern))) }

func pubsubHelp(x *command.Ctx) {
	command.Help(x, "CHANNELS [<pattern>]", "    The channels with subscribers whose names match, or all.",
		"NUMPAT", "    How many patterns are subscribed to.",
		"NUMSUB [<channel> ...]", "    How many subscribers each of these channels has.",
		"SHARDCHANNELS [<pattern>]", "    The channels of slots with subscribers whose names match, or all.",
		"SHARDNUMSUB [<shardchannel> ...]", "    How many subscribers each of these channels of slots has.")
}
