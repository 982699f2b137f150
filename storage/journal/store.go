package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"

	"redoubt/internal/logging"
	"redoubt/replication"
)

const (
	memTableBytes   = 8 << 20
	blockCacheBytes = 8 << 20

	// Pebble hands each block of a table to a goroutine that writes it, and readers
	// go through the journal from one end to the other: few large blocks.
	tableBlockBytes = 128 << 10
)

// The flag byte a value begins with.
const (
	flagWhole byte = iota // the chunk ends where a unit ends
	flagMore              // the unit goes on in the next chunk
)

// store is the journal in Pebble. The writer's goroutine alone writes; any
// goroutine may read.
type store struct {
	disk  *disk
	log   *zap.Logger
	fatal func(error)

	batch      *pebble.Batch
	generation atomic.Uint64

	mu sync.RWMutex // read-held by readers, so that close waits for them
	db *pebble.DB   // nil once closed; guarded by mu for readers
}

// openStore opens or makes the Pebble instance in dir.
func openStore(dir string, d *disk, log *zap.Logger, fatal func(error)) (*store, error) {
	st := &store{disk: d, log: log, fatal: fatal}
	opts := &pebble.Options{
		FS:                         d,
		FormatMajorVersion:         pebble.FormatNewest,
		MemTableSize:               memTableBytes,
		CacheSize:                  blockCacheBytes,
		WALBytesPerSync:            1 << 20,
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
		Logger:                     pebbleLogger{st},
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { log.Warn("The journal: an error in the background of Pebble", zap.Error(err)) },
		},
	}
	for i := range opts.Levels {
		opts.Levels[i].BlockSize = tableBlockBytes
	}
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("journal: open Pebble in %s: %w", dir, err)
	}
	st.db = db
	st.batch = db.NewBatch()
	return st, nil
}

// pebbleLogger turns what Pebble logs into ours. Fatalf is a failed write or
// fsync of its log or manifest, or corruption it cannot go on with.
type pebbleLogger struct{ st *store }

func (l pebbleLogger) Infof(f string, a ...any)  { l.st.log.Log(logging.Debug, fmt.Sprintf(f, a...)) }
func (l pebbleLogger) Errorf(f string, a ...any) { l.st.log.Warn(fmt.Sprintf(f, a...)) }
func (l pebbleLogger) Fatalf(f string, a ...any) { l.st.fatal(fmt.Errorf(f, a...)) }

func putKey(k []byte, generation uint64, after replication.Offset) {
	binary.BigEndian.PutUint64(k, generation)
	binary.BigEndian.PutUint64(k[8:], uint64(after))
}

func key(generation uint64, after replication.Offset) []byte {
	k := make([]byte, 16)
	putKey(k, generation, after)
	return k
}

