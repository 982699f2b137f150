// Package redistest is the harness of tests that need real processes: it
// starts redis-server and our own binary on 127.0.0.1, talks to them, stops,
// pauses and kills them, and makes clusters of either or both.
//
// Everything belongs to the test that asked for it and ends with it; the log
// of a process is printed when its test fails. What goes wrong in the harness
// itself fails the test, with the exception of a missing tool, see Tool. There
// are no sleeps to wait for something: Until asks again until a deadline.
package redistest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// debianPackages names the package of each tool.
var debianPackages = map[string]string{
	"redis-server":    "redis-server",
	"redis-cli":       "redis-tools",
	"redis-benchmark": "redis-tools",
	"redis-check-rdb": "redis-tools",
	"redis-check-aof": "redis-tools",
	"tclsh":           "tcl",
	"openssl":         "openssl",
	"bash":            "bash",
}

// Tool returns the path of a program. Where it is missing the test is skipped,
// but in CI (the environment has CI=true) it fails: there a skipped test would
// pass for one that ran.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	hint := name + " is not installed"
	if pkg := debianPackages[name]; pkg != "" {
		hint += "; on Debian: apt-get install " + pkg
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(hint)
	}
	t.Skip(hint)
	return ""
}

// busPortOffset is between the client port and the bus port of a node.
const busPortOffset = 10000

var ports struct {
	sync.Mutex
	given map[int]bool
}

// Port returns a port of 127.0.0.1 that is free, as is the cluster bus port
// that goes with it, and that this process has not given out before. Both lie
// below the range from which systems take the ports of outgoing connections.
func Port(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	if ports.given == nil {
		ports.given = map[int]bool{}
	}
	const first, last = 10000, 22000
	for range 1000 {
		port := first + rand.IntN(last-first)
		if !ports.given[port] && isFree(port) && isFree(port+busPortOffset) {
			ports.given[port] = true
			return port
		}
	}
	t.Fatal("redistest: no free port")
	return 0
}

func isFree(port int) bool {
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// Until asks check every few milliseconds until it returns nil. If it does not
// do so within the given time, the test fails with what was waited for and the
// last answer.
func Until(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("redistest: not within %v: %s: %v", within, what, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
