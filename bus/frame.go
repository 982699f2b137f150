package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// PrefixLen is the number of bytes of a message that FrameLen and TypeOf look
// at. No message is shorter.
const PrefixLen = lightHeaderLen

// MaxLen is the longest message that is read: the largest channel and the
// largest payload that a client can publish, 512 MiB each. Redis has no such
// limit.
const MaxLen = headerLen + publishFixed + 2*(512<<20)

// ErrFraming says that the bytes are not a message of the cluster bus, so that
// nobody can tell where the next one begins: the link has to be closed.
var ErrFraming = errors.New("bus: bad signature or length")

// FrameLen returns the length in bytes of the message that begins with prefix,
// at least PrefixLen bytes. Its only errors wrap ErrFraming.
func FrameLen(prefix []byte) (int, error) {
	if string(prefix[:len(signature)]) != signature {
		return 0, fmt.Errorf("%w: it begins with %q", ErrFraming, prefix[:len(signature)])
	}
	n := int64(binary.BigEndian.Uint32(prefix[offLength:]))
	least := int64(headerLen)
	if isLight(prefix) {
		least = lightHeaderLen
	}
	if n < least || n > MaxLen {
		return 0, fmt.Errorf("%w: length %d is not within %d and %d", ErrFraming, n, least, MaxLen)
	}
	return int(n), nil
}

// TypeOf returns the type of the message that begins with prefix, at least
// PrefixLen bytes, without a look at anything else: received messages are
// counted by type before they are checked.
func TypeOf(prefix []byte) Type {
	return Type(binary.BigEndian.Uint16(prefix[offType:])) &^ lightBit
}

func isLight(prefix []byte) bool {
	return Type(binary.BigEndian.Uint16(prefix[offType:]))&lightBit != 0
}
