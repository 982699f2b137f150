package rdb

import (
	"fmt"
	"io"
	"strconv"

	"redoubt/replication"
	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

// Header is what a file tells about itself in its auxiliary fields
// ([Aux]).
type Header struct {
	ServerVersion string // of the Redis whose dialect the server speaks, "7.0.15"
	CreatedUnix   int64  // seconds
	UsedMemory    int64  // bytes

	// The place in the stream at which the file was taken: left out of the
	// file if ReplID is empty.
	ReplID       string
	ReplOffset   replication.Offset
	ReplStreamDB int // database selected in the stream there

	AOFBase bool // the file is the base of an append-only log

	Functions []string // the code of each library of functions

	// Due says that the file has hashes whose fields expire. It is one of Valkey
	// 9 then.
	Due bool
}

// Options of a Writer.
type Options struct {
	Compress bool // as rdbcompression
	Checksum bool // as rdbchecksum; without it the checksum is zero
}

// Writer writes an RDB file: the header, then for each database its selection
// and its keys, then the end. It does not look at what it is given twice: the
// caller sees to it that keys come under their database and only once. Errors
// come from the underlying writer, and repeat.
type Writer struct {
	w   *wire.Writer
	due bool // as in Header
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer, o Options) *Writer {
	w := wire.NewWriter(out)
	w.Compress, w.Checksum = o.Compress, o.Checksum
	return &Writer{w: w}
}

// Header writes the magic, the auxiliary fields and the functions. It is the first
// call.
func (w *Writer) Header(h Header) error {
	if w.due = h.Due; w.due {
		fmt.Fprintf(w.w, "VALKEY%03d", valkeyVersion)
	} else {
		fmt.Fprintf(w.w, "REDIS%04d", Version)
	}
	w.aux(auxVersion, h.ServerVersion)
	w.aux(auxBits, "64")
	w.aux(auxCreated, strconv.FormatInt(h.CreatedUnix, 10))
	w.aux(auxMemory, strconv.FormatInt(h.UsedMemory, 10))
	if h.ReplID != "" {
		w.aux(auxReplStreamDB, strconv.Itoa(h.ReplStreamDB))
		w.aux(auxReplID, h.ReplID)
		w.aux(auxReplOffset, strconv.FormatInt(int64(h.ReplOffset), 10))
	}
	aofBase := "0"
	if h.AOFBase {
		aofBase = "1"
	}
	w.aux(auxAOFBase, aofBase)
	for _, code := range h.Functions {
		w.w.Byte(opFunction)
		w.w.String([]byte(code))
	}
	return w.w.Err()
}

func (w *Writer) aux(name, value string) {
	w.w.Byte(opAux)
	w.w.String([]byte(name))
	w.w.String([]byte(value))
}

// SelectDB begins the keys of a database. keys and expires are how many it
// has, and how many of them expire: a hint for who loads the file.
func (w *Writer) SelectDB(db, keys, expires int) error {
	w.w.Byte(opSelectDB)
	w.w.Length(uint64(db))
	w.w.Byte(opResizeDB)
	w.w.Length(uint64(keys))
	w.w.Length(uint64(expires))
	return w.w.Err()
}

// Entry writes a key of the database selected last; e.DB, e.Idle and e.Freq
// are not looked at.
func (w *Writer) Entry(e *Entry, v Value) error {
	encoding := v.Encoding()
	if storage.EncodingHasDue(encoding) && !w.due {
		return fmt.Errorf("rdb: the header does not say that fields of %q expire", e.Key)
	}
	if e.ExpireAtMs != 0 {
		w.w.Byte(opExpireTimeMs)
		w.w.Millis(e.ExpireAtMs)
	}
	w.w.Byte(encoding)
	w.w.String(e.Key)
	v.Save(w.w)
	return w.w.Err()
}

// Finish writes the end record and all that is still buffered. Nothing may
// follow it.
func (w *Writer) Finish() error {
	w.w.Byte(opEOF)
	w.w.Uint64(w.w.Sum()) // zero without Options.Checksum: "there is none"
	return w.w.Flush()
}
