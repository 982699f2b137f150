package driver

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"redoubt/cluster"
	"redoubt/internal/durable"
)

// nodesFile is nodes.conf, and beside it the log of what has changed since it
// was written (changeLog). Together they are the last State that was written.
//
// nodes.conf is replaced as a whole: a new file is written, forced to disk, and
// renamed to the name. It names its log by a random number, in a variable that
// Redis skips; so the rename also does away with the log of the file before,
// whatever becomes of that. Whoever edits nodes.conf of a stopped node keeps the
// log valid. A node that ends in order leaves a nodes.conf without a log, and
// redis-server can go on with it; after a crash redis-server would miss what is
// in the log, and a start of this server puts everything into nodes.conf first.
//
// Whoever holds the lock on the file that has the name owns both files, for the
// life of the process; so a new file is locked before it gets the name.
type nodesFile struct {
	path   string
	locked *os.File
	saved  *cluster.State // what the files say; nil if nothing yet
	logID  uint64         // of the log that nodes.conf names; 0: none
	log    *changeLog     // nil until something has changed since nodes.conf was written
}

// openNodesFile locks the file, making it if need be, and reads it with its
// log. The state is nil if there is none yet. What an older version wrote does not
// say which flavour its ports have: that of the bus, tls.
func openNodesFile(path string, tls bool, log *zap.Logger) (*nodesFile, *cluster.State, error) {
	f, err := lockNodesFile(path)
	if err != nil {
		return nil, nil, err
	}
	file := &nodesFile{path: path, locked: f}
	state, err := file.load(tls, log)
	if err != nil {
		return nil, nil, errors.Join(err, file.close())
	}
	file.removeTemps()
	return file, state, nil
}

// load reads both files. What a crash has left in the log it puts into
// nodes.conf, and a log that has no use any more it removes.
func (n *nodesFile) load(tls bool, log *zap.Logger) (*cluster.State, error) {
	text, err := io.ReadAll(n.locked)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", n.path, err)
	}
	if len(text) == 0 {
		return nil, nil
	}
	state, err := cluster.ParseState(text, tls)
	if err != nil {
		return nil, fmt.Errorf("Unrecoverable error: %s: %w", n.path, err)
	}
	changes, torn, err := readChangeLog(n.path, state.LogID, state.Change)
	if err != nil {
		return nil, fmt.Errorf("Unrecoverable error: %s: %w. It holds what changed after %s was written; without it this node may forget which slots it has and whom it voted for. To start all the same, move it away",
			changeLogPath(n.path), err, n.path)
	}
	if torn {
		log.Warn("the last change in the log of the cluster configuration is incomplete; nobody was told of it, and it is left out",
			zap.String("file", changeLogPath(n.path)))
	}
	if changes == 0 && !torn {
		n.saved, n.logID = state, state.LogID
		return state, nil
	}
	log.Info("the last run has left changes beside the cluster configuration file", zap.Int("changes", changes), zap.String("file", n.path))
	return state, n.replace(state)
}

// lockNodesFile opens and locks the file that has the name now. Between the
// two the owner of the name may have put another file there; then it is that
// one that counts.
func lockNodesFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("Can't open %s in order to acquire a lock: %w", path, err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, fmt.Errorf("Sorry, the cluster configuration file %s is already used by a different Redis Cluster node. Please make sure that different nodes use different cluster configuration files.", path)
			}
			return nil, fmt.Errorf("Impossible to lock %s: %w", path, err)
		}
		ours, err := f.Stat()
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if named, err := os.Stat(path); err == nil && os.SameFile(ours, named) {
			return f, nil
		}
		f.Close()
	}
}

// write saves a state, as a change in the log if that will do. When it returns
// nil the state survives a crash of the machine.
func (n *nodesFile) write(s *cluster.State) error {
	if n.logID != 0 && !s.Whole {
		err := n.writeChange(s)
		if !errors.Is(err, errLogFull) {
			return err
		}
	}
	return n.replace(s)
}

// writeChange appends to the log, which it begins if there is none.
func (n *nodesFile) writeChange(s *cluster.State) (err error) {
	change := s.AppendChanges(nil, n.saved)
	if n.log == nil {
		n.log, err = beginChangeLog(n.path, n.logID, change)
	} else {
		err = n.log.append(change)
	}
	if err == nil {
		n.saved = s
	}
	return err
}

// settle puts what is in the log into nodes.conf, for whoever reads that while
// the node runs. After errNotReplaced everything is as before.
func (n *nodesFile) settle() error {
	if n.log == nil {
		return nil
	}
	return n.replace(n.saved)
}

// finish leaves a nodes.conf that needs no log. After errNotReplaced everything
// is as before.
func (n *nodesFile) finish() error {
	if n.logID == 0 {
		return nil
	}
	return n.put(n.saved, 0)
}

