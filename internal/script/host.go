package script

import "redoubt/internal/resp"

// A Host is what a running script sees of the server. The engine calls it on the
// goroutine of Run, Call or Load. A Host of Load is asked to Log only.
type Host interface {
	// Call executes a command, as redis.call and redis.pcall do, and appends
	// its reply to w in the protocol that w has: the script chooses it with
	// redis.setresp. A refusal ("ERR Unknown Redis command called from script")
	// is a reply that is an error, too; ran is false then. args and the strings in
	// them are the engine's; they are valid until Call returns.
	Call(args [][]byte, w *resp.Writer) (ran bool)

	// MayRun is redis.acl_check_cmd: whether the user of the script may run the
	// command; known is false if there is no such command.
	MayRun(args [][]byte) (allowed, known bool)

	// SetReplication is redis.set_repl: where the effects of commands after it
	// go, a union of ReplicateAOF and ReplicateReplica.
	SetReplication(targets Replication)

	// Log is redis.log.
	Log(level LogLevel, message string)
}

// Replication is the argument of redis.set_repl.
type Replication int

// Where effects go; the sum is REPL_ALL, 0 is REPL_NONE.
const (
	ReplicateAOF     Replication = 1
	ReplicateReplica Replication = 2
)

// LogLevel is the first argument of redis.log.
type LogLevel int

// The levels, redis.LOG_DEBUG and on.
const (
	LogDebug LogLevel = iota
	LogVerbose
	LogNotice
	LogWarning
)
