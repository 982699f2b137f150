package journal

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"

	"redoubt/replication"
)

// Archive is a journal that nobody works with, for those who only look at it: nothing in
// its directory is changed. What the commit log and the ring have beyond Pebble is read
// from there, as a start would.
type Archive struct {
	Base     string // path of the base, "" for no data
	BaseAt   replication.Offset
	Older    string // of the older base that is kept, "" if there is none or it is no data
	First    replication.Offset
	End      replication.Offset // of the last whole unit
	History  replication.History
	Replica  bool
	Torn     string // why the end is not where it was; "": it is
	oldest   replication.Offset
	store    *store
	inPebble replication.Offset // Pebble has what is up to here
	rest     []chunk            // that follows it
}

// OpenArchive opens the journal in dir, which is a node's appendonlydir.
func OpenArchive(dir string) (*Archive, error) {
	fs := vfs.Default
	m, found, err := readManifest(fs, dir)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("journal: there is none in %s: %w", dir, os.ErrNotExist)
	}
	db, err := pebble.Open(fs.PathJoin(dir, "pebble"), &pebble.Options{FS: fs, ReadOnly: true, FormatMajorVersion: pebble.FormatNewest, Logger: silent{}})
	if err != nil {
		return nil, fmt.Errorf("journal: open Pebble in %s (does a node work with it? Then stop that, or look at a copy): %w", dir, err)
	}
	a := &Archive{BaseAt: m.baseOffset, History: m.history, Replica: m.replica, oldest: m.oldest(), store: &store{log: zap.NewNop(), db: db}}
	a.store.generation.Store(m.generation)
	if m.base != "" {
		a.Base = fs.PathJoin(dir, m.base)
	}
	if m.previous.name != "" {
		a.Older = fs.PathJoin(dir, m.previous.name)
	}
	if err := a.measure(fs, dir, &m); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

// silent is a logger of Pebble whose failures come as errors.
type silent struct{}

func (silent) Infof(string, ...any)      {}
func (silent) Errorf(string, ...any)     {}
func (silent) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// measure finds where the stream begins and ends.
func (a *Archive) measure(fs vfs.FS, dir string, m *manifest) (err error) {
	first, end, found, torn, err := a.store.extent(m.generation)
	if err != nil {
		return err
	}
	if !found {
		first, end = m.baseOffset, m.baseOffset
	}
	a.First, a.inPebble, a.Torn = first, end, torn
	take := func(chunks []chunk, why string) {
		for _, c := range chunks {
			a.rest = append(a.rest, c)
			end += replication.Offset(c.len())
		}
		if why != "" {
			a.Torn = why
		}
	}
	chunks, why, err := readCommitLog(fs, dir, m.generation, end)
	if err != nil {
		return err
	}
	take(chunks, why)
	if chunks, why, err = ringChunks(fs.PathJoin(dir, "ring"), m.generation, end); err != nil {
		return err
	}
	take(chunks, why)
	a.End = end
	a.oldest = max(a.oldest, min(a.First, a.BaseAt))
	return nil
}

// ringChunks reads from the file of a ring what follows offset end.
func ringChunks(path string, generation uint64, end replication.Offset) ([]chunk, string, error) {
	size := ringSizeOnDisk(path)
	if size == 0 {
		return nil, "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, "", fmt.Errorf("journal: read the ring: %w", err)
	}
	if total, _, _ := ringFileBytes(size); len(b) < total {
		return nil, "the ring is shorter than its header says", nil
	}
	r := newRing(b, size, func() error { return nil })
	spans, torn := r.survivors(generation, end, kernelBootID())
	var chunks []chunk
	for _, sp := range spans {
		x, y := r.view(sp.after, sp.end-sp.after)
		chunks = append(chunks, chunk{after: sp.after, a: x, b: y})
	}
	return chunks, torn, nil
}

// Oldest is the offset of the oldest base: what the journal is whole from.
func (a *Archive) Oldest() replication.Offset { return a.oldest }

// WriteTo writes the stream from Oldest to End to out. It implements io.WriterTo.
func (a *Archive) WriteTo(out io.Writer) (n int64, err error) {
	write := func(b []byte, _ replication.Offset) error {
		m, err := out.Write(b)
		n += int64(m)
		return err
	}
	if a.oldest < a.inPebble {
		cur, err := a.store.cursor(a.store.generation.Load())
		if err != nil {
			return 0, err
		}
		err = cur.replay(a.oldest, a.inPebble, write)
		cur.close()
		if err != nil {
			return n, err
		}
	}
	for _, c := range a.rest {
		if err := errors.Join(write(c.a, 0), write(c.b, 0)); err != nil {
			return n, err
		}
	}
	return n, nil
}

// Close closes the files.
func (a *Archive) Close() error { return a.store.db.Close() }
