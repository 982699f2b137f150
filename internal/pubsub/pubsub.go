// Package pubsub is the register of who listens to which channel.
//
// There are three kinds of names to subscribe to: channels, patterns that
// match channels, and shard channels, which are a space of their own and
// belong to the hash slot of their name. A Subscriber stands for a connection;
// its Sink takes what is published. Publishing is a call of the sinks there and
// then: the register keeps no message, knows no protocol and does no I/O. The
// server drives it, from any event loop.
//
// Names are spread over stripes, each with a lock. A message is delivered
// under the lock of its channel's stripe, so all subscribers of a channel see
// its messages in the same order. While nobody subscribes to anything, as in
// most servers, publishing is two atomic loads.
package pubsub

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"redoubt/internal/glob"
	"redoubt/slots"
)

// Kind is what a name stands for.
type Kind uint8

const (
	Channel Kind = iota // SUBSCRIBE
	Pattern             // PSUBSCRIBE
	Shard               // SSUBSCRIBE
	kinds
)

// Message is something published. Its bytes are the publisher's: they are
// valid during the call only.
type Message struct {
	Kind             Kind
	Pattern          string // that matched, if Kind is Pattern
	Channel, Payload []byte
}

// A Sink takes what its subscriber listens to. It is called by the goroutine
// that publishes, under locks of the register, perhaps by several at a time:
// it must not block, and must not call the register.
type Sink interface {
	Deliver(m *Message)
	// Dropped says that the subscription to a shard channel has ended because
	// its slot is no longer served here; left is how many there still are.
	Dropped(channel string, left int)
}

// Subscriber is a listener with its subscriptions. Its connection's goroutine
// alone subscribes and unsubscribes with it.
type Subscriber struct {
	sink Sink

	mu    sync.Mutex // DropSlots takes names away from another goroutine
	names [kinds]map[string]struct{}

	memory atomic.Int64 // as Memory returns it
}

// none reports whether there are no subscriptions; the caller holds mu.
func (s *Subscriber) none() bool {
	for kind := range kinds {
		if len(s.names[kind]) > 0 {
			return false
		}
	}
	return true
}

// nameBytes is about what a subscription takes besides its name: the places of
// the name and of the subscriber in the maps of both sides.
const nameBytes = 96

// Memory is about the bytes that the subscriptions take. Any goroutine may ask.
func (s *Subscriber) Memory() int64 { return s.memory.Load() }

// NewSubscriber returns a subscriber without subscriptions.
func NewSubscriber(sink Sink) *Subscriber { return &Subscriber{sink: sink} }

// Count returns the number of subscriptions of a kind.
func (s *Subscriber) Count(kind Kind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.names[kind])
}

