// Package command is the command table and the handlers that work on data.
//
// One Row describes a command: its name and arity, its flags and ACL
// categories, where its keys stand in the arguments, what it locks, what
// COMMAND DOCS says of it, and the function that runs it. Dispatch, cluster
// routing, MULTI, COMMAND and the replay of a stream all read the same row;
// nothing switches on a command's name.
//
// Rows stand beside their handlers, one file a group. Handlers of data read
// and write through a storage.Tx and answer through a resp.Writer; they know
// neither sockets nor locks. Rows about the node have the same type: those of
// CLIENT, CONFIG, INFO and their like live in internal/admin, those of
// transactions and replicas in internal/server, which merges all into one Table
// at start.
package command

// Handler runs one command. What it returns is what it has written to c.Out.
type Handler func(c *Ctx)

// Lock says what an execution unit must hold while a row's handler runs.
type Lock uint8

const (
	// LockKeys: the slots of the command's keys. The rule for commands on data.
	LockKeys Lock = iota
	// LockNone: the handler touches no data (PING, CLIENT SETNAME).
	LockNone
	// LockSelf: the handler looks at many slots, one after the other, and locks
	// each itself (SCAN); in a transaction it runs under the world lock instead.
	LockSelf
	// LockWorld: the handler needs the whole keyspace at once (FLUSHALL, KEYS).
	LockWorld
)

// Row is one command or, inside Sub, one sub-command.
//
// Invariants, checked by NewTable: Name is lower case; Arity is not zero; a row
// has either Run or Sub (or both, for a container that also answers alone); a
// row with keys has the lock LockKeys or LockWorld; one with LockFor has LockKeys.
type Row struct {
	Name  string
	Arity int // number of arguments with the name; negative: at least so many
	Flags Flags
	ACL   Category // beyond the categories that follow from Flags
	Keys  []KeySpec
	// FindKeys finds the keys where the specifications only come near
	// (KeyIncomplete), with the contract of AppendKeys; nil: they suffice.
	FindKeys func(dst []int, args [][]byte) (_ []int, ok bool)
	// Access tells, for a row whose key flags are KeyVariable, what one command
	// line does to its keys.
	Access func(args [][]byte) KeyFlags
	// Channels says which arguments are channels.
	Channels ChannelUse
	Lock     Lock
	// LockFor tells, where one command line needs more than another, what it
	// needs: LockKeys, which Lock then is, or LockWorld.
	LockFor func(args [][]byte) Lock
	// FlagsFor tells, where one command line is something else than another, what
	// it is (a script that says so).
	FlagsFor func(row *Row, args [][]byte) Flags
	Run      Handler
	Sub      []*Row
	Doc      Doc

	parent  *Row
	index   int
	onlyKey int
	subs    map[string]*Row
	cats    Category
	renamed bool
}

// Renamed reports whether clients call the command by another name.
func (r *Row) Renamed() bool { return r.command().renamed }

// command is the row of the command itself.
func (r *Row) command() *Row {
	if r.parent != nil {
		return r.parent
	}
	return r
}

// StreamName is what streams call the command.
func (r *Row) StreamName() []byte { return []byte(r.command().Name) }

// FullName is the name as ACLs and COMMAND write it: "get", "config|set".
func (r *Row) FullName() string {
	if r.parent != nil {
		return r.parent.Name + "|" + r.Name
	}
	return r.Name
}

// Parent is the container of a sub-command, nil for a command.
func (r *Row) Parent() *Row { return r.parent }

// Needs is what a unit must hold for a call with these arguments.
func (r *Row) Needs(args [][]byte) Lock {
	if r.LockFor != nil {
		return r.LockFor(args)
	}
	return r.Lock
}

// FlagsOf is the flags of a call with these arguments.
func (r *Row) FlagsOf(args [][]byte) Flags {
	if r.FlagsFor != nil {
		return r.FlagsFor(r, args)
	}
	return r.Flags
}

// Categories is all ACL categories of the row: its own and those implied by
// its flags, as Redis's setImplicitACLCategories computes them.
func (r *Row) Categories() Category { return r.cats }

// OnData reports whether the command is about data. Of a stream only such
// commands are executed; the others are about clients, or about the node that
// made the stream (PUBLISH, WATCH, CONFIG).
func (r *Row) OnData() bool {
	return r.Lock != LockNone && r.Flags&(Write|ReadOnly|MayReplicate) != 0
}

// Index is the row's place in Table.All.
func (r *Row) Index() int { return r.index }

// OnlyKey is the position of the row's one key, if it always has one and in the
// same place, or 0.
func (r *Row) OnlyKey() int { return r.onlyKey }

// findOnlyKey is OnlyKey from the row's specifications.
func (r *Row) findOnlyKey() int {
	if len(r.Keys) != 1 || r.FindKeys != nil {
		return 0
	}
	k := r.Keys[0]
	if k.Begin.Keyword != "" || k.Find != (Find{Step: 1}) || k.Flags&KeyNotKey != 0 {
		return 0
	}
	return k.Begin.Index
}

// Takes reports whether a call with n arguments, the name included, has the
// right arity.
func (r *Row) Takes(n int) bool {
	if r.Arity >= 0 {
		return n == r.Arity
	}
	return n >= -r.Arity
}

// Is reports whether the row has all flags of f.
func (r *Row) Is(f Flags) bool { return r.Flags&f == f }
