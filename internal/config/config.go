// Package config holds a node's settings: it reads redis.conf files and
// command lines, answers CONFIG GET, carries out CONFIG SET and REWRITE.
//
// A setting is a directive: a name, perhaps with aliases, and a value. All
// directives are rows of one table, and everything else reads the table. Every
// name of Redis 7.0 to 8 and Valkey 8 to 9 has a row. Most rows that mean
// something here store their value in a field of Settings, for the server to
// read; the others are checked, kept and shown, and Config.Unused tells what is done in
// the place of those that a user set to something else, for the log. Where that has consequences there is a warning
// (Config.Warnings), and where a node would be less guarded than its owner
// believes, the value is refused. A name that is in no row is an error. Of each
// value the table keeps one canonical text, the one that CONFIG GET prints.
//
// The Settings that a Config publishes never change. Set checks all its pairs
// on a copy, lets the hooks of the changed directives apply them to the running
// server, and only then publishes the copy; when anything fails, everything is
// as it was. Readers load a pointer and take no lock.
//
// The package opens the files it is told to read and rewrites the one it
// began with. It opens no sockets, changes no working directory and logs
// nothing; what a value causes is up to the server's hooks.
package config

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// Config is the settings of a running node. Its methods may be called by any
// goroutine.
type Config struct {
	current atomic.Pointer[Settings]

	// mu serialises the writers: Set, Record and Rewrite. Readers do not take
	// it, so it may be held while hooks run and the file is written.
	mu    sync.Mutex
	hooks map[*directive]*hook

	// These are as Load left them.
	path  string
	lines map[string][]Line
	users func() []string // see UserLines; nil: what the files say
}

// A Line is a directive of a file that has no value of its own but is a
// statement, such as rename-command.
type Line struct {
	Number int      // from 1, in all that was read; as in error messages
	Text   string   // as written, without the blanks around it
	Args   []string // without the directive's name
	Place  Place    // where it stands
}

// A Place is where a line stands.
type Place struct {
	Source string // the absolute path of a file, or what else was read, in words
	Line   int    // from 1; 0 if there are no lines in it
}

// String says where that is.
func (p Place) String() string {
	switch {
	case p.Source == "":
		return ""
	case p.Line == 0:
		return p.Source
	}
	return fmt.Sprintf("%s, at line %d", p.Source, p.Line)
}

// Current returns the settings in force. Take it once for a piece of work
// that must see one state.
func (c *Config) Current() *Settings { return c.current.Load() }

// Path returns the absolute path of the configuration file, or "".
func (c *Config) Path() string { return c.path }

// Lines returns the lines of rename-command, loadmodule or user that were
// read at start, in their order.
func (c *Config) Lines(directive string) []Line { return c.lines[directive] }

// UserLines has a rewrite write the lines that users returns in the place of those of
// the directive user. It is called while the server is set up, and users from then on
// by whoever calls Rewrite.
func (c *Config) UserLines(users func() []string) { c.users = users }

// Sensitive reports whether the value of a directive is a secret, so that
// CONFIG SET must not show it in the slow log or to MONITOR.
func Sensitive(name string) bool {
	d := lookup(name)
	return d != nil && d.has(sensitive)
}

// Record sets a directive whose value the server changed by other means than
// CONFIG SET, such as replicaof by REPLICAOF. It runs no hooks, and sets
// immutable directives too. The directive must exist.
func (c *Config) Record(name string, args ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := c.Current().clone()
	if err := row(name).set(next, args); err != nil {
		return err
	}
	c.current.Store(next)
	return nil
}

func newConfig() *Config {
	return &Config{hooks: make(map[*directive]*hook), lines: make(map[string][]Line)}
}
