package driver

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/redistest"
	"redoubt/slots"
)

// stateAt is the state of a node of two that has the first n slots.
func stateAt(n int) *cluster.State {
	var mine, others slots.Set
	for s := range slots.Count {
		if s < n {
			mine.Add(slots.Slot(s))
		} else {
			others.Add(slots.Slot(s))
		}
	}
	return &cluster.State{Version: uint64(n), CurrentEpoch: 2, LastVoteEpoch: 1, Nodes: []cluster.NodeRecord{
		{ID: bus.NodeID(strings.Repeat("a", 40)), IP: "127.0.0.1", TCPPort: 7000, BusPort: 17000, Flags: bus.FlagPrimary | bus.FlagMyself, ConfigEpoch: 1, Slots: &mine},
		{ID: bus.NodeID(strings.Repeat("b", 40)), IP: "127.0.0.1", TCPPort: 7001, BusPort: 17001, Flags: bus.FlagPrimary, ConfigEpoch: 2, Slots: &others},
	}}
}

// nodesDir is a directory with a nodes.conf and its log.
type nodesDir struct {
	t    *testing.T
	path string // of nodes.conf
}

// begin writes states from to to-1, one after the other, as a node does that
// takes over one slot at a time, and ends as kill -9 would end it.
func (d nodesDir) begin(from, to int) {
	d.t.Helper()
	file, _, err := openNodesFile(d.path, false, zap.NewNop())
	if err != nil {
		d.t.Fatal(err)
	}
	for n := from; n < to; n++ {
		if err := file.write(stateAt(n)); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := file.close(); err != nil {
		d.t.Fatal(err)
	}
}

func newNodesDir(t *testing.T) nodesDir {
	t.Helper()
	return nodesDir{t, filepath.Join(t.TempDir(), "nodes.conf")}
}

func (d nodesDir) log() string { return changeLogPath(d.path) }

func (d nodesDir) read(path string) []byte {
	d.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		d.t.Fatal(err)
	}
	return b
}

func (d nodesDir) write(path string, b []byte) {
	d.t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		d.t.Fatal(err)
	}
}

// restart opens the files and returns how many slots the node finds itself
// with; -1 stands for an error.
func (d nodesDir) restart() (int, error) {
	d.t.Helper()
	file, state, err := openNodesFile(d.path, false, zap.NewNop())
	if err != nil {
		return -1, err
	}
	defer file.close()
	return state.Nodes[0].Slots.Len(), nil
}

func (d nodesDir) wantAfterRestart(want int) {
	d.t.Helper()
	if got, err := d.restart(); err != nil || got != want {
		d.t.Fatalf("after a restart the node has %d slots (%v), want %d", got, err, want)
	}
}

func TestWhatIsInTheLogSurvivesACrash(t *testing.T) {
	d := newNodesDir(t)
	d.begin(1, 50)
	if n := bytes.Count(d.read(d.log()), []byte("\nchange ")); n != 48 {
		t.Fatalf("there are %d changes in the log, want all but the first state", n)
	}
	d.wantAfterRestart(49)
	if text := string(d.read(d.path)); !strings.Contains(text, " 0-48\n") {
		t.Errorf("the restart has not put it into nodes.conf:\n%s", text)
	}
	if _, err := os.Stat(d.log()); !os.IsNotExist(err) {
		t.Errorf("the log is still there: %v", err)
	}
	d.begin(50, 60) // and it goes on
	d.wantAfterRestart(59)
}

