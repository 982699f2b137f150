package node

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/storage"
)

// aofCommand is a command as an append-only file has it.
func aofCommand(args ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	return s
}

// aofDir makes a data directory of files; those without a slash lie in
// appendonlydir, with a manifest that names them.
func aofDir(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	manifest := ""
	for i := 0; i < len(files); i += 2 {
		name := files[i]
		writeInto(t, dir, name, files[i+1])
		switch {
		case strings.Contains(name, "/"):
		case strings.Contains(name, ".base."):
			manifest += fmt.Sprintf("file %s seq 1 type b\n", name)
		default:
			manifest += fmt.Sprintf("file %s seq %d type i\n", name, i+1)
		}
	}
	if manifest != "" {
		writeInto(t, dir, "appendonly.aof.manifest", manifest)
	}
	return dir
}

func writeInto(t *testing.T, dir, name, text string) {
	t.Helper()
	if !strings.Contains(name, "/") {
		name = "appendonlydir/" + name
	}
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// stringsOf are the strings of all databases, "db:key".
func stringsOf(n *Node) map[string]string {
	all := map[string]string{}
	n.keys.World(now(), func(tx *storage.Tx) {
		for k := range contentsOf(n, tx) {
			tx.Select(k.db)
			e, _ := tx.Peek([]byte(k.key))
			value := e.Type().String()
			if e.Type() == storage.TypeString {
				value = string(e.Bytes())
			}
			all[fmt.Sprintf("%d:%s", k.db, k.key)] = value
		}
	})
	return all
}

// contentsOf are the keys that are seen, within a unit.
func contentsOf(n *Node, tx *storage.Tx) map[keyIn]bool {
	all := map[keyIn]bool{}
	for db := range n.keys.Databases() {
		tx.Select(db)
		for s, ok := n.keys.NextSlot(db, 0); ok; s, ok = n.keys.NextSlot(db, s+1) {
			for cursor, more := uint64(0), true; more; more = cursor != 0 {
				cursor = tx.Scan(s, cursor, 100, func(e storage.Entry) { all[keyIn{db, string(e.Key())}] = true })
			}
		}
	}
	return all
}

// begins tries to start a node, and returns what it holds, or why it ends.
func begins(t *testing.T, dir string, log *zap.Logger, args ...string) (map[string]string, error) {
	t.Helper()
	args = append([]string{"--port", "0", "--unixsocket", filepath.Join(t.TempDir(), "s"), "--dir", dir}, args...)
	settings, err := config.Load(config.Source{Args: args})
	if err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Settings: settings, Log: log})
	if err != nil {
		return nil, err
	}
	if _, err := n.restore(); err != nil {
		return nil, errors.Join(err, n.end())
	}
	all := stringsOf(n)
	return all, n.end()
}

