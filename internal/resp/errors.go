package resp

import (
	"fmt"
	"strings"
)

// Error is an error line as a client reads it, without the leading '-' and the
// line end: a code in capitals, a space, a text. The lines of dispatch and of
// most handlers stand in this file and in errors_data.go; those of CLUSTER and
// of routing come from package cluster, which does not know RESP. The texts are
// Redis's, byte for byte, because programs compare them.
type Error string

// Error makes it a Go error, so that functions can return the line.
func (e Error) Error() string { return string(e) }

// Code is the first word, by which INFO errorstats counts.
func (e Error) Code() string {
	code, _, found := strings.Cut(string(e), " ")
	if !found || len(code) > 31 {
		return "ERR"
	}
	return code
}

// Requests that are not understood; the connection is closed after each.
const (
	ErrProtoBigInline        Error = "ERR Protocol error: too big inline request"
	ErrProtoUnbalanced       Error = "ERR Protocol error: unbalanced quotes in request"
	ErrProtoBigCount         Error = "ERR Protocol error: too big mbulk count string"
	ErrProtoMultibulkLength  Error = "ERR Protocol error: invalid multibulk length"
	ErrProtoUnauthMultibulk  Error = "ERR Protocol error: unauthenticated multibulk length"
	ErrProtoBigBulkCount     Error = "ERR Protocol error: too big bulk count string"
	ErrProtoBulkLength       Error = "ERR Protocol error: invalid bulk length"
	ErrProtoUnauthBulk       Error = "ERR Protocol error: unauthenticated bulk length"
	errProtoExpectedBulkText       = "ERR Protocol error: expected '$', got '%c'"
)

// ErrProtoExpectedBulk is the error of an argument that begins with something
// else than '$'.
func ErrProtoExpectedBulk(got byte) Error {
	return Error(fmt.Sprintf(errProtoExpectedBulkText, got))
}

// Arguments and values.
const (
	ErrSyntax      Error = "ERR syntax error"
	ErrNotInteger  Error = "ERR value is not an integer or out of range"
	ErrNotPositive Error = "ERR value is out of range, must be positive"
	ErrNotFloat    Error = "ERR value is not a valid float"
	ErrWrongType   Error = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrNoKey       Error = "ERR no such key"
	ErrSameObject  Error = "ERR source and destination objects are the same"
	ErrBusyKey     Error = "BUSYKEY Target key name already exists."
	ErrDBIndex     Error = "ERR DB index is out of range"
	ErrBadTimeout  Error = "ERR timeout is not an integer or out of range"
	ErrBadSeconds  Error = "ERR timeout is not a float or out of range"
	ErrNegTimeout  Error = "ERR timeout is negative"
	ErrFarTimeout  Error = "ERR timeout is out of range"
	ErrCursor      Error = "ERR invalid cursor"
)

// Gates: why a command was not run.
const (
	ErrNoAuth            Error = "NOAUTH Authentication required."
	ErrNotForCaller      Error = "ERR This command needs the connection of a client"
	ErrNotInMulti        Error = "ERR Command not allowed inside a transaction"
	ErrMisconfSnapshot   Error = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
	ErrOOM               Error = "OOM command not allowed when used memory > 'maxmemory'."
	ErrNoReplicas        Error = "NOREPLICAS Not enough good replicas to write."
	ErrUncertain         Error = "UNCERTAIN Not enough replicas have acknowledged the write in time. It is done here, and may survive a failover or be lost."
	ErrNoQuorum          Error = "CLUSTERDOWN Most nodes of the shard cannot be reached: what was read may not be what is there"
	ErrNotElected        Error = "CLUSTERDOWN This node is not the primary that its shard has elected"
	ErrReadOnly          Error = "READONLY You can't write against a read only replica."
	ErrUnconfirmed       Error = "READONLY You can't write against a primary that its Sentinels have not confirmed."
	ErrMasterDown        Error = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	ErrLoading           Error = "LOADING Redis is loading the dataset in memory"
	ErrReplicaKeyspace   Error = "ERR Replica can't interact with the keyspace"
	ErrClusterDisabled   Error = "ERR This instance has cluster support disabled"
	ErrMaxClients        Error = "ERR max number of clients reached"
	ErrMaxClientsCluster Error = "ERR max number of clients + cluster connections reached"
	ErrProtectedMode     Error = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside."
)

