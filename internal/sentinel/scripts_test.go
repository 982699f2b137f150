package sentinel

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// testScripts is a queue without a loop: a test calls what is posted.
type testScripts struct {
	scripts
	t      *testing.T
	posted chan func()
	events []string
}

func newTestScripts(t *testing.T) *testScripts {
	q := &testScripts{t: t, posted: make(chan func(), maxScripts)}
	q.scripts = scripts{
		maxRuntime: time.Minute, retryDelay: 30 * time.Second,
		event: func(name, text string) { q.events = append(q.events, name+" "+text) },
		log:   func(string, string) {},
		post:  func(f func()) { q.posted <- f },
	}
	return q
}

// untilExit waits until one more process has ended.
func (q *testScripts) untilExit() {
	q.t.Helper()
	select {
	case f := <-q.posted:
		f()
	case <-time.After(time.Minute):
		q.t.Fatal("no script ends")
	}
}

// program writes a shell script and returns its path.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// A script gets its arguments and the environment of the Sentinel.
func TestScriptArguments(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	t.Setenv("SENTINEL_TEST_OUT", out)
	q := newTestScripts(t)
	path := program(t, `printf '%s|' "$0" "$@" > "$SENTINEL_TEST_OUT"`)
	q.schedule([]string{path, "+sdown", "master m 127.0.0.1 7000"})
	q.run(time.Now())
	q.untilExit()
	got, err := os.ReadFile(out)
	if want := path + "|+sdown|master m 127.0.0.1 7000|"; err != nil || string(got) != want {
		t.Errorf("the script saw %q, %v", got, err)
	}
	if len(q.queue) != 0 || len(q.events) != 0 || q.running != 0 {
		t.Errorf("left %d scripts, %d run, events %v", len(q.queue), q.running, q.events)
	}
}

// Exit status 1 and signals ask for another attempt, after a delay that doubles; ten
// attempts are all. Any other status ends it at once.
func TestScriptAttempts(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		attempts   int
		event      string
	}{
		{"status 1 is tried again", "exit 1", maxScriptAttempts, "0 1"},
		{"a signal is tried again", "kill -15 $$", maxScriptAttempts, "15 0"},
		{"status 2 is not", "exit 2", 1, "0 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := newTestScripts(t)
			path := program(t, tc.text)
			q.schedule([]string{path})
			now := time.Now()
			for range tc.attempts {
				q.run(now)
				if q.running != 1 {
					t.Fatalf("%d run", q.running)
				}
				q.untilExit()
				if len(q.queue) > 0 {
					s := q.queue[0]
					least := q.retryDelay << (s.attempts - 1)
					if q.run(time.Now().Add(least / 2)); q.running != 0 {
						t.Fatalf("attempt %d came within half of %v", s.attempts+1, least)
					}
					now = s.start
				}
			}
			if want := []string{"-script-error " + path + " " + tc.event}; len(q.queue) != 0 || !reflect.DeepEqual(q.events, want) {
				t.Errorf("events %v, %d scripts left", q.events, len(q.queue))
			}
		})
	}
}

// A program that is not there is an error, once.
func TestScriptThatCannotStart(t *testing.T) {
	q := newTestScripts(t)
	q.schedule([]string{"/nowhere/at-all"})
	q.run(time.Now())
	if want := []string{"-script-error /nowhere/at-all 0 2"}; !reflect.DeepEqual(q.events, want) || len(q.queue) != 0 || q.running != 0 {
		t.Errorf("events %v, %d scripts left", q.events, len(q.queue))
	}
}

// A script that takes too long is killed, which is told once, and tried again.
func TestScriptTimeout(t *testing.T) {
	q := newTestScripts(t)
	path := program(t, "exec sleep 600")
	q.schedule([]string{path})
	q.run(time.Now())
	pid := q.queue[0].process.Process.Pid
	q.run(time.Now().Add(q.maxRuntime / 2))
	q.run(time.Now().Add(2 * q.maxRuntime))
	q.run(time.Now().Add(2 * q.maxRuntime))
	q.untilExit()
	if want := []string{fmt.Sprintf("-script-timeout %s %d", path, pid)}; !reflect.DeepEqual(q.events, want) || len(q.queue) != 1 {
		t.Errorf("events %v, %d scripts left", q.events, len(q.queue))
	}
}

// No more than sixteen run at once, and no more than 256 are kept: the oldest that
// wait give way.
func TestScriptLimits(t *testing.T) {
	q := newTestScripts(t)
	path := program(t, "exec sleep 600")
	for i := range maxScripts + 10 {
		q.schedule([]string{path, fmt.Sprint(i)})
		if i == maxRunningScripts+3 {
			q.run(time.Now())
		}
	}
	var kept []string
	for _, s := range q.queue {
		kept = append(kept, s.args[1])
	}
	if len(kept) != maxScripts || q.running != maxRunningScripts || kept[0] != "0" || kept[maxRunningScripts-1] != "15" || kept[maxRunningScripts] != "26" {
		t.Errorf("%d run, %d are kept: %s", q.running, len(kept), strings.Join(kept, " "))
	}
	for _, s := range q.queue[:maxRunningScripts] {
		s.process.Process.Kill()
	}
	for range maxRunningScripts {
		q.untilExit()
	}
}
