package node

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/internal/resp"
	"redoubt/internal/rewound"
	"redoubt/internal/server"
	"redoubt/replication"
	"redoubt/replication/psync"
)

// parted is a primary whose replica was promoted at an offset, and which has written since.
type parted struct {
	n       *Node
	stop    func()
	dir     string
	heir    replication.Upstream
	at, end replication.Offset
	given   []byte            // the stream behind at
	shared  map[string]string // the strings up to there
	own     map[string]string // and at the end
}

// part makes one. rebase makes a new base at one of three moments: before the offset, in
// the part that is given up, or at both.
func part(t *testing.T, rebase string, args ...string) *parted {
	t.Helper()
	p := &parted{dir: t.TempDir()}
	p.n, p.stop = startNode(t, p.dir, args...)
	n, e := p.n, p.n.keys.NewExecutor()
	makeBase := func(when string) {
		if !strings.Contains(rebase, when) {
			return
		}
		if err := n.persistence.askBase().wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		set(n, e, fmt.Sprint("shared ", i), "v")
	}
	makeBase("before")
	p.at = set(n, e, "both", "old")
	p.shared = stringsOf(n)
	p.heir = replication.Upstream{History: n.replicator.History().Branch(idOther, p.at), End: p.at + 1000, Serves: true}
	n.stream.KeepBase(p.at) // as for a replica that has acknowledged that
	set(n, e, "both", "mine")
	makeBase("after")
	for i := range 20 {
		set(n, e, fmt.Sprint("mine ", i), "v")
	}
	p.end, p.own = n.stream.End(), stringsOf(n)
	if n.stream.First() < p.at {
		var err error
		if p.given, err = io.ReadAll(&streamPart{n.stream.ReadAt, p.at, p.end}); err != nil {
			t.Fatal(err)
		}
	}
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	return p
}

// rewind has a node go back, as the link would before it asks with PSYNC.
func rewind(t *testing.T, n *Node, u replication.Upstream) {
	t.Helper()
	if _, err := linked(t, n).Rewind(t.Context(), u, saysAgain(u)); err != nil {
		t.Fatal(err)
	}
}

// saysAgain is a primary that says the same when it is asked again.
func saysAgain(u replication.Upstream) func() (replication.Upstream, bool) {
	return func() (replication.Upstream, bool) { return u, true }
}

// wentBack fails the test unless the node is where the two had parted.
func (p *parted) wentBack(t *testing.T, n *Node) {
	t.Helper()
	want := psync.Position{History: replication.NewHistory(p.heir.History.ID2), End: p.at}
	if got := position(n); got != want {
		t.Errorf("the node asks from %+v, want %+v", got, want)
	}
	if got := stringsOf(n); !maps.Equal(got, p.shared) {
		t.Errorf("%d keys, want %d; the changed one is %q", len(got), len(p.shared), got["both"])
	}
	if n.replicator.loading != nil || n.persistence.replacing {
		t.Error("the node is still loading")
	}
}

