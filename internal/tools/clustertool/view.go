package clustertool

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// entry is one line of CLUSTER NODES: what one node believes of another, or
// of itself.
type entry struct {
	id        string
	host      string // may be empty: a node does not know its own address before the first MEET
	port      int
	busPort   int // 0 if not told
	flags     []string
	primary   string // id, empty for primaries
	connected bool
	slots     slots.Set
	migrating map[slots.Slot]string // to the node with this id; only in the line of myself
	importing map[slots.Slot]string // from the node with this id
}

func (e *entry) is(flag string) bool { return slices.Contains(e.flags, flag) }

func (e *entry) replica() bool { return e.is("slave") }

// view is one node's CLUSTER NODES.
type view struct {
	entries []entry
	myself  int // index of the line about the node itself
}

func (v *view) self() *entry { return &v.entries[v.myself] }

func (v *view) byID(id string) *entry {
	for i := range v.entries {
		if v.entries[i].id == id {
			return &v.entries[i]
		}
	}
	return nil
}

// parseView reads a CLUSTER NODES reply.
func parseView(text string) (*view, error) {
	v := &view{myself: -1}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		e, err := parseEntry(line)
		if err != nil {
			return nil, fmt.Errorf("CLUSTER NODES line %q: %w", line, err)
		}
		if e.is("myself") {
			v.myself = len(v.entries)
		}
		v.entries = append(v.entries, e)
	}
	if v.myself < 0 {
		return nil, fmt.Errorf("CLUSTER NODES has no line about the node itself")
	}
	return v, nil
}

// parseEntry reads
// "id ip:port@cport[,hostname…] flags primary ping pong epoch link [slot …]".
func parseEntry(line string) (entry, error) {
	f := strings.Fields(line)
	if len(f) < 8 {
		return entry{}, fmt.Errorf("%d fields, want at least 8", len(f))
	}
	e := entry{id: f[0], flags: strings.Split(f[2], ","), connected: f[7] == "connected"}
	if f[3] != "-" {
		e.primary = f[3]
	}
	addr, _, _ := strings.Cut(f[1], ",")
	addr, bus, _ := strings.Cut(addr, "@")
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return entry{}, fmt.Errorf("address %q has no port", addr)
	}
	var err error
	e.host = addr[:i]
	if e.port, err = strconv.Atoi(addr[i+1:]); err != nil {
		return entry{}, fmt.Errorf("address %q has a bad port", addr)
	}
	if bus != "" {
		if e.busPort, err = strconv.Atoi(bus); err != nil {
			return entry{}, fmt.Errorf("bad bus port %q", bus)
		}
	}
	for _, s := range f[8:] {
		if err := e.addSlots(s); err != nil {
			return entry{}, err
		}
	}
	return e, nil
}

// addSlots reads "5", "0-5460", "[5->-id]" or "[5-<-id]".
func (e *entry) addSlots(s string) error {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		inner = strings.TrimSuffix(inner, "]")
		if slot, id, ok := strings.Cut(inner, "->-"); ok {
			return open(&e.migrating, slot, id)
		}
		if slot, id, ok := strings.Cut(inner, "-<-"); ok {
			return open(&e.importing, slot, id)
		}
		return fmt.Errorf("bad slot %q", s)
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, err := parseSlot(first)
	if err != nil {
		return err
	}
	b, err := parseSlot(last)
	if err != nil {
		return err
	}
	e.slots.AddRange(slots.Range{First: a, Last: b})
	return nil
}

func open(m *map[slots.Slot]string, slot, id string) error {
	n, err := parseSlot(slot)
	if err != nil {
		return err
	}
	if *m == nil {
		*m = map[slots.Slot]string{}
	}
	(*m)[n] = id
	return nil
}

func parseSlot(s string) (slots.Slot, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n >= slots.Count {
		return 0, fmt.Errorf("bad slot %q", s)
	}
	return slots.Slot(n), nil
}

// owners maps the id of each node with slots to its slots.
func (v *view) owners() map[string]slots.Set {
	m := map[string]slots.Set{}
	for i := range v.entries {
		if e := &v.entries[i]; !e.slots.Empty() {
			m[e.id] = e.slots
		}
	}
	return m
}

// difference says how the owners in v differ from those in want, or "". Where
// several nodes differ it speaks of the first by id.
func (v *view) difference(want map[string]slots.Set, name func(id string) string) string {
	have := v.owners()
	ids := make([]string, 0, len(want)+len(have))
	for id := range want {
		ids = append(ids, id)
	}
	for id := range have {
		if _, ok := want[id]; !ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		w, h := want[id], have[id]
		if w != h {
			return fmt.Sprintf("it sees %s with slots %s where slots %s are expected", name(id), slotList(h), slotList(w))
		}
	}
	return ""
}

// slotList writes a set as redis-cli does: "[0-5460],[7]", and "none" for
// the empty set.
func slotList(t slots.Set) string {
	if t.Empty() {
		return "none"
	}
	return bracketed(t)
}

func bracketed(t slots.Set) string {
	var b strings.Builder
	for i, r := range t.Ranges() {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "[%v]", r)
	}
	return b.String()
}

// member is a node that the tool is connected to.
type member struct {
	host string // as given by the user or by CLUSTER NODES
	port int
	conn *client.Conn
	view *view
}

func (m *member) addr() string { return fmt.Sprintf("%s:%d", m.host, m.port) }

func (m *member) id() string { return m.view.self().id }

// load asks the node for its view.
func (m *member) load() error {
	v, err := m.conn.Do("CLUSTER", "NODES")
	if err != nil {
		return err
	}
	m.view, err = parseView(v.String())
	return err
}

// InfoField returns the value of a field of an INFO-like reply, and whether
// it is there.
func InfoField(info, field string) (string, bool) {
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok && name == field {
			return value, true
		}
	}
	return "", false
}
