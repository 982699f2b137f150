package psync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"redoubt/replication"
	"redoubt/storage/rdb"
)

var (
	idA = strings.Repeat("a", 40)
	idB = strings.Repeat("b", 40)
)

// memStream is a Stream in memory.
type memStream struct {
	mu    sync.Mutex
	first replication.Offset // data[0] is byte first+1
	data  []byte
	grown chan struct{} // closed when something is appended
	pins  map[*memPin]replication.Offset
}

func newStream(first replication.Offset, data string) *memStream {
	return &memStream{first: first, data: []byte(data), grown: make(chan struct{}), pins: map[*memPin]replication.Offset{}}
}

func (s *memStream) append(p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = append(s.data, p...)
	close(s.grown)
	s.grown = make(chan struct{})
}

// trim drops the bytes up to offset to.
func (s *memStream) trim(to replication.Offset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = s.data[to-s.first:]
	s.first = to
}

func (s *memStream) End() replication.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first + replication.Offset(len(s.data))
}

func (s *memStream) First() replication.Offset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

var errTrimmed = errors.New("trimmed")

func (s *memStream) ReadAt(p []byte, after replication.Offset) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if after < s.first {
		return 0, errTrimmed
	}
	return copy(p, s.data[after-s.first:]), nil
}

func (s *memStream) Wait(ctx context.Context, after replication.Offset) error {
	for {
		s.mu.Lock()
		end, grown := s.first+replication.Offset(len(s.data)), s.grown
		s.mu.Unlock()
		if end > after {
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *memStream) Pin(after replication.Offset) Pin {
	p := &memPin{stream: s}
	p.Move(after)
	return p
}

// pinned returns the lowest pin.
func (s *memStream) pinned() (low replication.Offset, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, at := range s.pins {
		if !ok || at < low {
			low, ok = at, true
		}
	}
	return low, ok
}

type memPin struct{ stream *memStream }

func (p *memPin) Move(after replication.Offset) {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	p.stream.pins[p] = after
}

func (p *memPin) Release() {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	delete(p.stream.pins, p)
}

// snapshotsFunc makes a Snapshots of a function.
type snapshotsFunc func(ctx context.Context, need Need) (*Base, error)

func (f snapshotsFunc) Base(ctx context.Context, need Need, _ func(replication.Offset)) (*Base, error) {
	return f(ctx, need)
}

// slowSnapshots tells of a snapshot when begins is closed, at once if that is nil, and
// has it when it is released.
type slowSnapshots struct {
	at       replication.Offset
	begins   chan struct{}
	released chan *Base
}

func (s slowSnapshots) Base(ctx context.Context, _ Need, began func(replication.Offset)) (*Base, error) {
	if s.begins != nil {
		select {
		case <-s.begins:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	began(s.at)
	select {
	case b := <-s.released:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// baseOf returns a Base of the bytes of file.
func baseOf(file string, sized bool, at replication.Offset) *Base {
	b := &Base{ReadCloser: io.NopCloser(strings.NewReader(file)), Size: -1, At: at}
	if sized {
		b.Size = int64(len(file))
	}
	return b
}

// rdbOf returns an RDB file of string keys, in database 0.
func rdbOf(t testing.TB, keys map[string]string, h rdb.Header) string {
	t.Helper()
	var out bytes.Buffer
	w := rdb.NewWriter(&out, rdb.Options{Compress: true, Checksum: true})
	err := w.Header(h)
	if len(keys) > 0 {
		err = errors.Join(err, w.SelectDB(0, len(keys), 0))
	}
	for k, v := range keys {
		err = errors.Join(err, w.Entry(&rdb.Entry{Key: []byte(k)}, rdb.Text(v)))
	}
	if err = errors.Join(err, w.Finish()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// memTarget is a Target in memory. Its data are SETs; everything is noted in
// log, in order.
type memTarget struct {
	mu       sync.Mutex
	known    bool
	position Position
	synced   replication.Offset // -1: keeps nothing on disk

	committed replication.Offset // 0: everything is
	keys      map[string]string  // "db/key"
	log       []string
	raw       []byte // of the stream since the last Replace
	refuse    error  // from Apply

	loading chan struct{} // if not nil, Replace waits for it to be closed
	direct  bool
	loaded  atomic.Int64 // keys that Replace has read
}

func newTarget() *memTarget { return &memTarget{synced: -1, keys: map[string]string{}} }

// at puts the target at an offset of a history.
func (m *memTarget) at(id string, end replication.Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known, m.position = true, Position{replication.NewHistory(id), end, 0}
}

func (m *memTarget) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

func (m *memTarget) Position() (Position, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.position, m.known
}

func (m *memTarget) Continue(h replication.History) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("continue %.4s (%.4s before %d)", h.ID, h.ID2, h.Second)
	m.position.History = h
	return nil
}

func (m *memTarget) Direct() bool { return m.direct }

func (m *memTarget) Replace(ctx context.Context, full Full) error {
	if m.loading != nil {
		select {
		case <-m.loading:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	in := full.In
	if in == nil {
		file, err := os.Open(full.Path)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	keys := map[string]string{}
	r := rdb.NewReader(in)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		value, err := r.Text()
		if err != nil {
			return err
		}
		keys[fmt.Sprintf("%d/%s", e.DB, e.Key)] = string(value)
		m.loaded.Add(1)
	}
	if full.In != nil {
		if n, err := io.Copy(io.Discard, in); err != nil || n > 0 {
			return fmt.Errorf("%d bytes behind the end, %w", n, err)
		}
		full.DB, full.Keys = r.Aux().StreamDB(), int64(len(keys))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.note("replace %.4s at %d in db %d: %d keys", full.History.ID, full.At, full.DB, full.Keys)
	m.keys, m.raw = keys, nil
	m.known, m.position = true, Position{full.History, full.At, full.DB}
	return nil
}

func (m *memTarget) Apply(u *Unit) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return m.refuse
	}
	for _, c := range u.Commands {
		line := fmt.Sprintf("db%d %s", c.DB, bytes.Join(c.Args, []byte(" ")))
		m.note("%.80s", line)
		if len(c.Args) >= 3 && strings.EqualFold(string(c.Args[0]), "SET") {
			m.keys[fmt.Sprintf("%d/%s", c.DB, c.Args[1])] = string(c.Args[2])
		}
	}
	m.raw = append(m.raw, u.Raw...)
	m.position.End += replication.Offset(len(u.Raw))
	m.position.DB = u.DB
	return nil
}

func (m *memTarget) Committed() replication.Offset {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.committed == 0 {
		return math.MaxInt64
	}
	return m.committed
}

// limit says how far the stream is committed.
func (m *memTarget) limit(at replication.Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.committed = at
}

func (m *memTarget) Synced() (replication.Offset, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.synced, m.synced >= 0
}

// lines returns what was noted so far.
func (m *memTarget) lines() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.log, "\n")
}

// cmd returns a command as the stream has it.
func cmd(args ...string) string { return string(appendCommand(nil, args...)) }
