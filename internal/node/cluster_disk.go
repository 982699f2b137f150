package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/cluster"
)

// nodesFile is nodes.conf. It is replaced as a whole: a new file is written,
// forced to disk, and renamed to the name. Whoever holds the lock on the file
// that has the name owns it, for the life of the process; so a new file is
// locked before it gets the name.
type nodesFile struct {
	path   string
	locked *os.File
}

// openNodesFile locks the file, making it if need be, and reads it. The state
// is nil if there is none yet.
func openNodesFile(path string) (*nodesFile, *cluster.State, error) {
	f, err := lockNodesFile(path)
	if err != nil {
		return nil, nil, err
	}
	file := &nodesFile{path: path, locked: f}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("read %s: %w", path, err), file.close())
	}
	if len(text) == 0 {
		return file, nil, nil
	}
	state, err := cluster.ParseState(text, false)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("Unrecoverable error: %s: %w", path, err), file.close())
	}
	return file, state, nil
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

// write replaces the content. When it returns nil the new one survives a
// crash of the machine.
func (n *nodesFile) write(s *cluster.State) (err error) {
	temp := n.path + ".tmp-" + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixMilli(), 10)
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(temp))
		}
	}()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return os.NewSyscallError("flock", err)
	}
	if _, err := f.Write(s.Append(nil)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp, n.path); err != nil {
		return err
	}
	n.locked.Close() // it has no name any more
	n.locked = f
	return syncDir(filepath.Dir(n.path))
}

// close gives the file up to other processes.
func (n *nodesFile) close() error { return n.locked.Close() }

// saver is the goroutine that writes nodes.conf, so that a slow disk delays
// nobody. Of the states that wait it writes only the newest.
type saver struct {
	file *nodesFile
	wake chan struct{}

	mu   sync.Mutex
	next *cluster.State // guarded by mu; nil when nothing waits
}

func newSaver(file *nodesFile) *saver { return &saver{file: file, wake: make(chan struct{}, 1)} }

// save asks for a state to be written.
func (s *saver) save(state *cluster.State) {
	s.mu.Lock()
	s.next = state
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run writes until the end, and then what still waits. A failure is fatal,
// as in Redis: a node that forgets its vote could vote twice.
func (s *saver) run(end <-chan struct{}, saved func(version uint64), fatal func(error)) {
	for ended := false; !ended; {
		select {
		case <-s.wake:
		case <-end:
			ended = true
		}
		s.mu.Lock()
		state := s.next
		s.next = nil
		s.mu.Unlock()
		if state == nil {
			continue
		}
		if err := s.file.write(state); err != nil {
			fatal(err)
			return
		}
		saved(state.Version)
	}
}