// keeps fails the test unless there is one file, with all that was given up.
func (p *parted) keeps(t *testing.T, dir string) {
	t.Helper()
	files, err := rewound.List(dir)
	if err != nil || len(files) != 1 {
		t.Fatalf("the files are %q (%v)", files, err)
	}
	f, err := rewound.Open(files[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := io.ReadAll(f)
	if err != nil || string(got) != string(p.given) {
		t.Errorf("the file has %d bytes (%v), want %d", len(got), err, len(p.given))
	}
	if f.ID != p.heir.History.ID2 || f.First != p.at+1 || f.Last != p.end {
		t.Errorf("the file says %+v", f.Header)
	}
}

var (
	asReplica = replicaOfNobody
	bases     = []string{"never", "before", "after", "before and after"}
)

// TestADeposedPrimaryGoesBack: whichever base there is, also one that is younger than the
// fork, as the one before it is kept for that.
func TestADeposedPrimaryGoesBack(t *testing.T) {
	for _, when := range bases {
		t.Run("a base "+when, func(t *testing.T) {
			p := part(t, when)
			rewind(t, p.n, p.heir)
			p.wentBack(t, p.n)
			p.keeps(t, p.dir)
			got := p.n.replicator.rewinds.Load()
			if got.count != 1 || got.refused != 0 || got.bytes != int64(p.end-p.at) || got.writes != 21 {
				t.Errorf("counted: %+v", got)
			}
			// It takes what the primary sends, and has that after a restart.
			f := linked(t, p.n)
			if err := f.Continue(f.r.History().Continue(p.heir.History.ID, p.at)); err != nil {
				t.Fatal(err)
			}
			if err := f.Apply(unit(t, setA)); err != nil {
				t.Fatal(err)
			}
			p.stop()
			n, _ := startNode(t, p.dir, asReplica...)
			p.shared["0:a"] = "1"
			if got := stringsOf(n); !maps.Equal(got, p.shared) || n.stream.End() != p.at+replication.Offset(len(setA)) {
				t.Errorf("after a restart there are %d keys, want %d; the stream ends at %d", len(got), len(p.shared), n.stream.End())
			}
		})
	}
}

// TestACrashWhileANodeGoesBack copies the files at each step, which is what kill -9 leaves,
// and starts from them: nothing is lost, and the node goes back from there. The steps
// within the cut of the journal are TestAPowerCutFindsAJournalThatWentBackOrDidNot's.
func TestACrashWhileANodeGoesBack(t *testing.T) {
	layouts := bases
	if raceDetector { // what runs beside each other is the same with each
		layouts = layouts[:1]
	}
	for _, when := range layouts {
		p := part(t, when)
		copies := map[string]string{"begun": dirCopy(t, p.dir)}
		p.n.replicator.atStep = func(step string) { copies[step] = dirCopy(t, p.dir) }
		rewind(t, p.n, p.heir)
		copies["done"] = dirCopy(t, p.dir)
		// The journal is cut, and the history is not saved yet.
		half := dirCopy(t, copies["kept"])
		n, stop := startNode(t, half, asReplica...)
		if base, _, ok := n.stream.RestartAt(p.at); !ok {
			t.Fatalf("no base: %q", base)
		}
		if err := n.stream.Rewind(p.at, n.replicator.History()); err != nil {
			t.Fatal(err)
		}
		stop()
		copies["cut without its history"] = half
		if len(copies) != 6 {
			t.Fatalf("the steps are %q", slices.Collect(maps.Keys(copies)))
		}
		for step, dir := range copies {
			t.Run("a base "+when+", "+step, func(t *testing.T) {
				for _, name := range []string{"lock"} { // of a process that is gone
					os.Remove(filepath.Join(dir, "appendonlydir", name))
				}
				n, _ := startNode(t, dir, asReplica...)
				want := p.own
				if strings.HasPrefix(step, "cut") || step == "done" {
					want = p.shared
				}
				if got := stringsOf(n); !maps.Equal(got, want) {
					t.Errorf("a start finds %d keys, want %d", len(got), len(want))
				}
				rewind(t, n, p.heir)
				p.wentBack(t, n)
				p.keeps(t, dir)
			})
		}
	}
}

// TestACrashedNodeThatServedMeanwhile: it has restarted as a primary, in another history,
// and has taken writes in it before it learnt of its successor.
func TestACrashedNodeThatServedMeanwhile(t *testing.T) {
	p := part(t, "before")
	p.stop()
	n, _ := startNode(t, p.dir)
	set(n, n.keys.NewExecutor(), "later", "v")
	end := n.stream.End()
	var err error
	if p.given, err = io.ReadAll(&streamPart{n.stream.ReadAt, p.at, end}); err != nil {
		t.Fatal(err)
	}
	p.end = end
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	rewind(t, n, p.heir)
	p.wentBack(t, n)
	p.keeps(t, p.dir)
}

// TestANodeThatCannotGoBackStaysAsItIs: it goes on to a full resync, and what that throws
// away is in a file if the node still has it.
func TestANodeThatCannotGoBackStaysAsItIs(t *testing.T) {
	for _, c := range []struct {
		name, base string
		args       []string
		change     func(p *parted)
		keeps      bool
		refused    int64
	}{
		{name: "no journal", base: "never", args: []string{"--appendonly", "no"}, keeps: true, refused: 1},
		{name: "too much", base: "never", args: []string{"--rewind-max-bytes", "100"}, refused: 1},
		{name: "switched off", base: "never", args: []string{"--rewind-max-bytes", "0"}, refused: 1},
		{name: "all bases are younger", base: "before and after", change: func(p *parted) {
			p.n.stream.KeepBase(noBase) // the base before is removed a moment later
		}, keeps: true, refused: 1},
		{name: "another history", base: "before", change: func(p *parted) { p.heir.History.ID2 = idMe }},
		{name: "the primary is not settled", base: "before", change: func(p *parted) { p.heir.Unsettled = true }},
		{name: "it has no link itself", base: "before", change: func(p *parted) { p.heir.Serves = false }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := part(t, c.base, c.args...)
			u := p.heir
			if c.change != nil {
				c.change(p)
				u = p.heir
				p.heir.History.ID2 = position(p.n).History.ID
			}
			if c.refused > 0 && strings.Contains(c.base, "after") {
				redistest.Until(t, syncPatience, "the older base is gone", func() error {
					if _, _, ok := p.n.stream.RestartAt(p.at); ok {
						return errors.New("it is there")
					}
					return nil
				})
			}
			before := position(p.n)
			for range 3 { // the primary is asked again and again
				rewind(t, p.n, u)
			}
			if got := position(p.n); got != before || got.End != p.end || !maps.Equal(stringsOf(p.n), p.own) {
				t.Errorf("the node is at %+v, was at %+v", got, before)
			}
			if got := p.n.replicator.rewinds.Load(); got.refused != c.refused || got.count != 0 {
				t.Errorf("counted: %+v", got)
			}
			if c.keeps {
				p.keeps(t, p.dir)
			} else if files, _ := rewound.List(p.dir); len(files) > 0 {
				t.Errorf("kept is %q", files)
			}
		})
	}
}

// TestAJournalThatCannotBeLoadedIsNotCut: the base is damaged. The node has what it had,
// and does not try again.
func TestAJournalThatCannotBeLoadedIsNotCut(t *testing.T) {
	for _, rebase := range []string{"before and after", "before"} { // with a base to fall back on, or none
		p := part(t, rebase)
		base, _, ok := p.n.stream.RestartAt(p.at)
		if !ok {
			t.Fatal("no base")
		}
		if err := os.WriteFile(base, []byte("REDIS0011junk"), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			rewind(t, p.n, p.heir)
			if got := position(p.n); got.End != p.end || !maps.Equal(stringsOf(p.n), p.own) {
				t.Errorf("bases %s: the node is at %+v with %d keys", rebase, got, len(stringsOf(p.n)))
			}
		}
		if got := p.n.replicator.rewinds.Load(); got.refused != 1 || got.count != 0 {
			t.Errorf("bases %s: counted: %+v", rebase, got)
		}
		p.keeps(t, p.dir)
	}
}

// TestAPartOfTheStreamThatIsCutEnds: whoever reads it would wait for ever.
func TestAPartOfTheStreamThatIsCutEnds(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	end := set(n, n.keys.NewExecutor(), "k", "v")
	if _, err := n.survey(0, end+10, io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("behind its end: %v", err)
	}
}

// TestAnUnconfirmedPrimaryHasReplicasAskAgain: the Sentinels may promote one of them, which
// is not to give up for it what it has.
func TestAnUnconfirmedPrimaryHasReplicasAskAgain(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	for _, unconfirmed := range []bool{true, false} {
		next := *n.replicator.state.Load()
		next.unconfirmed = unconfirmed
		n.replicator.state.Store(&next)
		if got := n.replicator.later(replication.FullDiverged, replication.Request{From: 10}); got != unconfirmed {
			t.Errorf("unconfirmed %t: asks again: %t", unconfirmed, got)
		}
	}
}

// TestAForkWithinAUnitIsNone: a primary that says so is not believed.
func TestAForkWithinAUnitIsNone(t *testing.T) {
	p := part(t, "before")
	u := p.heir
	u.History.Second -= 3
	rewind(t, p.n, u)
	if got := position(p.n); got.End != p.end || !maps.Equal(stringsOf(p.n), p.own) {
		t.Errorf("the node is at %+v with %d keys", got, len(stringsOf(p.n)))
	}
	if got := p.n.replicator.rewinds.Load(); got.refused != 1 {
		t.Errorf("counted: %+v", got)
	}
}

// TestOldFilesGo: rewind-files of them stay, and none is written if that is 0.
func TestOldFilesGo(t *testing.T) {
	for _, keep := range []int{0, 1, 3} {
		n, _ := startNode(t, t.TempDir(), "--rewind-files", fmt.Sprint(keep))
		e := n.keys.NewExecutor()
		set(n, e, "shared", "v")
		for i := range 4 {
			at := n.stream.End()
			heir := replication.Upstream{History: n.replicator.History().Branch(newID(), at), End: at + 100, Serves: true}
			set(n, e, fmt.Sprint("mine ", i), "v")
			n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
			rewind(t, n, heir)
			n.replicator.BecomePrimary()
		}
		files, err := rewound.List(n.config.Current().Dir)
		if err != nil || len(files) != keep {
			t.Errorf("of %d there are %q (%v)", keep, files, err)
		}
		if got := keysOf(n); !slices.Equal(got, []string{"shared"}) {
			t.Errorf("keys %q", got)
		}
	}
}

// TestAnEndWithoutChangesIsDroppedWithoutLoading: nothing is kept of it either, with a
// journal or without.
func TestAnEndWithoutChangesIsDroppedWithoutLoading(t *testing.T) {
	for _, journal := range []string{"yes", "no"} {
		for _, rebase := range []bool{false, journal == "yes"} {
			n, _ := startNode(t, t.TempDir(), "--appendonly", journal)
			n.replicator.atStep = func(step string) { t.Error(step) }
			at := set(n, n.keys.NewExecutor(), "k", "v")
			heir := replication.Upstream{History: n.replicator.History().Branch(idOther, at), End: at + 100, Serves: true}
			n.stream.KeepBase(at)
			n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
			n.stream.AppendRaw(pingUnit)
			if rebase {
				if err := n.persistence.askBase().wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			n.stream.AppendRaw([]byte("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$1\r\nm\r\n"))
			rewind(t, n, heir)
			if got := position(n); got.End != at || got.History != replication.NewHistory(heir.History.ID2) || !slices.Equal(keysOf(n), []string{"k"}) {
				t.Errorf("appendonly %s: %+v, %q", journal, got, keysOf(n))
			}
			if files, _ := rewound.List(n.config.Current().Dir); len(files) > 0 {
				t.Errorf("kept is %q", files)
			}
		}
	}
}

// TestAPromotionOfWhichOthersDoNotKnow: a node that was promoted by mistake, and not
// written to, asks in the history that its primary goes on in.
func TestAPromotionOfWhichOthersDoNotKnow(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	at := set(n, n.keys.NewExecutor(), "k", "v")
	heir := replication.Upstream{History: n.replicator.History(), End: at + 50, Serves: true}
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	n.replicator.BecomePrimary()
	n.replicator.ids.Add(1) // somebody has heard of it
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	if got := position(n); got.History.ID == heir.History.ID {
		t.Fatal("it asks in that already")
	}
	rewind(t, n, heir)
	if got := position(n); got.History != replication.NewHistory(heir.History.ID) || got.End != at {
		t.Errorf("the node asks from %+v", got)
	}
}

// TestANodeThatFollowsAnotherDoesNotGoBack: what its former primary told counts no more.
func TestANodeThatFollowsAnotherDoesNotGoBack(t *testing.T) {
	p := part(t, "before")
	f := linked(t, p.n)
	p.n.replicator.BecomeReplica(nobody.host, nobody.port+1, replication.Source{})
	if _, err := f.Rewind(t.Context(), p.heir, saysAgain(p.heir)); !errors.Is(err, errCutOff) {
		t.Errorf("it goes back: %v", err)
	}
	if got := position(p.n); got.End != p.end || !maps.Equal(stringsOf(p.n), p.own) {
		t.Errorf("the node is at %+v with %d keys", got, len(stringsOf(p.n)))
	}
}

// TestWhatReplicasHaveKeepsABase: the primary asks its journal to keep one as of what the
// last of them has acknowledged.
func TestWhatReplicasHaveKeepsABase(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	e := n.keys.NewExecutor()
	at := set(n, e, "k", "v")
	ours := attachAcked(t, n, at)
	defer ours.Close()
	set(n, e, "l", "v")
	if err := n.persistence.askBase().wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, from, ok := n.stream.RestartAt(at); !ok || from != 0 {
		t.Errorf("what the replica has cannot be made any more: from %d, %t", from, ok)
	}
	ours.Close()
	redistest.Until(t, syncPatience, "the replica has left", func() error {
		if left := n.replicator.primary.Replicas(); len(left) > 0 {
			return fmt.Errorf("there is %+v", left)
		}
		return nil
	})
	n.replicator.keepOlderBase(n.replicator.began)
	if _, _, ok := n.stream.RestartAt(at); !ok {
		t.Error("it counts no more once it is gone")
	}
	if err := n.config.Set(config.Caller{}, config.Pair{Name: "rewind-max-bytes", Value: "5"}); err != nil {
		t.Fatal(err)
	}
	n.replicator.keepOlderBase(n.replicator.began)
	redistest.Until(t, syncPatience, "the older base is gone", func() error {
		if _, _, ok := n.stream.RestartAt(at); ok {
			return errors.New("it is there")
		}
		return nil
	})
}

// syncPatience is how long a test waits for what the node does by itself.
const syncPatience = 20 * time.Second

// attachAcked makes the test a replica of the node, at a port, that has acknowledged the
// stream up to an offset.
func attachAcked(t *testing.T, n *Node, at replication.Offset) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { theirs.Close() })
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	r := n.replicator
	r.Serve(ours, nil, server.Handshake{PSYNC2: true, Psync: true, ListeningPort: 7, IP: "127.0.0.1", ID: r.ID(), Offset: n.stream.End() + 1})
	if _, err := theirs.Write(resp.AppendArray(nil, []byte("REPLCONF"), []byte("ACK"), fmt.Append(nil, at))); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, syncPatience, "the acknowledgement has come", func() error {
		if got, ok := r.primary.Confirmed(""); !ok || got != at {
			return fmt.Errorf("it is at %d, %t", got, ok)
		}
		return nil
	})
	return theirs
}

