package rdb

import (
	"strconv"

	"redoubt/replication"
)

// Names of the auxiliary fields that have a meaning (Redis's rdbSaveInfoAuxFields).
const (
	auxVersion      = "redis-ver"
	auxBits         = "redis-bits"
	auxCreated      = "ctime"
	auxMemory       = "used-mem"
	auxReplStreamDB = "repl-stream-db"
	auxReplID       = "repl-id"
	auxReplOffset   = "repl-offset"
	auxAOFBase      = "aof-base"
)

// Aux holds the auxiliary fields of a file, by name.
type Aux map[string]string

// Replication returns the place in a stream at which the file was taken. ok is
// false if the file does not tell.
func (a Aux) Replication() (id string, at replication.Offset, ok bool) {
	id = a[auxReplID]
	offset, err := strconv.ParseInt(a[auxReplOffset], 10, 64)
	if err != nil || offset < 0 || !replication.ValidID(id) {
		return "", 0, false
	}
	return id, replication.Offset(offset), true
}

// StreamDB returns the database that was selected in the stream when the file
// was taken, or 0 if the file does not tell.
func (a Aux) StreamDB() int {
	db, err := strconv.Atoi(a[auxReplStreamDB])
	if err != nil || db < 0 {
		return 0
	}
	return db
}
