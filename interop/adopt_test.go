package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// What redis-server has written into a data directory is there when Redoubt starts
// in it, and stays over restarts; and redis-server has it when it comes back with a
// dump of ours.
func TestADirectoryOfRedisIsAdopted(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	type stage struct {
		settings []string
		between  func(s *redistest.Server)
		end      func(s *redistest.Server)
	}
	rewritten := func(s *redistest.Server) {
		redistest.Until(t, 20*time.Second, "the rewrite is over", func() error {
			if s.Info("aof_rewrite_in_progress") != "0" || s.Info("aof_rewrite_scheduled") != "0" {
				return fmt.Errorf("not yet")
			}
			return nil
		})
	}
	rewrite := func(s *redistest.Server) { s.Do("BGREWRITEAOF"); rewritten(s) }
	idle := func(*redistest.Server) {}
	for i, c := range []struct {
		name string
		stage
	}{
		{"increments, killed", stage{[]string{"--appendonly", "yes", "--appendfsync", "always"}, idle, (*redistest.Server).Kill}},
		{"an RDB base and increments, killed", stage{[]string{"--appendonly", "yes"}, rewrite, (*redistest.Server).Kill}},
		{"a base of commands and annotations", stage{[]string{"--appendonly", "yes", "--aof-use-rdb-preamble", "no", "--aof-timestamp-enabled", "yes"}, rewrite, (*redistest.Server).Terminate}},
		{"switched on while it ran", stage{[]string{"--appendonly", "no"}, func(s *redistest.Server) { s.Do("CONFIG", "SET", "appendonly", "yes"); rewritten(s) }, (*redistest.Server).Kill}},
		{"a rewrite that was cut off", stage{[]string{"--appendonly", "yes", "--rdb-key-save-delay", "1000000"}, func(s *redistest.Server) { s.Do("BGREWRITEAOF") }, (*redistest.Server).Kill}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append(c.settings, "--auto-aof-rewrite-percentage", "0")
			theirs := start(t, redistest.Redis, args...)
			h := newHistory(t, theirs, uint64(70+i))
			h.run(120)
			c.between(theirs)
			h.run(120)
			h.calm()
			sweep(t, theirs)
			// The history may have loaded and dropped some already.
			theirs.Do("FUNCTION", "LOAD", "#!lua name=last\nredis.register_function('last', function() return 7 end)")
			libraries := fmt.Sprint(theirs.Do("FUNCTION", "LIST"))
			want := digest(theirs)
			c.end(theirs)

			s := start(t, redistest.Redoubt, "--appendonly", "yes")
			s.Kill()
			empty(t, s.Dir)
			if err := os.CopyFS(s.Dir, os.DirFS(theirs.Dir)); err != nil {
				t.Fatal(err)
			}
			// Killed while it adopts, or shortly after: whatever comes first.
			for n := range 4 {
				s.Launch()
				time.Sleep(time.Duration(n) * 60 * time.Millisecond)
				s.Kill()
			}
			s.Restart()
			if got := digest(s); got != want {
				t.Fatalf("the digest was %s and is %s", want, got)
			}
			if got := fmt.Sprint(s.Do("FUNCTION", "LIST")); len(got) != len(libraries) || s.Do("FCALL", "last", 0) != int64(7) {
				t.Errorf("the libraries are %s, want %s", got, libraries)
			}
			h = newHistory(t, s, uint64(90+i))
			h.run(60)
			h.calm()
			want = digest(s)
			s.Kill()
			forgetAppendOnlyFiles(t, s.Dir)
			s.Restart()
			if got := digest(s); got != want {
				t.Errorf("later the digest was %s and is %s", want, got)
			}

			s.Do("SAVE")
			back := start(t, redistest.Redis, "--appendonly", "no")
			back.Kill()
			dump, err := os.ReadFile(filepath.Join(s.Dir, "dump.rdb"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(back.Dir, "dump.rdb"), dump, 0o600); err != nil {
				t.Fatal(err)
			}
			back.Restart()
			if got := digest(back); got != want {
				t.Errorf("redis-server has the digest %s, want %s", got, want)
			}
		})
	}
}

// forgetAppendOnlyFiles removes Redis's files, which are not needed any more when they
// were adopted.
func forgetAppendOnlyFiles(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "appendonly.aof.*"))
	if err != nil || len(names) < 2 {
		t.Fatalf("append-only files: %q, %v", names, err)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// The files that BGREWRITEAOF leaves without a journal are the way back.
func TestRedisStartsWithAppendOnlyFilesOfOurs(t *testing.T) {
	s := start(t, ours(), "--appendonly", "no")
	h := newHistory(t, s, 79)
	h.run(150)
	h.calm()
	want := digest(s)
	s.Do("BGREWRITEAOF")
	redistest.Until(t, 20*time.Second, "the rewrite is over", func() error {
		if s.Info("aof_rewrite_in_progress") != "0" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	s.Terminate()
	for _, kind := range []redistest.Kind{redistest.Redis, redistest.Redoubt} {
		to := start(t, kind, "--appendonly", "yes")
		to.Kill()
		empty(t, to.Dir)
		if err := os.CopyFS(to.Dir, os.DirFS(s.Dir)); err != nil {
			t.Fatal(err)
		}
		to.Restart()
		if got := digest(to); got != want {
			t.Errorf("%v has the digest %s, want %s", kind, got, want)
		}
	}
}

// sweep lets redis-server delete the keys that have expired: its digest counts them
// until then.
func sweep(t *testing.T, s *redistest.Server) {
	t.Helper()
	c := s.Client()
	for db := range historyDBs {
		for _, command := range [][]any{{"SELECT", db}, {"SCAN", 0, "COUNT", 100000}} {
			if _, err := c.Do(command...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// empty removes all that is in a directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
}
