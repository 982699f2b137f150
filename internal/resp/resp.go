// Package resp is the Redis serialization protocol as a server sees it: a
// Parser for requests, a Writer for replies, and the error lines a client can
// receive.
//
// A request is either a multibulk (an array of bulk strings) or an inline
// command (a line of words). The Parser works in place: it is given the bytes
// that have arrived, remembers how far it understood them, and yields views
// into them. It holds no input of its own except the unescaped words of an
// inline command.
//
// A reply is written in RESP2 or RESP3. Handlers describe what they mean (a
// map, a double, a push) and the Writer degrades it for RESP2 clients in the
// way Redis's addReply family does.
//
// The package is pure: it knows no socket and no connection. Event loops and
// the driver of replication links own the buffers and call it. It does not
// read replies; the tools use a client library for that.
package resp

// Protocol versions a client can speak.
const (
	Proto2 = 2
	Proto3 = 3
)

// EqualFold compares a word of a client with one in lower case. It does not
// allocate.
func EqualFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