// ErrMisconfJournal is the error of a write while the journal cannot be
// written; reason is the operating system's text.
func ErrMisconfJournal(reason string) Error {
	return Error("MISCONF Errors writing to the AOF file: " + reason)
}

// Routing in a cluster, where package cluster does not make the text.
const (
	ErrTryAgain    Error = "TRYAGAIN Multiple keys request during rehashing of slot"
	ErrClusterDown Error = "CLUSTERDOWN The cluster is down"
	// ErrClusterDownWrites is the cluster's, which a script is told in other words.
	ErrClusterDownWrites Error = "CLUSTERDOWN The cluster is down and only accepts read commands"
)

// Transactions.
const (
	ErrNestedMulti      Error = "ERR MULTI calls can not be nested"
	ErrExecWithoutMulti Error = "ERR EXEC without MULTI"
	ErrDiscardNoMulti   Error = "ERR DISCARD without MULTI"
	ErrWatchInMulti     Error = "ERR WATCH inside MULTI is not allowed"
	ErrExecAbort        Error = "EXECABORT Transaction discarded because of previous errors."
)

// Commands that would not answer each call with one reply cannot be queued.
const (
	ErrMonitorDenied    Error = "ERR MONITOR isn't allowed for DENY BLOCKING client"
	ErrSSubscribeDenied Error = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"
)

// ErrExecAbortedBy is the reply of an EXEC that a gate refused with err.
func ErrExecAbortedBy(err Error) Error {
	return "EXECABORT Transaction discarded because of: " + Error(strings.TrimPrefix(string(err), "ERR "))
}

// Connections.
const (
	ErrNoProto       Error = "NOPROTO unsupported protocol version"
	ErrHelloNoAuth   Error = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	ErrWrongPass     Error = "WRONGPASS invalid username-password pair or user is disabled."
	ErrNoPassword    Error = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	ErrProtoVersion  Error = "ERR Protocol version is not an integer or out of range"
	ErrClientName    Error = "ERR Client names cannot contain spaces, newlines or special characters."
	ErrNoSuchClient  Error = "ERR No such client"
	ErrSelectCluster Error = "ERR SELECT is not allowed in cluster mode"
	ErrResetReplica  Error = "ERR can only reset normal client connections"
)

