package admin

import (
	"redoubt/internal/command"
	"redoubt/internal/config"
)

// Config is what the commands are about.
type Config struct {
	Settings *config.Config
}

// Commands are the commands about one node, and what they keep.
type Commands struct {
	Config

	SlowLog SlowLog
	Latency Latency
}

// New makes the commands about a node.
func New(c Config) *Commands {
	a := &Commands{Config: c}
	a.SlowLog.follow(c.Settings)
	return a
}

// Rows are the rows of all commands.
func (a *Commands) Rows() []*command.Row {
	return []*command.Row{a.slowLogRow(), a.latencyRow()}
}
