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

	gone   atomic.Bool // the connection has closed
	target bool        // others redirect invalidations here; of the connection's loop

	mu       sync.Mutex
	inbox    []byte             // guarded by mu; encoded messages
	gathered []gathered         // guarded by mu; keys for messages that follow
	at       replication.Offset // guarded by mu; the gate of the last of them
	posted   atomic.Bool        // changed under mu; the loop has been asked to empty the inbox
}

// listener is the connection as one that can be sent messages.
func (c *conn) listener() *subscriber {
	if c.subs == nil {
		c.subs = &subscriber{c: c}
		c.subs.Subscriber = pubsub.NewSubscriber(c.subs)
		c.subs.proto.Store(int32(c.out.Proto()))
	}
	return c.subs
}

// publication is a message that is sent when its unit has ended: subscribers
// must not hear of what is not in the stream yet.
type publication struct {
	reply            int // where in the output the number of receivers goes
	channel, payload []byte
	sharded          bool
}

// Subscribe begins a subscription of the connection: admin.Subscriber.
func (c *conn) Subscribe(kind pubsub.Kind, name string) {
	c.srv.pubsub.Subscribe(c.listener().Subscriber, kind, name)
	c.noteSubscriptions()
}

// Unsubscribe ends one, if there is one: admin.Subscriber.
func (c *conn) Unsubscribe(kind pubsub.Kind, name string) {
	if c.subs != nil {
		c.srv.pubsub.Unsubscribe(c.subs.Subscriber, kind, name)
		c.noteSubscriptions()
	}
}

// Subscriptions names those of a kind: admin.Subscriber.
func (c *conn) Subscriptions(kind pubsub.Kind) []string {
	if c.subs == nil {
		return nil
	}
	return c.subs.Names(kind)
}

// CountSubscriptions is admin.Subscriber's.
func (c *conn) CountSubscriptions(kind pubsub.Kind) int {
	if c.subs == nil {
		return 0
	}
	return c.subs.Count(kind)
}

// HearsOnly is admin.Subscriber's.
func (c *conn) HearsOnly() bool { return c.conds&condSubscribed != 0 }

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

// Push writes output of the call that CLIENT REPLY OFF lets through:
// admin.Subscriber.
func (c *conn) Push(write func(w *resp.Writer)) {
	l, start := c.home.Load(), c.out.Len()
	write(&c.out)
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

// noteSubscriptions keeps what depends on the connection's subscriptions and
// protocol.
func (c *conn) noteSubscriptions() {
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
		c.conds &^= condSubscribed
		if c.track == nil && !c.subs.target {
			c.subs = nil
		}
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

// put appends an encoded message to the inbox.
func (s *subscriber) put(encode func(w *resp.Writer)) {
	s.deliver(func() {
		w := resp.NewWriter(s.inbox, int(s.proto.Load()))
		encode(w)
		s.inbox = w.Bytes()
	})
}

// deliver calls put, which adds to the inbox, and has the loop empty it. What is
// published follows its unit, so the stream's end covers the unit's gate.
func (s *subscriber) deliver(put func()) {
	at := s.c.srv.stream.End()
	s.mu.Lock()
	put()
	s.at = max(s.at, at)
	post := !s.posted.Swap(true)
	s.mu.Unlock()
	if post {
		s.post()
	}
}

// post asks the loop of the connection to empty the inbox. The connection may move to
// another loop before that comes to it.
func (s *subscriber) post() {
	home := s.c.home.Load()
	home.post(func() {
		switch {
		case s.c.home.Load() != home, !s.c.is(stateClosed) && !home.owns(s.c):
			s.post()
		default:
			home.takeInbox(s)
		}
	})
}

// takeInbox moves a subscriber's messages to its output. If its script takes long, or
// if it has waited and is about to be answered, they follow the answer.
func (l *loop) takeInbox(s *subscriber) {
	c := s.c
	if !s.posted.Load() || c.is(stateRunning) || c.parked != nil && c.parked.wait.over() {
		return
	}
	s.mu.Lock()
	if len(s.gathered) > 0 {
		s.writeGathered()
	}
	messages, at := s.inbox, s.at
	s.inbox, s.at = nil, 0
	s.posted.Store(false)
	s.mu.Unlock()
	if messages == nil || c.is(stateClosed|stateClosing|stateDetached) {
		return
	}
	l.push(c, messages, at)
	c.noteSubscriptions() // a dropped channel may have been the last one
}

// push appends output that no request of the connection asked for.
func (l *loop) push(c *conn, b []byte, at replication.Offset) {
	if c.is(stateRunning) {
		l.putOff(func() {
			if !c.is(stateClosed | stateClosing) {
				l.push(c, b, at)
			}
		})
		return
	}
	l.openOutput(c)
	start := c.out.Len()
	c.out.Raw(b)
	l.hold(c, mark{start: start, at: at})
	l.checkOutput(c)
	l.wantWrite(c)
}

// Publish notes a message of the unit at hand: admin.Publisher.
func (c *conn) Publish(channel, message []byte, sharded bool) {
	l := c.home.Load()
	hello := l.srv.cluster == nil && !sharded && string(channel) == helloChannel
	if hello && l.srv.replication != nil && l.srv.replication.Vouched(message) {
		c.out.Int(0) // it is for the node, and nobody else
		return
	}
	l.published = append(l.published, publication{c.out.Len(), channel, message, sharded})
	if l.srv.cluster != nil {
		l.srv.forBus.Add(int64(len(channel) + len(message)))
	} else if tx := l.runner.Ctx.Tx; tx != nil && !hello {
		tx.Force() // replicas have subscribers, too; in a cluster the bus tells them
	}
}

// helloChannel is where Sentinels tell of themselves. They do so on each replica as well,
// and what they say is in no stream: a primary that comes back, and finds that it was
// replaced, would have gone on in a history of its own by the mere hellos, and would
// need a full resync.
const helloChannel = "__sentinel__:hello"

// sendPublished sends what the unit published and puts the numbers of receivers
// where the replies go.
func (l *loop) sendPublished(c *conn) {
	shift := 0
	for i := range l.published {
		p := &l.published[i]
		n := 0
		if p.sharded {
			n = l.srv.pubsub.PublishShard(p.channel, p.payload)
			if n > 0 && l.runner.CountsSlots() {
				l.runner.CountSlot(useOfMessage(n, p.channel, p.payload))
			}
		} else {
			n = l.srv.pubsub.Publish(p.channel, p.payload)
		}
		if l.srv.cluster != nil {
			l.srv.cluster.Publish(p.channel, p.payload, p.sharded)
			l.srv.forBus.Add(-int64(len(p.channel) + len(p.payload)))
		}
		if p.reply < 0 {
			continue // a script has had its answer
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
		if n := s.pubsub.PublishShard(channel, payload); n > 0 && s.table.CountsSlots() {
			s.slotUse.fromBus(useOfMessage(n, channel, payload))
		}
		return
	}
	s.pubsub.Publish(channel, payload)
}
