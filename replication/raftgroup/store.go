package raftgroup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"redoubt/replication"
)

// store is the group's log and what a member must not forget, its term and its vote,
// in an instance of Pebble: small, since an entry has some 30 bytes. Keys are "e" and
// an index, or "s" and a name. It implements raft.LogStore and raft.StableStore.
//
// Entries count as stored when they and the data that they name are on the disk.
type store struct {
	db    *pebble.DB
	disk  *disk
	first atomic.Uint64 // 0: the log is empty
	last  atomic.Uint64
	// hold waits until the data are, or notes that this node owes them, or refuses the entries.
	// beside reports whether data and entries are to be written at once, as the node has the data
	// and not on the disk yet; else hold comes before.
	hold   func([]*raft.Log) error
	beside func([]*raft.Log) bool
	// since is when the write in progress began, in Unix nanoseconds; 0: there is none.
	since   atomic.Int64
	applied atomic.Pointer[Mark] // the last mark that the machine has applied

	group   atomic.Pointer[string] // the group's name; nil: there is none
	storing sync.Mutex             // held while entries are being stored

	owing   sync.Mutex
	owes    atomic.Bool // there are marks in the log whose data this node lacks; changed under owing
	debts   uint64      // how often it has come to owe; guarded by owing
	parting int         // how many calls of without are under way; guarded by owing
	closed  bool        // guarded by owing
	// snap is what the last snapshot of Raft stands for: the log may have older entries that do
	// not go on to it. Without one it is empty.
	snap atomic.Pointer[summary]
}

// summary is the index up to which a snapshot of Raft has everything, and the last mark in it.
type summary struct {
	index uint64
	mark  *Mark // nil: none
}

var errNoKey = errors.New("not found") // what raft.StableStore asks for

const (
	entryKey  = 'e'
	stableKey = 's'
	entryHead = 8 + 1 + 8 // term, type, when it was appended
)

