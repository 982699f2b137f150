package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// loaded is what an RDB file told beside its keys.
type loaded struct {
	keys    int64
	expired int64 // keys left out because their time is past
	past    int64 // keys that would be, but their deletion has to be in the stream
	id      string
	at      replication.Offset
	db      int
	placed  bool  // id, at and db are known
	bytes   int64 // of the file, up to its end record
	skipped rdb.Skipped

	functions int // libraries
	empty     int64
	emptyKeys []string // the first of them: mostEmptyKeys
}

// tell logs what a file had, in the words of Redis's log.
func (l *loaded) tell(log *zap.Logger) {
	for _, key := range l.emptyKeys {
		log.Warn("skipping empty key: " + key)
	}
	line := fmt.Sprintf("Done loading RDB, keys loaded: %d, keys expired: %d", l.keys, l.expired)
	if l.empty > 0 {
		line += fmt.Sprintf(", empty keys skipped: %d", l.empty)
	}
	log.Info(line + ".")
}

// mostEmptyKeys is how many keys of empty collections are named in the log.
const mostEmptyKeys = 10

// loadRule says what becomes of keys that are expired.
type loadRule struct {
	// dropExpired leaves them out, as a primary does with a file that nobody
	// else's data go on from. Where a stream begins behind the file, a replica may
	// have them: they are loaded, found expired, and their DEL is in the stream.
	dropExpired bool
	// merge loads over keys that are there (DEBUG RELOAD NOFLUSH).
	merge bool
	// libraries is where functions go; replace: in the place of those there with the
	// same names, which otherwise are an error (DEBUG RELOAD MERGE).
	libraries libraries
	replace   bool
	// delay comes before each key; nil: none.
	delay func(stop <-chan struct{})
}

// libraries are those of functions (server.Server).
type libraries interface {
	// Libraries is the code of all of them, under the world lock.
	Libraries(tx *storage.Tx) []string
	// LoadLibrary adds one, in the place of that with its name if replace is set,
	// while no clients are served.
	LoadLibrary(code string, replace bool) error
	// DropLibraries leaves none, under the world lock.
	DropLibraries(tx *storage.Tx)
}

// units runs functions one after the other, each in a unit that holds the
// world lock and applies, so that nothing of it reaches the stream. An error
// ends the unit and is returned.
type units func(f func(tx *storage.Tx) error) error

// hand is how one of the goroutines that load together gets at the data: in units
// that apply, so that nothing of it reaches the stream.
type hand interface {
	// begin starts a unit with the slot s.
	begin(s slots.Slot) *storage.Tx
	end()
	// rest says that there is nothing more to do.
	rest()
}

// within is the hand of somebody who has the world lock already.
type within struct{ tx *storage.Tx }

func (w within) begin(slots.Slot) *storage.Tx { return w.tx }
func (w within) end()                         {}
func (w within) rest()                        {}

// applying is the hand of an executor that loads data as of an offset.
type applying struct {
	e   *storage.Executor
	at  replication.Offset
	one [1]slots.Slot
}

func (a *applying) begin(s slots.Slot) *storage.Tx {
	a.one[0] = s
	return a.e.BeginApply(time.Now().UnixMilli(), a.at, a.one[:])
}

func (a *applying) end()  { a.e.End() }
func (a *applying) rest() { a.e.Retire() }

// handsAt are all that load data as of an offset together: the loader and others
// beside it.
func (n *Node) handsAt(at replication.Offset) []hand {
	hands := []hand{&applying{e: n.loader(), at: at}}
	for _, e := range n.besideExecutors() {
		hands = append(hands, &applying{e: e, at: at})
	}
	return hands
}

// besideExecutors are the executors of the goroutines that load or replay beside
// the applier's. Loads and replays follow each other.
func (n *Node) besideExecutors() []*storage.Executor {
	for len(n.besides) < min(runtime.GOMAXPROCS(0), mostBesides) {
		n.besides = append(n.besides, n.keys.NewExecutor())
	}
	return n.besides
}

// mostBesides is how many goroutines can be kept busy by one that reads.
const mostBesides = 4

// filling is a load under way. The goroutine that calls load reads the file. What
// takes time is to make the keys, so it gives most of them, in batches, to the
// others; if all of those have enough to do it makes the keys of the batch itself.
// The order does not matter, as each key is in the file once.
type filling struct {
	keys   *storage.Keyspace
	rule   loadRule
	in     *rdb.Reader
	loaded loaded

	full, empty chan *rdb.Batch
	made        atomic.Int64
	failed      atomic.Pointer[error] // of one of the others

	leftOut sync.Mutex // guards loaded.empty and loaded.emptyKeys while files are read
}

