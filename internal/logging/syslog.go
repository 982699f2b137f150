package logging

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// Facilities are the values of syslog-facility, and their numbers.
var Facilities = map[string]int{
	"user": 1, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20, "local5": 21, "local6": 22, "local7": 23,
}

// syslogSocket is where the system's log listens.
const syslogSocket = "/dev/log"

const (
	// syslogPatience is how long a line may wait for a log daemon that does not read:
	// event loops write lines too, and must not stand still with it.
	syslogPatience = 20 * time.Millisecond
	// syslogRetry is how long nothing is sent after that, or while nobody listens.
	syslogRetry = 5 * time.Second
)

// syslog sends lines to the system's log. What cannot be sent is counted, and the next
// line that can be says how many are missing. The log file has all lines in any case.
type syslog struct {
	path     string
	ident    string
	facility int

	mu    sync.Mutex
	conn  net.Conn  // nil: there is none
	until time.Time // nothing is tried before
	lost  int
}

// AddSyslog has each line go to the system's log as well, under ident and with that
// facility. The error says why that does not work now; it is tried again all the same.
func (l *Logger) AddSyslog(ident, facility string) error {
	return l.addSyslog(&syslog{path: syslogSocket, ident: ident, facility: Facilities[facility]})
}

func (l *Logger) addSyslog(s *syslog) error {
	err := s.connect()
	core := &syslogCore{LevelEnabler: l.level, to: s}
	l.Logger = l.Logger.WithOptions(zap.WrapCore(func(c zapcore.Core) zapcore.Core { return zapcore.NewTee(c, core) }))
	return err
}

func (s *syslog) connect() error {
	conn, err := net.DialTimeout("unixgram", s.path, syslogPatience)
	if err != nil {
		s.until = time.Now().Add(syslogRetry)
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.conn = conn
	return nil
}

// send sends a line of a severity. It must not log.
func (s *syslog) send(severity int, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil && (time.Now().Before(s.until) || s.connect() != nil) {
		s.lost++
		return
	}
	if s.lost > 0 && s.write(severityWarning, fmt.Sprintf("%d lines could not be sent to syslog", s.lost)) {
		s.lost = 0
	}
	if s.conn == nil || !s.write(severity, text) {
		s.lost++
	}
}

// write sends one datagram. If that fails the daemon may have been started anew, so the
// next line gets another socket.
func (s *syslog) write(severity int, text string) bool {
	line := fmt.Sprintf("<%d>%s %s[%d]: %s", s.facility<<3|severity, time.Now().Format(time.Stamp), s.ident, os.Getpid(), text)
	for attempt := range 2 {
		s.conn.SetWriteDeadline(time.Now().Add(syslogPatience))
		_, err := io.WriteString(s.conn, line)
		if err == nil {
			return true
		}
		s.conn.Close()
		s.conn = nil
		if late, ok := err.(net.Error); ok && late.Timeout() {
			s.until = time.Now().Add(syslogRetry)
			return false
		}
		if attempt > 0 || s.connect() != nil {
			return false
		}
	}
	return false
}

// The severities that Redis gives its levels.
const (
	severityWarning = 4
	severityNotice  = 5
	severityInfo    = 6
	severityDebug   = 7
)

func severity(l zapcore.Level) int {
	switch {
	case l <= Debug:
		return severityDebug
	case l < Notice:
		return severityInfo
	case l == Notice:
		return severityNotice
	}
	return severityWarning
}

// syslogCore is a core of zap that sends to syslog.
type syslogCore struct {
	zapcore.LevelEnabler
	to     *syslog
	fields []zapcore.Field
}

// With returns a core whose lines have these fields as well.
func (c *syslogCore) With(fields []zapcore.Field) zapcore.Core {
	d := *c
	d.fields = append(append([]zapcore.Field(nil), c.fields...), fields...)
	return &d
}

// Check adds the core to those that write the entry.
func (c *syslogCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write sends an entry.
func (c *syslogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	b := pool.Get()
	defer (*buffer.Buffer).Free(b)
	appendText(b, e.Message, c.fields, fields)
	c.to.send(severity(e.Level), b.String())
	return nil
}

// Sync has nothing to do: each line is sent at once.
func (c *syslogCore) Sync() error { return nil }
