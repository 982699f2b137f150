package resp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// What commands on data answer when they refuse.
const (
	ErrIncrOverflow  Error = "ERR increment or decrement would overflow"
	ErrDecrOverflow  Error = "ERR decrement would overflow"
	ErrIncrNaN       Error = "ERR increment would produce NaN or Infinity"
	ErrStringTooLong Error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrOffset        Error = "ERR offset is out of range"
	ErrBitOffset     Error = "ERR bit offset is not an integer or out of range"
	ErrBitValue      Error = "ERR bit is not an integer or out of range"
	ErrBitSought     Error = "ERR The bit argument must be 1 or 0."
	ErrBitOpNot      Error = "ERR BITOP NOT must be called with a single source key."
	ErrFieldType     Error = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
	ErrOverflowType  Error = "ERR Invalid OVERFLOW type specified"
	ErrFieldReadOnly Error = "ERR BITFIELD_RO only supports the GET subcommand"
	ErrLCSTypes      Error = "ERR The specified keys must contain string values"
	ErrLCSBoth       Error = "ERR If you want both the length and indexes, please just use IDX."
	ErrLCSTooLong    Error = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
	ErrExpireNX      Error = "ERR NX and XX, GT or LT options at the same time are not compatible"
	ErrExpireGTLT    Error = "ERR GT and LT options at the same time are not compatible"
	ErrLFUOff        Error = "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
	ErrLFUOn         Error = "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
)

// ErrExpireTime is the error of an expiry that is zero, negative or too far.
func ErrExpireTime(command string) Error {
	return Error("ERR invalid expire time in '" + command + "' command")
}

// ErrExpireOption is the error of a word EXPIRE does not know.
func ErrExpireOption(word []byte) Error { return Error("ERR Unsupported option " + string(word)) }

// RESTORE.
const (
	ErrRestoreTTL     Error = "ERR Invalid TTL value, must be >= 0"
	ErrRestoreIdle    Error = "ERR Invalid IDLETIME value, must be >= 0"
	ErrRestoreFreq    Error = "ERR Invalid FREQ value, must be >= 0 and <= 255"
	ErrRestorePayload Error = "ERR DUMP payload version or checksum are wrong"
	ErrRestoreFormat  Error = "ERR Bad data format"
)

// Keys in other databases.
const (
	ErrIntRange    Error = "ERR value is out of range, value must between -2147483648 and 2147483647"
	ErrMoveCluster Error = "ERR MOVE is not allowed in cluster mode"
	ErrCopyCluster Error = "ERR Copying to another database is not allowed in cluster mode"
)

// HyperLogLogs.
const (
	ErrNotHLL       Error = "WRONGTYPE Key is not a valid HyperLogLog string value."
	ErrCorruptHLL   Error = "INVALIDOBJ Corrupted HLL object detected"
	ErrNoSuchHLL    Error = "ERR The specified key does not exist"
	ErrHLLNotSparse Error = "ERR HLL encoding is not sparse"
)

// ErrUnknownPFDebug is the error of a word that PFDEBUG does not know.
func ErrUnknownPFDebug(sub []byte) Error {
	return Error(fmt.Sprintf("ERR Unknown PFDEBUG subcommand '%s'", sub))
}

// ErrTestFailed is what PFSELFTEST has found.
func ErrTestFailed(format string, args ...any) Error {
	return Error(fmt.Sprintf("ERR TESTFAILED "+format, args...))
}

// Positions.
const (
	ErrGeoUnit           Error = "ERR unsupported unit provided. please use M, KM, FT, MI"
	ErrGeoMember         Error = "ERR could not decode requested zset member"
	ErrGeoRadius         Error = "ERR need numeric radius"
	ErrGeoRadiusNegative Error = "ERR radius cannot be negative"
	ErrGeoWidth          Error = "ERR need numeric width"
	ErrGeoHeight         Error = "ERR need numeric height"
	ErrGeoBoxNegative    Error = "ERR height or width cannot be negative"
	ErrGeoCount          Error = "ERR COUNT must be > 0"
	ErrGeoAny            Error = "ERR the ANY argument requires COUNT argument"
)

