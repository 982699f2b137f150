package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/config"
	"redoubt/internal/durable"
	"redoubt/internal/metrics"
	"redoubt/internal/resp"
	"redoubt/internal/version"
	"redoubt/replication"
	"redoubt/storage"
	"redoubt/storage/journal"
	"redoubt/storage/rdb"
	"redoubt/storage/snapshot"
)

// persistence makes snapshots: the file of SAVE and BGSAVE, the base that lets
// the journal be trimmed, and what replicas get in a full resync. All of them
// are one walk over the keyspace (package snapshot) by the event loops. A goroutine
// for each purpose orders them, so there is one of each at a time, side by side
// with those for other purposes.
type persistence struct {
	config  *config.Config
	keys    *storage.Keyspace
	stream  *journal.Stream
	history func() replication.History
	// libraries are those of functions. They are no keys, but as good as those.
	libraries libraries
	log       *zap.Logger
	// kick wakes the event loops, so that they come and step.
	kick func()
	// beforeBase tells the journal which older base has to stay, before a new one counts.
	beforeBase func()
	// unused runs f with the journal's directory locked. If there is a journal the
	// directory is in use, and the error is errSwitchedOff.
	unused func(f func() error) error

	// replacing is set while the data are being replaced by others, so that
	// nothing is to be saved. Guarded by the world lock.
	replacing bool
	// settle is held while a finished snapshot is put to its use, and while the
	// data that replace others become current. It guards epoch, which counts
	// the latter: a snapshot of what was there before is then of no use. As a
	// dump it would even take the place of the received one, which is what a
	// restart loads where there is no journal.
	settle sync.Mutex
	epoch  int

	// dump is held while a finished BGSAVE becomes the dump, and never while
	// anything is waited for. It guards what says that the one under way must not
	// become it.
	dump sync.Mutex
	// overtaken counts the FLUSHALLs and the saves at shutdown. A BGSAVE that
	// began before the last of them holds data that are gone or older than the
	// dump.
	overtaken int
	// saveFile is the temporary file of the BGSAVE under way; "" if there is none.
	saveFile string

	walks     walks
	pressure  pressure
	baseBytes atomic.Int64 // size of the journal's base
	// replaySpeed is how many bytes of journal the last replay managed in a
	// second, 0 if none was long enough to tell.
	replaySpeed atomic.Int64
	orders      [purposes]chan *order
	stop        context.CancelFunc
	stopped     chan struct{}

	mu       sync.Mutex
	base     *order // the base that is being made, or waits for it
	transfer *order // a snapshot for replicas of a node without a journal, which has not begun
	// transferring is such a snapshot that is being made, since transferBegan.
	transferring  *order
	transferBegan time.Time
	sent          *order // the last such snapshot that was completed; its file is kept
	sends         int    // of them that are being sent, see sending, since sendsBegan
	sendsBegan    time.Time
	saving        bool // a BGSAVE waits or runs
	saveBegan     time.Time
	lastSave      time.Time
	lastTry       time.Time // after lastSave if it failed or was given up
	saveErr       error
	saveTook      time.Duration // -1: none yet
	dirty         int64         // the keyspace's count of changes that lastSave had seen
	baseErr       error
	baseFails     int // in a row
	baseTook      time.Duration
	baseTried     time.Time
	baseBegan     time.Time // of the one being made; zero: none
	// rewrite: BGREWRITEAOF was asked for and waits.
	rewrite  bool
	again    bool                              // another base is wanted once the order for one is carried out
	unmarked atomic.Bool                       // the journal was switched on; see markFiles
	drop     [purposes]context.CancelCauseFunc // give up what is being made; nil: nothing is
	saves    int64                             // good ones since the start
	bases    int64
	effort   effort
	loadKeys int64
	expired  int64
	// took is how long good snapshots took, by purpose.
	took     [purposes]metrics.SharedTimes
	lastHeld [purposes]int64 // most that snapshots held, up to the end of the last for each purpose
}

// purpose is what a snapshot is for.
type purpose uint8

const (
	forSave purpose = iota
	forBase
	forTransfer
	purposes
)