// replace writes nodes.conf whole and has a new log continue it.
func (n *nodesFile) replace(s *cluster.State) error {
	return n.put(s, max(rand.Uint64(), 1))
}

// errNotReplaced marks what went wrong before nodes.conf was touched.
var errNotReplaced = errors.New("node: the cluster configuration file is as it was")

// put replaces nodes.conf. When it returns nil the new one survives a crash of
// the machine. After an error other than errNotReplaced nobody knows which one
// does.
func (n *nodesFile) put(s *cluster.State, logID uint64) error {
	named := *s
	named.LogID = logID
	temp := n.path + tempSuffix()
	f, err := writeLocked(temp, named.Append(nil))
	if err != nil {
		return errors.Join(errNotReplaced, err)
	}
	if err := os.Rename(temp, n.path); err != nil {
		return errors.Join(errNotReplaced, err, f.Close(), os.Remove(temp))
	}
	n.locked.Close() // it has no name any more
	n.locked = f
	if err := durable.SyncDir(filepath.Dir(n.path)); err != nil {
		return err
	}
	n.saved, n.logID = s, logID
	n.dropLog()
	return nil
}

// writeLocked makes a file, locked and forced to disk.
func writeLocked(path string, text []byte) (f *os.File, err error) {
	if f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644); err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = os.NewSyscallError("flock", err)
	} else if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return f, nil
}

// dropLog removes a log that nodes.conf does not name any more. One that stays,
// or comes back after a crash, does no harm: its id is of no file.
func (n *nodesFile) dropLog() {
	if n.log != nil {
		n.log.close()
		n.log = nil
	}
	os.Remove(changeLogPath(n.path))
}

// close gives the files up to other processes.
func (n *nodesFile) close() error {
	if n.log != nil {
		n.log.close()
	}
	return n.locked.Close()
}

const tempMark = ".tmp-"

// tempSuffix makes a name in the same directory that is not in use.
func tempSuffix() string {
	return tempMark + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixMilli(), 10)
}

// removeTemps removes the files whose rename a crash has prevented.
func (n *nodesFile) removeTemps() {
	for _, path := range []string{n.path, changeLogPath(n.path)} {
		dir, name := filepath.Split(path)
		entries, _ := os.ReadDir(filepath.Clean(dir))
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), name+tempMark) {
				os.Remove(filepath.Join(dir, e.Name()))
			}
		}
	}
}

// saver is the goroutine that writes nodes.conf, so that a slow disk delays
// nobody. Of the states that wait it writes only the newest: one fsync serves
// all who wait for it.
type saver struct {
	file *nodesFile
	log  *zap.Logger
	wake chan struct{}

	mu   sync.Mutex
	next *cluster.State // guarded by mu; nil when nothing waits
}

// settleAfter is how long nothing must have changed before nodes.conf is
// written whole.
const settleAfter = time.Second

func newSaver(file *nodesFile, log *zap.Logger) *saver {
	return &saver{file: file, log: log, wake: make(chan struct{}, 1)}
}

// save asks for a state to be written.
func (s *saver) save(state *cluster.State) {
	s.mu.Lock()
	if s.next != nil && s.next.Whole && !state.Whole {
		whole := *state
		whole.Whole = true
		state = &whole
	}
	s.next = state
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take gives the state that waits, or nil.
func (s *saver) take() *cluster.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.next
	s.next = nil
	return state
}

// run writes until the end, and then what still waits. A state that cannot be
// saved is fatal, as in Redis: a node that forgets its vote could vote twice.
func (s *saver) run(end <-chan struct{}, saved func(version uint64), fatal func(error)) {
	idle := time.NewTimer(settleAfter)
	defer idle.Stop()
	for ended := false; !ended; {
		var err error
		select {
		case <-s.wake:
			err = s.write(saved)
			idle.Reset(settleAfter)
		case <-idle.C:
			err = s.optional(s.file.settle(), idle)
		case <-end:
			ended = true
			if err = s.write(saved); err == nil {
				err = s.optional(s.file.finish(), idle)
			}
		}
		if err != nil {
			fatal(err)
			return
		}
	}
}

// write saves the state that waits, if any.
func (s *saver) write(saved func(version uint64)) error {
	state := s.take()
	if state == nil {
		return nil
	}
	if err := s.file.write(state); err != nil {
		return err
	}
	saved(state.Version)
	return nil
}

// optional takes the error of a tidying that may wait, on a full disk, say: what
// it would write is in the log.
func (s *saver) optional(err error, again *time.Timer) error {
	if !errors.Is(err, errNotReplaced) {
		return err
	}
	s.log.Warn("the cluster configuration file could not be replaced; what has changed stays in the log beside it", zap.Error(err))
	again.Reset(settleRetry)
	return nil
}

// settleRetry is how long the saver waits after a failure to tidy.
const settleRetry = 10 * time.Second