// ErrPosition is the error of a position that no geohash can tell of.
func ErrPosition(longitude, latitude float64) Error {
	return Error("ERR invalid longitude,latitude pair " + fixed(longitude) + "," + fixed(latitude))
}

// fixed writes a number as C's %f does.
func fixed(f float64) string {
	if math.IsInf(f, 0) {
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(f, 'f', 6, 64)), "+")
	}
	return strconv.FormatFloat(f, 'f', 6, 64)
}

// ErrGeoStore is the error of a search that is to store and to show more than
// members.
func ErrGeoStore(what string) Error {
	return Error("ERR " + what + " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
}

// ErrGeoFrom is the error of a search without a center; the command is as the
// client wrote it.
func ErrGeoFrom(command []byte) Error {
	return Error(fmt.Sprintf("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %s", command))
}

// ErrGeoBy is the error of a search without a size.
func ErrGeoBy(command []byte) Error {
	return Error(fmt.Sprintf("ERR exactly one of BYRADIUS and BYBOX can be specified for %s", command))
}

// COMMAND GETKEYS.
const (
	ErrCommandInvalid   Error = "ERR Invalid command specified"
	ErrCommandNoKeys    Error = "ERR The command has no key arguments"
	ErrCommandArity     Error = "ERR Invalid number of arguments specified for command"
	ErrCommandArguments Error = "ERR Invalid arguments specified for command"
)

// Lists, hashes and sets.
const (
	ErrIndexRange  Error = "ERR index out of range"
	ErrRank        Error = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list"
	ErrPosCount    Error = "ERR COUNT can't be negative"
	ErrPosMaxLen   Error = "ERR MAXLEN can't be negative"
	ErrNumKeys     Error = "ERR numkeys should be greater than 0"
	ErrNumFields   Error = "ERR numfields should be greater than 0 and match the provided number of fields"
	ErrManyKeys    Error = "ERR Number of keys can't be greater than number of args"
	ErrPopCount    Error = "ERR count should be greater than 0"
	ErrLimit       Error = "ERR LIMIT can't be negative"
	ErrRange       Error = "ERR value is out of range"
	ErrHashInteger Error = "ERR hash value is not an integer"
	ErrHashFloat   Error = "ERR hash value is not a float"
	ErrNaNOrInf    Error = "ERR value is NaN or Infinity"
)

// Sorted sets and SORT.
const (
	ErrScoreNaN       Error = "ERR resulting score is not a number (NaN)"
	ErrAddNXXX        Error = "ERR XX and NX options at the same time are not compatible"
	ErrAddGTLTNX      Error = "ERR GT, LT, and/or NX options at the same time are not compatible"
	ErrAddIncr        Error = "ERR INCR option supports a single increment-element pair"
	ErrScoreRange     Error = "ERR min or max is not a float"
	ErrLexRange       Error = "ERR min or max not valid string range item"
	ErrRangeLimit     Error = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
	ErrLexScores      Error = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
	ErrWeight         Error = "ERR weight value is not a float"
	ErrSortByCluster  Error = "ERR BY option of SORT denied in cluster mode."
	ErrSortGetCluster Error = "ERR GET option of SORT denied in cluster mode."
	ErrSortByDenied   Error = "ERR BY option of SORT denied due to insufficient ACL permissions."
	ErrSortGetDenied  Error = "ERR GET option of SORT denied due to insufficient ACL permissions."
	ErrSortScore      Error = "ERR One or more scores can't be converted into double"
)

// ErrInputKeys is the error of the command with this full name for no keys.
func ErrInputKeys(name string) Error {
	return Error("ERR at least 1 input key is needed for '" + name + "' command")
}

// ErrBetween is the error of an integer outside of a range.
func ErrBetween(low, high int64) Error {
	return Error(fmt.Sprintf("ERR value is out of range, value must between %d and %d", low, high))
}

// Streams.
const (
	ErrStreamID         Error = "ERR Invalid stream ID specified as stream command argument"
	ErrStreamZeroID     Error = "ERR The ID specified in XADD must be greater than 0-0"
	ErrStreamSmallID    Error = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	ErrStreamExhausted  Error = "ERR The stream has exhausted the last possible ID, unable to add more items"
	ErrStreamElements   Error = "ERR Elements are too large to be stored"
	ErrTrimTwice        Error = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
	ErrTrimMaxLen       Error = "ERR The MAXLEN argument must be >= 0."
	ErrTrimLimit        Error = "ERR The LIMIT argument must be >= 0."
	ErrTrimLimitAlone   Error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
	ErrTrimLimitExact   Error = "ERR syntax error, LIMIT cannot be used without the special ~ option"
	ErrTrimNothing      Error = "ERR syntax error, XTRIM must be called with a trimming strategy"
	ErrIntervalStart    Error = "ERR invalid start ID for the interval"
	ErrIntervalEnd      Error = "ERR invalid end ID for the interval"
	ErrEntriesAdded     Error = "ERR entries_added must be positive"
	ErrSetIDDeleted     Error = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	ErrSetIDMaxDeleted  Error = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
	ErrSetIDItem        Error = "ERR The ID specified in XSETID is smaller than the target stream top item"
	ErrSetIDAdded       Error = "ERR The entries_added specified in XSETID is smaller than the target stream length"
	ErrReadGroup        Error = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	ErrReadNoAck        Error = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
	ErrReadNew          Error = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
	ErrReadLast         Error = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
	ErrReadGroupMissing Error = "ERR Missing GROUP option for XREADGROUP"
	ErrEntriesRead      Error = "ERR value for ENTRIESREAD must be positive or -1"
	ErrGroupNoKey       Error = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."
	ErrBusyGroup        Error = "BUSYGROUP Consumer Group name already exists"
	ErrClaimIdle        Error = "ERR Invalid IDLE option argument for XCLAIM"
	ErrClaimTime        Error = "ERR Invalid TIME option argument for XCLAIM"
	ErrClaimRetryCount  Error = "ERR Invalid RETRYCOUNT option argument for XCLAIM"
	ErrAutoClaimCount   Error = "ERR COUNT must be > 0"
)

// ErrClaimMinIdle is the error of a minimum idle time that is no number.
func ErrClaimMinIdle(command string) Error {
	return Error("ERR Invalid min-idle-time argument for " + command)
}

// ErrClaimOption is the error of a word XCLAIM does not know.
func ErrClaimOption(word []byte) Error {
	return Error("ERR Unrecognized XCLAIM option '" + cString(word) + "'")
}

// ErrUnbalanced is the error of XREAD or XREADGROUP, whose name is lower case, with
// another number of keys than of IDs.
func ErrUnbalanced(command, symbol string) Error {
	return Error(fmt.Sprintf("ERR Unbalanced '%s' list of streams: for each stream key an ID or '%s' must be specified.", command, symbol))
}

// ErrNoGroup is the error of a key or a group that is not there.
func ErrNoGroup(key, group []byte) Error {
	return Error(fmt.Sprintf("NOGROUP No such key '%s' or consumer group '%s'", cString(key), cString(group)))
}

// ErrNoGroupToRead is ErrNoGroup of XREADGROUP.
func ErrNoGroupToRead(key, group []byte) Error {
	return ErrNoGroup(key, group) + " in XREADGROUP with GROUP option"
}

// ErrNoGroupOfKey is the error of a group that the key does not have.
func ErrNoGroupOfKey(key, group []byte) Error {
	return Error(fmt.Sprintf("NOGROUP No such consumer group '%s' for key name '%s'", cString(group), cString(key)))
}

// ErrBitOpTwo is the error of an operation of BITOP that needs two strings.
func ErrBitOpTwo(op []byte) Error {
	return Error("ERR BITOP " + string(op) + " must be called with at least two source keys.")
}