// order is one snapshot that somebody asked for.
type order struct {
	purpose purpose
	journal bool // there was one when it was given
	waiting int  // who waits for one for replicas; guarded by persistence.mu
	// begun has, once the snapshot has begun, the offset that it is as of.
	begun chan replication.Offset
	temp  string // its file, until it is complete; known once it has begun
	// dropped is why it is given up as soon as it is begun; nil: it is not.
	dropped error
	done    chan struct{}
	// The result, once done is closed.
	path string
	at   replication.Offset
	err  error
}

// ordersAhead is more than there are orders for one purpose that wait: who comes
// later joins the one that does.
const ordersAhead = 8

// retryAfter is how long automatic saving waits after a failure, as Redis's
// CONFIG_BGSAVE_RETRY_DELAY.
const retryAfter = 5 * time.Second

// prepare completes a new persistence. The keyspace has had no unit yet.
func (p *persistence) prepare() {
	for i := range p.orders {
		p.orders[i] = make(chan *order, ordersAhead)
	}
	p.keys.OnHeld(func(bool) { p.heldChanged() })
}

// start begins with what was loaded. Loading counts as a save.
func (p *persistence) start(ctx context.Context, l loaded) {
	p.loadKeys, p.expired = l.keys-l.past, l.expired+l.past
	p.dirty = p.keys.Stats().Dirty
	p.stopped = make(chan struct{})
	p.saveTook, p.baseTook = -1, -1
	p.lastSave = time.Now()
	base, _, _ := p.stream.Restart()
	if info, err := os.Stat(base); err == nil { // there may be none
		p.baseBytes.Store(info.Size())
	}
	ctx, p.stop = context.WithCancel(ctx)
	go p.run(ctx)
}

// run makes the snapshots, and asks for those that are due by themselves.
func (p *persistence) run(ctx context.Context) {
	defer close(p.stopped)
	var workers sync.WaitGroup
	for _, orders := range p.orders {
		workers.Go(func() { p.work(ctx, orders) })
	}
	defer workers.Wait()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.orderDue(time.Now())
			p.limitMemory()
		}
	}
}

// work carries out the orders for one purpose, one after the other.
func (p *persistence) work(ctx context.Context, orders <-chan *order) {
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-orders:
			p.carryOut(ctx, o)
		}
	}
}

// orderDue asks for the saves and bases that the configuration calls for.
func (p *persistence) orderDue(now time.Time) {
	c := p.config.Current()
	p.mu.Lock()
	changes := p.keys.Stats().Dirty - p.dirty
	due := false
	for _, s := range c.Save {
		due = due || changes >= int64(s.Changes) && changes > 0 && now.Sub(p.lastSave) > s.After
	}
	due = due && !p.saving && (!p.lastTry.After(p.lastSave) || now.Sub(p.lastTry) > retryAfter)
	p.mu.Unlock()
	if due {
		p.log.Info("changes since the last save call for one", zap.Int64("changes", changes))
		_ = p.askSave()
	}
	p.beginScheduled()
	if !p.stream.Enabled() {
		return
	}
	p.mu.Lock()
	failed, wait := p.baseErr != nil, now.Sub(p.baseTried) <= retryAfter
	p.mu.Unlock()
	if failed && wait {
		return
	}
	limit, grown := p.baseLimit()
	// Without its first base a journal that was just switched on counts for
	// nothing at a restart, so one that failed is tried again in any case.
	if failed || (limit > 0 && grown > limit) {
		p.askBase()
	}
}

// askSave orders a BGSAVE. The error is a line for the client.
func (p *persistence) askSave() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.saving {
		return resp.ErrSaveInProgress
	}
	p.saving, p.saveBegan = true, time.Now()
	p.order(&order{purpose: forSave})
	return nil
}

// askBase orders a base, or joins the order there is.
func (p *persistence) askBase() *order {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.base == nil {
		p.base = p.order(&order{purpose: forBase})
	}
	return p.base
}

// askTransfer orders a snapshot for replicas, or joins the order there is: one that
// has begun as well, unless it must be current.
func (p *persistence) askTransfer(current bool) *order {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o := p.transferring; o != nil && !current && o.waiting > 0 {
		o.waiting++
		return o
	}
	if p.transfer == nil {
		p.transfer = p.order(&order{purpose: forTransfer})
	}
	p.transfer.waiting++
	return p.transfer
}

