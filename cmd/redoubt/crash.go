package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/logging"
	"redoubt/internal/version"
)

// nameSignals says in the log which signal ends the process by a crash, before it lets it:
// there is the time, and there Redis says so, too. A log that hangs does not keep it alive.
func nameSignals(log *logging.Logger) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGABRT, syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGILL)
	go func() {
		s := (<-signals).(syscall.Signal)
		said := make(chan struct{})
		go func() {
			defer close(said)
			log.Error(fmt.Sprintf("Redoubt %s crashed by signal: %d, %s", version.Build, int(s), s))
			_ = log.Sync()
		}()
		select {
		case <-said:
		case <-time.After(time.Second):
		}
		signal.Reset(s)
		_ = syscall.Kill(os.Getpid(), s)
	}()
}

// reportCrashes has the runtime write what it says of a crash, a panic or a fatal signal
// such as SIGABRT, to the log file as well: the standard error of a server is seldom kept,
// and with daemonize yes it is nowhere. It is done by the runtime itself, so it works in a
// process that hangs, too.
func reportCrashes(log *logging.Logger, out io.Writer) {
	file, ok := out.(*logging.File)
	if !ok {
		return
	}
	file.Each(func(f *os.File) {
		if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
			// Not here: a file that takes another's place is announced in the middle of a
			// line that is being written, with the locks of the log.
			go log.Warn("A crash will not be reported in the log file", zap.Error(err))
		}
	})
}
