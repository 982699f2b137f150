package raftgroup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"redoubt/replication"
	"redoubt/storage/journal"
)

// A lab is a shard of nodes with real journals and groups, in one process. Whoever
// leads copies its stream to the others, as PSYNC would. What a node has beyond the
// leader's history when it begins to follow is forgotten by it together with all it
// has, and sent anew: a full resync.
type lab struct {
	t      testing.TB
	policy journal.Policy
	beat   time.Duration // Config.Heartbeat
	mu     sync.Mutex    // locked before a node's, if both are
	nodes  map[string]*labNode
	cut    map[[2]string]bool // who cannot reach whom
}

type labNode struct {
	lab    *lab
	id     string
	dir    string
	group  *Group
	stream *journal.Stream
	conns  chan net.Conn
	ctx    context.Context
	stop   context.CancelFunc
	gone   sync.WaitGroup

	mu        sync.Mutex
	history   replication.History
	primary   string // whom it follows, "" if it is the primary
	epoch     uint64 // of the claim that it knows
	committed replication.Offset
	moved     chan struct{} // closed when committed moves
	term      uint64
	verified  atomic.Uint64
	learned   Mark
	onRecord  string // the group
	owned     []byte
	files     *fullFS
	late      atomic.Bool   // it does not have yet what marks name
	shut      atomic.Bool   // nobody can copy its stream
	disk      chan struct{} // not nil: Sync hangs until it is closed
}

func newLab(t testing.TB, ids ...string) *lab { return newLabOf(t, DefaultHeartbeat, ids...) }

// newPatientLab is newLab for tests of which a change of the leader would be the end: who is
// slow because the machine is busy stays the leader.
func newPatientLab(t testing.TB, ids ...string) *lab { return newLabOf(t, time.Second, ids...) }

func newLabOf(t testing.TB, beat time.Duration, ids ...string) *lab {
	l := &lab{t: t, policy: journal.OnDemand, beat: beat, nodes: map[string]*labNode{}, cut: map[[2]string]bool{}}
	for _, id := range ids {
		l.nodes[id] = &labNode{lab: l, id: id, dir: filepath.Join(t.TempDir(), id)}
		l.start(id)
	}
	t.Cleanup(func() {
		for id := range l.nodes {
			l.kill(id)
		}
	})
	return l
}

func (l *lab) node(id string) *labNode {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes[id]
}

// start starts a node on what is in its directory.
func (l *lab) start(id string) *labNode {
	old := l.node(id)
	n := &labNode{lab: l, id: id, dir: old.dir, conns: make(chan net.Conn), moved: make(chan struct{}), primary: "?", epoch: old.epoch, onRecord: old.onRecord, files: &fullFS{FS: vfs.Default}}
	n.ctx, n.stop = context.WithCancel(context.Background())
	log := zaptest.NewLogger(l.t, zaptest.Level(zap.WarnLevel))
	s, rec, err := journal.Open(journal.Config{Dir: filepath.Join(n.dir, "journal"), Enabled: true, Policy: l.policy, Log: log})
	if err != nil {
		l.t.Fatal(err)
	}
	n.stream, n.history = s, rec.History
	if !rec.Found {
		id, _ := replication.NewID(randomness{})
		n.history = replication.NewHistory(id)
		if err := s.SaveHistory(n.history, true); err != nil {
			l.t.Fatal(err)
		}
	}
	l.mu.Lock()
	l.nodes[id] = n
	l.mu.Unlock()
	g, err := Open(Config{
		ID: id, Dir: filepath.Join(n.dir, "raft"), JournalMark: filepath.Join(n.dir, "journal", "member"),
		Group: n.onRecord, Record: n.record, Recovered: n.history, RecoveredEnd: s.End(),
		Node: n, Dial: n.dial, Ask: n.ask, Accept: n.conns, Log: log, Fatal: func(err error) { l.t.Error(err) }, fs: n.files, Heartbeat: l.beat,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.mu.Lock()
	n.group = g
	l.mu.Unlock()
	n.gone.Go(n.follow)
	return n
}

// kill ends a node; what it was writing is lost with it.
func (l *lab) kill(id string) {
	n := l.node(id)
	if n.stop == nil || n.ctx.Err() != nil {
		return
	}
	n.stop()
	_ = n.group.Close()
	n.gone.Wait()
	_ = n.stream.Close()
}

// leader waits for one that may serve.
func (l *lab) leader() *labNode {
	l.t.Helper()
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(2 * time.Millisecond) {
		l.mu.Lock()
		for _, n := range l.nodes {
			if n.ctx.Err() == nil && n.group != nil && n.group.Leads() {
				l.mu.Unlock()
				return n
			}
		}
		l.mu.Unlock()
	}
	l.t.Fatal("nobody leads")
	return nil
}

// form makes a group of all nodes, led by the first.
func (l *lab) form(first string) {
	l.t.Helper()
	if err := l.node(first).group.Bootstrap(); err != nil {
		l.t.Fatal(err)
	}
	n := l.leader()
	l.until(func() bool { v, _ := n.group.Voters(); return len(v) == len(l.nodes) })
}

func (l *lab) until(ok func() bool) {
	l.t.Helper()
	for began := time.Now(); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			l.t.Fatal("waited for a minute")
		}
	}
}