// TestQuestionsBeginAnewWithTheRole: the stream of another primary may be shorter than what
// replicas were once asked about.
func TestQuestionsBeginAnewWithTheRole(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	n.replicator.acksTo.Store(1 << 40)
	n.replicator.prompted.Store(1 << 60)
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	n.replicator.BecomePrimary()
	if to, at := n.replicator.acksTo.Load(), n.replicator.prompted.Load(); to != 0 || at != 0 {
		t.Errorf("asked up to %d, at %d", to, at)
	}
}

// TestAPrimaryThatIsReplacedDuringARewind: what it said does not hold any more when the node
// has loaded, so nothing is cut.
func TestAPrimaryThatIsReplacedDuringARewind(t *testing.T) {
	p := part(t, "before")
	before := position(p.n)
	other := p.heir
	other.History.Second -= 10
	_, err := linked(t, p.n).Rewind(t.Context(), p.heir, saysAgain(other))
	if !errors.Is(err, errMoved) {
		t.Errorf("it goes back: %v", err)
	}
	if got := position(p.n); got != before || !maps.Equal(stringsOf(p.n), p.own) {
		t.Errorf("the node is at %+v, was at %+v", got, before)
	}
	// One that does not answer any more is no reason: what is cut is in a file.
	_, err = linked(t, p.n).Rewind(t.Context(), p.heir, func() (replication.Upstream, bool) { return replication.Upstream{}, false })
	if err != nil {
		t.Error(err)
	}
	p.wentBack(t, p.n)
	p.keeps(t, p.dir)
}