func (p *persistence) order(o *order) *order {
	o.done, o.journal = make(chan struct{}), p.stream.Enabled()
	o.begun = make(chan replication.Offset, 1)
	p.orders[o.purpose] <- o // nobody orders while one waits
	return o
}

func (p *persistence) carryOut(ctx context.Context, o *order) {
	began := time.Now()
	p.mu.Lock()
	if o.purpose == forTransfer {
		p.transfer = nil // who asks from now on needs a later one
		p.transferring, p.transferBegan = o, began
		if o.waiting == 0 {
			o.dropped = errUnwanted
		}
	}
	if o.purpose == forBase {
		p.baseBegan = began
		p.log.Info("Background append only file rewriting started")
	}
	ctx, drop := context.WithCancelCause(ctx)
	defer drop(nil)
	p.drop[o.purpose] = drop
	if o.dropped != nil {
		drop(o.dropped)
	}
	p.mu.Unlock()
	dirty := p.keys.Stats().Dirty
	o.err = p.snapshot(ctx, o)
	if cause := context.Cause(ctx); o.err != nil && givenUp(cause) {
		o.err = cause
	}
	took := time.Since(began)
	if o.err == nil {
		p.took[o.purpose].Record(took)
	}
	_, held := p.keys.Held()
	p.mu.Lock()
	p.lastHeld[o.purpose], p.drop[o.purpose] = held, nil
	switch o.purpose {
	case forSave:
		p.saving, p.lastTry = false, time.Now()
		if givenUp(o.err) {
			break // which is no failure of the disk
		}
		p.saveErr, p.saveTook = o.err, took
		if o.err == nil {
			p.lastSave, p.dirty = time.Now(), dirty
			p.saves++
		}
	case forTransfer:
		p.transferring = nil
	case forBase:
		p.base, p.baseTook, p.baseBegan = nil, took, time.Time{}
		if p.again {
			p.again = false
			p.base = p.order(&order{purpose: forBase})
		}
		if errors.Is(o.err, errSwitchedOff) || errors.Is(o.err, errOvertaken) {
			break // which is no failure
		}
		p.baseErr, p.baseTried = o.err, time.Now()
		p.baseFails++
		if o.err == nil {
			p.baseFails = 0
		}
		if o.err == nil {
			p.bases++
		}
	}
	p.mu.Unlock()
	switch {
	case givenUp(o.err):
		p.log.Info("Background saving given up", zap.NamedError("because", o.err))
	case o.err != nil:
		p.log.Warn("Background saving error", zap.Error(o.err))
	default:
		switch o.purpose {
		case forSave:
			p.log.Info("DB saved on disk")
		case forBase:
			p.log.Info("Background AOF rewrite finished successfully")
		}
		p.log.Info(fmt.Sprintf("Background saving terminated with success (%.3f seconds, data as of offset %d)", took.Seconds(), o.at))
	}
	close(o.done)
}

// snapshot writes a snapshot beside where it belongs, and then moves it there.
func (p *persistence) snapshot(ctx context.Context, o *order) error {
	c := p.config.Current()
	dir := c.Dir
	journal := p.stream.Enabled()
	if o.purpose == forBase && o.journal != journal {
		return errSwitchedOff
	}
	if ctx.Err() != nil {
		return snapshot.ErrAborted // as when it has begun; carryOut knows the cause
	}
	if o.purpose != forSave && journal {
		// There the next start removes what a crash leaves behind.
		dir = p.stream.Dir()
	}
	f, err := createTemp(dir)
	if err != nil {
		return err
	}
	keep := false
	defer func() {
		f.Close()
		if !keep {
			os.Remove(f.Name())
		}
	}()
	epoch, overtaken := p.currentEpoch(), 0
	if o.purpose == forSave {
		overtaken = p.beginDump(f.Name())
		defer p.beginDump("")
	}
	o.temp = f.Name()
	if o.purpose == forTransfer {
		p.log.Info(fmt.Sprintf("Background RDB transfer started by pid %d", os.Getpid()))
	}
	var out io.Writer = f
	if o.purpose == forSave && c.DumpIncrementalFsync || o.purpose != forSave && c.BaseIncrementalFsync {
		out = &steadyFile{File: f}
	}
	if o.at, err = p.walk(ctx, out, o); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	p.settle.Lock()
	defer p.settle.Unlock()
	if epoch != p.epoch {
		return errReplaced
	}
	o.path = f.Name()
	switch o.purpose {
	case forSave:
		o.path = filepath.Join(dir, c.DBFilename)
		if err := p.becomeDump(f.Name(), o.path, overtaken); err != nil {
			return err
		}
		err = durable.SyncDir(dir)
	case forBase:
		if !journal {
			err = p.publish(f.Name())
			break
		}
		if info, err := f.Stat(); err == nil {
			p.baseBytes.Store(info.Size())
		}
		p.beforeBase()
		if err = p.stream.SetBase(f.Name(), o.at); err == nil {
			p.markFiles()
		}
	case forTransfer:
		p.keepTransfer(o)
	}
	keep = err == nil
	return err
}