// Whatever part of the last change a power cut leaves, the node starts with the
// state before it, or with all of it.
func TestATornChangeIsLeftOut(t *testing.T) {
	d := newNodesDir(t)
	d.begin(1, 4)
	conf, log := d.read(d.path), d.read(d.log())
	end := len(bytes.TrimRight(log, "\x00"))
	begin := bytes.LastIndex(log[:end], []byte("change "))
	id := logIDOf(t, conf)
	for cut := begin; cut < end; cut++ {
		lost := bytes.Clone(log)
		clear(lost[cut:])
		for _, torn := range [][]byte{lost, lost[:cut]} { // the file system may have lost the length, too
			if n, isTorn, err := cluster.ParseLog(torn, id, func([]byte) error { return nil }); n != 1 || isTorn != (cut > begin) || err != nil {
				t.Fatalf("cut at byte %d of %d to %d: %d changes, torn %v, %v", cut, begin, end, n, isTorn, err)
			}
		}
	}
	for _, cut := range []int{begin, begin + 1, end - 1} {
		d.write(d.path, conf)
		d.write(d.log(), log[:cut])
		d.wantAfterRestart(2)
	}
	garbled := bytes.Clone(log)
	copy(garbled[begin+20:end], bytes.Repeat([]byte("x"), end))
	d.write(d.path, conf)
	d.write(d.log(), garbled)
	d.wantAfterRestart(2)
	d.begin(10, 12) // nothing is appended behind what is torn
	d.wantAfterRestart(11)
}

// Damage that no crash explains is not skipped, and nothing is touched.
func TestDamageWithinTheLogIsRefused(t *testing.T) {
	d := newNodesDir(t)
	d.begin(1, 6)
	conf, log := d.read(d.path), d.read(d.log())
	end := len(bytes.TrimRight(log, "\x00"))
	last := bytes.LastIndex(log[:end], []byte("change "))
	id := logIDOf(t, conf)
	for at := range last {
		for _, flip := range []byte{0x10, 0x01} { // a digit becomes another sign, and another digit
			bad := bytes.Clone(log[:end])
			bad[at] ^= flip
			if n, _, err := cluster.ParseLog(bad, id, func([]byte) error { return nil }); err == nil {
				t.Fatalf("with byte %d changed %d changes are taken", at, n)
			}
			if at%97 != 0 {
				continue
			}
			d.write(d.log(), bad)
			if got, err := d.restart(); err == nil || !strings.Contains(err.Error(), d.log()) {
				t.Fatalf("with byte %d changed the node starts with %d slots (%v)", at, got, err)
			}
			if !bytes.Equal(d.read(d.path), conf) || !bytes.Equal(d.read(d.log()), bad) {
				t.Fatal("the files have been changed")
			}
		}
	}
}

// logIDOf is the log that a nodes.conf names.
func logIDOf(t *testing.T, conf []byte) uint64 {
	t.Helper()
	s, err := cluster.ParseState(conf, false)
	if err != nil || s.LogID == 0 {
		t.Fatalf("the file names no log (%v):\n%s", err, conf)
	}
	return s.LogID
}

func TestALogThatIsGoneLeavesTheFile(t *testing.T) {
	d := newNodesDir(t)
	d.begin(1, 10)
	if err := os.Remove(d.log()); err != nil {
		t.Fatal(err)
	}
	d.wantAfterRestart(1)
	d.begin(20, 30)
	d.wantAfterRestart(29)
}