// write commits chunks in one batch.
func (st *store) write(chunks []chunk, sync bool) error {
	st.batch.Reset()
	generation := st.generation.Load()
	for i := range chunks {
		c := &chunks[i]
		op := st.batch.SetDeferred(16, 1+c.len())
		putKey(op.Key, generation, c.after)
		op.Value[0] = flagWhole
		if c.more {
			op.Value[0] = flagMore
		}
		n := copy(op.Value[1:], c.a)
		copy(op.Value[1+n:], c.b)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	opt := pebble.NoSync
	if sync {
		opt = pebble.Sync
	}
	return st.db.Apply(st.batch, opt)
}

// sync makes everything written so far durable.
func (st *store) sync() error { return st.db.LogData(nil, pebble.Sync) }

// bounds are the keys of a generation.
func bounds(generation uint64) *pebble.IterOptions {
	return &pebble.IterOptions{LowerBound: key(generation, 0), UpperBound: key(generation, math.MaxInt64)}
}

// cursor walks the chunks of a generation. It holds the store open: close it.
type cursor struct {
	st *store
	it *pebble.Iterator
}

func (st *store) cursor(generation uint64) (*cursor, error) {
	st.mu.RLock()
	if st.db == nil {
		st.mu.RUnlock()
		return nil, ErrClosed
	}
	it, err := st.db.NewIter(bounds(generation))
	if err != nil {
		st.mu.RUnlock()
		return nil, err
	}
	return &cursor{st, it}, nil
}

func (c *cursor) close() {
	c.it.Close() // its error has been seen by the call before
	c.st.mu.RUnlock()
}

// chunk is the chunk the cursor stands on. Its bytes live until the next move.
func (c *cursor) chunk() (chunk, error) {
	v, err := c.it.ValueAndErr()
	if err != nil {
		return chunk{}, err
	}
	k := c.it.Key()
	if len(k) != 16 || len(v) < 2 || v[0] > flagMore {
		return chunk{}, fmt.Errorf("%w: key %x has a value of %d bytes", ErrCorrupt, k, len(v))
	}
	after := replication.Offset(binary.BigEndian.Uint64(k[8:]))
	return chunk{after: after, a: v[1:], more: v[0] == flagMore}, nil
}

// read copies the bytes after offset after into p: as much as there is of it
// in chunks that follow each other.
func (st *store) read(p []byte, after replication.Offset) (int, error) {
	generation := st.generation.Load()
	cur, err := st.cursor(generation)
	if err != nil {
		return 0, err
	}
	defer cur.close()
	n := 0
	for ok := cur.it.SeekLT(key(generation, after+1)); ok && n < len(p); ok = cur.it.Next() {
		c, err := cur.chunk()
		if err != nil {
			return n, err
		}
		skip := after + replication.Offset(n) - c.after
		if skip < 0 || skip >= replication.Offset(len(c.a)) {
			break
		}
		n += copy(p[n:], c.a[skip:])
	}
	if err := cur.it.Error(); err != nil {
		return n, fmt.Errorf("journal: read after offset %d: %w", after, err)
	}
	if n == 0 {
		return 0, ErrTrimmed
	}
	return n, nil
}

// extent finds the offsets of the generation: bytes (first, end] are there in
// whole units, or none and found is false. Behind them may be chunks of a last
// unit that was not written to its end, which is for dropAfter; torn says so.
func (st *store) extent(generation uint64) (first, end replication.Offset, found bool, torn string, err error) {
	cur, err := st.cursor(generation)
	if err != nil {
		return 0, 0, false, "", err
	}
	defer cur.close()
	ok := cur.it.Last()
	for ; ok; ok = cur.it.Prev() {
		c, err := cur.chunk()
		if err != nil {
			return 0, 0, false, "", err
		}
		if !c.more {
			end = c.after + replication.Offset(c.len())
			break
		}
		torn = fmt.Sprintf("the last unit, after offset %d, was not written to its end", c.after)
	}
	if err := cur.it.Error(); err != nil {
		return 0, 0, false, "", fmt.Errorf("journal: find the end: %w", err)
	}
	if !ok {
		return 0, 0, false, torn, nil
	}
	if !cur.it.First() {
		return 0, 0, false, "", fmt.Errorf("journal: find the beginning: %w", cur.it.Error())
	}
	c, err := cur.chunk()
	return c.after, end, true, torn, err
}

// dropAfter removes the chunks that begin at or behind an offset, unsynced.
func (st *store) dropAfter(generation uint64, at replication.Offset) error {
	return st.db.DeleteRange(key(generation, at), key(generation, math.MaxInt64), pebble.NoSync)
}

// chunkAt is where the chunk begins that holds the byte before offset at, or at
// itself if there is none: chunks that end at or below it can go.
func (st *store) chunkAt(at replication.Offset) (replication.Offset, error) {
	cur, err := st.cursor(st.generation.Load())
	if err != nil {
		return 0, err
	}
	defer cur.close()
	if !cur.it.SeekLT(key(st.generation.Load(), at+1)) {
		return at, cur.it.Error()
	}
	return replication.Offset(binary.BigEndian.Uint64(cur.it.Key()[8:])), nil
}

// trim removes the chunks that begin below an offset that chunkAt returned.
// Unsynced: a crash brings them back, which does no harm, and the space returns
// once the memtable with the tombstone is flushed.
func (st *store) trim(below replication.Offset) error {
	generation := st.generation.Load()
	if err := st.db.DeleteRange(key(generation, 0), key(generation, below), pebble.NoSync); err != nil {
		return err
	}
	_, err := st.db.AsyncFlush()
	return err
}

// prepareCut makes the batch that removes everything after offset at.
func (st *store) prepareCut(at replication.Offset) (*pebble.Batch, error) {
	generation := st.generation.Load()
	cur, err := st.cursor(generation)
	if err != nil {
		return nil, err
	}
	defer cur.close()
	b := st.db.NewBatch()
	if err := b.DeleteRange(key(generation, at), key(generation, math.MaxInt64), nil); err != nil {
		return nil, err
	}
	if cur.it.SeekLT(key(generation, at)) {
		c, err := cur.chunk()
		if err != nil {
			return nil, err
		}
		if n := at - c.after; n < replication.Offset(len(c.a)) {
			value := append([]byte{flagWhole}, c.a[:n]...)
			if err := b.Set(key(generation, c.after), value, nil); err != nil {
				return nil, err
			}
		}
	}
	return b, cur.it.Error()
}

// apply commits a prepared batch durably.
func (st *store) apply(b *pebble.Batch) error {
	defer b.Close()
	return st.db.Apply(b, pebble.Sync)
}

// keepOnly removes every other generation.
func (st *store) keepOnly(generation uint64) error {
	if err := st.db.DeleteRange(key(0, 0), key(generation, 0), pebble.NoSync); err != nil {
		return err
	}
	return st.dropFrom(generation + 1)
}

// dropFrom removes the given generation and all above it.
func (st *store) dropFrom(generation uint64) error {
	return st.db.DeleteRange(key(generation, 0), key(math.MaxUint64, 0), pebble.NoSync)
}

// close waits for the readers and closes Pebble.
func (st *store) close() error {
	st.mu.Lock()
	db := st.db
	st.db = nil
	st.mu.Unlock()
	if db == nil {
		return nil
	}
	return errors.Join(st.batch.Close(), db.Close())
}
