package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// TestTheFirstReasonIsRediss: a request that could be refused for several reasons
// is refused for the same one as by redis-server. The scenarios run on both and
// know no order.
func TestTheFirstReasonIsRediss(t *testing.T) {
	oursOnly(t)
	for _, s := range []struct {
		name string
		args []string
		run  func(a *answers)
	}{
		{"a cluster without slots", []string{"--cluster-enabled", "yes", "--requirepass", "secret", "--min-replicas-to-write", "1"}, func(a *answers) {
			a.ask("NOTHING")
			a.ask("SET", "k")
			a.ask("DEBUG", "SLEEP", "0")
			a.ask("SAVE")
			a.ask("SET", "k", "v")
			a.ask("AUTH", "secret")
			a.ask("MULTI")
			a.ask("SAVE")
			a.ask("SET", "k", "v")
			a.ask("EXEC")
			a.ask("SUBSCRIBE", "ch")
			a.ask("SET", "k", "v")
			a.ask("GET", "k")
			a.ask("DEBUG", "SLEEP", "0")
		}},
		{"a primary whose disk refuses", []string{"--save", "900 1", "--min-replicas-to-write", "1"}, func(a *answers) {
			a.spoilDump()
			a.ask("SUBSCRIBE", "ch")
			a.ask("SET", "k", "v")
			a.ask("PING")
			a.ask("GET", "k")
			a.other("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
			a.ask("SET", "k", "v")
			a.ask("PING")
			a.other("CONFIG", "SET", "min-replicas-to-write", "0")
			a.ask("SET", "k", "v")
			a.ask("UNSUBSCRIBE", "ch")
			a.ask("SET", "k", "v")
		}},
		{"a stale replica whose disk refuses", []string{"--save", "900 1", "--min-replicas-to-write", "1", "--replica-serve-stale-data", "no"}, func(a *answers) {
			a.spoilDump()
			a.other("REPLICAOF", "127.0.0.1", "1") // where nobody listens
			a.ask("SUBSCRIBE", "ch")
			a.ask("SET", "k", "v")
			a.other("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
			a.ask("SET", "k", "v")
			a.other("CONFIG", "SET", "replica-read-only", "no")
			a.ask("SET", "k", "v")
			a.ask("GET", "k")
			a.ask("UNSUBSCRIBE", "ch")
			a.ask("SET", "k", "v")
			a.ask("GET", "k")
			a.ask("MULTI")
			a.ask("SAVE")
			a.ask("GET", "k")
			a.ask("EXEC")
		}},
	} {
		t.Run(s.name, func(t *testing.T) {
			var got [2][]string
			for i, kind := range []redistest.Kind{redistest.Redis, redistest.Redoubt} {
				server := redistest.Start(t, kind, s.args...)
				a := &answers{t: t, server: server, client: server.Client()}
				s.run(a)
				got[i] = a.lines
			}
			if !slices.Equal(got[0], got[1]) {
				t.Errorf("redis-server answers\n%s\nours answers\n%s", strings.Join(got[0], "\n"), strings.Join(got[1], "\n"))
			}
			if !strings.Contains(strings.Join(got[0], "\n"), " -") {
				t.Errorf("redis-server refused nothing:\n%s", strings.Join(got[0], "\n"))
			}
		})
	}
}

// answers is what a server answers one connection.
type answers struct {
	t      *testing.T
	server *redistest.Server
	client *redistest.Client
	lines  []string
}

func (a *answers) ask(args ...any) {
	reply, err := a.client.Do(args...)
	line := fmt.Sprintf("%v: %v", args, reply)
	if refused := redistest.Error(""); errors.As(err, &refused) {
		line = fmt.Sprintf("%v: -%s", args, refused)
	} else if err != nil {
		a.t.Fatalf("%v: %v", args, err)
	}
	a.lines = append(a.lines, line)
}

// other runs a command on another connection.
func (a *answers) other(args ...any) {
	if reply := a.server.Do(args...); reply != "OK" {
		a.t.Fatalf("%v: %v", args, reply)
	}
}

// spoilDump makes BGSAVE fail: a directory has the name of the dump.
func (a *answers) spoilDump() {
	if err := os.Mkdir(filepath.Join(a.server.Dir, "dump.rdb"), 0o755); err != nil {
		a.t.Fatal(err)
	}
	a.server.Do("BGSAVE")
	c := a.server.Client()
	redistest.Until(a.t, syncLimit, "the BGSAVE has failed", func() error {
		// PING is refused then, too, and ours learns of it with its housekeeping.
		if reply, err := c.Do("PING"); err == nil {
			return fmt.Errorf("PING: %v", reply)
		}
		return nil
	})
}
