package rdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"redoubt/replication"
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
}

// Options of a Writer.
type Options struct {
	Compress bool // as rdbcompression
	Checksum bool // as rdbchecksum; without it the checksum is zero
}

const writerBytes = 64 << 10

// Writer writes an RDB file: the header, then for each database its selection
// and its keys, then the end. It does not look at what it is given twice: the
// caller sees to it that keys come under their database and only once. Errors
// come from the underlying writer, and repeat.
type Writer struct {
	out      io.Writer
	enc      Encoder
	checksum bool
	buf      []byte
	crc      uint64
	err      error
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer, o Options) *Writer {
	return &Writer{
		out:      out,
		enc:      Encoder{Compress: o.Compress},
		checksum: o.Checksum,
		buf:      make([]byte, 0, writerBytes),
	}
}

// Header writes the magic and the auxiliary fields. It is the first call.
func (w *Writer) Header(h Header) error {
	w.buf = fmt.Appendf(w.buf, "REDIS%04d", Version)
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
	return w.flushIfFull()
}

func (w *Writer) aux(name, value string) {
	w.buf = append(w.buf, opAux)
	w.buf = w.enc.appendString(w.buf, []byte(name))
	w.buf = w.enc.appendString(w.buf, []byte(value))
}

// SelectDB begins the keys of a database. keys and expires are how many it
// has, and how many of them expire: a hint for who loads the file.
func (w *Writer) SelectDB(db, keys, expires int) error {
	w.buf = append(w.buf, opSelectDB)
	w.buf = appendLength(w.buf, uint64(db))
	w.buf = append(w.buf, opResizeDB)
	w.buf = appendLength(w.buf, uint64(keys))
	w.buf = appendLength(w.buf, uint64(expires))
	return w.flushIfFull()
}

// Entry writes a key of the database selected last; e.DB, e.Idle and e.Freq
// are not looked at.
func (w *Writer) Entry(e *Entry) error {
	encoding, err := encodingOf(e)
	if err != nil {
		return err
	}
	if e.ExpireAtMs != 0 {
		w.buf = append(w.buf, opExpireTimeMs)
		w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(e.ExpireAtMs))
	}
	w.buf = append(w.buf, encoding)
	w.buf = w.enc.appendString(w.buf, e.Key)
	w.buf = w.enc.appendValue(w.buf, e)
	return w.flushIfFull()
}

// Finish writes the end record and all that is still buffered. Nothing may
// follow it.
func (w *Writer) Finish() error {
	w.buf = append(w.buf, opEOF)
	w.flush()
	if !w.checksum {
		w.crc = 0
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.crc)
	return w.flush()
}

func (w *Writer) flushIfFull() error {
	if len(w.buf) < writerBytes {
		return w.err
	}
	return w.flush()
}

func (w *Writer) flush() error {
	if w.err == nil {
		if w.checksum {
			w.crc = checksum(w.crc, w.buf)
		}
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
	return w.err
}