// batchesAhead is how many batches wait for each of the others.
const batchesAhead = 4

// load puts the keys of an RDB file into the databases, with all hands, of which
// the first is the caller's. It gives up when ctx ends.
func load(ctx context.Context, hands []hand, keys *storage.Keyspace, in io.Reader, rule loadRule) (loaded, error) {
	defer calmCollector()()
	others := hands[1:]
	f := filling{
		keys: keys, rule: rule, in: rdb.NewReader(bufio.NewReaderSize(in, 1<<20)),
		full:  make(chan *rdb.Batch, batchesAhead*len(others)),
		empty: make(chan *rdb.Batch, (batchesAhead+1)*len(others)),
	}
	f.in.Library = f.library
	for range cap(f.empty) {
		f.empty <- new(rdb.Batch)
	}
	var working sync.WaitGroup
	for _, h := range others {
		working.Go(func() { f.make(h) })
	}
	before := count(keys)
	err := f.read(ctx, hands[0])
	close(f.full)
	working.Wait()
	if failed := f.failed.Load(); failed != nil {
		err = *failed
	}
	l := f.loaded
	l.keys = f.made.Load()
	if err != nil {
		return l, err
	}
	if held := count(keys) - before; held != l.keys && !rule.merge {
		return l, fmt.Errorf("%w: of %d keys only %d are different", rdb.ErrCorrupt, l.keys, held)
	}
	aux := f.in.Aux()
	l.id, l.at, l.placed = aux.Replication()
	l.db = aux.StreamDB()
	l.skipped, l.bytes = f.in.Skipped(), f.in.Offset()
	return l, nil
}

