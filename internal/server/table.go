package server

import (
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
	traitTouch                        // counts as use of keys in spite of CLIENT NO-TOUCH
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
	"touch":        traitTouch,
}

// rowInfo is what dispatch keeps of a row.
type rowInfo struct {
	row    *command.Row
	index  int // of its statistics
	traits trait
	// onlyKey is the place of the one key that the row has, 0 if keys must be
	// looked for.
	onlyKey int
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
	info := &rowInfo{row: r, index: len(t.all), traits: traits[r.FullName()]}
	info.route.Keys, info.route.FindKeys = slices.Clone(r.Keys), r.FindKeys
	for i := range info.route.Keys {
		info.route.Keys[i].Flags &^= command.KeyNotKey
	}
	info.onlyKey = r.OnlyKey()
	t.all = append(t.all, r)
	t.info[r] = info
}
