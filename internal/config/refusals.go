package config

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
)

// Users are not built. There is one, named default, who may do everything and
// whose password is requirepass. A line "user default …" that says no more than
// that is taken; any other would leave the node open where its author has closed
// it, and is refused.

// unbuiltUsers is the reason for what would need more than that.
const unbuiltUsers = "Only the user default is built, without restrictions: \"user default on nopass ~* &* +@all\", or \"user default on >password\", is taken"

// defaultUser is what a line about the user default says.
type defaultUser struct {
	on       bool
	password string // "" if none
	hash     string // hexadecimal SHA-256 of the password, when that is not known
	open     bool   // nopass
	keys     bool   // ~*
	channels bool   // &*
	commands bool   // +@all
}

// readDefaultUser reads the words behind "user default", which Redis applies to
// a user without any permission (ACLLoadConfiguredUsers). A line that names no
// permission at all is taken for one that gives all.
func readDefaultUser(rules []string) (defaultUser, error) {
	var u defaultUser
	for _, rule := range rules {
		switch word := strings.ToLower(rule); {
		case word == "on":
			u.on = true
		case word == "nopass":
			u.open, u.password, u.hash = true, "", ""
		case word == "~*", word == "allkeys":
			u.keys = true
		case word == "&*", word == "allchannels":
			u.channels = true
		case word == "+@all", word == "allcommands":
			u.commands = true
		case word == "sanitize-payload", word == "skip-sanitize-payload": // payloads are always checked
		case len(rule) > 1 && rule[0] == '>' && u.password == "" && u.hash == "":
			u.open, u.password = false, rule[1:]
		case len(rule) == 1+2*sha256.Size && rule[0] == '#' && u.password == "" && u.hash == "":
			u.open, u.hash = false, word[1:]
		default:
			return u, refusal("'" + rule + "': " + unbuiltUsers)
		}
	}
	switch {
	case !u.on:
		return u, refusal("A user default that is off would let nobody in. " + unbuiltUsers)
	case !u.open && u.password == "" && u.hash == "":
		return u, refusal("A user default without nopass or a password would let nobody in. " + unbuiltUsers)
	case u.keys != u.channels || u.channels != u.commands:
		return u, refusal("A user default with some of the permissions ~* &* +@all. " + unbuiltUsers)
	}
	return u, nil
}

// users makes the user lines of the files act, or refuses them.
func (l *loader) users() error {
	for i, line := range l.config.lines["user"] {
		err := l.user(line, i > 0)
		if err != nil {
			return &FileError{Product: l.product, Line: line.Number, Text: line.Text, Reason: err.Error()}
		}
	}
	return nil
}

func (l *loader) user(line Line, again bool) error {
	switch {
	case line.Args[0] != "default":
		return refusal("The user '" + line.Args[0] + "': " + unbuiltUsers)
	case again:
		return refusal("Duplicate user 'default' found. A user can only be defined once in config files")
	}
	u, err := readDefaultUser(line.Args[1:])
	if err != nil {
		return err
	}
	required := l.settings.RequirePass
	switch {
	case u.hash != "":
		// CONFIG REWRITE of Redis writes the hash, and the password as requirepass.
		if sum := sha256.Sum256([]byte(required)); required == "" || u.hash != hex.EncodeToString(sum[:]) {
			return refusal("Only a hash of the password is given, and it is not that of requirepass. " + unbuiltUsers)
		}
	case required != "" && required != u.password:
		return refusal("requirepass says otherwise")
	case u.password != "":
		l.put("requirepass", u.password)
	}
	return nil
}

// refusals refuses settings without which the node would be less guarded than
// their author believes.
func (l *loader) refusals() error {
	for _, d := range table {
		if reason := d.refused(l.settings); reason != "" {
			line := l.seen[d]
			return &FileError{Product: l.product, Line: line.Number, Text: line.Text, Reason: reason}
		}
	}
	return l.users()
}

// refused is why the value in s must not be in force, "" if it may.
func (d *directive) refused(s *Settings) string {
	if d.refuse == "" || s.text[d.index] == d.def {
		return ""
	}
	return d.refuse
}

// Lacking says what somebody waits for in vain who set a directive to the value
// it has now, "" if nothing is missing.
func (c *Config) Lacking(name string) string {
	d := lookup(name)
	if d == nil || c.Current().text[d.index] == d.def {
		return ""
	}
	return d.lacks
}

// Warnings returns a line for each directive that is set and has no effect here,
// although that has consequences.
func (c *Config) Warnings() (lines []string) {
	for _, d := range table {
		if lacks := c.Lacking(d.name); lacks != "" {
			lines = append(lines, d.name+" has no effect in this version: "+lacks)
		}
	}
	if c.lines["loadmodule"] != nil {
		lines = append(lines, "loadmodule has no effect in this version: no module is loaded, and its commands are unknown")
	}
	return lines
}

// Unused returns the names of the directives that were set at start but have
// no effect here, for the log: each once, in the order of the files. Those of
// Warnings are not among them.
func (c *Config) Unused() []string {
	return slices.DeleteFunc(slices.Clone(c.unused), func(name string) bool { return c.Lacking(name) != "" })
}
