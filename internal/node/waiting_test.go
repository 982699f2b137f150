package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// Who waits to read from a replica gets what the primary writes.
func TestReadersThatWaitAtAReplicaAreServed(t *testing.T) {
	primary := redistest.Start(t, redistest.Redoubt)
	host, port, _ := strings.Cut(primary.Addr(), ":")
	replica := redistest.Start(t, redistest.Redoubt, "--replicaof", host+" "+port)
	until := func(what, section, line string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			info := fmt.Sprint(replica.Do("INFO", section))
			if strings.Contains(info, line) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s:\n%s", what, info)
			}
		}
	}
	until("the replica does not follow", "replication", "master_link_status:up")
	for _, c := range []struct{ add, want string }{
		{"XADD s 1-1 f v", "1-1"},
		{"MULTI; XADD s 2-1 f v; SET other v; EXEC", "2-1"},
	} {
		got := make(chan string, 1)
		reader := replica.Client()
		go func() {
			reply, err := reader.Do("XREAD", "BLOCK", 4000, "STREAMS", "s", "$")
			got <- fmt.Sprint(reply, err)
		}()
		until("nobody waits", "clients", "blocked_clients:1")
		writer := primary.Client()
		for _, line := range strings.Split(c.add, "; ") {
			var args []any
			for _, word := range strings.Fields(line) {
				args = append(args, word)
			}
			if _, err := writer.Do(args...); err != nil {
				t.Fatal(err)
			}
		}
		if reply := <-got; !strings.Contains(reply, c.want) {
			t.Errorf("%s: who waits gets %q", c.add, reply)
		}
	}
}

// Who reads for a group is told that the stream has gone when MIGRATE takes it away.
func TestReadersOfGroupsAreToldOfMigrate(t *testing.T) {
	here, there := redistest.Start(t, redistest.Redoubt), redistest.Start(t, redistest.Redoubt)
	here.Do("XGROUP", "CREATE", "s", "g", "$", "MKSTREAM")
	got := make(chan string, 1)
	reader := here.Client()
	go func() {
		reply, err := reader.Do("XREADGROUP", "GROUP", "g", "c", "BLOCK", 4000, "STREAMS", "s", ">")
		got <- fmt.Sprint(reply, err)
	}()
	redistest.Until(t, 20*time.Second, "somebody waits", func() error {
		if n := here.Info("blocked_clients"); n != "1" {
			return fmt.Errorf("%s clients wait", n)
		}
		return nil
	})
	here.Do("MIGRATE", "127.0.0.1", there.Port, "s", 0, 5000)
	if reply := <-got; !strings.Contains(reply, "NOGROUP") {
		t.Errorf("who waits gets %q", reply)
	}
	if there.Do("TYPE", "s") != "stream" {
		t.Error("the stream is not at the target")
	}
}