// openStore opens the log in a directory. fatal is told of an error after which nobody knows
// what of the log is on the disk; it ends the process.
func openStore(dir string, d *disk, hold func([]*raft.Log) error, beside func([]*raft.Log) bool, fatal func(error)) (*store, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		FS:                 d,
		MemTableSize:       4 << 20,
		Cache:              pebble.NewCache(1 << 20),
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             silent{dir, d, fatal},
	})
	if err != nil {
		return nil, fmt.Errorf("raftgroup: open the log: %w", err)
	}
	s := &store{db: db, disk: d, hold: hold, beside: beside}
	s.snap.Store(&summary{})
	if err := s.findEnds(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	owes, err := s.GetUint64(oweKey)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.owes.Store(owes != 0)
	switch name, err := s.Get(groupKey); {
	case err == nil:
		s.group.Store(new(string(name)))
	case !errors.Is(err, errNoKey):
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// groupKey is where the name of the group is kept.
var groupKey = []byte("group")

// join makes this a log of the group of that name.
func (s *store) join(name string) error {
	if err := s.Set(groupKey, []byte(name)); err != nil {
		return err
	}
	s.group.Store(&name)
	return nil
}

// oweKey is where store.owes is kept.
var oweKey = []byte("owes")

// owe notes that this node lacks data which marks in its log name, or does not any more.
// It is on the disk when owe returns.
func (s *store) owe(on bool) error {
	s.owing.Lock()
	defer s.owing.Unlock()
	if on {
		s.debts++
	}
	return s.noteDebt(on)
}

// debt is what the node owes at present, for paid.
func (s *store) debt() uint64 {
	s.owing.Lock()
	defer s.owing.Unlock()
	return s.debts
}

// paid says that the node has all that it owed at the time of debt. What it has come to
// owe since it still owes.
func (s *store) paid(debt uint64) error {
	s.owing.Lock()
	defer s.owing.Unlock()
	if s.debts != debt || s.parting > 0 {
		return nil
	}
	return s.noteDebt(false)
}

// without has the node give up data that its log may name. It owes them before and
// afterwards, whatever is paid meanwhile by who still sees them. It does not wait for a full disk.
func (s *store) without(change func() error) error {
	if s.disk.waiting.Load() > 0 {
		return errDiskFull
	}
	s.owing.Lock()
	s.debts++
	s.parting++
	err := s.noteDebt(true)
	s.owing.Unlock()
	if err == nil {
		err = change()
	}
	s.owing.Lock()
	s.debts++
	s.parting--
	s.owing.Unlock()
	return err
}

// lastMark is the last mark of what has been stored, in the log or in the snapshot before it.
func (s *store) lastMark() (m Mark, ok bool, err error) {
	snap := s.snap.Load()
	for i := s.last.Load(); i > snap.index && i >= s.first.Load(); i-- {
		var l raft.Log
		if err := s.GetLog(i, &l); err != nil {
			return m, false, err
		}
		if m, ok := markOf(&l); ok {
			return m, true, nil
		}
	}
	if snap.mark == nil {
		return m, false, nil
	}
	return *snap.mark, true, nil
}

// payIf pays what the node owes if it holds the last mark: whoever has set that had everything
// that was marked before.
func (s *store) payIf(holds func(Mark) bool) error {
	if !s.owes.Load() || !s.storing.TryLock() {
		return nil
	}
	defer s.storing.Unlock()
	debt := s.debt() // before the look
	if m, ok, err := s.lastMark(); err != nil || !ok || !holds(m) {
		return err
	}
	return s.paid(debt)
}

// noteDebt puts on the disk whether the node owes data. owing is held.
func (s *store) noteDebt(on bool) error {
	if s.closed {
		return ErrClosed
	}
	if s.owes.Load() == on {
		return nil
	}
	var v uint64
	if on {
		v = 1
		s.owes.Store(true) // at once
	}
	if err := s.Set(oweKey, binary.BigEndian.AppendUint64(nil, v)); err != nil {
		return err
	}
	s.owes.Store(on)
	return nil
}

func (s *store) findEnds() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{entryKey}, UpperBound: []byte{entryKey + 1}})
	if err != nil {
		return err
	}
	if it.First() {
		s.first.Store(indexOf(it.Key()))
	}
	if it.Last() {
		s.last.Store(indexOf(it.Key()))
	}
	return it.Close()
}

// Close ends it.
func (s *store) Close() error {
	s.owing.Lock()
	s.closed = true
	s.owing.Unlock()
	return s.db.Close()
}

// dropUnheld takes the marks from the log's end that the journal does not have:
// they and the bytes were being written at once when the node ended, and this node
// has acknowledged neither. That can be so of the entries that were stored last; if
// the journal lacks what others name it has lost something, and lacks is true. So it has if the
// last mark is of another history and one before it of the journal's: a node that has stored a
// mark of a history does not go back to the one before. A last mark of another history alone
// tells nothing, as a primary opens one at each start. Of a node that owes data nothing is said:
// that it has not what its log names is known, and it has acknowledged the entries.
func (s *store) dropUnheld(h replication.History, end replication.Offset) (lacks bool, err error) {
	writing, err := s.GetUint64(writingKey)
	if err != nil || s.owes.Load() {
		return false, err
	}
	last, from := s.last.Load(), uint64(0)
	other := false // the last mark is of another history
	for i := last; i > 0 && i >= s.first.Load(); i-- {
		var l raft.Log
		if err := s.GetLog(i, &l); errors.Is(err, raft.ErrLogNotFound) {
			break // a snapshot has taken the place of what was here
		} else if err != nil {
			return false, err
		}
		m, ok := markOf(&l)
		if !ok {
			continue
		}
		if other {
			if m.Line == h.ID {
				return true, nil
			}
			continue
		}
		if Holds(h, end, m) {
			break
		}
		if m.Line != h.ID {
			other = true
			continue
		}
		if i < writing {
			return true, nil
		}
		from = i
	}
	if from == 0 {
		return false, nil
	}
	return false, s.DeleteRange(from, last)
}

// writingKey is where the index is of the first entry that was stored beside its data. If those
// were on the disk before it is that of the next.
var writingKey = []byte("writing")

