package resp

import "fmt"

// What scripts and functions are answered, and who disturbs them.
const (
	ErrNoScript     Error = "NOSCRIPT No matching script. Please use EVAL."
	ErrBusyScript   Error = "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
	ErrBusyFunction Error = "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
	ErrNotBusy      Error = "NOTBUSY No scripts in execution right now."
	ErrUnkillable   Error = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE command."

	ErrKeysOverArgs    Error = "ERR Number of keys can't be greater than number of args"
	ErrKeysNegative    Error = "ERR Number of keys can't be negative"
	ErrBadKeyCount     Error = "ERR Bad number of keys provided"
	ErrScriptFlush     Error = "ERR SCRIPT FLUSH only support SYNC|ASYNC option"
	ErrScriptDebug     Error = "ERR Use SCRIPT DEBUG YES/SYNC/NO"
	ErrScriptDebugPipe Error = "ERR SCRIPT DEBUG must be called outside a pipeline"
	ErrDebugPipe       Error = "ERR EVAL in debugging mode must be called outside a pipeline or transaction"
	ErrDebugSHA        Error = "ERR Please use EVAL instead of EVALSHA for debugging"
	ErrDebugSessions   Error = "ERR Too many debugging sessions: try again when one of them has ended"
	ErrDebugEnds       Error = "ERR No debugging session begins any more: the server ends"
	ErrDebugAside      Error = "ERR This command is about the node: an asynchronous debugging session cannot call it"
	ErrDebugBytes      Error = "ERR The debugging session would copy too many bytes of keys: use SCRIPT DEBUG SYNC"
	ErrDebugSpace      Error = "OOM The debugging session holds too much"
	ErrNoFunction      Error = "ERR Function not found"
	ErrNoLibrary       Error = "ERR Library not found"
	ErrNoFunctionCode  Error = "ERR Function code is missing"
	ErrNoLibraryName   Error = "ERR library name argument was not given"
	ErrFunctionFlush   Error = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option"
	ErrRestorePolicy   Error = "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE."
	ErrFunctionPayload Error = "ERR DUMP payload version or checksum are wrong"
	ErrFunctionFormat  Error = "ERR Pre-GA function format not supported"
	ErrNoFunctionThere Error = "ERR given type is not a function"
	ErrFunctionCut     Error = "ERR failed loading the given functions payload"
)

// What a script is refused as a whole.
const (
	ErrScriptNoCluster Error = "ERR Can not run script on cluster, 'no-cluster' flag is set."
	ErrScriptStale     Error = "MASTERDOWN Link with MASTER is down, replica-serve-stale-data is set to 'no' and 'allow-stale' flag is not set on the script."
	ErrScriptReadOnly  Error = "READONLY Can not run script with write flag on readonly replica"
	ErrScriptMisconf   Error = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts."
	ErrScriptWrites    Error = "ERR Can not execute a script with write flag using *_ro command."
	ErrScriptOOM       Error = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'"
)

// ErrScriptMisconfJournal is ErrMisconfJournal for a script that may write.
func ErrScriptMisconfJournal(reason string) Error {
	return Error("MISCONF Redis is configured to persist data to AOF, but it's currently unable to persist to disk. Writable scripts are blocked. Use 'no-writes' flag for read only scripts. AOF error: " + reason)
}

// ErrKilled is the end of a script.
const ErrKilled Error = "ERR Script killed by user with SCRIPT KILL..."

// What a command is refused that a script calls.
const (
	ErrInScriptUnknown    Error = "ERR Unknown Redis command called from script"
	ErrInScriptArity      Error = "ERR Wrong number of args calling Redis command from script"
	ErrInScriptDenied     Error = "ERR This Redis command is not allowed from script"
	ErrInScriptStale      Error = "ERR Can not execute the command on a stale replica"
	ErrInScriptReadOnly   Error = "ERR Write commands are not allowed from read-only scripts."
	ErrInScriptDownWrites Error = "ERR Script attempted to execute a write command while the cluster is down and readonly"
	ErrInScriptDown       Error = "ERR Script attempted to execute a command while the cluster is down"
	ErrInScriptNotLocal   Error = "ERR Script attempted to access a non local key in a cluster node"
	ErrInScriptCrossSlot  Error = "ERR Script attempted to access keys that do not hash to the same slot"
)

// ErrInScriptBlock is the error of XREAD and its like with BLOCK.
func ErrInScriptBlock(command []byte) Error {
	return Error("ERR " + string(command) + " command is not allowed with BLOCK option from scripts")
}

// ErrFunctionOption is the error of a word that FUNCTION LOAD does not know,
// ErrFunctionArgument of one that FUNCTION LIST does not.
func ErrFunctionOption(word []byte) Error {
	return Error(fmt.Sprintf("ERR Unknown option given: %s", cut(word, len(word))))
}

func ErrFunctionArgument(word []byte) Error {
	return Error(fmt.Sprintf("ERR Unknown argument %s", cut(word, len(word))))
}

// ErrLibraryExists and ErrFunctionExists are the errors of names that are taken.
func ErrLibraryExists(name string) Error  { return Error("ERR Library '" + name + "' already exists") }
func ErrRestoreExists(name string) Error  { return Error("ERR Library " + name + " already exists") }
func ErrFunctionExists(name string) Error { return Error("ERR Function " + name + " already exists") }
