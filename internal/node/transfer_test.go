package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/replication"
	"redoubt/replication/psync"
)

func TestABackupHasWhatWasWrittenAfterTheBase(t *testing.T) {
	cli := redistest.Tool(t, "redis-cli")
	s := redistest.Start(t, redistest.Redoubt)
	for _, key := range []string{"first", "second"} {
		// The first makes a base, behind which the second stands in the journal.
		s.Do("SET", key, "written before the backup")
		file := filepath.Join(t.TempDir(), "backup.rdb")
		if out, err := exec.Command(cli, "-h", "127.0.0.1", "-p", strings.TrimPrefix(s.Addr(), "127.0.0.1:"), "--rdb", file).CombinedOutput(); err != nil {
			t.Fatalf("redis-cli --rdb: %v\n%s", err, out)
		}
		if b, err := os.ReadFile(file); err != nil || !strings.Contains(string(b), key) {
			t.Errorf("the backup of %d bytes lacks the key %s: %v", len(b), key, err)
		}
	}
}

func TestTheStreamBehindSYNCBeginsWithSELECT(t *testing.T) {
	s := redistest.Start(t, redistest.Redoubt, "--repl-ping-replica-period", "3600")
	s.Do("SET", "before", "v")
	for range 2 {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(conn, "SYNC\r\n")
		r := bufio.NewReader(conn)
		line := "\n" // a sign of life, while the snapshot is made
		for line == "\n" {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		var size int
		if _, err := fmt.Sscanf(line, "$%d", &size); err != nil {
			t.Fatalf("SYNC: %q", line)
		}
		if _, err := r.Discard(size); err != nil {
			t.Fatal(err)
		}
		s.Do("SET", "after", "v")
		const want = "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$5\r\nafter\r\n"
		got := make([]byte, len(want))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
			t.Fatalf("the stream goes on with %q, %v", got, err)
		}
	}
}

// While a snapshot for replicas is made INFO tells of it as of a BGSAVE, and when the
// last of them has gone it is given up.
func TestASnapshotThatNoReplicaWaitsForIsGivenUp(t *testing.T) {
	s := redistest.Start(t, redistest.Redoubt, "--appendonly", "no", "--save", "", "--rdb-key-save-delay", "10000000")
	for i := range 20 {
		s.Do("SET", fmt.Sprint("key", i), "v")
	}
	info := func(line string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			got := fmt.Sprint(s.Do("INFO", "persistence"), s.Do("INFO", "replication"))
			if strings.Contains(got, line) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("INFO lacks %q:\n%s", line, got)
			}
		}
	}
	come := func() net.Conn {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, "PSYNC ? -1\r\n")
		return conn
	}
	announced := func(replica net.Conn) string {
		t.Helper()
		replica.SetReadDeadline(time.Now().Add(20 * time.Second))
		for in := bufio.NewReader(replica); ; {
			line, err := in.ReadString('\n')
			if line == "\n" { // a sign of life
				continue
			}
			if err != nil || !strings.HasPrefix(line, "+FULLRESYNC ") {
				t.Fatalf("the replica is told %q, %v", line, err)
			}
			return line
		}
	}
	first := come()
	info("slave0:")
	info("rdb_bgsave_in_progress:1")
	announced(first)
	first.Close()
	info("connected_slaves:0")
	info("rdb_bgsave_in_progress:0")

	// A node that saves by itself completes it, and has it for the next replica.
	s.Do("CONFIG", "SET", "save", "3600 1000")
	second := come()
	kept := announced(second)
	second.Close()
	info("connected_slaves:0")
	s.Do("SET", "later", "v")
	s.Do("CONFIG", "SET", "rdb-key-save-delay", "0")
	info("rdb_bgsave_in_progress:0")
	if got := announced(come()); got != kept {
		t.Errorf("the snapshot was %q, and the next replica gets %q", kept, got)
	}
}

// Without a journal a replica is given the snapshot of the one before, but not if a
// fresh one is shorter than what has been written since.
func TestASnapshotIsSharedWhileItIsTheShorterWay(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--appendonly", "no", "--save", "")
	at := func() replication.Offset {
		t.Helper()
		b, err := n.persistence.Base(t.Context(), psync.Need{}, func(replication.Offset) {})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		return b.At
	}
	e := n.keys.NewExecutor()
	set(n, e, "k", strings.Repeat("random0123456789", 100))
	first := at()
	set(n, e, "k", "v")
	if got := at(); got != first {
		t.Errorf("after a short write a replica gets a snapshot at %d, not that at %d", got, first)
	}
	set(n, e, "k", strings.Repeat("random0123456789", 1000))
	if got := at(); got == first {
		t.Error("a replica gets the old snapshot and a longer stream behind it")
	}
}

