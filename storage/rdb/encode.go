package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Top bits of a length's first byte, and the special string forms (RDB_6BITLEN to
// RDB_ENC_LZF of Redis's rdb.h).
const (
	len6Bit   = 0x00
	len14Bit  = 0x40
	len32Bit  = 0x80
	len64Bit  = 0x81
	formInt8  = 0xC0
	formInt16 = 0xC1
	formInt32 = 0xC2
	formLZF   = 0xC3
)

const (
	maxIntDigits    = 11 // "-2147483648"
	compressAbove   = 20 // shorter strings are not worth the try, says Redis
	compressSavings = 4  // bytes that compression must save
)

// Encoder turns values into their RDB bytes. The zero value is ready to use
// and does not compress. It is not safe for concurrent use.
type Encoder struct {
	Compress bool // LZF for strings above 20 bytes, as rdbcompression asks for

	lzf *compressor // made at the first use: it takes 32 KiB
}

func appendLength(dst []byte, n uint64) []byte {
	switch {
	case n < 1<<6:
		return append(dst, len6Bit|byte(n))
	case n < 1<<14:
		return append(dst, len14Bit|byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, len32Bit), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, len64Bit), n)
	}
}

// appendString writes s in its shortest form, as rdbSaveRawString does.
func (e *Encoder) appendString(dst, s []byte) []byte {
	if len(s) <= maxIntDigits {
		if n, ok := canonicalInt32(s); ok {
			return appendInt(dst, n)
		}
	}
	if e.Compress && len(s) > compressAbove {
		if out, ok := e.appendCompressed(dst, s); ok {
			return out
		}
	}
	dst = appendLength(dst, uint64(len(s)))
	return append(dst, s...)
}

// maxHeader is what precedes compressed bytes at most: form and two lengths.
const maxHeader = 1 + 9 + 9

// appendCompressed writes s in the LZF form if that saves enough. The length
// of the compressed bytes stands before them, so they are first written behind
// a gap wide enough for any header, and then moved up to the real one.
func (e *Encoder) appendCompressed(dst, s []byte) ([]byte, bool) {
	if e.lzf == nil {
		e.lzf = new(compressor)
	}
	start := len(dst)
	var gap [maxHeader]byte
	out, ok := e.lzf.appendLZF(append(dst, gap[:]...), s, len(s)-compressSavings)
	if !ok {
		return out[:start], false
	}
	packed := out[start+maxHeader:]
	header := append(gap[:0], formLZF)
	header = appendLength(header, uint64(len(packed)))
	header = appendLength(header, uint64(len(s)))
	return append(append(out[:start], header...), packed...), true
}

func appendInt(dst []byte, n int32) []byte {
	switch {
	case n >= math.MinInt8 && n <= math.MaxInt8:
		return append(dst, formInt8, byte(n))
	case n >= math.MinInt16 && n <= math.MaxInt16:
		return binary.LittleEndian.AppendUint16(append(dst, formInt16), uint16(n))
	default:
		return binary.LittleEndian.AppendUint32(append(dst, formInt32), uint32(n))
	}
}

// canonicalInt32 reports whether s is exactly how an int32 is printed.
func canonicalInt32(s []byte) (int32, bool) {
	if len(s) == 0 || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return 0, false
	}
	n, err := strconv.ParseInt(string(s), 10, 32)
	if err != nil {
		return 0, false
	}
	var printed [maxIntDigits]byte
	return int32(n), string(strconv.AppendInt(printed[:0], n, 10)) == string(s)
}
