package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/replication"
	"redoubt/storage"
)

// slowFile is a file that takes nothing before it is opened, and then not much at a
// time.
type slowFile struct {
	bytes.Buffer
	open  chan struct{}
	stuck chan struct{} // closed by the first write
	once  sync.Once
}

func newSlowFile() *slowFile {
	return &slowFile{open: make(chan struct{}), stuck: make(chan struct{})}
}

func (f *slowFile) Write(p []byte) (int, error) {
	f.once.Do(func() { close(f.stuck) })
	<-f.open
	time.Sleep(100 * time.Microsecond)
	return f.Buffer.Write(p)
}

// begun is a snapshot that a test has begun, with the digest of its moment.
type begun struct {
	*slowFile
	want storage.Digest
	done chan error
}

func digestOf(n *Node) (d storage.Digest) {
	n.keys.World(now(), func(tx *storage.Tx) { d = tx.Digest() })
	return d
}

// beginSnapshot begins a snapshot to a slow file while nobody writes, and returns when
// the file is stuck.
func beginSnapshot(t *testing.T, n *Node) *begun {
	t.Helper()
	b := &begun{newSlowFile(), digestOf(n), make(chan error, 1)}
	go func() {
		_, err := n.persistence.walk(t.Context(), b, &order{purpose: forBase})
		b.done <- err
	}()
	select {
	case <-b.stuck:
	case err := <-b.done:
		t.Fatalf("it ends with %v", err)
	}
	return b
}

// check restarts from the file and compares the data with those of the moment.
func (b *begun) check(t *testing.T) {
	t.Helper()
	if err := <-b.done; err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dump.rdb"), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	n, stop := startNode(t, dir, "--appendonly", "no", "--save", "")
	defer stop()
	if digestOf(n) != b.want {
		t.Error("the file is not the state of its moment")
	}
}

// fillAll makes keys of all kinds: short strings, long ones, and collections of many
// nodes.
func fillAll(t *testing.T, c *redistest.Client, keys int) {
	t.Helper()
	var all [][]any
	for i := range keys {
		all = append(all, []any{"SET", fmt.Sprint("key:", i), strings.Repeat("v", 100)})
	}
	for i := range 20 {
		all = append(all, []any{"SET", fmt.Sprint("long:", i), strings.Repeat("l", 20_000)})
		for j := range 300 {
			all = append(all, []any{"HSET", fmt.Sprint("hash:", i), fmt.Sprint("field:", j), strings.Repeat("f", 40)},
				[]any{"RPUSH", fmt.Sprint("list:", i), strings.Repeat("e", 40)})
		}
	}
	if _, err := c.Pipeline(all...); err != nil {
		t.Fatal(err)
	}
}

// overwrite changes all that fillAll has made; who is the number of a writer.
func overwrite(c *redistest.Client, keys, who int) error {
	var all [][]any
	for i := range keys {
		all = append(all, []any{"SET", fmt.Sprint("key:", (i*7+who)%keys), fmt.Sprint("written by ", who)})
		switch i % 10 {
		case 1:
			all = append(all, []any{"HSET", fmt.Sprint("hash:", i%20), fmt.Sprint("field:", i%300), who})
		case 2:
			all = append(all, []any{"SETRANGE", fmt.Sprint("long:", i/10%20), i % 20_000, who})
		case 3:
			all = append(all, []any{"LSET", fmt.Sprint("list:", i/10%20), i % 300, who})
		}
	}
	for _, reply := range must(c.Pipeline(all...)) {
		if err, failed := reply.(error); failed {
			return err
		}
	}
	return nil
}

func must(replies []any, err error) []any {
	if err != nil {
		return []any{err}
	}
	return replies
}