// read reads the file.
func (f *filling) read(ctx context.Context, h hand) error {
	b := new(rdb.Batch)
	for {
		e, err := f.in.Next() // the first time it reads what the file tells of itself
		if errors.Is(err, io.EOF) {
			return f.makeBatch(h, b)
		}
		if err != nil {
			return err
		}
		if f.rule.delay != nil {
			f.rule.delay(ctx.Done())
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		if ok, err := f.wants(e); err != nil {
			return err
		} else if !ok {
			continue
		}
		taken, err := b.Take(f.in)
		if err == nil && !taken {
			err = f.makeHere(h, e)
		}
		if err != nil {
			return err
		}
		if !taken || b.Full() {
			if f.failed.Load() != nil {
				return nil // load has it
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		if b.Full() {
			if b, err = f.handOver(h, b); err != nil {
				return err
			}
		}
	}
}

// library loads a library of functions, which come before the keys.
func (f *filling) library(code []byte) error {
	f.loaded.functions++
	if err := f.rule.libraries.LoadLibrary(string(code), f.rule.replace); err != nil {
		return fmt.Errorf("a library of functions: %w", err)
	}
	return nil
}

// wants reports whether an entry is to be loaded.
func (f *filling) wants(e *rdb.Entry) (bool, error) {
	if e.DB >= f.keys.Databases() {
		return false, fmt.Errorf("the file has keys in database %d and there are only %d databases", e.DB, f.keys.Databases())
	}
	if f.rule.dropExpired && e.ExpireAtMs != 0 && e.ExpireAtMs <= time.Now().UnixMilli() {
		if _, _, placed := f.in.Aux().Replication(); !placed {
			f.loaded.expired++
			return false, nil
		}
		f.loaded.past++
	}
	return true, nil
}

// handOver has the keys of a batch made, by one of the others or here, and returns
// an empty batch.
func (f *filling) handOver(h hand, b *rdb.Batch) (*rdb.Batch, error) {
	select {
	case f.full <- b:
		return <-f.empty, nil
	default:
		err := f.makeBatch(h, b)
		b.Clear()
		return b, err
	}
}

// make makes the keys of batches until there are no more.
func (f *filling) make(h hand) {
	defer h.rest()
	for b := range f.full {
		if f.failed.Load() == nil {
			if err := f.makeBatch(h, b); err != nil {
				f.failed.CompareAndSwap(nil, &err)
			}
		}
		b.Clear()
		f.empty <- b
	}
}

// makeBatch makes the keys of a batch. A unit takes all that follow each other in
// one slot, which are many in a file that a node has written.
func (f *filling) makeBatch(h hand, b *rdb.Batch) error {
	made := int64(0)
	defer func() { f.made.Add(made) }()
	for todo := b.Entries; len(todo) > 0; {
		at := slots.Of(todo[0].Key)
		tx := h.begin(at)
		for more := true; more; more = len(todo) > 0 && slots.Of(todo[0].Key) == at {
			e := &todo[0]
			tx.Select(e.DB)
			tx.Only(e.Key)
			empty, err := b.Load(tx, e)
			if err != nil {
				h.end()
				return err
			}
			if empty {
				f.passOver(e.Key)
			} else {
				made++
				setAccess(tx, &e.Entry)
			}
			todo = todo[1:]
		}
		h.end()
	}
	return nil
}

// makeHere makes a key whose value cannot be carried away from the file.
func (f *filling) makeHere(h hand, e *rdb.Entry) error {
	tx := h.begin(slots.Of(e.Key))
	defer h.end()
	tx.Select(e.DB)
	empty, err := f.in.Load(tx)
	if err != nil {
		return err
	}
	if empty {
		f.passOver(e.Key)
		return nil
	}
	setAccess(tx, e)
	f.made.Add(1)
	return nil
}

// passOver remembers the key of a collection without elements, as faults of older
// versions of Redis have left in files. There is no such key here.
func (f *filling) passOver(key []byte) {
	f.leftOut.Lock()
	defer f.leftOut.Unlock()
	f.loaded.empty++
	if len(f.loaded.emptyKeys) < mostEmptyKeys {
		f.loaded.emptyKeys = append(f.loaded.emptyKeys, string(key))
	}
}

func setAccess(tx *storage.Tx, e *rdb.Entry) {
	if e.Idle >= 0 || e.Freq >= 0 {
		tx.SetAccess(e.Key, e.Idle, e.Freq)
	}
}

// calm counts who is loading, and has the collector's setting from before.
var calm struct {
	sync.Mutex
	loads   int
	percent int
}

// loadingPercent is GOGC while a file is loaded.
const loadingPercent = 400

// calmCollector makes the garbage collector come less often until end is called.
// Nearly all that loading allocates stays, so that there is little to collect,
// and a collection for each doubling of the heap is a fifth of the time. A limit
// of memory (GOMEMLIMIT) is heeded as before.
func calmCollector() (end func()) {
	calm.Lock()
	defer calm.Unlock()
	if calm.loads++; calm.loads == 1 {
		calm.percent = debug.SetGCPercent(loadingPercent)
		if calm.percent < 0 || calm.percent > loadingPercent {
			debug.SetGCPercent(calm.percent) // somebody has chosen to collect even less
		}
	}
	return func() {
		calm.Lock()
		defer calm.Unlock()
		if calm.loads--; calm.loads == 0 {
			debug.SetGCPercent(calm.percent)
		}
	}
}

// count is the number of keys in all databases.
func count(keys *storage.Keyspace) int64 {
	n := 0
	for db := range keys.Databases() {
		n += keys.Len(db)
	}
	return int64(n)
}

// loadFile is load of the file at path, whose data are as of an offset, and logs what
// was there. A file that does not exist is an error that errors.Is finds as
// fs.ErrNotExist.
func (n *Node) loadFile(ctx context.Context, path string, at replication.Offset, rule loadRule) (loaded, error) {
	f, err := os.Open(path)
	if err != nil {
		return loaded{}, err
	}
	defer f.Close()
	rule.delay = n.loadDelay()
	l, err := load(ctx, n.handsAt(at), n.keys, n.persistence.effort.reader(f), rule)
	if err != nil {
		return l, fmt.Errorf("load %s: %w", path, err)
	}
	l.tell(n.log)
	return l, nil
}

func (n *Node) loadDelay() func(stop <-chan struct{}) {
	return keyDelay(func() int { return n.config.Current().KeyLoadDelayMicros })
}

// loadArriving is load of a snapshot from a primary, to its end, and returns the database
// that is selected in the stream behind it.
func (n *Node) loadArriving(ctx context.Context, in io.Reader) (db int, err error) {
	all := &counted{in: n.persistence.effort.reader(in)}
	l, err := load(ctx, n.handsAt(0), n.keys, all, loadRule{libraries: n.server, delay: n.loadDelay()})
	if err == nil {
		_, err = io.Copy(io.Discard, all)
	}
	if err == nil && all.bytes > l.bytes {
		err = fmt.Errorf("%w: bytes behind the end", rdb.ErrCorrupt)
	}
	if err != nil {
		n.log.Warn("Internal error in RDB reading from the primary", zap.Error(err))
		return 0, err
	}
	if l.skipped.ModuleData > 0 {
		n.log.Warn("The snapshot holds what this server has no place for", zap.Int("module data", l.skipped.ModuleData))
	}
	l.tell(n.log)
	return l.db, nil
}

// counted counts what is read.
type counted struct {
	in    io.Reader
	bytes int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.bytes += int64(n)
	return n, err
}