// A crash between the new nodes.conf and the removal of the old log, or between
// a new file and its rename.
func TestALogOlderThanTheFileIsLeftOut(t *testing.T) {
	d := newNodesDir(t)
	d.begin(1, 10)
	old := d.read(d.log())
	d.wantAfterRestart(9) // writes nodes.conf and removes the log
	d.write(d.log(), old)
	d.write(d.path+tempSuffix(), []byte("half a fi"))
	d.write(d.log()+tempSuffix(), nil)
	d.wantAfterRestart(9)
	d.begin(12, 14)
	d.wantAfterRestart(13)
	entries, err := os.ReadDir(filepath.Dir(d.path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Scripts put a new address into the nodes.conf of a stopped node.
func TestAnEditedFileKeepsItsLog(t *testing.T) {
	d := newNodesDir(t)
	d.begin(1, 10)
	d.write(d.path, bytes.ReplaceAll(d.read(d.path), []byte("127.0.0.1:7000"), []byte("10.1.2.3:7000")))
	file, state, err := openNodesFile(d.path, false, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer file.close()
	if me := state.Nodes[0]; me.IP != "10.1.2.3" || me.Slots.Len() != 9 {
		t.Errorf("the node has the address %s and %d slots", me.IP, me.Slots.Len())
	}
}

func TestAFullLogBecomesANewFile(t *testing.T) {
	d := newNodesDir(t)
	file, _, err := openNodesFile(d.path, false, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer file.close()
	ids := map[uint64]bool{}
	for n := 0; len(ids) < 3; n++ {
		s := stateAt(1)
		if n%2 == 0 { // each second slot is lost and comes back: a long change
			for slot := 0; slot < slots.Count; slot += 2 {
				s.Nodes[1].Slots.Remove(slots.Slot(slot))
			}
		}
		if err := file.write(s); err != nil {
			t.Fatal(err)
		}
		ids[file.logID] = true
		if n > 100 {
			t.Fatal("the log never gets full")
		}
		if log, err := os.Stat(d.log()); err == nil && log.Size() > changeLogBytes {
			t.Fatalf("the log has %d bytes", log.Size())
		}
	}
}

// A change too large for any log, as of a cluster of thousands of nodes.
func TestALargeChangeIsANewFile(t *testing.T) {
	d := newNodesDir(t)
	file, _, err := openNodesFile(d.path, false, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer file.close()
	s := stateAt(1)
	if err := file.write(s); err != nil {
		t.Fatal(err)
	}
	large := *s
	large.Nodes = append([]cluster.NodeRecord(nil), s.Nodes...)
	for i := range 3000 {
		large.Nodes = append(large.Nodes, cluster.NodeRecord{ID: bus.NodeID(fmt.Sprintf("%040x", i)), IP: "10.0.0.1", TCPPort: 6379, BusPort: 16379, Flags: bus.FlagPrimary})
	}
	if err := file.write(&large); err != nil {
		t.Fatal(err)
	}
	read, err := cluster.ParseState(d.read(d.path), false)
	if err != nil || len(read.Nodes) != len(large.Nodes) {
		t.Errorf("%d nodes in the file, want %d: %v", len(read.Nodes), len(large.Nodes), err)
	}
}

// After an ordered end, and after a pause, nodes.conf alone says it all.
func TestTheFileIsWholeAtTheEndAndOnRequest(t *testing.T) {
	for name, do := range map[string]func(*nodesFile) error{
		"end":        (*nodesFile).finish,
		"pause":      (*nodesFile).settle,
		"SAVECONFIG": func(n *nodesFile) error { s := stateAt(5); s.Whole = true; return n.write(s) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newNodesDir(t)
			file, _, err := openNodesFile(d.path, false, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			defer file.close()
			for n := 1; n <= 5; n++ {
				if err := file.write(stateAt(n)); err != nil {
					t.Fatal(err)
				}
			}
			if err := do(file); err != nil {
				t.Fatal(err)
			}
			text := string(d.read(d.path))
			if !strings.Contains(text, " 0-4\n") || name == "end" && strings.Contains(text, "changesLog") {
				t.Errorf("nodes.conf is\n%s", text)
			}
			if _, err := os.Stat(d.log()); !os.IsNotExist(err) {
				t.Errorf("the log is still there: %v", err)
			}
		})
	}
}

// The saver does not end a node because a tidying fails, and keeps what it knows.
func TestATidyingThatFailsLosesNothing(t *testing.T) {
	d := newNodesDir(t)
	file, _, err := openNodesFile(d.path, false, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 5; n++ {
		if err := file.write(stateAt(n)); err != nil {
			t.Fatal(err)
		}
	}
	real := file.path
	file.path = filepath.Join(filepath.Dir(real), "not", "there")
	s := newSaver(file, zap.NewNop())
	end := make(chan struct{})
	close(end)
	s.run(end, func(uint64) {}, func(err error) { t.Errorf("fatal: %v", err) })
	file.path = real
	if err := file.write(stateAt(6)); err != nil {
		t.Fatal(err)
	}
	if err := file.close(); err != nil {
		t.Fatal(err)
	}
	d.wantAfterRestart(6)
}

// What a client was told is in a copy of the directory of that moment, which is
// what kill -9 and, given the fsync, a power cut leave.
func TestAcknowledgedSlotsAreOnDisk(t *testing.T) {
	t.Parallel()
	m := startMember(t)
	for s := range 40 {
		m.WantOK("cluster", "addslots", s)
		d := newNodesDir(t)
		// The log is read first: nodes.conf may be written whole between the two.
		if log, err := os.ReadFile(filepath.Join(m.dir, "nodes.conf.changes")); err == nil {
			d.write(d.log(), log)
		}
		d.write(d.path, d.read(filepath.Join(m.dir, "nodes.conf")))
		d.wantAfterRestart(s + 1)
	}
}

// A real redis-server goes on with the files of a node that ended in order, and
// with those of one that was killed, as of the last nodes.conf.
func TestRedisServerTakesTheFile(t *testing.T) {
	t.Parallel()
	redistest.Tool(t, "redis-server")
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed %v", killed), func(t *testing.T) {
			ours := redistest.Start(t, redistest.Redoubt, "--cluster-enabled", "yes", "--appendonly", "no")
			id := ours.Do("CLUSTER", "MYID")
			for s := range 30 {
				ours.Do("CLUSTER", "ADDSLOTS", s)
			}
			ours.Do("CLUSTER", "SAVECONFIG")
			if killed {
				ours.Kill()
			} else {
				ours.Do("CLUSTER", "ADDSLOTS", 30)
				ours.Terminate()
			}
			text, err := os.ReadFile(filepath.Join(ours.Dir, "nodes.conf"))
			if err != nil {
				t.Fatal(err)
			}
			real := redistest.Start(t, redistest.Redis, "--cluster-enabled", "yes")
			real.Terminate()
			if err := os.WriteFile(filepath.Join(real.Dir, "nodes.conf"), text, 0o644); err != nil {
				t.Fatal(err)
			}
			real.Restart()
			want := "0-30"
			if killed {
				want = "0-29"
			}
			nodes := fmt.Sprint(real.Do("CLUSTER", "NODES"))
			if got := real.Do("CLUSTER", "MYID"); got != id || !strings.HasSuffix(strings.TrimSpace(nodes), want) {
				t.Errorf("redis-server is %v and says\n%s\nwant %v with the slots %s", got, nodes, id, want)
			}
		})
	}
}

// Whatever is in the file, what is taken from it are the changes that were
// written, from the first on.
func FuzzParseChangeLog(f *testing.F) {
	const id = 7
	whole := cluster.LogTitle(id)
	for i := range 3 {
		whole = append(whole, cluster.LogFrame(id, uint64(i)+1, []byte(fmt.Sprint("vars ", i, "\n")))...)
	}
	f.Add(append(bytes.Clone(whole), 0, 0, 0))
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), "change 4 99999999999999999999 0\n"...))
	f.Add(append(bytes.Clone(whole), "change 4 -1 0\n"...))
	f.Fuzz(func(t *testing.T, text []byte) {
		again, number := cluster.LogTitle(id), uint64(0)
		count, torn, err := cluster.ParseLog(text, id, func(change []byte) error {
			number++
			again = append(again, cluster.LogFrame(id, number, change)...)
			return nil
		})
		if count != int(number) || count > 0 && !bytes.HasPrefix(text, again) {
			t.Errorf("%d changes were read (torn %v, %v) that are not there", count, torn, err)
		}
	})
}
