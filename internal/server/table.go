package server

import (
	"fmt"
	"slices"

	"redoubt/internal/command"
)

// trait is a property that dispatch itself needs of some commands.
type trait uint16

const (
	traitExec       trait = 1 << iota // runs the transaction's queue
	traitUnqueued                     // runs at once inside MULTI
	traitSubscriber                   // allowed to a RESP2 connection with subscriptions
	traitPing                         // refused like a write when the disk refuses
	traitAsking                       // sets the ASKING mark rather than using it up
	traitShard                        // its keys are channels of sharded pub/sub
	traitMigrate                      // moves keys to other nodes
	traitPublish                      // carries a message for clients
)

// traits are the commands that dispatch treats in a way of their own, as
// Redis's processCommand does by comparing functions.
var traits = map[string]trait{
	"exec":         traitExec | traitUnqueued,
	"discard":      traitUnqueued,
	"multi":        traitUnqueued,
	"watch":        traitUnqueued,
	"quit":         traitUnqueued | traitSubscriber,
	"reset":        traitUnqueued | traitSubscriber,
	"ping":         traitSubscriber | traitPing,
	"subscribe":    traitSubscriber,
	"unsubscribe":  traitSubscriber,
	"psubscribe":   traitSubscriber,
	"punsubscribe": traitSubscriber,
	"ssubscribe":   traitSubscriber | traitShard,
	"sunsubscribe": traitSubscriber | traitShard,
	"publish":      traitPublish,
	"spublish":     traitPublish | traitShard,
	"asking":       traitAsking,
	"migrate":      traitMigrate,
}

// rowInfo is what dispatch keeps of a row.
type rowInfo struct {
	index  int // of its statistics
	traits trait
	// route is the row as a cluster sees it: its keys, and the names that stand
	// in their place (channels of sharded pub/sub).
	route command.Row
}

func (r *rowInfo) is(t trait) bool { return r.traits&t != 0 }

// noRow stands for the row of a name that is no command.
var noRow rowInfo

// table is the node's commands with what dispatch knows of them.
type table struct {
	*command.Table
	all  []*command.Row // commands and sub-commands; a row's index is its place
	info map[*command.Row]*rowInfo
}

func newTable(groups ...[]*command.Row) *table {
	t := &table{Table: command.NewTable(groups...), info: map[*command.Row]*rowInfo{}}
	for _, r := range t.Rows() {
		t.add(r)
		for _, s := range r.Sub {
			t.add(s)
		}
	}
	return t
}

func (t *table) add(r *command.Row) {
	info := &rowInfo{index: len(t.all), traits: traits[r.FullName()]}
	info.route.Keys, info.route.FindKeys = slices.Clone(r.Keys), r.FindKeys
	for i := range info.route.Keys {
		info.route.Keys[i].Flags &^= command.KeyNotKey
	}
	t.all = append(t.all, r)
	t.info[r] = info
}

// renamed applies the rename-command lines of the configuration: an empty new
// name removes the command.
func renamed(groups [][]*command.Row, renames map[string]string) ([][]*command.Row, error) {
	if len(renames) == 0 {
		return groups, nil
	}
	taken := make(map[string]bool)
	for from, to := range renames {
		_, moves := renames[to]
		if to != "" && (taken[to] || !moves && named(groups, to)) {
			return nil, fmt.Errorf("rename-command %s %s: Target command name already exists", from, to)
		}
		taken[to] = true
	}
	var rows []*command.Row
	for _, g := range groups {
		for _, r := range g {
			to, ok := renames[r.Name]
			switch {
			case !ok:
				rows = append(rows, r)
			case to != "":
				moved := *r
				moved.Name = to
				rows = append(rows, &moved)
			}
		}
	}
	return [][]*command.Row{rows}, nil
}

// named reports whether there is a command of that name.
func named(groups [][]*command.Row, name string) bool {
	for _, g := range groups {
		if slices.ContainsFunc(g, func(r *command.Row) bool { return r.Name == name }) {
			return true
		}
	}
	return false
}
