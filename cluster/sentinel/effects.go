package sentinel

// Effects are what a Step asks of the driver. The order is:
//
//  1. Close, Connect and Send, at once. A Request for a connection that is
//     closed by then is dropped.
//  2. Persist: written and fsynced. This may take its time while further
//     Steps are made; if several States are waiting, only the newest needs to
//     be written. If it cannot be written the driver tries again, and may answer
//     the waiting clients with an error.
//  3. When the State of this Step or a newer one is on disk, and in the order
//     of the Steps: SendAfterPersist leaves, Notices are published, Scripts are
//     queued, Result goes to the client, Exit is done. Then Persisted is stepped.
//     Without Persist, 3 follows 1 at once, but not before what earlier Steps
//     still have waiting.
type Effects struct {
	Close   []LinkID
	Connect []Connect
	// Send may leave at once: it promises nothing that is not on disk.
	Send []Request

	Persist          *State
	SendAfterPersist []Request
	Notices          []Notice
	Scripts          []Script
	Result           *Result // of a command; nil for other events
	// Exit asks to exit with status 99 (SENTINEL SIMULATE-FAILURE).
	Exit bool

	// Log are lines for the log that are not Notices. They carry no decision.
	Log []LogLine
}

// Connect asks for a connection to an instance. The driver answers with LinkUp
// or LinkDown, and gives up by itself after a few seconds. Of a Connect and a
// Close of the same Link in one Effects, Close is the later.
type Connect struct {
	Link LinkID
	// Addr is where to connect to; its host may be a name, to be resolved now.
	Addr Addr
	// PubSub says that messages are received here (the driver passes those of
	// HelloChannel on as HelloReceived) and no Request is sent.
	PubSub bool
	// Setup are the commands to send first: AUTH, CLIENT SETNAME, SUBSCRIBE. Their
	// replies are dropped.
	Setup [][]string
}

// HelloChannel is the channel on which Sentinels meet.
const HelloChannel = "__sentinel__:hello"

// Request is what to send to an instance: one or more commands, pipelined. The
// driver answers with one Replied, when the last command has been answered.
type Request struct {
	Link     LinkID
	ID       RequestID
	Kind     RequestKind
	Commands [][]string
}

// RequestKind is what a Request is for, whatever its commands are renamed to.
type RequestKind uint8

const (
	RequestPing RequestKind = iota
	RequestInfo
	RequestHello       // PUBLISH __sentinel__:hello
	RequestDownOpinion // SENTINEL IS-MASTER-DOWN-BY-ADDR
	RequestReplicaOf   // MULTI, SLAVEOF, CONFIG REWRITE, CLIENT KILL …, EXEC
	RequestScriptKill  // SCRIPT KILL
	RequestHandOver    // MULTI, CLIENT PAUSE, FAILOVER TO …, EXEC
	RequestUnpause     // CLIENT UNPAUSE
	RequestSettleRole  // MULTI, CONFIG REWRITE, CLIENT KILL …, EXEC
	RequestVouch       // PUBLISH __sentinel__:hello, see vouch.go
)

// Level is the log level of a Notice or LogLine.
type Level uint8

const (
	LevelDebug Level = iota
	LevelVerbose
	LevelNotice
	LevelWarning
)

// Notice is an event as sentinelEvent makes them: a line for the log (Type and
// Text, separated by a space), and, unless Level is LevelDebug, a message for
// the subscribers of the channel Type. A notification script that is to run
// because of it is in Effects.Scripts.
type Notice struct {
	Level Level
	Type  string // "+sdown"
	Text  string // "master mymaster 127.0.0.1 6379"
}

// Script asks to queue a script: Path with Args (sentinelScheduleScriptExecution).
type Script struct {
	Path string
	Args []string
}

// LogLine is a line for the log.
type LogLine struct {
	Level Level
	Text  string
}
