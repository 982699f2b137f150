// Package toolstest gives the tests of the tools a real redis-server and ports
// to run it on. It imports testing and is for tests only.
package toolstest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Server returns the path of a program that is redis-server, without the
// delays with which it waits for more replicas or saves what no test reads.
// Without a redis-server the test is skipped, with CI set it fails.
func Server(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is needed: ", err)
		}
		t.Skip("redis-server is needed: ", err)
	}
	path := filepath.Join(t.TempDir(), "server")
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\" --repl-diskless-sync-delay 0 --save ''\n", bin)
	if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// Ports returns the first of n consecutive ports that are free together with
// their bus ports, which are 10000 higher.
func Ports(t testing.TB, n int) int {
	t.Helper()
	const low, high = 21000, 22000
	for range 200 {
		first := low + rand.IntN(high-low-n)
		if free(first, n) && free(first+10000, n) {
			return first
		}
	}
	t.Fatalf("no %d free ports between %d and %d", n, low, high)
	return 0
}

func free(first, n int) bool {
	for port := first; port < first+n; port++ {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
