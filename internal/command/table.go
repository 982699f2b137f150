package command

import "fmt"

// Table finds rows by name. It is built once and then only read.
type Table struct {
	rows   []*Row
	byName map[string]*Row
}

// NewTable builds a table of copies of the rows of groups. It panics if a row breaks an
// invariant or a name occurs twice: that is a fault of the program.
func NewTable(groups ...[]*Row) *Table {
	t := &Table{byName: map[string]*Row{}}
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
	r.prepare()
	r.Sub = nil
	for _, sub := range row.Sub {
		s := *sub
		s.parent = &r
		s.prepare()
		if r.subs == nil {
			r.subs = map[string]*Row{}
		}
		if r.subs[s.Name] != nil {
			panic("command: two rows are named " + s.FullName())
		}
		r.subs[s.Name] = &s
		r.Sub = append(r.Sub, &s)
	}
	t.byName[r.Name] = &r
	t.rows = append(t.rows, &r)
}

func (r *Row) prepare() {
	if r.Arity == 0 || (r.Run == nil && len(r.Sub) == 0) || lower(r.Name) != r.Name {
		panic(fmt.Sprintf("command: the row %q is incomplete", r.Name))
	}
	if len(r.Keys) > 0 && (r.Lock == LockNone || r.Lock == LockSelf) && !r.keysAreNames() {
		panic(fmt.Sprintf("command: the row %q has keys but does not lock them", r.Name))
	}
	r.cats = r.ACL | implied(r.Flags)
	if r.Doc.Args == nil {
		r.Doc.Args = arguments[r.FullName()]
	}
	if r.Doc.Tips == nil {
		r.Doc.Tips = tips[r.FullName()]
	}
	if r.Doc.History == nil {
		r.Doc.History = history[r.FullName()]
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

// maxName is longer than any command's name; longer input is no command.
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
	known = t.Lookup(args[0])
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

// Rows is all commands, in the order they were added.
func (t *Table) Rows() []*Row { return t.rows }
