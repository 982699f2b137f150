package acl

import "slices"

// Context is where something was denied.
type Context string

const (
	TopLevel Context = "toplevel"
	InMulti  Context = "multi"
	InScript Context = "lua"
)

// Entry is one line of ACL LOG. Times are Unix milliseconds.
type Entry struct {
	Count   int64
	Reason  Reason
	Context Context
	Object  string // the command, key or channel; of a login the command that failed
	User    string
	Client  string // the client as CLIENT LIST describes it, when it happened last
	ID      int64  // from 0, one after the other
	Created int64
	Updated int64
}

const (
	// sameWithin is for how many milliseconds what happens again only counts.
	sameWithin = 60000
	// sameAmong is among how many of the newest entries that is looked for.
	sameAmong = 10
)

// Log is what ACL LOG shows, the newest first. The zero value is empty.
type Log struct {
	entries []*Entry
	next    int64
}

// Add notes e, at the time e.Updated, in a log that then has at most size entries. It
// matches addACLLogEntry.
func (l *Log) Add(e Entry, size int64) {
	same := func(old *Entry) bool {
		apart := max(e.Updated-old.Updated, old.Updated-e.Updated)
		return old.Reason == e.Reason && old.Context == e.Context && apart <= sameWithin && old.Object == e.Object && old.User == e.User
	}
	if i := slices.IndexFunc(l.entries[:min(len(l.entries), sameAmong)], same); i >= 0 {
		old := l.entries[i]
		old.Client, old.Updated = e.Client, e.Updated
		old.Count++
		copy(l.entries[1:i+1], l.entries[:i])
		l.entries[0] = old
		return
	}
	e.Count, e.ID, e.Created = 1, l.next, e.Updated
	l.next++
	l.entries = slices.Insert(l.entries, 0, &e)
	if int64(len(l.entries)) > size {
		clear(l.entries[size:])
		l.entries = l.entries[:size]
	}
}

// Newest returns copies of up to n entries.
func (l *Log) Newest(n int) []Entry {
	list := make([]Entry, min(n, len(l.entries)))
	for i := range list {
		list[i] = *l.entries[i]
	}
	return list
}

// Reset forgets all entries.
func (l *Log) Reset() { l.entries = nil }