// errReplaced ends a snapshot of data that a full resync replaces.
var errReplaced = errors.New("node: the data are being replaced by those of the primary")

// errOvertaken ends a snapshot whose data have been flushed since, or a BGSAVE which
// the save at shutdown has made superfluous.
var errOvertaken = errors.New("node: the data have been flushed, or saved at shutdown")

// beginDump notes the file that a BGSAVE writes and returns the count that
// becomeDump wants back.
func (p *persistence) beginDump(file string) (overtaken int) {
	p.dump.Lock()
	defer p.dump.Unlock()
	p.saveFile = file
	return p.overtaken
}

// becomeDump makes the file of a BGSAVE the dump, unless something has overtaken
// it since beginDump returned that count.
func (p *persistence) becomeDump(file, dump string, overtaken int) error {
	p.dump.Lock()
	defer p.dump.Unlock()
	if p.overtaken != overtaken {
		return errOvertaken
	}
	return os.Rename(file, dump)
}

// overtake keeps the BGSAVE under way from becoming the dump and frees the disk
// space of its file: there may be room for one dump only. The BGSAVE is given up,
// and until it has noticed it writes to a file that is going to be removed.
func (p *persistence) overtake() {
	p.mu.Lock()
	if drop := p.drop[forSave]; drop != nil {
		drop(errOvertaken)
	}
	p.mu.Unlock()
	p.dump.Lock()
	defer p.dump.Unlock()
	p.overtaken++
	if p.saveFile == "" {
		return
	}
	if err := os.Truncate(p.saveFile, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.log.Warn("The file of the overtaken save keeps its disk space", zap.Error(err))
	}
}

// Flushed implements server.Persistence.
func (p *persistence) Flushed(tx *storage.Tx, save bool) error {
	p.overtake()
	p.giveUpFlushed()
	switch {
	case !save:
		return nil
	case p.replacing:
		return errReplaced
	}
	return p.saveNow(tx)
}

// giveUpFlushed gives up what is being made, and kept, for replicas and as a base of data
// that have been flushed: a snapshot under way would keep all of them in memory until it
// has written them. The replicas ask again, as in Redis (flushAllDataAndResetRDB), and
// there will be a base of what is there now.
func (p *persistence) giveUpFlushed() {
	p.mu.Lock()
	if drop := p.drop[forTransfer]; drop != nil {
		drop(errOvertaken)
	}
	if drop := p.drop[forBase]; drop != nil {
		p.again = true
		drop(errOvertaken)
	}
	p.mu.Unlock()
	p.dropTransfer()
}

// givenUp reports whether a snapshot with that error was of no use any more, or
// the node ends.
func givenUp(err error) bool {
	return errors.Is(err, errReplaced) || errors.Is(err, errOvertaken) || errors.Is(err, errSwitchedOff) || errors.Is(err, errUnwanted) || errors.Is(err, snapshot.ErrAborted)
}

func (p *persistence) currentEpoch() int {
	p.settle.Lock()
	defer p.settle.Unlock()
	return p.epoch
}

// replaced runs change, which makes other data and another stream current, and
// makes what was saved of the old ones useless for replicas and as a base.
// bytes is the size of the new base.
func (p *persistence) replaced(bytes int64, change func() error) error {
	p.settle.Lock()
	defer p.settle.Unlock()
	p.epoch++
	p.dropTransfer()
	if err := change(); err != nil {
		return err
	}
	p.baseBytes.Store(bytes)
	p.markFiles()
	return nil
}