// write appends to the node's stream and waits until that is committed.
func (n *labNode) write(unit string) error {
	n.mu.Lock()
	term := n.term
	if term == 0 {
		n.mu.Unlock()
		return errors.New("does not lead")
	}
	at := n.stream.Append(0, 0, []byte(unit))
	n.mu.Unlock()
	n.stream.Announce()
	n.group.Appended()
	return n.wait(term, at)
}

func (n *labNode) wait(term uint64, at replication.Offset) error {
	for {
		n.mu.Lock()
		switch {
		case n.term != term:
			n.mu.Unlock()
			return errors.New("the outcome is not known")
		case n.committed >= at:
			n.mu.Unlock()
			return nil
		}
		moved := n.moved
		n.mu.Unlock()
		select {
		case <-moved:
		case <-n.ctx.Done():
			return n.ctx.Err()
		}
	}
}

// follow copies the stream of whoever is followed.
func (n *labNode) follow() {
	buf := make([]byte, 256<<10)
	for n.ctx.Err() == nil {
		time.Sleep(time.Millisecond)
		n.mu.Lock()
		of := n.primary
		n.mu.Unlock()
		if of == "" || of == "?" {
			continue
		}
		p := n.lab.node(of)
		if n.lab.apart(n.id, of) || p.ctx == nil || p.ctx.Err() != nil {
			continue
		}
		n.copyFrom(p, of, buf)
	}
}

func (n *labNode) copyFrom(p *labNode, of string, buf []byte) {
	p.mu.Lock()
	theirs, serves := p.history, p.primary == ""
	p.mu.Unlock()
	if !serves || p.shut.Load() || !n.settle(p, theirs) {
		return
	}
	for n.ctx.Err() == nil && p.ctx.Err() == nil && !p.shut.Load() && !n.lab.apart(n.id, of) {
		end := n.stream.End()
		ctx, cancel := context.WithTimeout(n.ctx, 50*time.Millisecond)
		err := p.stream.Wait(ctx, end)
		cancel()
		p.mu.Lock()
		same := p.history == theirs && p.primary == ""
		var got int
		if same && err == nil {
			got, err = p.stream.ReadAt(buf, end)
		}
		p.mu.Unlock()
		if !same {
			return
		}
		if err != nil && got == 0 {
			if errors.Is(err, context.DeadlineExceeded) {
				n.mu.Lock()
				follows := n.primary == of
				n.mu.Unlock()
				if follows {
					continue
				}
			}
			return
		}
		apart := n.lab.apart(n.id, of)
		n.mu.Lock()
		follows := n.primary == of && !apart
		if follows {
			n.stream.AppendRaw(buf[:got])
		}
		n.mu.Unlock()
		if !follows {
			return
		}
		n.stream.Announce()
	}
}

// settle makes the node's stream a part of the primary's.
func (n *labNode) settle(p *labNode, theirs replication.History) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	f, ok := replication.ForkOf(n.history, n.stream.End(), replication.Upstream{History: theirs, End: p.stream.End()})
	if n.primary != p.id {
		return false
	}
	if !ok || f.At < n.stream.End() {
		if err := n.group.Without(func() error { return n.stream.NewGeneration("", 0, theirs, true) }); err != nil {
			n.lab.t.Error(err)
			return false
		}
	} else if err := n.stream.SaveHistory(theirs, true); err != nil {
		n.lab.t.Error(err)
		return false
	}
	n.history = theirs
	return true
}

func (l *lab) apart(a, b string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut[[2]string{a, b}] || l.cut[[2]string{b, a}]
}

// isolate cuts a node off, or not any more.
func (l *lab) isolate(id string, on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for other := range l.nodes {
		l.cut[[2]string{id, other}] = on && other != id
	}
}

// cutConn fails while its ends are apart.
type cutConn struct {
	net.Conn
	l    *lab
	a, b string
}