func TestAppendOnlyFilesOfRedisAreRead(t *testing.T) {
	set := func(k, v string) string { return aofCommand("SET", k, v) }
	cut := set("cut", "off")[:20]
	for _, c := range []struct {
		name  string
		files []string
		args  []string
		want  map[string]string // nil: the start is refused
		says  string            // the log, or the error
	}{
		{name: "increments alone", files: []string{"appendonly.aof.1.incr.aof", set("a", "1") + aofCommand("INCR", "a")},
			want: map[string]string{"0:a": "2"}, says: "DB loaded from incr file appendonly.aof.1.incr.aof"},
		{name: "a base of commands and increments", files: []string{"a.1.base.aof", set("a", "1") + set("b", "1"), "a.1.incr.aof", aofCommand("DEL", "b"), "a.2.incr.aof", set("c", "3")},
			want: map[string]string{"0:a": "1", "0:c": "3"}, says: "DB loaded from base file a.1.base.aof"},
		{name: "a base that is an RDB file", files: []string{"a.1.base.rdb", "REDIS0010\x00\x01a\x011\xff" + strings.Repeat("\x00", 8), "a.1.incr.aof", aofCommand("INCR", "a")},
			want: map[string]string{"0:a": "2"}, says: "Done loading RDB, keys loaded: 1, keys expired: 0."},
		{name: "each file begins in database 0", files: []string{"a.1.incr.aof", aofCommand("SELECT", "3") + set("a", "1"), "a.2.incr.aof", set("a", "2")},
			want: map[string]string{"3:a": "1", "0:a": "2"}},
		{name: "the one file of Redis 6", files: []string{"./appendonly.aof", "#TS:1\r\n" + set("a", "1")}, want: map[string]string{"0:a": "1"}},
		{name: "a transaction", files: []string{"a.1.incr.aof", aofCommand("MULTI") + set("a", "1") + aofCommand("SELECT", "1") + set("a", "2") + aofCommand("EXEC")},
			want: map[string]string{"0:a": "1", "1:a": "2"}},
		{name: "empty files", files: []string{"a.1.base.aof", "", "a.1.incr.aof", ""}, want: map[string]string{}},
		{name: "an expired key was there for what followed", files: []string{"a.1.incr.aof", aofCommand("RPUSH", "l", "a") + aofCommand("PEXPIREAT", "l", "1000") + aofCommand("RPUSH", "l", "b") + set("a", "1")},
			want: map[string]string{"0:a": "1"}},
		{name: "commands that draw at random", files: []string{"a.1.incr.aof", aofCommand("SADD", "s", "a", "b") + aofCommand("SPOP", "s", "2") + set("a", "1")},
			want: map[string]string{"0:a": "1"}},
		{name: "a command that fails", files: []string{"a.1.incr.aof", set("a", "1") + aofCommand("LPUSH", "a", "1")}, want: map[string]string{"0:a": "1"}, says: "A command of the append only file failed"},
		{name: "a torn end", files: []string{"a.1.incr.aof", set("a", "1") + cut}, want: map[string]string{"0:a": "1"}, says: "short read while loading the AOF file a.1.incr.aof"},
		{name: "a transaction without its end", files: []string{"a.1.incr.aof", set("a", "1") + aofCommand("MULTI") + set("b", "1")}, want: map[string]string{"0:a": "1"}},
		{name: "a torn end that is refused", files: []string{"a.1.incr.aof", set("a", "1") + cut}, args: []string{"--aof-load-truncated", "no"}, says: "Unexpected end of file reading the append only file a.1.incr.aof"},
		{name: "a torn end before the last file", files: []string{"a.1.incr.aof", set("a", "1") + cut, "a.2.incr.aof", set("b", "1")}, says: "the truncated file is not the last file"},
		{name: "junk", files: []string{"a.1.incr.aof", set("a", "1") + "!!!" + set("b", "1")}, says: "Bad file format reading the append only file a.1.incr.aof"},
		{name: "an unknown command", files: []string{"a.1.incr.aof", set("a", "1") + aofCommand("bla", "b")}, says: "Unknown command 'bla' reading the append only file a.1.incr.aof"},
		{name: "a database too many", files: []string{"a.1.incr.aof", aofCommand("SELECT", "16") + set("a", "1")}, says: "in database 16: there are 16"},
		{name: "a base that is no RDB file", files: []string{"a.1.base.rdb", "REDIS0009junk"}, says: "Error reading the RDB base file a.1.base.rdb"},
		{name: "a bad manifest", files: []string{"./appendonlydir/appendonly.aof.manifest", "\n"}, says: "FATAL AOF MANIFEST FILE ERROR: Invalid AOF manifest file format"},
		{name: "a file that is missing", files: []string{"./appendonlydir/appendonly.aof.manifest", "file x seq 1 type i\n"}, says: "Unable to obtain the AOF file x length. stat: No such file or directory"},
		{name: "a manifest of another name", files: []string{"./appendonlydir/x.manifest", "file x seq 1 type i\n"}, says: "set appendfilename"},
		{name: "under another name", files: []string{"./[d]/x.manifest", "file x seq 1 type i\n", "./[d]/x", set("a", "1")}, args: []string{"--appenddirname", "[d]", "--appendfilename", "x"}, want: map[string]string{"0:a": "1"}},
		{name: "that nobody reads", files: []string{"a.1.incr.aof", set("a", "1")}, args: []string{"--appendonly", "no"}, want: map[string]string{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := aofDir(t, c.files...)
			before := listing(t, dir)
			core, logs := observer.New(zap.DebugLevel)
			got, err := begins(t, dir, zap.New(core), c.args...)
			said := fmt.Sprint(err)
			for _, line := range logs.All() {
				said += "\n" + line.Message
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("it does not say %q but %s", c.says, said)
			}
			if (err != nil) != (c.want == nil) {
				t.Fatalf("the start: %v", err)
			}
			for name, text := range before {
				if now, err := os.ReadFile(name); err != nil || string(now) != text {
					t.Errorf("%s is not as it was: %v", name, err)
				}
			}
			if err != nil {
				if _, found := os.Stat(filepath.Join(dir, "appendonlydir", currentFile)); found == nil {
					t.Error("there is a journal all the same")
				}
				return
			}
			if !maps.Equal(got, c.want) {
				t.Errorf("it holds %v, want %v", got, c.want)
			}
			again, err := begins(t, dir, zap.NewNop(), c.args...)
			if err != nil || !maps.Equal(again, c.want) {
				t.Errorf("after a restart it holds %v, want %v, %v", again, c.want, err)
			}
		})
	}
}

