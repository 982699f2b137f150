package main

import (
	"io"
	"os"
	"runtime/debug"

	"redoubt/internal/logging"
)

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
			log.Warn("A crash will not be reported in the log file: " + err.Error())
		}
	})
}