// With a journal a replica gets its base, so nobody else has a use for the snapshot of
// a backup.
func TestABackupLeavesNothingBehind(t *testing.T) {
	for _, journal := range []string{"yes", "no"} {
		n, _ := startNode(t, t.TempDir(), "--appendonly", journal)
		set(n, n.keys.NewExecutor(), "key", "v")
		b, err := n.persistence.Base(t.Context(), psync.Need{Current: true}, func(replication.Offset) {})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		_, left := os.Stat(b.ReadCloser.(*os.File).Name())
		if gone := errors.Is(left, fs.ErrNotExist); gone != (journal == "yes") {
			t.Errorf("appendonly %s: the file is gone: %v", journal, gone)
		}
		if file, err := io.ReadAll(b); err != nil || int64(len(file)) != b.Size || !strings.Contains(string(file), "key") {
			t.Errorf("appendonly %s: the backup is %q, %v", journal, file, err)
		}
	}
}

// A snapshot that had to wait for another is not made if nobody waits for it any more,
// not even on a node that saves by itself.
func TestASnapshotThatHasNotBegunIsNotMadeForNobody(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--appendonly", "no", "--save", "3600 1000", "--rdb-key-save-delay", "10000000")
	set(n, n.keys.NewExecutor(), "k", "v")
	p := n.persistence
	ask := func(ctx context.Context, began func(replication.Offset)) (ended chan error) {
		ended = make(chan error, 1)
		go func() {
			b, err := p.Base(ctx, psync.Need{Current: true}, began)
			if err == nil {
				b.Close()
			}
			ended <- err
		}()
		return ended
	}
	began := make(chan replication.Offset, 1)
	first := ask(t.Context(), func(at replication.Offset) { began <- at })
	<-began
	ctx, leave := context.WithCancel(t.Context())
	second := ask(ctx, func(replication.Offset) { t.Error("the second begins") })
	var waits *order
	redistest.Until(t, 20*time.Second, "the second waits", func() error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if waits = p.transfer; waits == nil {
			return errors.New("it does not")
		}
		return nil
	})
	leave()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Errorf("who has left gets %v", err)
	}
	if err := n.config.Set(config.Caller{}, config.Pair{Name: "rdb-key-save-delay", Value: "0"}); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := waits.wait(t.Context()); !errors.Is(err, errUnwanted) {
		t.Errorf("the second ends with %v", err)
	}
}

// A replica that comes while the snapshot for another is made gets the same one.
func TestASnapshotUnderWayIsShared(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--appendonly", "no", "--save", "", "--rdb-key-save-delay", "100000")
	e := n.keys.NewExecutor()
	for i := range 5 {
		set(n, e, fmt.Sprint("k", i), "v")
	}
	type result struct {
		b   *psync.Base
		err error
	}
	began, done := make(chan replication.Offset, 2), make(chan result, 2)
	ask := func() {
		b, err := n.persistence.Base(t.Context(), psync.Need{}, func(at replication.Offset) { began <- at })
		done <- result{b, err}
	}
	go ask()
	first := <-began
	set(n, e, "later", "v")
	go ask()
	if second := <-began; second != first {
		t.Errorf("the second replica is told of a snapshot at %d, the first of one at %d", second, first)
	}
	for range 2 {
		r := <-done
		if r.err != nil {
			t.Fatal(r.err)
		}
		if r.b.At != first {
			t.Errorf("a replica gets a snapshot at %d, announced was %d", r.b.At, first)
		}
		r.b.Close()
	}
}

// While a snapshot is sent without its length INFO says that one is being made, as it
// always is in Redis.
func TestASnapshotThatIsSentIsOneThatIsMade(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--appendonly", "no", "--save", "")
	making := func() bool {
		n.persistence.mu.Lock()
		defer n.persistence.mu.Unlock()
		on, _ := n.persistence.making()
		return on
	}
	for _, sized := range []bool{false, true} {
		for range 2 { // the second gets that of the first
			b, err := n.persistence.Base(t.Context(), psync.Need{Sized: sized}, func(replication.Offset) {})
			if err != nil {
				t.Fatal(err)
			}
			if on := making(); on == sized {
				t.Errorf("with a length: %v; being made: %v", sized, on)
			}
			b.Close()
			b.Close()
			if making() {
				t.Error("it is being made for ever")
			}
		}
	}
}

// A replica that is not farther behind than the backlog reaches could resume at once, so
// the limit does not send it away.
func TestALimitBelowTheBacklogIsThatOfTheBacklog(t *testing.T) {
	for _, c := range []struct {
		backlog, limit string
		want           int64
	}{
		{"100mb", "replica 512kb 0 0", 100 << 20},
		{"100mb", "replica 200mb 0 0", 200 << 20},
		{"100mb", "replica 0 0 0", 0},
		{"1kb", "replica 2kb 0 0", minBacklogBytes},
	} {
		n, _ := startNode(t, t.TempDir(), "--appendonly", "no", "--repl-backlog-size", c.backlog, "--client-output-buffer-limit", c.limit)
		if got := n.replicator.serveSettings().Limit.HardBytes; got != c.want {
			t.Errorf("a backlog of %s and %s: %d bytes, want %d", c.backlog, c.limit, got, c.want)
		}
	}
}
