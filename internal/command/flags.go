package command

import "strings"

// Flags are the properties of a command that dispatch acts on. The names are
// those of COMMAND INFO, which does not show the last ones.
type Flags uint64

const (
	Write Flags = 1 << iota
	ReadOnly
	DenyOOM
	Admin
	PubSub
	NoScript
	Blocking
	Loading
	Stale
	SkipMonitor
	SkipSlowlog
	Asking
	Fast
	NoAuth
	MayReplicate
	NoMandatoryKeys
	NoAsyncLoading
	NoMulti
	MovableKeys
	AllowBusy
	// Protected commands need an enable-*-command directive (DEBUG).
	Protected
	// TouchesArbitraryKeys: the keys are the server's choice (SCAN, RANDOMKEY).
	// Those that it finds expired go to the stream one by one.
	TouchesArbitraryKeys
	// ClientOnly: the handler needs the client that asks (MIGRATE, which lets it
	// wait). A stream never holds the command, as its effects are others.
	ClientOnly
	// RunsQueue: the command runs what MULTI has queued (EXEC).
	RunsQueue
	// Unqueued: the command runs at once inside MULTI.
	Unqueued
	// WhileSubscribed: a RESP2 connection with subscriptions may send it.
	WhileSubscribed
	// NeedsDisk: it is refused like a write when the disk refuses (PING, so that a
	// failed node is noticed).
	NeedsDisk
	// SetsAsking: it sets the mark of ASKING, which any other command uses up.
	SetsAsking
	// OfShards: its keys are channels of sharded pub/sub.
	OfShards
	// MovesKeys: it moves keys to other nodes (MIGRATE).
	MovesKeys
	// Publishes: it carries a message for clients.
	Publishes
	// Touches: it counts as use of its keys in spite of CLIENT NO-TOUCH.
	Touches
	// RunsScript: it runs a script, which may look at more keys than it names.
	RunsScript
	// TakesOver: it may make a primary of a replica, in the history of the one that asks.
	TakesOver
)

var flagNames = []struct {
	flag Flags
	name string
}{
	{Write, "write"}, {ReadOnly, "readonly"}, {DenyOOM, "denyoom"}, {Admin, "admin"},
	{PubSub, "pubsub"}, {NoScript, "noscript"}, {Blocking, "blocking"}, {Loading, "loading"},
	{Stale, "stale"}, {SkipMonitor, "skip_monitor"}, {SkipSlowlog, "skip_slowlog"},
	{Asking, "asking"}, {Fast, "fast"}, {NoAuth, "no_auth"},
	{NoMandatoryKeys, "no_mandatory_keys"}, {Protected, "protected"},
	{NoAsyncLoading, "no_async_loading"}, {NoMulti, "no_multi"}, {MovableKeys, "movablekeys"},
	{AllowBusy, "allow_busy"}, {TouchesArbitraryKeys, "touches_arbitrary_keys"},
}

// Names is the flags as COMMAND INFO lists them.
func (f Flags) Names() []string {
	var names []string
	for _, n := range flagNames {
		if f&n.flag != 0 && n.flag != TouchesArbitraryKeys {
			names = append(names, n.name)
		}
	}
	return names
}

// Category is a set of ACL categories.
type Category uint32

const (
	CatKeyspace Category = 1 << iota
	CatRead
	CatWrite
	CatSet
	CatSortedSet
	CatList
	CatHash
	CatString
	CatBitmap
	CatHyperLogLog
	CatGeo
	CatStream
	CatPubSub
	CatAdmin
	CatFast
	CatSlow
	CatBlocking
	CatDangerous
	CatConnection
	CatTransaction
	CatScripting
)

// CategoryNames is every category's name, in the order of ACL CAT.
var CategoryNames = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap",
	"hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous",
	"connection", "transaction", "scripting",
}

// Names is the categories as COMMAND INFO lists them, each with its '@'.
func (c Category) Names() []string {
	var names []string
	for i, n := range CategoryNames {
		if c&(1<<i) != 0 {
			names = append(names, "@"+n)
		}
	}
	return names
}

// CategoryOf is the category with this name in any case, 0 if there is none.
func CategoryOf(name string) Category {
	for i, n := range CategoryNames {
		if strings.EqualFold(n, name) {
			return 1 << i
		}
	}
	return 0
}

// implied is the categories that follow from the flags of a command with these ones of
// its own.
func implied(f Flags, own Category) Category {
	var c Category
	if f&Write != 0 {
		c |= CatWrite
	}
	if f&ReadOnly != 0 && own&CatScripting == 0 {
		c |= CatRead
	}
	if f&Admin != 0 {
		c |= CatAdmin | CatDangerous
	}
	if f&PubSub != 0 {
		c |= CatPubSub
	}
	if f&Blocking != 0 {
		c |= CatBlocking
	}
	if f&Fast != 0 {
		c |= CatFast
	} else {
		c |= CatSlow
	}
	return c
}