// FirstIndex implements raft.LogStore.
func (s *store) FirstIndex() (uint64, error) { return s.first.Load(), nil }

// LastIndex implements raft.LogStore.
func (s *store) LastIndex() (uint64, error) { return s.last.Load(), nil }

// GetLog implements raft.LogStore.
func (s *store) GetLog(index uint64, l *raft.Log) error {
	v, closer, err := s.db.Get(keyOf(index))
	if errors.Is(err, pebble.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if len(v) < entryHead {
		return fmt.Errorf("raftgroup: entry %d has %d bytes", index, len(v))
	}
	*l = raft.Log{
		Index: index, Term: binary.BigEndian.Uint64(v), Type: raft.LogType(v[8]),
		AppendedAt: time.Unix(0, int64(binary.BigEndian.Uint64(v[9:]))),
		Data:       append([]byte(nil), v[entryHead:]...),
	}
	return nil
}

// StoreLog implements raft.LogStore.
func (s *store) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs implements raft.LogStore.
func (s *store) StoreLogs(logs []*raft.Log) error {
	s.since.Store(time.Now().UnixNano())
	defer s.since.Store(0)
	s.storing.Lock()
	defer s.storing.Unlock()
	first, last := logs[0].Index, logs[len(logs)-1].Index
	writing, beside := last+1, s.beside(logs)
	if beside {
		writing = first
	} else if err := s.hold(logs); err != nil {
		return err
	}
	b := s.db.NewBatch()
	defer b.Close()
	for _, l := range logs {
		v := make([]byte, entryHead, entryHead+len(l.Data))
		binary.BigEndian.PutUint64(v, l.Term)
		v[8] = byte(l.Type)
		binary.BigEndian.PutUint64(v[9:], uint64(l.AppendedAt.UnixNano()))
		if err := b.Set(keyOf(l.Index), append(v, l.Data...), nil); err != nil {
			return err
		}
	}
	if err := b.Set(append([]byte{stableKey}, writingKey...), binary.BigEndian.AppendUint64(nil, writing), nil); err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- b.Commit(pebble.Sync) }()
	var held error
	if beside {
		held = s.hold(logs)
	}
	if err := <-written; err != nil {
		return errors.Join(err, held)
	}
	if held != nil { // what is refused must not come before what is stored next
		return errors.Join(held, s.DeleteRange(first, last))
	}
	s.first.CompareAndSwap(0, first)
	s.last.Store(last)
	return nil
}

// DeleteRange implements raft.LogStore.
func (s *store) DeleteRange(from, to uint64) error {
	if err := s.db.DeleteRange(keyOf(from), keyOf(to+1), pebble.Sync); err != nil {
		return err
	}
	first, last := s.first.Load(), s.last.Load()
	switch {
	case from <= first && to >= last:
		s.first.Store(0)
		s.last.Store(0)
	case from <= first:
		s.first.Store(to + 1)
	case to >= last:
		s.last.Store(from - 1)
	}
	return nil
}

// Set implements raft.StableStore.
func (s *store) Set(key, value []byte) error {
	return s.db.Set(append([]byte{stableKey}, key...), value, pebble.Sync)
}

// Get implements raft.StableStore.
func (s *store) Get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(append([]byte{stableKey}, key...))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// SetUint64 implements raft.StableStore. Raft panics if its term cannot be saved. When the
// member ends on a full disk it is therefore left to believe so: its vote, and the entries
// that it would have to store for that term, find no space either.
func (s *store) SetUint64(key []byte, v uint64) error {
	err := s.Set(key, binary.BigEndian.AppendUint64(nil, v))
	if err != nil && s.disk.closing() {
		return nil
	}
	return err
}

// GetUint64 implements raft.StableStore.
func (s *store) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	switch {
	case errors.Is(err, errNoKey):
		return 0, nil
	case err != nil:
		return 0, err
	case len(v) != 8:
		return 0, fmt.Errorf("raftgroup: the value of %s has %d bytes", key, len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}

func keyOf(index uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{entryKey}, index)
}

func indexOf(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }
