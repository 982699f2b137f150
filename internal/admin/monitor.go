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
	if strings.HasPrefix(from, "/") {
		from = "unix:" + strings.TrimSuffix(from, ":0")
	}
	b := fmt.Appendf(nil, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, db, from)
	for _, a := range args {
		b = resp.AppendQuoted(append(b, ' '), a)
	}
	return append(b, "\r\n"...)
}
