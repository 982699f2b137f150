package raftgroup

import (
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"go.uber.org/zap"

	"redoubt/replication"
	"redoubt/storage/journal"
)

type randomness struct{}

func (randomness) Read(p []byte) (int, error) { return rand.Read(p) }

func set(i int) string {
	return fmt.Sprintf("*3\r\n$3\r\nSET\r\n$8\r\nkey:%04d\r\n$8\r\n%08d\r\n", i%10000, i)
}

func TestGroupCommits(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	n := l.leader()
	for i := range 100 {
		if err := n.write(set(i)); err != nil {
			t.Fatal(err)
		}
	}
	end := n.stream.End()
	for _, o := range l.nodes {
		l.until(func() bool { return o.stream.Synced() >= end })
	}
}

// A member that refuses entries because their data are late gets them when these have come.
func TestALateMemberIsReplicatedTo(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	n := l.leader()
	var late *labNode
	for _, o := range l.nodes {
		if o != n {
			late = o
		}
	}
	for i := range 8 {
		late.late.Store(true)
		for began := time.Now(); time.Since(began) < 2*holdTime; i++ {
			if err := n.write(set(i)); err != nil {
				t.Fatal(err)
			}
		}
		late.late.Store(false)
		end := n.stream.End()
		l.until(func() bool {
			late.mu.Lock()
			defer late.mu.Unlock()
			return late.learned.At >= end
		})
	}
}

// keys are the values of set in a stream.
func keys(t *testing.T, n *labNode) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	buf := make([]byte, 64<<10)
	var text []byte
	for at := n.stream.First(); at < n.stream.End(); {
		got, err := n.stream.ReadAt(buf, at)
		if err != nil {
			t.Fatal(err)
		}
		text, at = append(text, buf[:got]...), at+replication.Offset(got)
	}
	for _, line := range strings.Split(string(text), "\r\n") {
		all[line] = true
	}
	return all
}

// A primary is killed, comes back, and another is, while a client writes. Whatever was
// committed is in the stream of all of them in the end.
func TestCommittedSurvivesLeaders(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	var committed []string
	write := func(count int) {
		n := l.leader()
		for range count {
			unit := set(len(committed) + 10_000_000)
			if n.write(unit) == nil {
				committed = append(committed, fmt.Sprintf("%08d", len(committed)+10_000_000))
			}
		}
	}
	for range 4 {
		write(20)
		id := l.leader().id
		l.kill(id)
		write(20)
		l.start(id)
	}
	write(1)
	n := l.leader()
	for _, o := range l.nodes {
		l.until(func() bool { return o.stream.Synced() >= n.stream.End() })
		have := keys(t, o)
		for _, v := range committed {
			if !have[v] {
				t.Fatalf("%s lacks %s of %d", o.id, v, len(committed))
			}
		}
	}
	if len(committed) < 100 {
		t.Fatalf("only %d writes were committed", len(committed))
	}
}

// A leader that is cut off acknowledges nothing more, and gives up what it has written
// when it comes back.
func TestLeaderThatIsCutOff(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	old := l.leader()
	if err := old.write(set(1)); err != nil {
		t.Fatal(err)
	}
	round := old.group.Ask()
	l.until(func() bool { return old.verified.Load() >= round })
	l.isolate(old.id, true)
	lone := make(chan error, 1)
	go func() { lone <- old.write(set(77_777_777)) }()
	round = old.group.Ask()
	l.until(func() bool {
		n := l.leader()
		return n != old
	})
	n := l.leader()
	if err := n.write(set(2)); err != nil {
		t.Fatal(err)
	}
	if err := <-lone; err == nil {
		t.Fatal("a write was committed on one node of three")
	}
	if old.verified.Load() >= round {
		t.Fatal("a node that was cut off was still the leader")
	}
	l.isolate(old.id, false)
	l.until(func() bool { return old.stream.Synced() >= n.stream.End() && !keys(t, old)["77777777"] })
	if !keys(t, old)["00000002"] {
		t.Fatal("it lacks what was written meanwhile")
	}
}

