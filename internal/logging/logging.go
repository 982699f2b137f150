// Package logging prints log lines as Redis does, since operators' tools and
// test suites look for them:
//
//	4711:M 23 Nov 2026 10:35:22.123 * Ready to accept connections
//
// that is process id, role (M primary, S replica, X sentinel, C before the role
// is known), local time, a mark for the level, the message. Fields of zap follow
// the message: an error as ": " and its reason in words (package reason), others as
// name=value, in quotes if there are blanks in the value.
package logging

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"

	"redoubt/internal/reason"
)

// The levels of Redis, which the directive loglevel names. Of zap's own, Debug is
// Verbose: what is only for those who look for a fault of this program has a level below.
const (
	Debug   = zapcore.DebugLevel - 1
	Verbose = zapcore.DebugLevel
	Notice  = zapcore.InfoLevel
	Warning = zapcore.WarnLevel
	Nothing = zapcore.FatalLevel + 1
)

// Logger is a zap logger whose level and role can be changed.
type Logger struct {
	*zap.Logger
	level zap.AtomicLevel
	role  *atomic.Int32
}

// New returns a logger that writes to w, at level notice, with role 'C'.
func New(w io.Writer) *Logger {
	l := &Logger{level: zap.NewAtomicLevelAt(zap.InfoLevel), role: new(atomic.Int32)}
	l.role.Store('C')
	enc := &encoder{Encoder: zapcore.NewConsoleEncoder(zapcore.EncoderConfig{}), role: l.role, pid: os.Getpid()}
	l.Logger = zap.New(zapcore.NewCore(enc, zapcore.Lock(zapcore.AddSync(w)), l.level))
	return l
}

// SetLevel sets the least level that is printed.
func (l *Logger) SetLevel(v zapcore.Level) { l.level.SetLevel(v) }

// SetReplica sets the letter of the role.
func (l *Logger) SetReplica(replica bool) {
	role := int32('M')
	if replica {
		role = 'S'
	}
	l.role.Store(role)
}

// SetSentinel sets the letter to that of a Sentinel.
func (l *Logger) SetSentinel() { l.role.Store('X') }

// encoder lays out a line. Fields are kept as text until then.
type encoder struct {
	zapcore.Encoder
	role   *atomic.Int32
	pid    int
	fields []zapcore.Field
}

// Clone returns an encoder to which With can add.
func (e *encoder) Clone() zapcore.Encoder {
	c := *e
	c.Encoder = e.Encoder.Clone()
	c.fields = append([]zapcore.Field(nil), e.fields...)
	return &c
}

// AddString and AddInt64 are what With uses for the fields of this program.
func (e *encoder) AddString(key, value string) { e.fields = append(e.fields, zap.String(key, value)) }

// AddInt64 keeps a number given to With.
func (e *encoder) AddInt64(key string, value int64) {
	e.fields = append(e.fields, zap.Int64(key, value))
}

var pool = buffer.NewPool()

// EncodeEntry writes one line.
func (e *encoder) EncodeEntry(entry zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	b := pool.Get()
	fmt.Fprintf(b, "%d:%c %s %c ", e.pid, rune(e.role.Load()), entry.Time.Format("02 Jan 2006 15:04:05.000"), mark(entry.Level))
	appendText(b, entry.Message, e.fields, fields)
	b.AppendByte('\n')
	return b, nil
}

// appendText writes the message and its fields: reasons first.
func appendText(b *buffer.Buffer, message string, groups ...[]zapcore.Field) {
	message = oneLine(message)
	for _, group := range groups {
		for _, f := range group {
			if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
				message = strings.TrimSuffix(message, ".") + ": " + oneLine(reason.Of(err))
			}
		}
	}
	b.AppendString(message)
	for _, group := range groups {
		for _, f := range group {
			if f.Type == zapcore.ErrorType || f.Type == zapcore.SkipType {
				continue
			}
			b.AppendByte(' ')
			b.AppendString(f.Key)
			b.AppendByte('=')
			b.AppendString(word(oneLine(text(f))))
		}
	}
}

// word is a value that can be told from what follows.
func word(s string) string {
	if s == "" || strings.ContainsAny(s, " ") && !strings.HasPrefix(s, `"`) {
		return `"` + s + `"`
	}
	return s
}

// mark is the character by which Redis shows a level.
func mark(l zapcore.Level) byte {
	switch {
	case l <= Debug:
		return '.'
	case l < Notice:
		return '-'
	case l == Notice:
		return '*'
	}
	return '#'
}

// text is the value of a field.
func text(f zapcore.Field) string {
	m := zapcore.NewMapObjectEncoder()
	f.AddTo(m)
	for _, v := range m.Fields {
		switch v := v.(type) {
		case time.Duration:
			return v.Round(time.Microsecond).String()
		case []byte:
			return fmt.Sprintf("%q", v)
		default:
			return fmt.Sprint(v)
		}
	}
	return ""
}

// oneLine keeps what came from outside from forging lines.
func oneLine(s string) string {
	if strings.ContainsAny(s, "\r\n") {
		return strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(s)
	}
	return s
}