// Names returns the subscriptions of a kind, sorted.
func (s *Subscriber) Names(kind Kind) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := make([]string, 0, len(s.names[kind]))
	for name := range s.names[kind] {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// add notes a subscription, and reports whether it is new.
func (r *Registry) add(s *Subscriber, kind Kind, name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.names[kind][name]; ok {
		return false
	}
	if s.none() {
		r.clients.Add(1)
	}
	if s.names[kind] == nil {
		s.names[kind] = make(map[string]struct{})
	}
	s.names[kind][name] = struct{}{}
	s.memory.Add(int64(len(name) + nameBytes))
	return true
}

// remove forgets a subscription; it reports whether it was there, and how many
// of the kind are left.
func (r *Registry) remove(s *Subscriber, kind Kind, name string) (was bool, left int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, was = s.names[kind][name]; was {
		delete(s.names[kind], name)
		s.memory.Add(-int64(len(name) + nameBytes))
		if s.none() {
			r.clients.Add(-1)
		}
	}
	return was, len(s.names[kind])
}

// Registry is the register. Its methods may be called by any goroutine. Locks
// are taken in the order stripe of channels, stripe of patterns, subscriber.
type Registry struct {
	seed    maphash.Seed
	tables  [kinds]table
	clients atomic.Int64
}

// table is the names of one kind and who subscribes to them. Patterns must all
// be tried on each message, so they use one stripe only.
type table struct {
	len     atomic.Int64 // number of names
	stripes [stripeCount]stripe
}

const stripeCount = 64

type stripe struct {
	mu    sync.RWMutex // Publish shares the one of patterns, and owns all others
	names map[string]map[*Subscriber]struct{}
	_     [96]byte // two cache lines, so that stripes do not slow each other down
}

// New returns an empty register.
func New() *Registry { return &Registry{seed: maphash.MakeSeed()} }

// stripe returns the place of a name.
func (r *Registry) stripe(kind Kind, name []byte) *stripe {
	var i uint64
	switch kind {
	case Channel:
		i = maphash.Bytes(r.seed, name)
	case Shard:
		i = uint64(slots.Of(name))
	}
	return &r.tables[kind].stripes[i%stripeCount]
}

// Subscribe adds a subscription, and reports whether it is new.
func (r *Registry) Subscribe(s *Subscriber, kind Kind, name string) bool {
	st := r.stripe(kind, []byte(name))
	st.mu.Lock()
	defer st.mu.Unlock()
	if !r.add(s, kind, name) {
		return false
	}
	if st.names == nil {
		st.names = make(map[string]map[*Subscriber]struct{})
	}
	if st.names[name] == nil {
		st.names[name] = make(map[*Subscriber]struct{})
		r.tables[kind].len.Add(1)
	}
	st.names[name][s] = struct{}{}
	return true
}

// Unsubscribe ends a subscription, and reports whether it was there.
func (r *Registry) Unsubscribe(s *Subscriber, kind Kind, name string) bool {
	st := r.stripe(kind, []byte(name))
	st.mu.Lock()
	defer st.mu.Unlock()
	was, _ := r.remove(s, kind, name)
	if !was {
		return false
	}
	delete(st.names[name], s)
	if len(st.names[name]) == 0 {
		delete(st.names, name)
		r.tables[kind].len.Add(-1)
	}
	return true
}

// Close ends all subscriptions. Once it has returned, the sink is not called
// any more.
func (r *Registry) Close(s *Subscriber) {
	for kind := range kinds {
		for _, name := range s.Names(kind) {
			r.Unsubscribe(s, kind, name)
		}
	}
}

// Publish delivers to the subscribers of a channel and of the patterns that
// match it, and returns how many deliveries that were.
func (r *Registry) Publish(channel, payload []byte) int {
	patterns := &r.tables[Pattern]
	if r.tables[Channel].len.Load() == 0 && patterns.len.Load() == 0 {
		return 0
	}
	st := r.stripe(Channel, channel)
	st.mu.Lock()
	defer st.mu.Unlock()
	n := deliver(st.names[string(channel)], &Message{Kind: Channel, Channel: channel, Payload: payload})
	if patterns.len.Load() == 0 {
		return n
	}
	all := r.stripe(Pattern, nil)
	all.mu.RLock()
	defer all.mu.RUnlock()
	for pattern, subscribers := range all.names {
		if glob.Match(pattern, channel) {
			n += deliver(subscribers, &Message{Kind: Pattern, Pattern: pattern, Channel: channel, Payload: payload})
		}
	}
	return n
}

// Receivers counts the deliveries that Publish would make.
func (r *Registry) Receivers(channel []byte) (n int) {
	n = r.Subscribers(Channel, string(channel))
	if r.tables[Pattern].len.Load() == 0 {
		return n
	}
	all := r.stripe(Pattern, nil)
	all.mu.RLock()
	defer all.mu.RUnlock()
	for pattern, subscribers := range all.names {
		if glob.Match(pattern, channel) {
			n += len(subscribers)
		}
	}
	return n
}

// PublishShard delivers to the subscribers of a shard channel, and returns how
// many they are.
func (r *Registry) PublishShard(channel, payload []byte) int {
	if r.tables[Shard].len.Load() == 0 {
		return 0
	}
	st := r.stripe(Shard, channel)
	st.mu.Lock()
	defer st.mu.Unlock()
	return deliver(st.names[string(channel)], &Message{Kind: Shard, Channel: channel, Payload: payload})
}

func deliver(to map[*Subscriber]struct{}, m *Message) int {
	for s := range to {
		s.sink.Deliver(m)
	}
	return len(to)
}

// DropSlots ends all subscriptions to shard channels of the slots and tells
// their sinks, as Redis's removeChannelsInSlot does when a slot goes away.
func (r *Registry) DropSlots(gone *slots.Set) {
	t := &r.tables[Shard]
	if t.len.Load() == 0 {
		return
	}
	for i := range t.stripes {
		st := &t.stripes[i]
		st.mu.Lock()
		for name, subscribers := range st.names {
			if !gone.Has(slots.Of([]byte(name))) {
				continue
			}
			for s := range subscribers {
				_, left := r.remove(s, Shard, name)
				s.sink.Dropped(name, left)
			}
			delete(st.names, name)
			t.len.Add(-1)
		}
		st.mu.Unlock()
	}
}

// Len returns the number of names of a kind that somebody subscribes to, for
// PUBSUB NUMPAT and INFO.
func (r *Registry) Len(kind Kind) int { return int(r.tables[kind].len.Load()) }

// Clients is how many subscribers have subscriptions, for INFO.
func (r *Registry) Clients() int64 { return r.clients.Load() }

// Active returns the names of a kind that somebody subscribes to, sorted, for
// PUBSUB CHANNELS and SHARDCHANNELS: all of them, or those that one of the
// patterns matches.
func (r *Registry) Active(kind Kind, patterns ...string) []string {
	var active []string
	t := &r.tables[kind]
	for i := range t.stripes {
		st := &t.stripes[i]
		st.mu.RLock()
		for name := range st.names {
			matches := func(pattern string) bool { return glob.Match(pattern, name) }
			if len(patterns) == 0 || slices.ContainsFunc(patterns, matches) {
				active = append(active, name)
			}
		}
		st.mu.RUnlock()
	}
	slices.Sort(active)
	return active
}

// Subscribers returns the number of subscribers of a name, for PUBSUB NUMSUB
// and SHARDNUMSUB.
func (r *Registry) Subscribers(kind Kind, name string) int {
	st := r.stripe(kind, []byte(name))
	st.mu.RLock()
	defer st.mu.RUnlock()
	return len(st.names[name])
}