// A member that lacks bytes of a primary that is gone elects the one that has them: it can
// get them only when that one leads.
func TestLaggardElects(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	l.mu.Lock()
	l.cut[[2]string{"a", "c"}] = true
	l.mu.Unlock()
	old := l.leader()
	for i := range 20 {
		if err := old.write(set(i)); err != nil {
			t.Fatal(err)
		}
	}
	c := l.node("c")
	if c.stream.End() >= old.stream.End() {
		t.Fatal("the node has all of it")
	}
	l.kill("a")
	l.until(func() bool { return l.node("b").group.Leads() })
	if err := l.node("b").write(set(20)); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return c.stream.Synced() >= l.node("b").stream.End() && !c.group.store.owes.Load() })
	if k := keys(t, c); !k["00000019"] || !k["00000020"] {
		t.Fatal("it lacks what was written")
	}
}

// Who lacks data that its log names asks for no votes, after a restart either.
func TestDebtorAsksForNoVotes(t *testing.T) {
	l := newLab(t, "a")
	if err := l.node("a").group.store.owe(true); err != nil {
		t.Fatal(err)
	}
	l.kill("a")
	w := l.start("a").group.wire
	if err := w.RequestVote("b", "b", &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}); err != errOwes {
		t.Fatal(err)
	}
	if err := w.RequestPreVote("b", "b", &raft.RequestPreVoteRequest{}, &raft.RequestPreVoteResponse{}); err != errOwes {
		t.Fatal(err)
	}
	if err := l.node("a").group.store.owe(false); err != nil {
		t.Fatal(err)
	}
	if err := w.RequestVote("b", "b", &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}); err == errOwes {
		t.Fatal("it still owes")
	}
}

// The lead is not given to who has not been heard for a while, however often that is asked for,
// and writes go on.
func TestTransferToWhoWasAway(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	leader := l.leader()
	away := "c"
	if leader.id == away {
		away = "b"
	}
	l.isolate(away, true)
	for began := time.Now(); time.Since(began) < 4*time.Second; time.Sleep(50 * time.Millisecond) {
		if err := leader.write(set(1)); err != nil {
			t.Fatal(err)
		}
	}
	member := l.node(away).group.Self()
	for range 3 {
		if err := leader.group.Transfer(member); !errors.Is(err, errLags) {
			t.Fatal(err)
		}
	}
	l.isolate(away, false)
	if err := leader.write(set(2)); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return leader.group.Transfer(member) == nil })
	l.until(func() bool { return l.node(away).group.Leads() })
}

// newStore is a store whose node leads as it says.
func newStore(t *testing.T) *testStore {
	t.Helper()
	ts := &testStore{leads: true}
	s, err := openStore(t.TempDir(), newDisk(vfs.Default, zap.NewNop()), func([]*raft.Log) error { return nil },
		func([]*raft.Log) bool { return ts.leads }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.closed {
			_ = s.Close()
		}
	})
	ts.store = s
	return ts
}

type testStore struct {
	*store
	leads bool
}

// forgetful gives up its data as soon as it has been asked whether it has them.
type forgetful struct {
	Node
	g *Group
}

func (f *forgetful) Holds(Mark) bool { return f.g.Without(func() error { return nil }) == nil }

// What a node comes to owe while it is found to hold what it has owed so far, it owes.
func TestDebtIsNotPaidInAdvance(t *testing.T) {
	s := newStore(t)
	g := &Group{store: s.store}
	g.cfg.Node = &forgetful{g: g}
	if err := s.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogCommand, Data: Mark{Line: strings.Repeat("ab", 20), At: 10}.encode()}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.owe(true), s.payIf(g.cfg.Node.Holds)); err != nil || !s.owes.Load() {
		t.Fatal("it owes nothing", err)
	}
	if err := s.paid(s.debt()); err != nil || s.owes.Load() {
		t.Fatal("it still owes", err)
	}
}

