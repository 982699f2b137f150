package server

import (
	"slices"

	"redoubt/internal/command"
)

// rowInfo is what dispatch keeps of a row.
type rowInfo struct {
	row   *command.Row
	index int // of its statistics
	// onlyKey is the place of the one key that the row has, 0 if keys must be
	// looked for.
	onlyKey int
	// route is the row as a cluster sees it: its keys, and the names that stand
	// in their place (channels of sharded pub/sub).
	route command.Row
}

// noRow stands for the row of a name that is no command.
var noRow = rowInfo{row: new(command.Row)}

// table is the node's commands with what dispatch knows of them.
type table struct {
	*command.Table
	all  []*command.Row // commands and sub-commands; a row's index is its place
	info map[*command.Row]*rowInfo
}

func newTable(commands *command.Table) *table {
	t := &table{Table: commands, info: map[*command.Row]*rowInfo{}}
	for _, r := range t.Rows() {
		t.add(r)
		for _, s := range r.Sub {
			t.add(s)
		}
	}
	return t
}

func (t *table) add(r *command.Row) {
	info := &rowInfo{row: r, index: len(t.all)}
	info.route.Keys, info.route.FindKeys = slices.Clone(r.Keys), r.FindKeys
	for i := range info.route.Keys {
		info.route.Keys[i].Flags &^= command.KeyNotKey
	}
	info.onlyKey = r.OnlyKey()
	t.all = append(t.all, r)
	t.info[r] = info
}
