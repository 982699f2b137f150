package sentinel

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"redoubt/internal/reason"
)

// Limits on scripts, as SENTINEL_SCRIPT_MAX_* of sentinel.c.
const (
	maxScripts        = 256 // queued, with those that run
	maxRunningScripts = 16
	maxScriptAttempts = 10
)

// A script is a program to run, with its arguments.
type script struct {
	args     []string
	attempts int // begun so far
	// start is when the attempt at hand began, or when the next one may; zero is at
	// once.
	start time.Time
	// process is the attempt at hand; nil while the script waits.
	process *exec.Cmd
	killed  bool // the attempt ran too long, and was killed
}

// scripts is the queue of notification and reconfiguration scripts. It belongs to
// the loop.
type scripts struct {
	queue   []*script // the oldest first
	running int

	// maxRuntime is how long an attempt may take, retryDelay the wait before the
	// second one, which doubles each time.
	maxRuntime, retryDelay time.Duration

	// event publishes what happened to a script, log what is of interest for
	// debugging only.
	event, log func(name, text string)
	// post has the loop call a function.
	post func(func())
}

// schedule queues a script. If the queue is full, the oldest that does not run is
// dropped. It matches sentinelScheduleScriptExecution.
func (q *scripts) schedule(args []string) {
	q.queue = append(q.queue, &script{args: args})
	if len(q.queue) <= maxScripts {
		return
	}
	waits := func(s *script) bool { return s.process == nil }
	if i := slices.IndexFunc(q.queue, waits); i >= 0 {
		q.queue = slices.Delete(q.queue, i, i+1)
	}
}

// run starts what may start and kills what has run too long. It matches
// sentinelRunPendingScripts and sentinelKillTimedoutScripts.
func (q *scripts) run(now time.Time) {
	for _, s := range slices.Clone(q.queue) {
		switch {
		case s.process != nil:
			q.limit(s, now)
		case q.running < maxRunningScripts && !s.start.After(now):
			q.start(s, now)
		}
	}
}

// limit kills an attempt that has run too long.
func (q *scripts) limit(s *script, now time.Time) {
	if s.killed || now.Sub(s.start) <= q.maxRuntime {
		return
	}
	s.killed = true
	q.event("-script-timeout", fmt.Sprintf("%s %d", s.args[0], s.process.Process.Pid))
	// It can only fail if the process has ended, which its waiter will tell.
	_ = s.process.Process.Kill()
}

// start begins an attempt. A program that cannot be started is not tried again, as
// if execve had failed in Redis's child.
func (q *scripts) start(s *script, now time.Time) {
	s.attempts++
	s.start, s.killed = now, false
	cmd := &exec.Cmd{Path: s.args[0], Args: s.args}
	if err := cmd.Start(); err != nil {
		q.log("-script-start", reason.Of(err))
		q.finish(s, 0, 2, now)
		return
	}
	s.process = cmd
	q.running++
	q.log("+script-child", fmt.Sprint(cmd.Process.Pid))
	go func() {
		err := cmd.Wait()
		q.post(func() { q.exited(s, err, time.Now()) })
	}()
}

// exited takes the end of an attempt.
func (q *scripts) exited(s *script, err error, now time.Time) {
	signal, code := 0, 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			signal, code = int(status.Signal()), 0
		}
	case err != nil:
		code = 2
	}
	q.log("-script-child", fmt.Sprintf("%d %d %d", s.process.Process.Pid, code, signal))
	s.process = nil
	q.running--
	q.finish(s, signal, code, now)
}

// finish decides what becomes of a script whose attempt ended with a signal or an
// exit code. Code 1 and signals ask for another attempt. It matches
// sentinelCollectTerminatedScripts.
func (q *scripts) finish(s *script, signal, code int, now time.Time) {
	if (signal != 0 || code == 1) && s.attempts < maxScriptAttempts {
		s.start = now.Add(q.retryDelay << (s.attempts - 1))
		return
	}
	if signal != 0 || code != 0 {
		q.event("-script-error", fmt.Sprintf("%s %d %d", s.args[0], signal, code))
	}
	if i := slices.Index(q.queue, s); i >= 0 {
		q.queue = slices.Delete(q.queue, i, i+1)
	}
}