func infoNumber(t *testing.T, n *Node, field string) int64 {
	t.Helper()
	_, rest, ok := strings.Cut(n.persistence.Info(), field+":")
	if !ok {
		t.Fatalf("INFO persistence lacks %s", field)
	}
	value, _, _ := strings.Cut(rest, "\r\n")
	v, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Writers of all kinds of values are no faster than the file of a snapshot: what it
// holds stays below the limit but for the command that crosses it, reads go on, every
// write is done in the end, and the file is the state of its moment.
func TestWritersWaitForASnapshotThatHoldsTooMuch(t *testing.T) {
	const keys, limit = 20_000, 200_000
	port := strconv.Itoa(redistest.Port(t))
	n, _ := startNode(t, t.TempDir(), "--save", "", "--appendonly", "no", "--port", port, "--snapshot-memory-limit", strconv.Itoa(limit))
	dial := func() *redistest.Client {
		c, err := redistest.Dial("127.0.0.1:" + port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	reader := dial()
	fillAll(t, reader, keys)
	file := beginSnapshot(t, n)
	var writers sync.WaitGroup
	for who := range 3 {
		c := dial()
		writers.Go(func() {
			if err := overwrite(c, keys, who); err != nil {
				t.Error(err)
			}
		})
	}
	redistest.Until(t, 30*time.Second, "the writers wait", func() error {
		if infoNumber(t, n, "snapshot_memory_writes_held") != 1 {
			return errors.New("they do not")
		}
		return nil
	})
	if got, err := reader.Do("GET", "key:1"); err != nil || got == nil {
		t.Errorf("GET answers %v, %v", got, err)
	}
	close(file.open)
	writers.Wait()
	file.check(t)
	// The command that crosses the limit may have copied or kept one large value, in
	// each loop.
	if peak := infoNumber(t, n, "snapshot_memory_peak_bytes"); peak <= limit || peak > limit+100_000 {
		t.Errorf("snapshots held %d bytes, of %d", peak, limit)
	}
	redistest.Until(t, 10*time.Second, "nothing is held when the snapshot has ended", func() error {
		if held := infoNumber(t, n, "snapshot_memory_bytes"); held != 0 {
			return fmt.Errorf("%d bytes", held)
		}
		return nil
	})
	if got, err := reader.Do("GETRANGE", "key:0", 0, 9); err != nil || got != "written by" {
		t.Errorf("GETRANGE answers %v, %v", got, err)
	}
	if infoNumber(t, n, "snapshot_memory_times_held") == 0 || infoNumber(t, n, "snapshots_given_up") != 0 {
		t.Error(n.persistence.Info())
	}
}

// With the other policy writers go on and the snapshot ends.
func TestASnapshotThatHoldsTooMuchIsGivenUp(t *testing.T) {
	const keys = 50_000 // four times what batches hold that wait for the writer
	// The writer stands still, so the walk does not come to its end however long the
	// changes take.
	n, _ := startNode(t, t.TempDir(), "--save", "3600 1000000", "--appendonly", "no", "--rdb-key-save-delay", "1000000000",
		"--snapshot-memory-limit", "10000", "--snapshot-memory-policy", "abort")
	e, p := n.keys.NewExecutor(), n.persistence
	for i := range keys {
		set(n, e, fmt.Sprint(i), strings.Repeat("v", 100))
	}
	kick := p.kick
	var mu sync.Mutex // the snapshot's writer calls it, too
	p.kick = func() { // the BGSAVE has just begun
		mu.Lock()
		defer mu.Unlock()
		for i := range 1000 {
			set(n, e, fmt.Sprint(i), strings.Repeat("n", 100))
		}
		kick()
	}
	save := func() error {
		p.mu.Lock()
		p.saving = true
		p.mu.Unlock()
		o := &order{purpose: forSave, done: make(chan struct{})}
		p.carryOut(t.Context(), o)
		return o.err
	}
	if err := save(); !errors.Is(err, errCrowded) {
		t.Errorf("the BGSAVE ends with %v", err)
	}
	info := p.Info()
	if !strings.Contains(info, "rdb_last_bgsave_status:err\r\n") || !strings.Contains(info, "snapshots_given_up:1\r\n") || p.Failing() == "" {
		t.Errorf("a save that was given up does not count as failed:\n%s", info)
	}
	nothingHeld := func() {
		t.Helper()
		redistest.Until(t, 10*time.Second, "nothing is held", func() error {
			if held, _ := n.keys.Held(); held != 0 {
				return fmt.Errorf("%d bytes", held)
			}
			return nil
		})
	}
	nothingHeld()
	// A replica that was to get the snapshot hears of it, and asks again.
	if _, err := p.freshBase(t.Context(), true, func(replication.Offset) {}); !errors.Is(err, errCrowded) {
		t.Errorf("the transfer ends with %v", err)
	}
	nothingHeld()
	p.kick = kick
	if err := n.config.Set(config.Caller{}, config.Pair{Name: "rdb-key-save-delay", Value: "0"}); err != nil {
		t.Fatal(err)
	}
	if b, err := p.freshBase(t.Context(), true, func(replication.Offset) {}); err != nil {
		t.Errorf("once nobody writes: %v", err)
	} else {
		b.Close()
	}
	if err := save(); err != nil || !strings.Contains(p.Info(), "rdb_last_bgsave_status:ok\r\n") {
		t.Errorf("once nobody writes: %v", err)
	}
}

// CONFIG SET of the limit or the policy lets writers go that wait.
func TestALimitThatIsRaisedLetsWritersGo(t *testing.T) {
	for _, setting := range []string{"snapshot-memory-limit 0", "snapshot-memory-limit 100mb", "snapshot-memory-policy abort"} {
		n, _ := startNode(t, t.TempDir(), "--save", "", "--appendonly", "no", "--snapshot-memory-limit", "1")
		e := n.keys.NewExecutor()
		for i := range 100_000 { // so that the walk does not come to its end
			set(n, e, fmt.Sprint(i), strings.Repeat("v", 100))
		}
		file := beginSnapshot(t, n)
		for i := range 100 { // of which the walk has few
			set(n, e, fmt.Sprint(i), "new")
		}
		waited := make(chan error, 1)
		go func() { waited <- n.persistence.waitRoom(t.Context()) }()
		redistest.Until(t, 10*time.Second, "writers wait", func() error {
			if infoNumber(t, n, "snapshot_memory_writes_held") != 1 {
				return errors.New("they do not")
			}
			return nil
		})
		select {
		case <-waited:
			t.Error("nobody waits")
		default:
		}
		name, value, _ := strings.Cut(setting, " ")
		if err := n.config.Set(config.Caller{}, config.Pair{Name: name, Value: value}); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(setting, "abort") {
			redistest.Until(t, 10*time.Second, "the snapshot lets go what it holds, though its file is stuck", func() error {
				if held, _ := n.keys.Held(); held != 0 {
					return fmt.Errorf("%d bytes", held)
				}
				return nil
			})
		}
		close(file.open)
		if err := <-file.done; (err != nil) != strings.HasSuffix(setting, "abort") {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// A BGSAVE does not wait for a base or a transfer. It hands them what its walk meets
// first, but not more than they can take.
func TestABackgroundSaveBesideABaseThatIsStuck(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "", "--appendonly", "no")
	e, p := n.keys.NewExecutor(), n.persistence
	write := func(value string, keys int) {
		for i := range keys {
			set(n, e, fmt.Sprint(i), strings.Repeat(value, 100))
		}
	}
	write("a", 2000)
	stuck := beginSnapshot(t, n)
	write("b", 1000)
	if err := p.askSave(); err != nil {
		t.Fatal(err)
	}
	redistest.Until(t, 10*time.Second, "the BGSAVE ends", func() error {
		if p.Saving() || infoNumber(t, n, "rdb_saves") != 1 {
			return errors.New("it does not")
		}
		return nil
	})
	if infoNumber(t, n, "snapshots_in_progress") != 1 {
		t.Error("the base does not go on")
	}
	close(stuck.open)
	stuck.check(t)

	write("c", 100_000)
	stuck = beginSnapshot(t, n)
	second := beginSnapshot(t, n)
	close(second.open)
	time.Sleep(100 * time.Millisecond)
	held, _ := n.keys.Held()
	if held > 2<<20 {
		t.Errorf("the walk of the second has left %d bytes to the first", held)
	}
	write("d", 100)
	close(stuck.open)
	stuck.check(t)
	second.check(t)
}

// FLUSHALL and SWAPDB during two snapshots change neither of them.
func TestAFlushDuringTwoSnapshots(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "", "--appendonly", "no")
	e := n.keys.NewExecutor()
	for i := range 30_000 {
		set(n, e, fmt.Sprint(i), strings.Repeat("v", 100))
	}
	first := beginSnapshot(t, n)
	set(n, e, "between", "v")
	second := beginSnapshot(t, n)
	n.keys.World(now(), func(tx *storage.Tx) { tx.FlushAll(); tx.SwapDB(0, 1) })
	set(n, e, "later", "v")
	third := beginSnapshot(t, n)
	for _, s := range []*begun{third, second, first} {
		close(s.open)
	}
	for _, s := range []*begun{first, second, third} {
		s.check(t)
	}
}