// A leader does not wait for the disk any more when what it waits for has been cut off its
// stream; Raft would wait with it, elections among it.
func TestLeaderWhoseStreamIsCut(t *testing.T) {
	l := newPatientLab(t, "a")
	if err := l.node("a").group.Bootstrap(); err != nil {
		t.Fatal(err)
	}
	n := l.leader()
	if err := n.write(set(1)); err != nil {
		t.Fatal(err)
	}
	hang := make(chan struct{})
	n.mu.Lock()
	n.disk = hang
	n.mu.Unlock()
	defer close(hang)
	m := Mark{}
	m.Line, m.At = n.Line()
	held := make(chan error, 1)
	go func() {
		held <- n.group.hold([]*raft.Log{{Index: 100, Term: 1, Type: raft.LogCommand, Data: m.encode()}})
	}()
	select {
	case err := <-held:
		t.Fatal("it holds what its disk does not have", err)
	case <-time.After(2 * lookAgain):
	}
	n.mu.Lock()
	n.history = replication.NewHistory(strings.Repeat("cd", 20))
	n.mu.Unlock()
	select {
	case err := <-held:
		if err != nil || !n.group.store.owes.Load() {
			t.Fatal("it owes nothing", err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it waits for ever")
	}
}

// A debt for what a snapshot of Raft names is not paid by an older mark, which the log may still
// have; the snapshot's own, or a later one, pays.
func TestDebtOfASnapshot(t *testing.T) {
	s := newStore(t)
	line := strings.Repeat("ab", 20)
	store := func(index uint64, at replication.Offset) {
		t.Helper()
		if err := s.StoreLog(&raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: Mark{Line: line, At: at}.encode()}); err != nil {
			t.Fatal(err)
		}
	}
	upTo := func(at replication.Offset) func(Mark) bool { return func(m Mark) bool { return m.At <= at } }
	store(1, 10)
	s.snap.Store(&summary{100, &Mark{Line: line, At: 50}})
	if err := errors.Join(s.owe(true), s.payIf(upTo(49))); err != nil || !s.owes.Load() {
		t.Fatal("an older mark has paid", err)
	}
	if err := s.payIf(upTo(50)); err != nil || s.owes.Load() {
		t.Fatal("it owes what it has", err)
	}
	store(101, 60) // behind a gap
	if err := errors.Join(s.owe(true), s.payIf(upTo(59))); err != nil || !s.owes.Load() {
		t.Fatal("the snapshot has paid for a later mark", err)
	}
	if err := s.payIf(upTo(60)); err != nil || s.owes.Load() {
		t.Fatal("it owes what it has", err)
	}
	if lacks, err := s.dropUnheld(replication.NewHistory(strings.Repeat("cd", 20)), 5); lacks || err != nil {
		t.Fatal("the gap is taken for a loss", lacks, err)
	}
}

// After the end nobody notes a debt, and gives up nothing.
func TestNothingIsGivenUpAfterTheEnd(t *testing.T) {
	s := newStore(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.without(func() error { t.Error("it is given up"); return nil }); err != ErrClosed {
		t.Fatal(err)
	}
}

// What a node gives up it owes until it has it back, whoever sees the data for as long as
// they are there and takes the debt for paid.
func TestDebtOfWhatIsBeingGivenUp(t *testing.T) {
	s := newStore(t)
	m := Mark{Line: strings.Repeat("ab", 20), At: 10}
	if err := s.StoreLog(&raft.Log{Index: 1, Term: 1, Type: raft.LogCommand, Data: m.encode()}); err != nil {
		t.Fatal(err)
	}
	holds := func(Mark) bool { return true }
	var before uint64
	err := s.without(func() error {
		before = s.debt()
		if !s.owes.Load() {
			t.Error("it owes nothing before the change")
		}
		return s.payIf(holds)
	})
	if err != nil || !s.owes.Load() {
		t.Fatal("it owes nothing while it gives up data", err)
	}
	if err := s.paid(before); err != nil || !s.owes.Load() {
		t.Fatal("what was seen before the change pays for it", err)
	}
	if err := s.payIf(func(Mark) bool { return false }); err != nil || !s.owes.Load() {
		t.Fatal("it has paid without the data", err)
	}
	s.storing.Lock()
	err = s.payIf(holds)
	s.storing.Unlock()
	if err != nil || !s.owes.Load() {
		t.Fatal("it has paid while a mark was being stored", err)
	}
	if err := s.payIf(holds); err != nil || s.owes.Load() {
		t.Fatal("it owes what it has", err)
	}
}

// A follower that stores a mark without its data owes them, whatever it was found to have before.
func TestFollowerOwesWhatItStores(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	b := l.node("b")
	l.until(func() bool { return b.stream.Synced() >= l.node("a").stream.End() && !b.group.Owes() })
	m := Mark{}
	m.Line, m.At = b.Line()
	b.late.Store(true)
	entry := func(term uint64) []*raft.Log {
		return []*raft.Log{{Index: 100, Term: term, Type: raft.LogCommand, Data: m.encode()}}
	}
	term := b.group.CurrentTerm()
	if err := b.group.hold(entry(term)); err != errOwes || b.group.Owes() {
		t.Fatal("it stores, and so acknowledges, what it does not have", err)
	}
	if err := b.group.hold(entry(term - 1)); err != nil || !b.group.Owes() {
		t.Fatal("it owes nothing", err)
	}
}

// A follower writes entries beside the data that they name, and counts neither as stored before
// both are on its disk. If the data do not get there the entries go again: older ones of another
// leader could come to lie before them.
func TestFollowerStoresBesideItsData(t *testing.T) {
	l := newPatientLab(t, "a", "b", "c")
	l.form("a")
	a, b := l.leader(), l.node("b")
	l.until(func() bool { return b.stream.Synced() >= a.stream.End() && !b.group.Owes() })
	l.kill("c") // so that b's word counts
	hang := make(chan struct{})
	b.mu.Lock()
	b.disk = hang
	b.mu.Unlock()
	done := make(chan error, 1)
	go func() { done <- a.write(set(1)) }()
	s := b.group.store
	writing := func() uint64 { i, _ := s.GetUint64(writingKey); return i }
	l.until(func() bool { return writing() == s.last.Load()+1 && writing() > 0 })
	before := s.last.Load()
	l.until(func() bool { var e raft.Log; return s.GetLog(before+1, &e) == nil })
	if got := s.last.Load(); got != before {
		t.Fatalf("entry %d is stored without its data", got)
	}
	l.until(func() bool { var e raft.Log; return s.GetLog(before+1, &e) != nil })
	select {
	case err := <-done:
		t.Fatal("it is committed, and on one disk:", err)
	default:
	}
	close(hang)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// A leader that is heard, and whose stream nobody can copy, does not lead for long.
func TestLeaderThatNobodyCopies(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	old := l.leader()
	old.shut.Store(true)
	for old.write(set(1)) == nil { // what was under way may still arrive
	}
	l.until(func() bool { return l.node("b").group.Leads() || l.node("c").group.Leads() })
	if n := l.leader(); n == old {
		t.Fatal("two lead")
	}
	if err := l.leader().write(set(2)); err != nil {
		t.Fatal(err)
	}
}

// A leader whose disk hangs does not lead for long.
func TestLeaderWithoutDisk(t *testing.T) {
	l := newLab(t, "a", "b", "c")
	l.form("a")
	old := l.leader()
	hang := make(chan struct{})
	old.mu.Lock()
	old.disk = hang
	old.mu.Unlock()
	lone := make(chan error, 1)
	go func() { lone <- old.write(set(1)) }()
	l.until(func() bool {
		for _, id := range []string{"b", "c"} {
			if l.node(id).group.Leads() {
				return true
			}
		}
		return false
	})
	close(hang)
	<-lone // whichever: the bytes may have gone to the others
	if err := l.leader().write(set(2)); err != nil {
		t.Fatal(err)
	}
}

// A member ends at once, whatever it waits for: hashicorp/raft leaves futures unanswered
// that lie in its queues when it ends.
func TestCloseWhileBusy(t *testing.T) {
	l := newLab(t, "a")
	if err := l.node("a").group.Bootstrap(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		n := l.leader()
		for range 4 {
			n.gone.Go(func() {
				for n.ctx.Err() == nil {
					n.group.Ask()
					_ = n.write(set(1))
				}
			})
		}
		time.Sleep(10 * time.Millisecond)
		l.kill("a")
		l.start("a")
	}
}

// Marks that were written while the bytes were not are no marks at the next start.
func TestMarksWithoutData(t *testing.T) {
	s := newStore(t)
	line := strings.Repeat("ab", 20)
	h := replication.NewHistory(line)
	for i, at := range []replication.Offset{10, 20, 30} {
		m := Mark{Line: line, At: at}
		if err := s.StoreLog(&raft.Log{Index: uint64(i + 1), Term: 1, Type: raft.LogCommand, Data: m.encode()}); err != nil {
			t.Fatal(err)
		}
	}
	if lacks, err := s.dropUnheld(h, 20); err != nil || lacks {
		t.Fatal(lacks, err)
	}
	if last, _ := s.LastIndex(); last != 2 {
		t.Fatalf("the last entry is %d", last)
	}
	var l raft.Log
	if err := s.GetLog(3, &l); err != raft.ErrLogNotFound {
		t.Fatal(err)
	}
	// The second was stored before the third was written, so the journal had it.
	if lacks, err := s.dropUnheld(h, 15); err != nil || !lacks {
		t.Fatal(lacks, err)
	}
	// A follower has what it stores: nothing of that is being written at once.
	s.leads = false
	if err := s.StoreLog(&raft.Log{Index: 3, Term: 1, Type: raft.LogCommand, Data: Mark{Line: line, At: 30}.encode()}); err != nil {
		t.Fatal(err)
	}
	if lacks, err := s.dropUnheld(h, 20); err != nil || !lacks {
		t.Fatal(lacks, err)
	}
	// What a node owes is known, and it has acknowledged the entries.
	if err := s.owe(true); err != nil {
		t.Fatal(err)
	}
	if lacks, err := s.dropUnheld(h, 15); err != nil || lacks {
		t.Fatal(lacks, err)
	}
	if last, _ := s.LastIndex(); last != 3 {
		t.Fatalf("the last entry is %d", last)
	}
}

// A journal is older than its log, too, if it is of a history that the log has left.
func TestMarksOfALaterHistory(t *testing.T) {
	s := newStore(t)
	a, b, c := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	for i, m := range []Mark{{a, 10}, {a, 20}, {b, 30}, {b, 40}} {
		if err := s.StoreLog(&raft.Log{Index: uint64(i + 1), Term: 1, Type: raft.LogCommand, Data: m.encode()}); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []struct {
		h     replication.History
		end   replication.Offset
		lacks bool
	}{
		{replication.NewHistory(b), 40, false},
		{replication.History{ID: c, ID2: b, Second: 41}, 40, false},
		{replication.History{ID: c, ID2: "d", Second: 41}, 40, false}, // it has started twice since
		{replication.NewHistory(a), 50, true},
		{replication.NewHistory(a), 20, true},
	} {
		if lacks, err := s.dropUnheld(k.h, k.end); err != nil || lacks != k.lacks {
			t.Errorf("%+v up to %d lacks something: %v (%v)", k.h, k.end, lacks, err)
		}
		if last, _ := s.LastIndex(); last != 4 {
			t.Fatalf("the last entry is %d", last)
		}
	}
}

// The log of one group is none of another, whatever the terms and numbers in it.
func TestOneGroupOnly(t *testing.T) {
	l, empty := newLab(t, "a"), newLab(t, "b")
	other := strings.Repeat("e", 40)
	a, b := l.node("a").group, empty.node("b").group
	if !b.MayJoin(other) || b.MayJoin("") || b.Name() != "" {
		t.Fatal("a node without a group may join one")
	}
	if err := a.Bootstrap(); err != nil {
		t.Fatal(err)
	}
	if len(a.Name()) != 40 || a.Join(other) || !a.Join(a.Name()) {
		t.Fatalf("the founder of %q joins another group", a.Name())
	}
	if !b.Join(other) || !b.Join(a.Name()) || b.Name() != a.Name() {
		t.Fatal("a node without a log does not join")
	}
	l.leader()
	name := a.Name()
	l.kill("a")
	if a := l.start("a").group; a.Name() != name || a.MayJoin(other) {
		t.Fatalf("after a restart the group is %q, not %q", a.Name(), name)
	}
}

func TestEntries(t *testing.T) {
	m := Mark{Line: strings.Repeat("0f", 20), At: 1 << 40}
	if e, err := decodeEntry(m.encode()); err != nil || e != m {
		t.Fatal(e, err)
	}
	c := Claim{Node: strings.Repeat("a", 40), Epoch: 7}
	if e, err := decodeEntry(c.encode()); err != nil || e != c {
		t.Fatal(e, err)
	}
	o := Owned{Under: 3, Epoch: 7, What: []byte("slots")}
	if e, err := decodeEntry(o.encode()); err != nil || !reflect.DeepEqual(e, o) {
		t.Fatal(e, err)
	}
	for _, b := range [][]byte{nil, {kindMark}, {kindClaim, 1}, {kindOwned, 1}, m.encode()[:20]} {
		if _, err := decodeEntry(b); err == nil {
			t.Errorf("%x is an entry", b)
		}
	}
}

func TestHolds(t *testing.T) {
	a, b, c := strings.Repeat("a", 40), strings.Repeat("b", 40), strings.Repeat("c", 40)
	h := replication.History{ID: b, ID2: a, Second: 101}
	for _, k := range []struct {
		m      Mark
		synced replication.Offset
		want   bool
	}{
		{Mark{b, 150}, 150, true},
		{Mark{b, 151}, 150, false},
		{Mark{a, 100}, 100, true},
		{Mark{a, 100}, 99, false},
		// Of the history before, beyond where this node has left it: what the new primary
		// had of that is not here before it has sent it.
		{Mark{a, 101}, 150, false},
		// Of an unknown one: that of a successor, for example, of which this node has not heard.
		{Mark{c, 10}, 150, false},
	} {
		if got := Holds(h, k.synced, k.m); got != k.want {
			t.Errorf("%+v with %d synced: %v", k.m, k.synced, got)
		}
	}
}

func TestNextChange(t *testing.T) {
	now := []raft.Server{{ID: "a", Suffrage: raft.Voter}, {ID: "b", Suffrage: raft.Nonvoter}, {ID: "c", Suffrage: raft.Voter}}
	never := func(string) bool { return false }
	for _, k := range []struct {
		all, ready []string
		gone       string
		what, id   string
	}{
		{[]string{"b", "c"}, []string{"c"}, "", "", ""},
		{[]string{"b", "c"}, []string{"b", "c"}, "", "votes", "b"},
		{[]string{"b", "c", "d"}, []string{"c", "d"}, "", "is being added", "d"},
		{[]string{"b"}, []string{"b"}, "c", "has left it", "c"},
		{[]string{"b", "c"}, nil, "c", "", ""}, // it is there
	} {
		gone := never
		if k.gone != "" {
			gone = func(id string) bool { return id == k.gone }
		}
		if what, id, _ := nextChange(now, "a", k.all, k.ready, gone); what != k.what || id != k.id {
			t.Errorf("%+v: %q %q", k, what, id)
		}
	}
}

// Prints how many writes a second a group of three commits; 50 clients, and 800.
func BenchmarkCommits(b *testing.B) {
	for _, clients := range []int{1, 50, 800} {
		for _, policy := range []journal.Policy{journal.Always} {
			b.Run(fmt.Sprintf("%d/%v", clients, policy), func(b *testing.B) {
				l := newLab(b, "a", "b", "c")
				l.form("a")
				n := l.leader()
				var wrote atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				each := max(b.N/clients, 1)
				lat := make([][]time.Duration, clients)
				for c := range clients {
					wg.Go(func() {
						for i := range each {
							at := time.Now()
							if err := n.write(set(i)); err != nil {
								b.Error(err)
								return
							}
							lat[c] = append(lat[c], time.Since(at))
							wrote.Add(1)
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				all := slices.Concat(lat...)
				slices.Sort(all)
				b.ReportMetric(float64(wrote.Load())/b.Elapsed().Seconds(), "writes/s")
				b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
			})
		}
	}
}
