package interop

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// divergent is how many writes a primary takes that its successor never sees.
const divergent = 10_000

// writeMany writes so many keys, pipelined, and returns them as `redoubt journal show`
// prints the commands.
func writeMany(t *testing.T, s *redistest.Server, prefix string, n int) (shown []string) {
	t.Helper()
	c := s.Client()
	var request strings.Builder
	for i := range n {
		key, value := fmt.Sprint(prefix, i), fmt.Sprint("value ", i)
		fmt.Fprintf(&request, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value)
		shown = append(shown, fmt.Sprintf("SET %q %q", key, value))
	}
	sent := make(chan error, 1)
	go func() { sent <- c.Write([]byte(request.String())) }()
	for range n {
		if reply, err := c.ReadRaw(); err != nil || string(reply) != "+OK\r\n" {
			t.Fatalf("a write was answered with %q (%v)", reply, err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	return shown
}

// givenUp are the commands that a node keeps in the only file of what it has given up.
func givenUp(t *testing.T, s *redistest.Server) (commands []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "rewound-*.aof"))
	if err != nil || len(files) != 1 || s.Info("rewound_last_file") != files[0] {
		t.Fatalf("the files are %q (%v), and INFO has %q", files, err, s.Info("rewound_last_file"))
	}
	for line := range strings.Lines(mustRun(t, "", redistest.Binary(t), "journal", "show", files[0])) {
		_, command, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "] ")
		commands = append(commands, command)
	}
	return commands
}

// syncs is how many resyncs of each kind a primary has made.
type syncs struct{ full, partial int }

func syncsOf(t *testing.T, s *redistest.Server) syncs {
	t.Helper()
	return syncs{counter(t, s, "sync_full"), counter(t, s, "sync_partial_ok")}
}

// TestADeposedPrimaryResumes: a primary is cut off from its replica, which is promoted. It
// takes writes that nobody else has, then follows its successor: what it has of its own goes
// into a file, and the rest comes by a partial resync, from redis-server as well.
func TestADeposedPrimaryResumes(t *testing.T) {
	oursOnly(t)
	for _, successor := range []redistest.Kind{redistest.Redoubt, redistest.Redis} {
		for _, rebase := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v takes over, a base meanwhile: %t", successor, rebase), func(t *testing.T) {
				t.Parallel()
				old := replicates(t, redistest.Redoubt)
				between := startRelay(t, old)
				next := replicates(t, successor, "--replicaof", "127.0.0.1", strconv.Itoa(between.port))
				write(t, old, 1)
				old.Do("FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() return 1 end)")
				redistest.Until(t, syncLimit, "the replica has acknowledged everything", func() error {
					return wantEqual("offset", replicaOffset(old), old.Info("master_repl_offset"))
				})

				between.cut.Store(true)
				next.Do("REPLICAOF", "NO", "ONE")
				want := writeMany(t, old, "mine:", divergent)
				if rebase {
					old.Do("BGREWRITEAOF")
					redistest.Until(t, syncLimit, "there is a base that is younger than the fork", func() error {
						return wantEqual("aof_rewrite_in_progress", old.Info("aof_rewrite_in_progress"), "0")
					})
				}
				write(t, next, 2)
				next.Do("SET", "mine:7", "of the successor")
				before := syncsOf(t, next)
				old.Do("REPLICAOF", "127.0.0.1", next.Port)
				inStep(t, next, old)
				if got := syncsOf(t, next); got.full != before.full || got.partial != before.partial+1 {
					t.Errorf("resyncs: %+v, before: %+v\n%s", got, before, old.Log())
				}
				if got := givenUp(t, old); !slices.Equal(got, want) {
					t.Errorf("kept are %d commands, want %d", len(got), len(want))
				}
				for field, want := range map[string]int{"rewinds": 1, "rewinds_refused": 0, "rewound_writes": divergent} {
					if got := counter(t, old, field); got != want {
						t.Errorf("%s is %d, want %d", field, got, want)
					}
				}
				if a, b := content(old), content(next); a != b {
					t.Error("the node and its primary have different data")
				}

				old.Kill()
				old.Restart()
				old.Do("REPLICAOF", "127.0.0.1", next.Port)
				write(t, next, 3)
				inStep(t, next, old)
				if got := syncsOf(t, next); got.full != before.full {
					t.Errorf("after a restart it needs a full resync: %+v", got)
				}
			})
		}
	}
}
