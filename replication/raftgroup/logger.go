package raftgroup

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/zap"
)

// newLogger is a logger of the library that writes to ours what an operator should
// know of.
func newLogger(log *zap.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: lines{log}, DisableTime: true})
}

type lines struct{ log *zap.Logger }

// usual is how lines begin that tell of what is not out of order, or again and again of a
// member that cannot be reached: of that, observe tells once.
var usual = []string{
	"failed to heartbeat", "failed to appendEntries", "failed to pipeline", "failed to make request", "failed to contact",
	"failed to accept connection", "failed to get previous log", "appendEntries rejected", "no known peers", "not part of stable",
	"rejecting", "Election timeout reached", "heartbeat timeout reached", "skipping application", "failed to send snapshot", "lost leadership",
}

// Write implements io.Writer, for one line.
func (l lines) Write(p []byte) (int, error) {
	level, text, _ := strings.Cut(string(bytes.TrimSpace(p)), "]")
	text = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "raft:"))
	for _, u := range usual {
		if strings.HasPrefix(text, u) {
			return len(p), nil
		}
	}
	if level == "[ERROR" {
		l.log.Warn("Raft: " + text)
	} else {
		l.log.Info("Raft: " + text)
	}
	return len(p), nil
}

// silent is Pebble's logger: what it cannot go on after ends the process, unless the
// member ends.
type silent struct {
	dir   string
	disk  *disk
	fatal func(error)
}

// Infof implements pebble.Logger.
func (silent) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (silent) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger.
func (s silent) Fatalf(format string, args ...any) {
	if s.disk.closing() {
		return
	}
	s.fatal(fmt.Errorf("raftgroup: the log in %s: "+format, append([]any{s.dir}, args...)...))
}
