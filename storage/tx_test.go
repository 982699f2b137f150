package storage

import (
	"strings"
	"testing"

	"redoubt/replication"
	"redoubt/slots"
)

// log is a Stream that keeps what it is given, with the databases before it.
type log struct {
	units             []string
	firstDBs, lastDBs []int
	end               replication.Offset
	announce          func() // nil: nothing
}

func (l *log) Announce() {
	if l.announce != nil {
		l.announce()
	}
}

func (l *log) Append(firstDB, lastDB int, unit []byte) replication.Offset {
	l.units = append(l.units, words(unit))
	l.firstDBs, l.lastDBs = append(l.firstDBs, firstDB), append(l.lastDBs, lastDB)
	l.end += replication.Offset(len(unit))
	return l.end
}

func (l *log) End() replication.Offset { return l.end }

// words shows RESP arrays as inline commands, a semicolon after each.
func words(resp []byte) string {
	var out []string
	lines := strings.Split(string(resp), "\r\n")
	for i := 0; i < len(lines); i++ {
		switch {
		case strings.HasPrefix(lines[i], "*"):
			out = append(out, ";")
		case strings.HasPrefix(lines[i], "$"):
			i++
			out = append(out, lines[i])
		}
	}
	return strings.Trim(strings.ReplaceAll(strings.Join(out, " "), " ;", ";"), "; ")
}

// request encodes an inline command as RESP.
func request(line string) []byte {
	args := strings.Fields(line)
	b := appendHead(nil, '*', len(args))
	for _, a := range args {
		b = appendHead(b, '$', len(a))
		b = append(append(b, a...), "\r\n"...)
	}
	return b
}

const t0 = 1_700_000_000_000 // Unix milliseconds at which tests begin

// command runs f as the command line of the unit.
func command(tx *Tx, line string, f func()) {
	tx.Command(request(line))
	f()
	tx.CommandEnd()
}

func slotsOf(keys ...string) (ss []slots.Slot) {
	for _, k := range keys {
		ss = append(ss, slots.Of([]byte(k)))
	}
	return ss
}

// TestUnitsAreAnnouncedWithoutLocks: what Announce wakes may cost a system call,
// and an owner that announces by itself does so once for many units.
func TestUnitsAreAnnouncedWithoutLocks(t *testing.T) {
	var stream log
	ks := New(Config{Stream: &stream})
	e := ks.NewExecutor()
	k := []byte("k")
	s := &ks.slots[slots.Of(k)]
	announced := 0
	stream.announce = func() {
		announced++
		if s.lock.state.Load() != lockFree || e.inUnit.Load() || ks.world.mu.state.Load() != lockFree {
			t.Error("announced under a lock")
		}
	}
	set := func(tx *Tx) { command(tx, "set k v", func() { tx.SetString(k, k, 0, 0) }) }
	get := func(tx *Tx) { command(tx, "get k", func() { tx.Find(k) }) }
	unit := func(f func(*Tx)) { f(e.Begin(t0, slotsOf("k"))); e.End() }
	unit(set)
	unit(get)
	ks.World(t0, set)
	ks.World(t0, get)
	if announced != 2 {
		t.Errorf("two units that wrote and two that did not were announced %d times", announced)
	}
	e.AnnounceLater()
	unit(set)
	unit(set)
	if announced != 2 || !e.Unannounced() {
		t.Error("the owner's units are announced by themselves")
	}
	e.Announce()
	e.Announce()
	if announced != 3 || e.Unannounced() {
		t.Errorf("two units and two calls were announced %d times", announced-2)
	}
}

func TestEffectsOfAUnit(t *testing.T) {
	k, v := []byte("k"), []byte("v")
	set := func(tx *Tx) { command(tx, "set k v", func() { tx.SetString(k, v, 0, 0) }) }
	get := func(tx *Tx) { command(tx, "get k", func() { tx.Find(k) }) }
	for _, c := range []struct {
		name string
		unit func(tx *Tx)
		want string
	}{
		{"a write is propagated by its own bytes", set, "set k v"},
		{"a read is not propagated", get, ""},
		{"two writes are wrapped in MULTI and EXEC", func(tx *Tx) { set(tx); get(tx); set(tx) }, "MULTI; set k v; set k v; EXEC"},
		{"a command's own effects stand instead of it", func(tx *Tx) {
			command(tx, "x", func() { tx.SetString(k, v, 0, 0); tx.Effect([]byte("SET"), k, v) })
		}, "SET k v"},
		{"a command may have several effects", func(tx *Tx) {
			command(tx, "x", func() { tx.SetString(k, v, 0, 0); tx.Effect([]byte("A")); tx.Effect([]byte("B")) })
		}, "MULTI; A; B; EXEC"},
		{"NoEffect keeps a change from the stream", func(tx *Tx) {
			command(tx, "x", func() { tx.SetString(k, v, 0, 0); tx.NoEffect() })
		}, ""},
		{"a forced command is propagated without a change", func(tx *Tx) { command(tx, "flushall", tx.Force) }, "flushall"},
		{"a SELECT stands where the database changes", func(tx *Tx) {
			tx.Select(1)
			set(tx)
			tx.Select(3)
			get(tx)
			set(tx)
			set(tx)
			tx.Select(1)
			set(tx)
		}, "MULTI; set k v; SELECT 3; set k v; set k v; SELECT 1; set k v; EXEC"},
		{"the DEL of an expired key is the effect of a read", func(tx *Tx) {
			tx.Select(2)
			get(tx)
		}, "DEL k"},
		{"the DEL of an expired key comes before the write that found it", func(tx *Tx) {
			tx.Select(2)
			set(tx)
		}, "MULTI; DEL k; set k v; EXEC"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l log
			e := New(Config{Databases: 4, Stream: &l}).NewExecutor()
			tx := e.BeginApply(t0, 0, slotsOf("k"))
			tx.Select(2)
			tx.SetString(k, v, t0-1, 0)
			e.End()
			c.unit(e.Begin(t0, slotsOf("k")))
			gate := e.End()
			if got := strings.Join(l.units, " | "); got != c.want {
				t.Errorf("stream has %q, want %q", got, c.want)
			}
			if gate != l.end {
				t.Errorf("gate is %d, the stream ends at %d", gate, l.end)
			}
			if got := e.TakeWrote(); replication.Offset(got) != l.end || e.TakeWrote() != 0 {
				t.Errorf("%d bytes were written, of %d", got, l.end)
			}
		})
	}
}