// dirCopy is a copy of a directory.
func dirCopy(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// listing is the files below dir and what is in them.
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What a journal goes on from is not taken for something new, whatever its time;
// what has changed behind the journal's back is, if it is newer, and nothing of the
// journal is lost then.
func TestWhichOfAJournalAndAppendOnlyFilesCounts(t *testing.T) {
	const name = "appendonly.aof.1.incr.aof"
	old, newer := aofCommand("SET", "k", "old"), aofCommand("SET", "k", "newer")
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	setTime := func(t *testing.T, dir string, at time.Time) {
		for _, f := range []string{name, "appendonly.aof.manifest"} {
			if err := os.Chtimes(filepath.Join(dir, "appendonlydir", f), at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(t *testing.T, dir, file string) {
		if err := os.Remove(filepath.Join(dir, "appendonlydir", file)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		what string
		then func(t *testing.T, dir string)
		want string // "" if the start is refused
	}{
		{"nothing has changed", func(*testing.T, string) {}, "ours"},
		{"the files have a later time only", func(t *testing.T, dir string) { setTime(t, dir, future) }, "ours"},
		{"the files are gone", func(t *testing.T, dir string) { remove(t, dir, name); remove(t, dir, "appendonly.aof.manifest") }, "ours"},
		{"a part of the files is gone", func(t *testing.T, dir string) { remove(t, dir, name) }, "ours"},
		{"redis-server has written", func(t *testing.T, dir string) { writeInto(t, dir, name, old+newer); setTime(t, dir, future) }, "newer"},
		{"an older state was put there", func(t *testing.T, dir string) { writeInto(t, dir, name, newer); setTime(t, dir, past) }, ""},
		{"nobody knows what the journal came from", func(t *testing.T, dir string) { remove(t, dir, markFile); setTime(t, dir, past) }, "ours"},
		{"the journal has not become current", func(t *testing.T, dir string) { remove(t, dir, currentFile) }, "old"},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := aofDir(t, name, old)
			n, stop := startNode(t, dir)
			if got := stringsOf(n); got["0:k"] != "old" {
				t.Fatalf("adopted %v", got)
			}
			set(n, n.keys.NewExecutor(), "k", "ours")
			stop()
			c.then(t, dir)
			for round := range 2 {
				got, err := begins(t, dir, zap.NewNop())
				if c.want == "" {
					if err == nil || !strings.Contains(err.Error(), "nothing tells which are newer") {
						t.Fatalf("it holds %v, %v", got, err)
					}
					continue
				}
				if err != nil || got["0:k"] != c.want {
					t.Fatalf("start %d: it holds %v, want %s; %v", round, got, c.want, err)
				}
			}
			if c.want == "newer" {
				aside, _ := filepath.Glob(filepath.Join(dir, "appendonlydir", asidePrefix+"*"))
				if len(aside) != 1 {
					t.Fatalf("set aside: %q", aside)
				}
				back := t.TempDir()
				if err := os.Rename(aside[0], filepath.Join(back, "appendonlydir")); err != nil {
					t.Fatal(err)
				}
				if got, err := begins(t, back, zap.NewNop()); err != nil || got["0:k"] != "ours" {
					t.Errorf("what was set aside holds %v, %v", got, err)
				}
			}
		})
	}
}

// A journal that was switched on in a directory with append-only files is what counts
// from its first base on, whatever the times of the files; and they count until then.
func TestAJournalThatIsSwitchedOnCounts(t *testing.T) {
	const name = "appendonly.aof.1.incr.aof"
	dir := aofDir(t, name, aofCommand("SET", "k", "old"))
	later := time.Now().Add(time.Hour)
	for _, f := range []string{name, "appendonly.aof.manifest"} {
		if err := os.Chtimes(filepath.Join(dir, "appendonlydir", f), later, later); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := begins(t, dirCopy(t, dir), zap.NewNop()); err != nil || got["0:k"] != "old" {
		t.Errorf("without a journal a start holds %v, %v", got, err)
	}
	for round := range 2 { // the second time the files have a mark
		port := redistest.Port(t)
		n, stop := startNode(t, dir, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
		n.server.SetLoading(false)
		c, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
		if err != nil {
			t.Fatal(err)
		}
		answers(t, c, "OK", "SET", "k", fmt.Sprint("ours ", round))
		answers(t, c, "OK", "SAVE") // for the next round: it starts without the journal
		answers(t, c, "OK", "CONFIG", "SET", "appendonly", "yes")
		hasInfo(t, n, "aof_rewrites:1", "aof_rewrite_in_progress:0", "aof_last_bgrewrite_status:ok")
		answers(t, c, "2", "APPEND", "l", "ne")
		c.Close()
		stop()
		for range 2 {
			if got, err := begins(t, dir, zap.NewNop()); err != nil || got["0:k"] != fmt.Sprint("ours ", round) || got["0:l"] != "ne" {
				t.Errorf("a start holds %v, %v", got, err)
			}
		}
	}
}

// A journal that the next start would refuse is not switched on.
func TestAJournalIsNotSwitchedOnBesideABadManifest(t *testing.T) {
	dir := t.TempDir()
	_, c := startServing(t, dir, "--appendonly", "no")
	writeInto(t, dir, "appendonly.aof.manifest", "\n")
	answers(t, c, "Invalid AOF manifest file format", "CONFIG", "SET", "appendonly", "yes")
}

// A crash at any file operation of an adoption leaves a directory that is adopted
// again, or a journal that has everything: the states in between are made here.
func TestAnAdoptionThatWasInterruptedIsDoneAgain(t *testing.T) {
	dir := aofDir(t, "a.1.incr.aof", aofCommand("SET", "k", "v"))
	if _, err := begins(t, dir, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	journal := filepath.Join(dir, "appendonlydir")
	bases, _ := filepath.Glob(filepath.Join(journal, "base-*.rdb"))
	if len(bases) != 1 {
		t.Fatalf("bases: %q", bases)
	}
	for _, left := range [][]string{
		{markFile, currentFile, bases[0]}, // nothing but what Open makes
		{currentFile, bases[0]},           // the mark
		{currentFile},                     // the base is in its place, and does not count
		{currentFile, "ring", "pebble"},   // a journal that was never opened
		{markFile},                        // the journal counts, and nobody knows since when
	} {
		copied := dirCopy(t, dir)
		for _, name := range left {
			paths, _ := filepath.Glob(filepath.Join(copied, "appendonlydir", filepath.Base(name)))
			for _, path := range paths {
				os.RemoveAll(path)
			}
		}
		for range 2 {
			if got, err := begins(t, copied, zap.NewNop()); err != nil || got["0:k"] != "v" {
				t.Errorf("without %q it holds %v, %v", left, got, err)
			}
		}
		if slices.Contains(left, currentFile) && readMark(filepath.Join(copied, "appendonlydir")) == "" {
			t.Errorf("without %q there is no mark", left)
		}
	}
}

// The commit log is as much of a journal as the ring: it says when the journal was
// last written to, and goes where the journal goes.
func TestTheCommitLogBelongsToTheJournal(t *testing.T) {
	dir := t.TempDir()
	past, now := time.Now().Add(-time.Hour), time.Now()
	for _, name := range []string{currentFile, "ring", "commitlog"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, "commitlog"), now, now); err != nil {
		t.Fatal(err)
	}
	if last, err := changed(dir); err != nil || !last.Equal(now) {
		t.Errorf("last written to at %v, want %v; %v", last, now, err)
	}
	a := adoption{dir: dir}
	if err := a.setAside(zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0].Name(), asidePrefix) {
		t.Errorf("beside what was set aside there are %v, %v", left, err)
	}
}
