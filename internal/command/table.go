package command

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
)

// Table finds rows by name. It is built once and then only read.
//
// Clients may know commands by other names than streams do (rename-command):
// what is recorded has the original name, or a node could not read its own
// journal once its configuration has changed.
type Table struct {
	rows   []*Row
	all    []*Row
	byName map[string]*Row // as clients call them
	stream map[string]*Row // as streams call them
	long   bool            // some name is longer than maxName

	latencyOff atomic.Bool // latency-tracking no
	slotUse    atomic.Bool // cluster-slot-stats-enabled yes
}

// TrackLatency says whether runners count how long commands take (latency-tracking).
func (t *Table) TrackLatency(on bool) { t.latencyOff.Store(!on) }

// NewTable builds a table of copies of the rows of groups. It panics if a row breaks an
// invariant or a name occurs twice: that is a fault of the program.
func NewTable(groups ...[]*Row) *Table {
	t := &Table{byName: map[string]*Row{}, stream: map[string]*Row{}}
	for _, g := range groups {
		for _, r := range g {
			t.add(r)
		}
	}
	return t
}

// add adds a copy, so that the groups stay as they were written and several
// tables can be made of them.
func (t *Table) add(row *Row) {
	r := *row
	if t.byName[r.Name] != nil {
		panic("command: two rows are named " + r.Name)
	}
	t.prepare(&r)
	r.Sub = nil
	for _, sub := range row.Sub {
		s := *sub
		s.parent = &r
		t.prepare(&s)
		if r.subs == nil {
			r.subs = map[string]*Row{}
		}
		if r.subs[s.Name] != nil {
			panic("command: two rows are named " + s.FullName())
		}
		r.subs[s.Name] = &s
		r.Sub = append(r.Sub, &s)
	}
	t.byName[r.Name], t.stream[r.Name] = &r, &r
	t.rows = append(t.rows, &r)
}

// ErrNameTaken is what Rename says to a name that another command has.
var ErrNameTaken = errors.New("Target command name already exists")

// Rename gives a command another name for clients, who then do not find it by
// the old one; an empty name takes it away from them. known is false if they
// have no command of that name. It is called before the table is used.
func (t *Table) Rename(from, to string) (known bool, err error) {
	from, to = lower(from), lower(to)
	r := t.byName[from]
	switch {
	case r == nil:
		return false, nil
	case to != "" && to != from && t.byName[to] != nil:
		return true, ErrNameTaken
	}
	delete(t.byName, from)
	if to == "" {
		t.rows = slices.DeleteFunc(t.rows, func(x *Row) bool { return x == r })
		return true, nil
	}
	t.byName[to] = r
	t.long = t.long || len(to) > maxName
	r.renamed = to != r.Name
	return true, nil
}

func (t *Table) prepare(r *Row) {
	if r.Arity == 0 || (r.Run == nil && len(r.Sub) == 0) || lower(r.Name) != r.Name {
		panic(fmt.Sprintf("command: the row %q is incomplete", r.Name))
	}
	if len(r.Keys) > 0 && (r.Lock == LockNone || r.Lock == LockSelf) && !r.keysAreNames() {
		panic(fmt.Sprintf("command: the row %q has keys but does not lock them", r.Name))
	}
	if r.LockFor != nil && (r.Lock != LockKeys || len(r.Keys) == 0) {
		panic(fmt.Sprintf("command: the row %q tells what it needs beyond keys that it does not have", r.Name))
	}
	r.onlyKey = r.findOnlyKey()
	r.index = len(t.all)
	t.all = append(t.all, r)
	r.cats = r.ACL | implied(r.Flags, r.ACL)
	if r.Doc.Args == nil {
		r.Doc.Args = arguments[r.FullName()]
	}
	if r.Doc.Tips == nil {
		r.Doc.Tips = tips[r.FullName()]
	}
	if r.Doc.History == nil {
		r.Doc.History = slices.Concat(history[r.FullName()], nodeHistory[r.FullName()], scriptHistory[r.FullName()])
	}
}

// keysAreNames: the keys are only routed by, not looked up (SPUBLISH).
func (r *Row) keysAreNames() bool {
	for _, k := range r.Keys {
		if k.Flags&KeyNotKey == 0 {
			return false
		}
	}
	return true
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// maxName is longer than any command's name; longer input is no command unless
// one was renamed to such a name.
const maxName = 32

// fold writes name in lower case into buf; ok is false if it does not fit.
func fold(buf *[maxName]byte, name []byte) (_ []byte, ok bool) {
	if len(name) > maxName {
		return nil, false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(name)], true
}

// Lookup finds the command with this name in any case. It does not allocate.
func (t *Table) Lookup(name []byte) *Row {
	var buf [maxName]byte
	if n, ok := fold(&buf, name); ok {
		return t.byName[string(n)]
	}
	if t.long {
		return t.byName[lower(string(name))]
	}
	return nil
}

// Subcommand finds the sub-command with this name in any case, nil if r has
// none so named.
func (r *Row) Subcommand(name []byte) *Row {
	if r.subs == nil {
		return nil
	}
	var buf [maxName]byte
	if n, ok := fold(&buf, name); ok {
		return r.subs[string(n)]
	}
	return nil
}

// Resolve finds the row that a whole command line runs: the sub-command if the
// command is a container and the line names one. known is the command itself,
// nil if there is none; row is nil if the command exists but the sub-command
// does not, or is missing where the container cannot run alone.
func (t *Table) Resolve(args [][]byte) (row, known *Row) {
	return resolve(t.Lookup(args[0]), args)
}

// ResolveStream is Resolve for a command of a stream. It has its original name,
// or, if the producer renames commands as this node does, the one for clients.
func (t *Table) ResolveStream(args [][]byte) (row, known *Row) {
	var buf [maxName]byte
	if n, ok := fold(&buf, args[0]); ok {
		known = t.stream[string(n)]
	}
	if known == nil {
		known = t.Lookup(args[0])
	}
	return resolve(known, args)
}

func resolve(known *Row, args [][]byte) (row, _ *Row) {
	if known == nil || len(known.Sub) == 0 {
		return known, known
	}
	if len(args) > 1 {
		if row = known.Subcommand(args[1]); row != nil {
			return row, known
		}
		return nil, known
	}
	if known.Run != nil {
		return known, known
	}
	return nil, known
}

// All is the rows of all commands and sub-commands, those included that a rename
// took away from clients. A row's Index is its place.
func (t *Table) All() []*Row { return t.all }

// Rows is all commands, in the order they were added.
func (t *Table) Rows() []*Row { return t.rows }
