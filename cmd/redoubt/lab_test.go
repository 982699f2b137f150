package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/tools/toolstest"
)

// TestThePrintedLinesOfALabWork starts a lab of our own program as a newcomer does, and runs
// the lines that it prints, one after the other.
func TestThePrintedLinesOfALabWork(t *testing.T) {
	bin := redistest.Binary(t)
	for _, kind := range []string{"", "--sentinel", "--tls", "--tls --sentinel"} {
		t.Run("lab "+kind, func(t *testing.T) {
			port := toolstest.Ports(t, 6)
			dir := filepath.Join(t.TempDir(), "lab")
			// sh runs a line and returns what it prints and its exit status.
			sh := func(line string) (string, int) {
				t.Helper()
				ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
				defer stop()
				out, err := exec.CommandContext(ctx, "sh", "-c", line).CombinedOutput()
				var exit *exec.ExitError
				if err != nil && !errors.As(err, &exit) {
					t.Fatalf("%s: %v", line, err)
				}
				if exit != nil {
					return string(out), exit.ExitCode()
				}
				return string(out), 0
			}
			defer func() {
				if _, err := os.Stat(dir); err == nil {
					sh(bin + " lab remove --dir " + dir)
				}
			}()
			up := fmt.Sprintf("%s lab %s --dir %s --port %d --node-timeout 15s --timeout 2m", bin, kind, dir, port)
			out, status := sh(up)
			if status != 0 {
				t.Fatalf("exit status %d:\n%s", status, out)
			}
			lines := regexp.MustCompile(`(?m)^  (\S.*?)  +\S.*$`).FindAllStringSubmatch(out[strings.Index(out, "is ready: "):], -1)
			if len(lines) != 8 {
				t.Fatalf("%d lines:\n%s", len(lines), out)
			}
			access := "" // the flags of TLS, as they are printed
			if i := strings.Index(lines[0][1], "--tls "); i >= 0 {
				access = lines[0][1][i:strings.LastIndex(lines[0][1], "-p ")]
				access = strings.TrimSuffix(access, "-c ")
			}
			if (access != "") != strings.Contains(kind, "--tls") {
				t.Errorf("the flags of TLS are %q", access)
			}
			ours := 0
			for _, l := range lines {
				line, isCheck := l[1], strings.Contains(l[1], " check ")
				if strings.HasPrefix(line, "redis-cli ") {
					if _, err := exec.LookPath("redis-cli"); err != nil {
						continue
					}
					line = strings.Replace(line, "redis-cli", "redis-cli -e", 1) // whose status tells errors
				} else {
					ours++
				}
				if isCheck {
					line += " --duration 1s --rate 500"
				}
				out, status := sh(line)
				if status != 0 {
					t.Errorf("%s: exit status %d:\n%s", line, status, out)
				}
				if isCheck && !strings.Contains(out, "\nno acknowledged write is gone: ") {
					t.Errorf("%s:\n%s", line, out)
				}
				// The exit status of "cluster status" tells what has just been done.
				if !strings.Contains(kind, "--sentinel") && (strings.Contains(line, " lab status") || strings.Contains(line, " lab kill")) {
					out, status := sh(fmt.Sprintf("%s cluster status %s127.0.0.1:%d", bin, access, port+1))
					if well := strings.Contains(line, " lab status"); well != (status == 0) {
						t.Errorf("after %s: exit status %d:\n%s", line, status, out)
					}
				}
			}
			if ours != 6 {
				t.Errorf("%d lines are of this program:\n%s", ours, out)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the lab is left over: %v", err)
			}
		})
	}
}

// A primary of a lab that is stopped has handed over by then.
func TestANodeOfALabHandsOver(t *testing.T) {
	bin, port, dir := redistest.Binary(t), toolstest.Ports(t, 6), filepath.Join(t.TempDir(), "lab")
	lab := func(args ...string) string {
		t.Helper()
		ctx, stop := context.WithTimeout(t.Context(), 3*time.Minute)
		defer stop()
		out, err := exec.CommandContext(ctx, bin, append([]string{"lab", "--dir", dir}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("lab %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	defer func() { lab("remove") }()
	lab("--port", fmt.Sprint(port), "--node-timeout", "15s", "--timeout", "2m")
	primaries := func() int { return len(regexp.MustCompile(`(?m)^\d.* primary `).FindAllString(lab("status"), -1)) }
	if n := primaries(); n != 3 {
		t.Fatalf("%d primaries:\n%s", n, lab("status"))
	}
	if out := lab("stop", "1"); !strings.Contains(out, "node 1") {
		t.Errorf("printed %q", out)
	}
	if n := primaries(); n != 3 {
		t.Errorf("%d primaries:\n%s", n, lab("status"))
	}
	lab("start", "1")
}
