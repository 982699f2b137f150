package acl

import (
	"slices"
	"strings"

	"redoubt/internal/glob"
)

// Call is a command line that somebody wants to run.
type Call struct {
	// Command is the ID of the command, and Always says that everybody may call it:
	// AUTH, HELLO and their like.
	Command int
	Always  bool
	Args    [][]byte // with the name
	Keys    []Key
	// Channels are the arguments from FirstChannel on up to, but not with,
	// EndChannel. As patterns they are what a PSUBSCRIBE names.
	FirstChannel, EndChannel int
	Patterns                 bool
}

// Key is a key of a command line.
type Key struct {
	At     int // its position in the arguments
	Access Access
}

// Reason is why something is denied. Of two the greater one is told.
type Reason uint8

const (
	Allowed Reason = iota
	DeniedCommand
	DeniedKey
	DeniedAuth // a wrong name or password
	DeniedChannel
)

// String is the reason as ACL LOG names it.
func (r Reason) String() string {
	return [...]string{"", "command", "key", "auth", "channel"}[r]
}

// Check finds whether the user may make the call. If not, at is the position of the
// key or channel that is denied, 0 if the command is: of several selectors the one that
// comes nearest tells. It matches ACLCheckAllUserCommandPerm.
func (u *User) Check(c *Call) (why Reason, at int) {
	why = DeniedCommand
	for _, s := range u.selectors {
		r, pos := s.check(c)
		switch {
		case r == Allowed:
			return Allowed, 0
		case r > why, r == why && pos > at:
			why, at = r, pos
		}
	}
	return why, at
}

// check matches ACLSelectorCheckCmd.
func (s *Selector) check(c *Call) (Reason, int) {
	if !s.allows(c) {
		return DeniedCommand, 0
	}
	if !s.allKeys {
		for _, k := range c.Keys {
			if !s.reaches(c.Args[k.At], k.Access) {
				return DeniedKey, k.At
			}
		}
	}
	if !s.allChannels {
		for at := c.FirstChannel; at < c.EndChannel; at++ {
			if !channelListed(s.channels, string(c.Args[at]), c.Patterns) {
				return DeniedChannel, at
			}
		}
	}
	return Allowed, 0
}

// allows reports whether the command itself may be called.
func (s *Selector) allows(c *Call) bool {
	if s.allCommands || c.Always || s.commands.has(c.Command) {
		return true
	}
	first := s.firstArgs[c.Command]
	return len(c.Args) > 1 && slices.ContainsFunc(first, func(arg string) bool {
		return strings.EqualFold(arg, string(c.Args[1]))
	})
}

// reaches reports whether one pattern allows all of the access to the key. It matches
// ACLSelectorCheckKey.
func (s *Selector) reaches(key []byte, a Access) bool {
	for _, p := range s.keys {
		if p.access&a == a && glob.Match(p.pattern, key) {
			return true
		}
	}
	return false
}

// CheckUnrestricted reports whether the user may make the call and has this access to
// every key, named in the call or not. It matches
// ACLUserCheckCmdWithUnrestrictedKeyAccess.
func (u *User) CheckUnrestricted(c *Call, a Access) bool {
	return slices.ContainsFunc(u.selectors, func(s *Selector) bool {
		r, _ := s.check(c)
		return r == Allowed && (s.allKeys || slices.ContainsFunc(s.keys, func(p keyPattern) bool {
			return p.pattern == "*" && p.access&a == a
		}))
	})
}

// channelListed reports whether patterns allow a channel. What PSUBSCRIBE names has
// to be one of them, letter for letter. It matches ACLCheckChannelAgainstList.
func channelListed(patterns []string, name string, isPattern bool) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return isPattern && p == name || !isPattern && glob.Match(p, name)
	})
}

// ChannelsLost returns nil if next may listen to whatever u may, and else a function
// that reports whether next may keep a subscription. It matches
// ACLKillPubsubClientsIfNeeded.
func (u *User) ChannelsLost(next *User) (keeps func(name string, isPattern bool) bool) {
	var upcoming []string
	for _, s := range next.selectors {
		if s.allChannels {
			return nil
		}
		upcoming = append(upcoming, s.channels...)
	}
	lost := slices.ContainsFunc(u.selectors, func(s *Selector) bool {
		return s.allChannels || slices.ContainsFunc(s.channels, func(p string) bool { return !slices.Contains(upcoming, p) })
	})
	if !lost {
		return nil
	}
	return func(name string, isPattern bool) bool { return channelListed(upcoming, name, isPattern) }
}
