package admin

import (
	"fmt"
	"time"
)

// ClientInfo is what CLIENT LIST tells of a client, and what CLIENT KILL picks
// clients by.
type ClientInfo struct {
	Identity
	ID                uint64
	Kind              string // "normal", "pubsub", "replica" or "master"
	Addr, LocalAddr   string
	FD                int // -1: none that a loop polls
	User              string
	Age, Idle         time.Duration
	Flags             string // one letter each; at least one
	DB                int
	Channels          int // subscriptions, by kind
	Patterns          int
	ShardChannels     int
	Queued            int // commands in a transaction; -1 outside of one
	Watched           int // keys
	Input, InputFree  int // bytes of the query buffer, and free ones behind them
	Args, QueuedBytes int // bytes of the arguments of this command, and of those queued
	Buffer            int // bytes of the output buffer with what is free of it
	// Redis's names for one buffer: obl is what lies in a first small one, omem
	// what waits in the list of oll blocks behind it.
	Obl, Oll, Omem int
	Memory         int    // bytes of all this
	Events         string // what the poller is asked for
	Command        string // the last one; "NULL" if there was none
	Proto          int
	Redirect       int64 // who gets its invalidations, 0: itself; -1: nobody
	// What it has sent and was sent, in bytes, and how many of its commands were run,
	// those within transactions and scripts too (Valkey 8).
	InBytes, OutBytes, Commands int64
}

// String is the line of CLIENT LIST. What 7.2 does not have stands at its end, so that
// whoever takes the fields by their places finds those of 7.2.
func (c ClientInfo) String() string {
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s watch=%d tot-net-in=%d tot-net-out=%d tot-cmds=%d",
		c.ID, c.Addr, c.LocalAddr, c.FD, c.Name, int64(c.Age/time.Second), int64(c.Idle/time.Second), c.Flags, c.DB,
		c.Channels, c.Patterns, c.ShardChannels, c.Queued, c.Input, c.InputFree, c.Args, c.QueuedBytes,
		c.Buffer, c.Buffer, c.Obl, c.Oll, c.Omem, c.Memory,
		c.Events, c.Command, c.User, c.Redirect, c.Proto, c.LibName, c.LibVersion,
		c.Watched, c.InBytes, c.OutBytes, c.Commands)
}

// requestOf says in the log who has asked for something, as Redis does: a Sentinel has
// given itself a name by which it is told from people.
func requestOf(c Client) string { return "user request from '" + c.Info().String() + "'" }
