package admin

import (
	"fmt"
	"sync"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
)

// SlowLog is the commands that took longest. It has a lock of its own, since every
// loop adds to it; an entry is rare by definition.
type SlowLog struct {
	mu      sync.Mutex
	entries []slowEntry // guarded by mu; the oldest first
	next    int64       // guarded by mu; id of the next entry
	most    int64       // guarded by mu; slowlog-max-len
}

type slowEntry struct {
	id, at       int64 // at in Unix seconds
	took         time.Duration
	args         []string
	client, name string
}

const (
	slowlogArgs  = 32  // arguments kept of one command
	slowlogBytes = 128 // bytes kept of one argument
)

// follow keeps the log as long as the settings allow.
func (s *SlowLog) follow(c *config.Config) {
	s.most = c.Current().SlowlogMaxLen
	c.OnChange(func(_, next *config.Settings) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.most = next.SlowlogMaxLen
		s.trim()
		return nil
	}, "slowlog-max-len")
}

// Add notes a command that ended at the time now, in Unix milliseconds, and the
// address and the name of the client that sent it. Any goroutine may call it.
func (s *SlowLog) Add(now int64, took time.Duration, args [][]byte, addr, name string) {
	e := slowEntry{at: now / 1000, took: took, client: addr, name: name}
	for i, a := range args {
		if i == slowlogArgs-1 && len(args) > slowlogArgs {
			e.args = append(e.args, fmt.Sprintf("... (%d more arguments)", len(args)-slowlogArgs+1))
			break
		}
		e.args = append(e.args, shortened(a))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.id = s.next
	s.next++
	s.entries = append(s.entries, e)
	s.trim()
}

func shortened(a []byte) string {
	if len(a) <= slowlogBytes {
		return string(a)
	}
	return fmt.Sprintf("%s... (%d more bytes)", a[:slowlogBytes], len(a)-slowlogBytes)
}

// trim drops the oldest entries above the number allowed; the caller holds mu.
func (s *SlowLog) trim() {
	if over := len(s.entries) - int(min(s.most, int64(len(s.entries)))); over > 0 {
		s.entries = append([]slowEntry(nil), s.entries[over:]...)
	}
}

// newest returns the n newest entries, newest first; n below 0 is all.
func (s *SlowLog) newest(n int64) []slowEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < 0 || n > int64(len(s.entries)) {
		n = int64(len(s.entries))
	}
	out := make([]slowEntry, 0, n)
	for i := range int(n) {
		out = append(out, s.entries[len(s.entries)-1-i])
	}
	return out
}

func (s *SlowLog) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Latest is how many entries there are, and the id and the time of the newest; 0 if there
// is none.
func (s *SlowLog) Latest() (entries int, id int64, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.entries); n > 0 {
		return n, s.entries[n-1].id, s.entries[n-1].took
	}
	return 0, 0, 0
}

func (s *SlowLog) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = nil
}

func (a *Commands) slowLogRow() *command.Row {
	const flags = command.Admin | command.Loading | command.Stale
	return &command.Row{Name: "slowlog", Arity: -2, Doc: command.Brief("2.2.12", "server", "Shows the commands that took longest."), Sub: []*command.Row{
		serverRow("get", -2, flags, "2.2.12", "Shows the newest entries of the slow log.", a.slowLogGet),
		serverRow("len", 2, flags, "2.2.12", "Counts what the slow log holds.", func(x *command.Ctx) { x.Out.Int(int64(a.SlowLog.len())) }),
		serverRow("reset", 2, flags, "2.2.12", "Empties the slow log.", func(x *command.Ctx) {
			a.SlowLog.reset()
			x.Out.OK()
		}),
		serverRow("help", 2, command.Loading|command.Stale, "6.2.0", "Lists the sub-commands.", func(x *command.Ctx) {
			command.Help(x, "GET [<count>]", "    The newest entries: 10 of them, or so many, or with -1 all.",
				"LEN", "    How many entries there are.", "RESET", "    Forget all entries.")
		}),
	}}
}

func (a *Commands) slowLogGet(x *command.Ctx) {
	n := int64(10)
	switch {
	case len(x.Args) > 3:
		x.Out.Error(resp.ErrSubcommandSyntax("slowlog", x.Args[1]))
		return
	case len(x.Args) == 3:
		var ok bool
		if n, ok = resp.ParseInt(x.Args[2]); !ok || n < -1 {
			x.Out.Error(resp.ErrSlowlogCount)
			return
		}
	}
	entries := a.SlowLog.newest(n)
	x.Out.Array(len(entries))
	for _, e := range entries {
		x.Out.Array(6)
		x.Out.Int(e.id)
		x.Out.Int(e.at)
		x.Out.Int(e.took.Microseconds())
		x.Out.Array(len(e.args))
		for _, a := range e.args {
			x.Out.BulkString(a)
		}
		x.Out.BulkString(e.client)
		x.Out.BulkString(e.name)
	}
}