// ErrUnknownCommand is the error of a name that is no command; it repeats the
// beginning of the request.
func ErrUnknownCommand(args [][]byte) Error {
	const longest = 128
	var rest strings.Builder
	for _, a := range args[1:] {
		if rest.Len() >= longest {
			break
		}
		fmt.Fprintf(&rest, "'%s' ", cut(a, longest-rest.Len()))
	}
	return Error(fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", cut(args[0], longest), rest.String()))
}

// ErrUnknownNode is the error for a node of the cluster that nobody knows.
func ErrUnknownNode(id []byte) Error { return Error("ERR Unknown node " + string(id)) }

// ErrLinkDirection is that for a direction of a link of the cluster bus.
func ErrLinkDirection(word []byte) Error { return Error("ERR Unknown direction " + string(word)) }

// ErrUnknownSubcommand is the error of a sub-command that the command, named in
// capitals, does not have.
func ErrUnknownSubcommand(command string, sub []byte) Error {
	return Error(fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", cut(sub, 128), strings.ToUpper(command)))
}

// ErrSubcommandSyntax is the error of a known sub-command with arguments it
// does not understand.
func ErrSubcommandSyntax(command string, sub []byte) Error {
	return Error(fmt.Sprintf("ERR unknown subcommand or wrong number of arguments for '%s'. Try %s HELP.", cut(sub, 128), strings.ToUpper(command)))
}

// ErrArity is the error of a wrong number of arguments for the command with
// this full name ("get", "config|set").
func ErrArity(name string) Error {
	return Error(fmt.Sprintf("ERR wrong number of arguments for '%s' command", name))
}

// ErrProtected is the error of a command that only a configuration directive
// makes available.
func ErrProtected(command, directive string) Error {
	return Error(fmt.Sprintf("ERR %s command not allowed. If the %s option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.", command, directive))
}

// ErrPubSubContext is the error of a RESP2 connection that subscribed and now
// asks for the command with this full name.
func ErrPubSubContext(name string) Error {
	return Error(fmt.Sprintf("ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context", name))
}

// cut returns b as Redis's %.*s prints it: at most n bytes, ended by a zero
// byte.
func cut(b []byte, n int) string {
	return cString(b[:min(n, len(b))])
}

// cString returns b as Redis's %s prints it: ended by a zero byte.
func cString(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// CLIENT and HELLO.
const (
	ErrClientID      Error = "ERR Invalid client ID"
	ErrClientKillID  Error = "ERR client-id should be greater than 0"
	ErrPauseMode     Error = "ERR CLIENT PAUSE mode must be WRITE or ALL"
	ErrUnblockReason Error = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
	ErrUnblocked     Error = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
)

// ErrClientAge is the error of CLIENT KILL and LIST for an age, MAXAGE or IDLE, of no
// seconds.
func ErrClientAge(word string) Error { return Error("ERR " + word + " should be greater than 0") }

// MODULE.
const (
	ErrNoModules    Error = "ERR Modules are not supported: they are libraries for the C program. Run the module in a Redis server of its own"
	ErrNoSuchModule Error = "ERR Error unloading module: no such module with that name"
)

// ErrHelloOption is the error of a word HELLO does not know.
func ErrHelloOption(word []byte) Error {
	return Error(fmt.Sprintf("ERR Syntax error in HELLO option '%s'", word))
}

// ErrClientType is the error of a class of clients that does not exist.
func ErrClientType(word []byte) Error {
	return Error(fmt.Sprintf("ERR Unknown client type '%s'", word))
}

// ErrNoSuchUser is the error of a user that does not exist.
func ErrNoSuchUser(name []byte) Error {
	return Error(fmt.Sprintf("ERR No such user '%s'", name))
}

// Client-side caching.
const (
	ErrOneRedirect Error = "ERR A client can only redirect to a single other client"
	ErrNoRedirect  Error = "ERR The client ID you want redirect to does not exist"
	ErrPrefixBCast Error = "ERR PREFIX option requires BCAST mode to be enabled"
	ErrSwitchBCast Error = "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	ErrOptBCast    Error = "ERR OPTIN and OPTOUT are not compatible with BCAST"
	ErrOptBoth     Error = "ERR You can't specify both OPTIN mode and OPTOUT mode"
	ErrSwitchOpt   Error = "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	ErrCachingOff  Error = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	ErrCachingYes  Error = "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
	ErrCachingNo   Error = "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."
)

// ErrPrefixOverlaps is the error of a prefix that collides with another one, which is
// of a kind.
func ErrPrefixOverlaps(prefix []byte, kind string, other []byte) Error {
	return Error(fmt.Sprintf("ERR Prefix '%s' overlaps with %s '%s'. Prefixes for a single client must not overlap.", prefix, kind, other))
}

// ErrNoSamples is the error of an event that has not been seen.
func ErrNoSamples(event []byte) Error {
	return Error(fmt.Sprintf("ERR No samples available for event '%s'", event))
}

// ErrSetInfoOption is the error of an attribute CLIENT SETINFO does not know.
func ErrSetInfoOption(word []byte) Error {
	return Error(fmt.Sprintf("ERR Unrecognized option '%s'", word))
}

// ErrSetInfoValue is the error of a value that would break CLIENT LIST.
func ErrSetInfoValue(attribute string) Error {
	return Error("ERR " + attribute + " cannot contain spaces, newlines or special characters.")
}

// The node.
const (
	ErrSlowlogCount      Error = "ERR count should be greater than or equal to -1"
	ErrWaitReplica       Error = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."
	ErrWaitAOFReplica    Error = "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
	ErrWaitAOFOff        Error = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."
	ErrZeroOrOne         Error = "ERR value is out of range, value must between 0 and 1"
	ErrUnblockedByRole   Error = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
	ErrPsyncToPrimary    Error = "ERR PSYNC FAILOVER can't be sent to a master."
	ErrPsyncOtherID      Error = "ERR PSYNC FAILOVER replid must match my replid."
	ErrNoShutdown        Error = "ERR No shutdown in progress."
	ErrShutdown          Error = "ERR Errors trying to SHUTDOWN. Check logs."
	ErrSaveInProgress    Error = "ERR Background save already in progress"
	ErrRewriting         Error = "ERR Background append only file rewriting already in progress"
	ErrGeneric           Error = "ERR"
	ErrFirstDB           Error = "ERR invalid first DB index"
	ErrSecondDB          Error = "ERR invalid second DB index"
	ErrSwapCluster       Error = "ERR SWAPDB is not allowed in cluster mode"
	ErrReplicaOfCluster  Error = "ERR REPLICAOF not allowed in cluster mode."
	ErrMasterPort        Error = "ERR Invalid master port"
	ErrFeedReplicaOf     Error = "ERR Command is not valid when client is a replica."
	ErrNoMasterLink      Error = "NOMASTERLINK Can't SYNC while not connected with my master"
	ErrSyncInFailover    Error = "NOMASTERLINK Can't SYNC while failing over"
	ErrReplicaOfHanding  Error = "ERR REPLICAOF not allowed while failing over."
	ErrFailoverCluster   Error = "ERR FAILOVER not allowed in cluster mode. Use CLUSTER FAILOVER command instead."
	ErrNoFailover        Error = "ERR No failover in progress."
	ErrFailoverTimeout   Error = "ERR FAILOVER timeout must be greater than 0"
	ErrFailoverRuns      Error = "ERR FAILOVER already in progress."
	ErrFailoverOfReplica Error = "ERR FAILOVER is not valid when server is a replica."
	ErrFailoverNobody    Error = "ERR FAILOVER requires connected replicas."
	ErrFailoverForce     Error = "ERR FAILOVER with force option requires both a timeout and target HOST and IP."
	ErrFailoverTarget    Error = "ERR FAILOVER target HOST and PORT is not a replica."
	ErrFailoverOffline   Error = "ERR FAILOVER target replica is not online."
	ErrPendingOutput     Error = "ERR SYNC and PSYNC are invalid with pending output"
	ErrRDBFilter         Error = "ERR Missing rdb-filter-only values"
	ErrReloadOptions     Error = "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."
	ErrReload            Error = "ERR Error trying to load the RDB dump, check server logs."
	ErrNotHashTable      Error = "ERR The value stored at the specified key is not represented using an hash table"
	ErrNoSuchDB          Error = "ERR Out of range database"
	ErrDebugNoCluster    Error = "ERR Debug option only available for cluster mode enabled setup!"
	ErrNotListpack       Error = "ERR Not a listpack encoded object."
	ErrPackedThreshold   Error = "ERR argument must be a memory value bigger than 1 and smaller than 4gb"
	ErrRESP3Only         Error = "ERR RESP2 is not supported by this command"
	ErrDebugProtocol     Error = "ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
)

// ErrReplconfOption is the error of a word REPLCONF does not know.
func ErrReplconfOption(word []byte) Error {
	return Error(fmt.Sprintf("ERR Unrecognized REPLCONF option: %s", word))
}

// ErrRDBFilterOption is the error of a part of a snapshot that cannot be asked
// for.
func ErrRDBFilterOption(word []byte) Error {
	return Error(fmt.Sprintf("ERR Unsupported rdb-filter-only option: %s", word))
}

// ErrReplicaNodeID is the error of an id that no member of a cluster has.
const ErrReplicaNodeID Error = "ERR REPLCONF set-cluster-node-id: this is no node id"

// ErrShutdownFailover is the error of SHUTDOWN FAILOVER where there is no cluster.
const ErrShutdownFailover Error = "ERR SHUTDOWN FAILOVER is for nodes of a cluster"

// ErrReplicaIP is the error of an address that is no address.
func ErrReplicaIP(length int) Error {
	return Error(fmt.Sprintf("ERR REPLCONF ip-address provided by replica instance is too long: %d bytes", length))
}
