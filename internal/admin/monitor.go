package admin

import (
	"fmt"
	"strings"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

func monitorRow() *command.Row {
	return stopping(serverRow("monitor", 1, command.Admin|command.NoScript|command.Loading|command.Stale,
		"1.0.0", "Shows every command as it is run.", command.For(monitor)))
}

func monitor(x *command.Ctx, c Operator) {
	switch {
	case c.InTransaction():
		x.Out.Error(resp.ErrMonitorDenied)
	case c.Monitoring(): // without a word, as in Redis
	default:
		c.Monitor()
		x.Out.OK()
	}
}

// MonitorLine is what MONITOR prints of a command that a client from an address
// called in database db.
func MonitorLine(now time.Time, db int, from string, args [][]byte) []byte {
	var b strings.Builder
	if strings.HasPrefix(from, "/") {
		from = "unix:" + strings.TrimSuffix(from, ":0")
	}
	fmt.Fprintf(&b, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, db, from)
	for _, a := range args {
		b.WriteByte(' ')
		writeQuoted(&b, a)
	}
	b.WriteString("\r\n")
	return []byte(b.String())
}

// writeQuoted writes a string as Redis's sdscatrepr does.
func writeQuoted(b *strings.Builder, s []byte) {
	b.WriteByte('"')
	for _, ch := range s {
		switch ch {
		case '\\', '"':
			b.WriteByte('\\')
			b.WriteByte(ch)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\a':
			b.WriteString(`\a`)
		case '\b':
			b.WriteString(`\b`)
		default:
			if ch < ' ' || ch > '~' {
				fmt.Fprintf(b, `\x%02x`, ch)
			} else {
				b.WriteByte(ch)
			}
		}
	}
	b.WriteByte('"')
}
