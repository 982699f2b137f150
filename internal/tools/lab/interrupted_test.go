package lab_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/lab"
	"redoubt/internal/tools/toolstest"
)

// nodeOf asks the node that listens on a port.
func nodeOf(t *testing.T, port int, args ...string) string {
	t.Helper()
	c, err := client.Dial(net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	v, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return v.String()
}

// wantShape fails the test if the first three nodes are not primaries, or the
// others not their replicas.
func wantShape(t *testing.T, l *lab.Lab) {
	t.Helper()
	for i, r := range rows(t, l) {
		want := "primary"
		if i >= 3 {
			want = "replica"
		}
		if r[role] != want || i >= 3 && r[link] != "up" {
			t.Errorf("node %d: %v, want a %s", i+1, r, want)
		}
	}
}

// An interrupted command may leave any part of the cluster. The next one makes
// the rest.
func TestAnInterruptedLabIsFinished(t *testing.T) {
	bin := toolstest.Server(t)
	// Each step is what Create does next. After some of them it is interrupted.
	steps := []struct {
		name string
		ends bool
		do   func(t *testing.T, port int)
	}{
		{"one has its slots", true, func(t *testing.T, port int) {
			nodeOf(t, port, "CLUSTER", "ADDSLOTSRANGE", "0", "5460")
		}},
		{"all have slots and epochs", false, func(t *testing.T, port int) {
			nodeOf(t, port+1, "CLUSTER", "ADDSLOTSRANGE", "5461", "10922")
			nodeOf(t, port+2, "CLUSTER", "ADDSLOTSRANGE", "10923", "16383")
			for i := range 6 {
				nodeOf(t, port+i, "CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
			}
		}},
		{"all have met", true, func(t *testing.T, port int) {
			met := time.Time{}
			err := client.Wait(limit, func() error {
				// A node that is slow gives a handshake up, and Redis does not repeat it.
				if time.Since(met) > 2*time.Second {
					met = time.Now()
					for i := 1; i < 6; i++ {
						nodeOf(t, port+i, "CLUSTER", "MEET", "127.0.0.1", fmt.Sprint(port))
					}
				}
				for i := range 6 {
					if nodes := nodeOf(t, port+i, "CLUSTER", "NODES"); strings.Count(nodes, " connected") != 6 || strings.Contains(nodes, "handshake") {
						return fmt.Errorf("node %d knows\n%s", i+1, nodes)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"one replicates", true, func(t *testing.T, port int) {
			nodeOf(t, port+4, "CLUSTER", "REPLICATE", nodeOf(t, port, "CLUSTER", "MYID"))
		}},
	}
	for done := range steps {
		if !steps[done].ends {
			continue
		}
		t.Run(steps[done].name, func(t *testing.T) {
			port := toolstest.Ports(t, 6)
			l := open(t, t.TempDir(), bin, port)
			defer l.Close()
			defer l.Stop(&bytes.Buffer{})
			for i := range 6 {
				if err := l.Start(&bytes.Buffer{}, fmt.Sprint(i+1)); err != nil {
					t.Fatal(err)
				}
			}
			for _, step := range steps[:done+1] {
				step.do(t, port)
			}
			var out bytes.Buffer
			if err := l.Up(&out); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			wantShape(t, l)
		})
	}
}

// What is not a part of a lab is not made one.
func TestNodesOfAnotherShapeAreLeftAlone(t *testing.T) {
	bin := toolstest.Server(t)
	port := toolstest.Ports(t, 6)
	l := open(t, t.TempDir(), bin, port)
	defer l.Close()
	defer l.Stop(&bytes.Buffer{})
	for i := range 6 {
		if err := l.Start(&bytes.Buffer{}, fmt.Sprint(i+1)); err != nil {
			t.Fatal(err)
		}
	}
	nodeOf(t, port+3, "CLUSTER", "ADDSLOTSRANGE", "100", "200")
	var out bytes.Buffer
	err := l.Up(&out)
	if err == nil || !strings.Contains(err.Error(), "to begin anew without the data, remove the lab") {
		t.Errorf("error %v", err)
	}
	if want := "is no part of such a cluster: it has the slots [100-200]"; !strings.Contains(out.String(), want) {
		t.Errorf("printed\n%s\nwant %q", out.String(), want)
	}
	if nodes := nodeOf(t, port, "CLUSTER", "NODES"); strings.Count(nodes, "\n") != 1 || strings.Contains(nodes, "0-") {
		t.Errorf("the first node has been changed:\n%s", nodes)
	}
}

// slowly makes a server that takes a moment before it begins.
func slowly(t *testing.T, bin string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slow")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nsleep 0.3\nexec "+bin+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A command is killed while its nodes are still starting.
func TestNodesThatDoNotAnswerYetAreWaitedFor(t *testing.T) {
	bin := slowly(t, toolstest.Server(t))
	dir, port := t.TempDir(), toolstest.Ports(t, 6)
	cfg := lab.Config{Port: port, ServerBin: bin, NodeTimeout: 500 * time.Millisecond}
	first, err := lab.Create(dir, cfg, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"1", "2"} {
		if err := first.Start(&bytes.Buffer{}, n); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Fatalf("error %v; the server is too fast for this test", err)
		}
	}
	first.Close()
	// Of the second node not even the number is known.
	if err := os.Remove(filepath.Join(dir, fmt.Sprint(port+1), "pid")); err != nil {
		t.Fatal(err)
	}
	l := open(t, dir, bin, port)
	defer l.Close()
	defer l.Stop(&bytes.Buffer{})
	var out bytes.Buffer
	if err := l.Up(&out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	wantShape(t, l)
	if err := l.Stop(&out); err != nil || !strings.Contains(out.String(), "6 of 6 nodes were running") {
		t.Errorf("%v, printed\n%s", err, out.String())
	}
}

// A command is killed before it has written down which process it started.
func TestNodesWithoutAPidFileAreAdopted(t *testing.T) {
	bin := toolstest.Server(t)
	dir, port := t.TempDir(), toolstest.Ports(t, 6)
	l := open(t, dir, bin, port)
	defer l.Close()
	defer l.Stop(&bytes.Buffer{})
	if err := l.Up(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	before := rows(t, l)
	pidFile := func(i int) string { return filepath.Join(dir, fmt.Sprint(port+i), "pid") }
	for i, content := range []string{"", "1\n", "4194304 another-boot/1\n"} {
		if err := os.WriteFile(pidFile(i), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := l.Up(&out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "runs already"); n != 3 || strings.Contains(out.String(), "starting") {
		t.Errorf("printed\n%s", out.String())
	}
	for i, r := range rows(t, l) {
		if r[pid] != before[i][pid] {
			t.Errorf("node %d was %v and is %v", i+1, before[i], r)
		}
	}
	if err := os.Remove(pidFile(4)); err != nil {
		t.Fatal(err)
	}
	if err := l.Kill(&out, "5"); err != nil || !strings.Contains(out.String(), "killed (pid "+before[4][pid]+")") {
		t.Errorf("%v, printed\n%s", err, out.String())
	}
	if err := os.Remove(pidFile(5)); err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(&out); err != nil || !strings.Contains(out.String(), "5 of 6 nodes were running") {
		t.Errorf("%v, printed\n%s", err, out.String())
	}
}

// A server of somebody else on a node's port is neither adopted nor hurt.
func TestAForeignServerIsNotAdopted(t *testing.T) {
	bin := toolstest.Server(t)
	port := toolstest.Ports(t, 6)
	stranger := exec.Command(bin, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", t.TempDir())
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer stranger.Process.Kill()
	err := client.Wait(limit, func() error {
		c, err := client.Dial(net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), client.Options{})
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l := open(t, dir, bin, port)
	defer l.Close()
	if err := os.MkdirAll(filepath.Join(dir, fmt.Sprint(port)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := l.Up(&bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "in use by a process that is not this lab's") {
		t.Errorf("error %v", err)
	}
	var out bytes.Buffer
	if err := l.Kill(&out, "1"); err != nil || !strings.Contains(out.String(), "is not running") {
		t.Errorf("%v, printed\n%s", err, out.String())
	}
	if err := l.Stop(&out); err != nil {
		t.Error(err)
	}
	if got := nodeOf(t, port, "PING"); got != "PONG" {
		t.Errorf("the stranger says %q", got)
	}
}
