package command

import "redoubt/internal/resp"

// What handlers of data answer when they refuse. The texts are Redis's, byte
// for byte, since clients and test suites compare them.
const (
	errSyntax        = resp.Error("ERR syntax error")
	errNotInteger    = resp.Error("ERR value is not an integer or out of range")
	errNotFloat      = resp.Error("ERR value is not a valid float")
	errOverflow      = resp.Error("ERR increment or decrement would overflow")
	errDecrOverflow  = resp.Error("ERR decrement would overflow")
	errNaN           = resp.Error("ERR increment would produce NaN or Infinity")
	errTooLong       = resp.Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")
	errOffset        = resp.Error("ERR offset is out of range")
	errBitOffset     = resp.Error("ERR bit offset is not an integer or out of range")
	errBitValue      = resp.Error("ERR bit is not an integer or out of range")
	errNoKey         = resp.Error("ERR no such key")
	errWrongType     = resp.Error("WRONGTYPE Operation against a key holding the wrong kind of value")
	errDBIndex       = resp.Error("ERR DB index is out of range")
	errSameObject    = resp.Error("ERR source and destination objects are the same")
	errMSetArity     = resp.Error("ERR wrong number of arguments for 'mset' command")
	errMSetNXArity   = resp.Error("ERR wrong number of arguments for 'msetnx' command")
	errLCSTypes      = resp.Error("ERR The specified keys must contain string values")
	errLCSBoth       = resp.Error("ERR If you want both the length and indexes, please just use IDX.")
	errLCSTooLong    = resp.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
	errNXandOthers   = resp.Error("ERR NX and XX, GT or LT options at the same time are not compatible")
	errGTandLT       = resp.Error("ERR GT and LT options at the same time are not compatible")
	errInvalidCursor = resp.Error("ERR invalid cursor")
	errLFUOff        = resp.Error("ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	errLFUOn         = resp.Error("ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.")
	errBusyKey       = resp.Error("BUSYKEY Target key name already exists.")
)

func errInvalidExpire(name string) resp.Error {
	return resp.Error("ERR invalid expire time in '" + name + "' command")
}