func (p *persistence) format() rdb.Options {
	c := p.config.Current()
	return rdb.Options{Compress: c.RDBCompression, Checksum: c.RDBChecksum}
}

// header describes the moment; tx is a unit under the world lock. The stream
// behind a snapshot for replicas begins with a SELECT, as with Redis: not
// everything that reads one looks for the database in the file.
func (p *persistence) header(tx *storage.Tx, why purpose) rdb.Header {
	db := p.stream.ReadersDB()
	if why == forTransfer && tx.Role() == storage.RolePrimary {
		p.stream.ResetDB()
		db = -1
	}
	return rdb.Header{
		ServerVersion: version.Redis,
		CreatedUnix:   time.Now().Unix(),
		ReplID:        p.history().ID,
		ReplOffset:    p.stream.End(),
		ReplStreamDB:  db,
		AOFBase:       why == forBase,
		Functions:     p.libraries.Libraries(tx),
	}
}

// Background is BGSAVE. The snapshot begins a moment later, under the world lock.
func (p *persistence) Background() error { return p.askSave() }

// Save is SAVE: it writes the file while the caller holds the world lock. Who asked
// hears of a failure; that it stops no writes, unlike one of a BGSAVE, is as in Redis.
func (p *persistence) Save(tx *storage.Tx) error {
	switch {
	case p.replacing:
		return errReplaced
	case p.Saving():
		return resp.ErrSaveInProgress
	}
	return p.saveNow(tx)
}

// SaveAtEnd implements server.Persistence: the save of SHUTDOWN and SIGTERM.
// Redis's finishShutdown kills the child of a BGSAVE and saves, too. If this save
// fails the node keeps running, and the BGSAVE is given up all the same.
func (p *persistence) SaveAtEnd(tx *storage.Tx) error {
	if p.replacing {
		return errReplaced
	}
	if p.Saving() {
		p.log.Warn("There is a background save under way. Giving it up!")
	}
	p.overtake()
	return p.saveNow(tx)
}

// AwaitsFirstBase implements server.Persistence.
func (p *persistence) AwaitsFirstBase() bool {
	_, _, found := p.stream.Restart()
	return p.stream.Enabled() && !found
}

// saveNow writes the dump of this moment.
func (p *persistence) saveNow(tx *storage.Tx) error {
	began := time.Now()
	dir, name := p.config.Current().Dir, p.config.Current().DBFilename
	incremental := p.config.Current().DumpIncrementalFsync
	err := writeFile(dir, name, func(out io.Writer) error {
		if f, ok := out.(*os.File); ok && incremental {
			out = &steadyFile{File: f}
		}
		return snapshot.Write(p.keys, tx, p.effort.writer(out), p.header(tx, forSave), snapshot.Options{RDB: p.format(), Each: p.delay()})
	})
	if err == nil {
		p.log.Info("DB saved on disk")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastTry, p.saveTook = time.Now(), time.Since(began)
	if err == nil {
		p.took[forSave].Record(p.saveTook)
		// The file has what the unit did before this, which is not in Stats yet.
		p.saveErr, p.lastSave, p.dirty = nil, time.Now(), p.keys.Stats().Dirty+tx.Uncounted()
		p.saves++
	}
	return err
}

// Failing is the line that writes get while the disk refuses, "" if it does
// not.
func (p *persistence) Failing() resp.Error {
	if p.stream.DiskFull() {
		return resp.ErrMisconfJournal("No space left on device")
	}
	c := p.config.Current()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.saveErr != nil && c.StopWritesOnBgsaveError && len(c.Save) > 0 {
		return resp.ErrMisconfSnapshot
	}
	return ""
}

// LastSave is the time of the last good snapshot, or of the start.
func (p *persistence) LastSave() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastSave
}

// Saving reports whether a BGSAVE is under way.
func (p *persistence) Saving() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.saving
}