// TestWhatCannotBeKeptIsNotGivenUp: the file cannot be written. The node stays as it is, with
// a base to go back to or without, until the file can.
func TestWhatCannotBeKeptIsNotGivenUp(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{{name: "it could go back"}, {"it cannot go back", []string{"--appendonly", "no"}}} {
		t.Run(c.name, func(t *testing.T) {
			p := part(t, "never", c.args...)
			before := position(p.n)
			db := 0
			if len(c.args) > 0 {
				db = p.n.onlyDB()
			}
			h := rewound.Header{ID: strings.ToLower(p.heir.History.ID2), First: p.at + 1, Last: p.end, DB: db}
			h.At = time.UnixMilli(now())
			var inTheWay []string // directories of the names that the file may have in the next seconds
			for range 60 {
				path := filepath.Join(p.dir, h.Name()+".part")
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
				inTheWay, h.At = append(inTheWay, path), h.At.Add(time.Second)
			}
			f := linked(t, p.n)
			for range 2 {
				if _, err := f.Rewind(t.Context(), p.heir, saysAgain(p.heir)); !errors.Is(err, errUnkept) {
					t.Errorf("it goes on: %v", err)
				}
				if got := position(p.n); got != before || !maps.Equal(stringsOf(p.n), p.own) {
					t.Errorf("the node is at %+v, was at %+v", got, before)
				}
			}
			for _, path := range inTheWay {
				os.Remove(path)
			}
			if _, err := f.Rewind(t.Context(), p.heir, saysAgain(p.heir)); err != nil {
				t.Error(err)
			}
			p.keeps(t, p.dir)
		})
	}
}

// TestAnOlderBaseIsReadBeforeItIsTheBase: an end that changes no data is not dropped if a
// restart could not load what is left.
func TestAnOlderBaseIsReadBeforeItIsTheBase(t *testing.T) {
	n, _ := startNode(t, t.TempDir())
	e := n.keys.NewExecutor()
	set(n, e, "k", "v")
	if err := n.persistence.askBase().wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	at := set(n, e, "k", "w")
	heir := replication.Upstream{History: n.replicator.History().Branch(idOther, at), End: at + 100, Serves: true}
	n.stream.KeepBase(at)
	n.replicator.BecomeReplica(nobody.host, nobody.port, replication.Source{})
	n.stream.AppendRaw(pingUnit)
	if err := n.persistence.askBase().wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	younger, _, _ := n.stream.Restart()
	older, _, ok := n.stream.RestartAt(at)
	if !ok || older == younger {
		t.Fatal("there is no older base")
	}
	if err := os.WriteFile(older, []byte("REDIS0011junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := position(n)
	rewind(t, n, heir)
	if base, _, _ := n.stream.Restart(); base != younger || position(n) != before {
		t.Errorf("the base is %s, the node at %+v", base, position(n))
	}
}
