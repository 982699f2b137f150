package server

import (
	"strconv"
	"strings"
	"sync"

	"redoubt/internal/pubsub"
	"redoubt/storage"
)

// Heard takes what a unit has done, whose locks are still held: storage.Audience.
// Messages go into inboxes, whose connections deliver them when the stream is
// committed to its present end: so nobody hears of a write before its own client
// could.
func (s *Server) Heard(o *storage.Outcome) {
	if len(o.Events) > 0 {
		s.notify(o.Events)
	}
	if len(o.Stale) > 0 || o.AllStale {
		s.tracking.heard(o)
	}
}

// followEvents has units note the events that the settings ask for; tx holds the
// world.
func (s *Server) followEvents(tx *storage.Tx) {
	letters := s.config.Current().KeyspaceEvents
	if !strings.ContainsAny(letters, "KE") {
		letters = ""
	}
	tx.Listen(storage.ParseClasses(letters))
}

// eventNames is scratch for the names of channels.
var eventNames = sync.Pool{New: func() any { return new([]byte) }}

// notify publishes events: under __keyspace@db__:key the name of the event, and
// under __keyevent@db__:event the key. They stay on this node; each node of a cluster
// tells of its own keys. What a restart or a resync loads is no event. It matches
// notifyKeyspaceEvent.
func (s *Server) notify(events []storage.Event) {
	if s.pubsub.Len(pubsub.Channel) == 0 && s.pubsub.Len(pubsub.Pattern) == 0 || s.Loading() {
		return
	}
	letters := s.config.Current().KeyspaceEvents
	byKey, byEvent := strings.Contains(letters, "K"), strings.Contains(letters, "E")
	scratch := eventNames.Get().(*[]byte)
	defer eventNames.Put(scratch)
	name := *scratch
	for i := range events {
		e := &events[i]
		if byKey {
			name = append(eventChannel(name[:0], "__keyspace@", e.DB), e.Key...)
			s.pubsub.Publish(name, []byte(e.Name))
		}
		if byEvent {
			name = append(eventChannel(name[:0], "__keyevent@", e.DB), e.Name...)
			s.pubsub.Publish(name, e.Key)
		}
	}
	if *scratch = name; cap(name) > maxEventName {
		*scratch = nil
	}
}

// maxEventName is how much memory for a name is kept for the next one.
const maxEventName = 4 << 10

func eventChannel(b []byte, prefix string, db int) []byte {
	b = strconv.AppendInt(append(b, prefix...), int64(db), 10)
	return append(b, "__:"...)
}
