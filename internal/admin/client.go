package admin

import (
	"redoubt/internal/acl"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/pubsub"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// A Client is the connection that calls a command, as commands about it see it.
type Client interface {
	command.Caller
	ID() uint64
	// Info describes the client as CLIENT LIST does.
	Info() ClientInfo
	// Identity is what the client has said of itself; it may be changed.
	Identity() *Identity
	// SetReply is CLIENT REPLY.
	SetReply(m ReplyMode)
	// SetNoEvict is CLIENT NO-EVICT, SetNoTouch CLIENT NO-TOUCH.
	SetNoEvict(on bool)
	SetNoTouch(on bool)
	// Monitoring reports whether the client has said MONITOR.
	Monitoring() bool
	// InTransaction reports whether the call is one of EXEC's queue.
	InTransaction() bool
	// CloseAfterReply closes the connection when its output has left, the reply to
	// the call included.
	CloseAfterReply()
}

// Identity is what a client has said of itself with CLIENT SETNAME, HELLO and
// CLIENT SETINFO.
type Identity struct{ Name, LibName, LibVersion string }

// ReplyMode is what CLIENT REPLY chooses.
type ReplyMode uint8

const (
	ReplyOn ReplyMode = iota
	ReplyOff
	ReplySkip // the next command is not answered
)

// A Session is a client as the commands see it that begin one: AUTH, HELLO, RESET.
type Session interface {
	Client
	// Login makes the client one of a user, if there is such a user with this password,
	// and reports whether it did. Otherwise ACL LOG has it.
	Login(user, password []byte) bool
	Authenticated() bool
	// SetProto chooses the version of RESP.
	SetProto(version int)
	// Reset brings the connection back to what it was when it came.
	Reset() resp.Error
}

// A Subscriber is a client as pub/sub sees it.
type Subscriber interface {
	Client
	// Subscribe begins a subscription and Unsubscribe ends it; there may be one, or
	// none, already.
	Subscribe(kind pubsub.Kind, name string)
	Unsubscribe(kind pubsub.Kind, name string)
	// Subscriptions names those of a kind, CountSubscriptions counts them.
	Subscriptions(kind pubsub.Kind) []string
	CountSubscriptions(kind pubsub.Kind) int
	// HearsOnly reports whether the client has subscriptions and speaks RESP2, in
	// which a reply could be taken for a message.
	HearsOnly() bool
	// Push writes output of the call that is no reply, which CLIENT REPLY OFF does
	// not hold back.
	Push(write func(w *resp.Writer))
}

// A Publisher is a caller that can send a message. It goes to its subscribers when
// the unit at hand has ended: they must not hear of what is not in the stream yet.
// The number of receivers is then put where the reply belongs.
type Publisher interface {
	Publish(channel, message []byte, sharded bool)
}

// A Tracker is a client that can be told when keys change which it has read.
type Tracker interface {
	Client
	// Tracking is how it is told; the zero value if it is not.
	Tracking() Tracking
	// Track has it told from now on, Untrack ends that.
	Track(how Tracking)
	Untrack()
	// SetCaching is CLIENT CACHING: it is about the next command.
	SetCaching()
	// Receiver finds the client with this number, to which messages can be sent
	// instead; nil if there is none.
	Receiver(id uint64) (to any)
}

// Tracking is how a client is told of changes (CLIENT TRACKING).
type Tracking struct {
	On            bool
	BCast         bool // of all keys with one of the prefixes, not of those it has read
	OptIn, OptOut bool // only commands behind CLIENT CACHING are reads in this sense, or all others
	NoLoop        bool // not of its own changes
	Caching       bool // CLIENT CACHING was said
	Redirect      uint64
	To            any      // whom Redirect means, from Receiver
	Broken        bool     // that client has gone
	Prefixes      []string // sorted
}

// A Selector is a caller that can choose its database.
type Selector interface{ Select(db int) }

// An Operator is a client whose command changes the node, or looks at all other
// clients. In Stop, World and EachClient its connection may be closed; what is
// answered then goes nowhere.
type Operator interface {
	Client
	command.Suspender
	// Stop runs f with all loops stopped, World with the world locked as well. Within
	// a transaction both are so already.
	Stop(f func())
	World(f func(tx *storage.Tx))
	// EachClient calls f for every connection, with all loops stopped, and then for
	// those that replication has taken over.
	EachClient(f func(Peer))
	// Monitor shows the client what all others call from now on.
	Monitor()
	// SetUser makes u the user of its name, and closes its clients that listen to what it
	// may not listen to any more. DeleteUser deletes a user, if there is one, and closes
	// its clients. ReplaceUsers does the first for each user of list, and the second for
	// all who are not in it.
	SetUser(u *acl.User)
	DeleteUser(name string) (existed bool)
	ReplaceUsers(list []*acl.User)
	// Configure changes settings, and what in the server follows from them.
	Configure(pairs ...config.Pair) error
}

// A Debugger is a caller of DEBUG: a client, or a script that was allowed to.
type Debugger interface {
	command.Caller
	World(f func(tx *storage.Tx))
}

// A Sleeper is a caller that can tell replies from before DEBUG SLEEP from the one to it.
// A cluster takes a long sleep for a freeze of the process, and what was replied before
// that never leaves.
type Sleeper interface {
	// FallAsleep is called before the sleep, and what it returns after it.
	FallAsleep() (awake func())
}

// A Peer is a client as another one sees it, within EachClient.
type Peer interface {
	Info() ClientInfo
	// Kill closes the connection. It reports false if that is closing already.
	Kill() bool
}