// Info is the lines of INFO persistence.
func (p *persistence) Info() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var b strings.Builder
	line := func(name string, v any) { fmt.Fprintf(&b, "%s:%v\r\n", name, v) }
	seconds := func(d time.Duration) int64 {
		if d < 0 {
			return -1
		}
		return int64(d / time.Second)
	}
	since := func(on bool, t time.Time) int64 {
		if !on {
			return -1
		}
		return int64(now.Sub(t) / time.Second)
	}
	held, peak := p.keys.Held()
	line("current_cow_peak", peak)
	line("current_cow_size", held)
	line("current_cow_size_age", 0)
	written, total := p.progress()
	line("current_fork_perc", fmt.Sprintf("%.2f", 100*float64(written)/float64(max(total, 1))))
	line("current_save_keys_processed", written)
	line("current_save_keys_total", total)
	line("rdb_changes_since_last_save", p.keys.Stats().Dirty-p.dirty)
	making, began := p.making()
	line("rdb_bgsave_in_progress", oneIf(making))
	line("rdb_last_save_time", p.lastSave.Unix())
	line("rdb_last_bgsave_status", status(p.saveErr))
	line("rdb_last_bgsave_time_sec", seconds(p.saveTook))
	line("rdb_current_bgsave_time_sec", since(making, began))
	line("rdb_saves", p.saves)
	line("rdb_last_cow_size", p.lastHeld[forSave])
	line("rdb_last_load_keys_expired", p.expired)
	line("rdb_last_load_keys_loaded", p.loadKeys)
	line("aof_enabled", oneIf(p.stream.Enabled()))
	line("aof_rewrite_in_progress", oneIf(p.base != nil)) // one that is about to begin, too
	line("aof_rewrite_scheduled", oneIf(p.rewrite))
	line("aof_last_rewrite_time_sec", seconds(p.baseTook))
	line("aof_current_rewrite_time_sec", since(!p.baseBegan.IsZero(), p.baseBegan))
	line("aof_last_bgrewrite_status", status(p.baseErr))
	line("aof_rewrites", p.bases)
	line("aof_rewrites_consecutive_failures", p.baseFails)
	line("aof_last_write_status", map[bool]string{true: "err", false: "ok"}[p.stream.DiskFull()])
	line("aof_last_cow_size", p.lastHeld[forBase])
	line("module_fork_in_progress", 0)
	line("module_fork_last_cow_size", 0)
	p.snapshotInfo(line)
	if p.stream.Enabled() {
		line("aof_current_size", p.baseBytes.Load()+p.stream.SizeSinceBase())
		line("aof_base_size", p.baseBytes.Load())
		line("aof_pending_rewrite", 0)
		line("aof_buffer_length", int64(p.stream.End()-p.stream.Committed()))
		line("aof_pending_bio_fsync", 0)
		line("aof_delayed_fsync", 0)
		p.journalInfo(line)
	}
	return b.String()
}

// making reports whether a file of all keys is being made, for the disk or for
// replicas, and since when; INFO tells no more of either. mu is held.
func (p *persistence) making() (on bool, began time.Time) {
	switch {
	case p.saving:
		return true, p.saveBegan
	case p.transferring != nil:
		return true, p.transferBegan
	case p.sends > 0:
		return true, p.sendsBegan
	}
	return p.transfer != nil, time.Now() // it is about to begin
}

// journalInfo is what INFO persistence has and Redis has not: what the journal
// costs, and what a restart would replay.
func (p *persistence) journalInfo(line func(name string, v any)) {
	limit, grown := p.baseLimit()
	speed := p.basePolicy().replaySpeed
	stats := p.stream.Stats()
	line("journal_appended_bytes", stats.Appended)
	line("journal_written_bytes", stats.Written)
	line("journal_write_amplification", fmt.Sprintf("%.2f", float64(stats.Written)/float64(max(stats.Appended, 1))))
	line("journal_fsyncs", stats.Syncs)
	line("journal_base_limit_bytes", limit)
	line("journal_replay_bytes_per_sec", speed)
	line("journal_replay_estimate_ms", grown*1000/speed)
}

func oneIf(on bool) int {
	if on {
		return 1
	}
	return 0
}

func status(err error) string {
	if err != nil {
		return "err"
	}
	return "ok"
}

// Close gives up what is under way.
func (p *persistence) Close() error {
	if p.stop == nil {
		return nil // the data could not be loaded, so it was never started
	}
	p.stop()
	<-p.stopped
	p.dropTransfer()
	return nil
}

// wait returns when an order is carried out, with its error.
func (o *order) wait(ctx context.Context) error {
	select {
	case <-o.done:
		return o.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
