// Package replication is the arithmetic of asynchronous replication: stream
// offsets, replication histories, the PSYNC decision, and the counting of
// acknowledgements. It is pure: no goroutine, clock, socket or disk. Package
// replication/psync moves the bytes.
package replication

// Offset is a position in a node's stream. As in Redis, the last byte of the
// stream has the number Offset, so the next byte to be produced has the number
// Offset+1, and an empty stream is at 0.
type Offset int64