func (c cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == nil && c.l.apart(c.a, c.b) {
		c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

func (c cutConn) Write(p []byte) (int, error) {
	if c.l.apart(c.a, c.b) {
		c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// record is the group's record of where the node belongs.
func (n *labNode) record(_ context.Context, name string) error {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	n.onRecord = name
	return nil
}

// member is the name of the node's member, "" while there is none.
func (l *lab) member(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := l.nodes[id]; n != nil && n.group != nil && n.ctx.Err() == nil {
		return n.group.Self()
	}
	return ""
}

func (n *labNode) dial(member string, timeout time.Duration) (net.Conn, error) {
	return n.connect(member, func(p *labNode, c net.Conn) bool {
		select {
		case p.conns <- c:
			return true
		case <-time.After(timeout):
		case <-p.ctx.Done():
		}
		return false
	})
}

func (n *labNode) ask(member string, _ time.Duration) (net.Conn, error) {
	return n.connect(member, func(p *labNode, c net.Conn) bool {
		p.gone.Go(func() { p.group.Answer(c) })
		return true
	})
}

func (n *labNode) connect(member string, give func(*labNode, net.Conn) bool) (net.Conn, error) {
	id := NodeOf(member)
	p := n.lab.node(id)
	if p == nil || p.ctx.Err() != nil || n.lab.apart(n.id, id) || n.lab.member(id) != member || !p.group.Join(n.group.Name()) {
		return nil, fmt.Errorf("no way to %s", id)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	ours, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return nil, err
	}
	theirs, err := ln.Accept()
	if err != nil {
		return nil, err
	}
	if give(p, cutConn{theirs, n.lab, id, n.id}) {
		return cutConn{ours, n.lab, n.id, id}, nil
	}
	ours.Close()
	theirs.Close()
	return nil, fmt.Errorf("no way to %s", id)
}

// What follows implements Node.

func (n *labNode) Line() (string, replication.Offset) {
	if n.late.Load() {
		return "", 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.history.ID, n.stream.End()
}

func (n *labNode) Sync(ctx context.Context, at replication.Offset) error {
	n.mu.Lock()
	disk := n.disk
	n.mu.Unlock()
	if disk != nil {
		select {
		case <-disk:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return n.stream.Sync(ctx, at)
}

func (n *labNode) Holds(m Mark) bool {
	if n.late.Load() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	synced := n.stream.Synced()
	if n.disk != nil {
		select {
		case <-n.disk:
		default:
			synced = 0
		}
	}
	return Holds(n.history, synced, m)
}

func (n *labNode) Has(m Mark) bool {
	if n.late.Load() {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.history.ID == m.Line && n.stream.End() >= m.At
}

func (n *labNode) NextEpoch(context.Context) (uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.epoch + 1, nil
}

func (n *labNode) Owns(o Owned) { n.tell(func() { n.owned = o.What }) }

func (n *labNode) Lead(_ context.Context, epoch uint64, _ bool, owned []byte) error {
	n.mu.Lock()
	if owned != nil {
		n.owned = owned
	}
	id, _ := replication.NewID(randomness{})
	n.history = n.history.Branch(id, n.stream.End())
	n.primary, n.epoch, n.committed = "", epoch, 0
	err := n.stream.SaveHistory(n.history, false)
	n.mu.Unlock()
	n.gone.Go(func() { // a bus
		for n.ctx.Err() == nil {
			n.mu.Lock()
			mine := n.epoch
			n.mu.Unlock()
			if mine != epoch {
				return
			}
			n.lab.mu.Lock()
			var others []*labNode
			for _, o := range n.lab.nodes {
				others = append(others, o)
			}
			n.lab.mu.Unlock()
			for _, o := range others {
				if o != n && o.ctx != nil && !n.lab.apart(n.id, o.id) {
					o.hear(n.id, epoch)
				}
			}
			time.Sleep(10 * time.Millisecond)
		}
	})
	return err
}

func (n *labNode) hear(from string, epoch uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if epoch > n.epoch || epoch == n.epoch && n.primary == "?" {
		n.epoch, n.primary = epoch, from
	}
}

func (n *labNode) Led(term uint64) { n.tell(func() { n.term = term }) }
func (n *labNode) Lost()           { n.tell(func() { n.term = 0 }) }
func (n *labNode) Committed(term uint64, at replication.Offset) {
	n.tell(func() {
		if n.term == term {
			n.committed = max(n.committed, at)
		}
	})
}

func (n *labNode) tell(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	close(n.moved)
	n.moved = make(chan struct{})
}

func (n *labNode) Verified(round uint64) { n.verified.Store(round) }
func (n *labNode) Learned(m Mark)        { n.tell(func() { n.learned = m }) }

func (n *labNode) Attached() (count int) {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	for id, o := range n.lab.nodes {
		if o.ctx == nil || o.ctx.Err() != nil || n.lab.cut[[2]string{id, n.id}] || n.lab.cut[[2]string{n.id, id}] {
			continue
		}
		o.mu.Lock()
		if o.primary == n.id && !n.shut.Load() {
			count++
		}
		o.mu.Unlock()
	}
	return count
}

func (n *labNode) Members() (all, ready []string) {
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	for id, o := range n.lab.nodes {
		if id == n.id || o.group == nil || o.ctx.Err() != nil {
			continue
		}
		all = append(all, o.group.Self())
		o.mu.Lock()
		if o.primary == n.id && o.history == n.history {
			ready = append(ready, o.group.Self())
		}
		o.mu.Unlock()
	}
	return all, ready
}

func (n *labNode) Gone(member string) bool {
	now := n.lab.member(NodeOf(member))
	return now != "" && now != member || n.lab.node(NodeOf(member)) == nil
}
