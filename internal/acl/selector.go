package acl

import (
	"slices"
	"strings"
)

// Access is what may be, or is, done to a key.
type Access uint8

const (
	Read  Access = 1 << iota // its value is returned, copied or otherwise told
	Write                    // it is changed, added to or deleted

	readWrite = Read | Write
)

// keyPattern allows an access to the keys that match.
type keyPattern struct {
	access  Access
	pattern string
}

// String is the rule that makes the pattern.
func (p keyPattern) String() string {
	switch p.access {
	case Read:
		return "%R~" + p.pattern
	case Write:
		return "%W~" + p.pattern
	}
	return "~" + p.pattern
}

// Selector is one set of permissions of a user: aclSelector.
type Selector struct {
	allKeys, allChannels bool
	// allCommands: every command, none was taken away since +@all.
	allCommands bool
	// future: commands that are not there yet, too. What was said last of +@all and
	// -@all decides, and is what the description of the rules begins with.
	future bool

	commands  bitmap
	firstArgs map[int][]string // by command: first arguments with which it may be called nevertheless
	keys      []keyPattern
	channels  []string
	rules     []string // about commands since +@all or -@all, in order: "+get", "-@write"
}

// bitmap is a set of IDs of commands.
type bitmap []uint64

func (b bitmap) has(id int) bool { return id>>6 < len(b) && b[id>>6]&(1<<(id&63)) != 0 }

func (b bitmap) set(id int, on bool) {
	if on {
		b[id>>6] |= 1 << (id & 63)
	} else {
		b[id>>6] &^= 1 << (id & 63)
	}
}

func (b bitmap) fill(on bool) {
	for i := range b {
		b[i] = 0
		if on {
			b[i] = ^uint64(0)
		}
	}
}

func newSelector(c *Commands, allChannels bool) *Selector {
	return &Selector{allChannels: allChannels, commands: make(bitmap, (c.count+63)/64)}
}

func (s *Selector) clone() *Selector {
	t := *s
	t.commands = slices.Clone(s.commands)
	t.keys, t.channels, t.rules = slices.Clone(s.keys), slices.Clone(s.channels), slices.Clone(s.rules)
	t.firstArgs = nil
	for id, args := range s.firstArgs {
		for _, a := range args {
			t.addFirstArg(id, a)
		}
	}
	return &t
}

// full reports whether nothing is denied.
func (s *Selector) full() bool { return s.allCommands && s.allKeys && s.allChannels }

// apply changes the selector by one rule. It matches ACLSetSelector.
func (s *Selector) apply(c *Commands, rule string) error {
	switch strings.ToLower(rule) {
	case "allkeys", "~*":
		s.allKeys, s.keys = true, nil
		return nil
	case "resetkeys":
		s.allKeys, s.keys = false, nil
		return nil
	case "allchannels", "&*":
		s.allChannels, s.channels = true, nil
		return nil
	case "resetchannels":
		s.allChannels, s.channels = false, nil
		return nil
	case "allcommands", "+@all":
		s.everyCommand(true)
		return nil
	case "nocommands", "-@all":
		s.everyCommand(false)
		return nil
	}
	switch rule[0] {
	case '~', '%':
		return s.addKeys(rule)
	case '&':
		return s.addChannels(rule[1:])
	case '+', '-':
		return s.applyCommand(c, rule[0] == '+', rule[1:])
	}
	return ErrSyntax
}

// everyCommand is +@all or -@all.
func (s *Selector) everyCommand(on bool) {
	s.commands.fill(on)
	s.allCommands, s.future = on, on
	s.rules, s.firstArgs = nil, nil
}

// addKeys adds a pattern of keys: ~pattern, or %R~, %W~ or %RW~ before it.
func (s *Selector) addKeys(rule string) error {
	if s.allKeys {
		return ErrAfterAllKeys
	}
	access, pattern := readWrite, rule[1:]
	if rule[0] == '%' {
		var flags string
		var ok bool
		if flags, pattern, ok = strings.Cut(pattern, "~"); !ok {
			return ErrSyntax
		}
		if access = accessOf(flags); access == 0 {
			return ErrSyntax
		}
	}
	if hasSpaces(pattern) {
		return ErrSyntax
	}
	for i := range s.keys {
		if s.keys[i].pattern == pattern {
			s.keys[i].access |= access
			return nil
		}
	}
	s.keys = append(s.keys, keyPattern{access, pattern})
	return nil
}

// accessOf reads the letters of a pattern of keys, each at most once; 0: they are
// wrong.
func accessOf(letters string) (a Access) {
	for _, l := range letters {
		var one Access
		switch l {
		case 'r', 'R':
			one = Read
		case 'w', 'W':
			one = Write
		}
		if one == 0 || a&one != 0 {
			return 0
		}
		a |= one
	}
	return a
}

func (s *Selector) addChannels(pattern string) error {
	switch {
	case s.allChannels:
		return ErrAfterAllChannels
	case hasSpaces(pattern):
		return ErrSyntax
	case !slices.Contains(s.channels, pattern):
		s.channels = append(s.channels, pattern)
	}
	return nil
}

// applyCommand allows or denies a command, a sub-command, a category or, which can
// only be allowed, a command with one first argument.
func (s *Selector) applyCommand(c *Commands, allow bool, name string) error {
	if category, ok := strings.CutPrefix(name, "@"); ok {
		return s.applyCategory(c, allow, category)
	}
	if cmd := c.find(name); cmd != nil {
		s.permit(cmd, allow)
		s.addRule(allow, cmd.Name)
		return nil
	}
	at := strings.LastIndexByte(name, '|')
	if !allow || at < 0 {
		return ErrUnknown
	}
	switch cmd := c.find(name[:at]); {
	case cmd == nil:
		return ErrUnknown
	case cmd.Parent != nil:
		return ErrFirstArgOfSub
	case at == len(name)-1:
		return ErrSyntax
	case len(cmd.Sub) > 0:
		return ErrUnknown
	case hasSpaces(name):
		// In a file it would be another rule, or the line of another user. Redis takes it.
		return ErrSyntax
	default:
		s.addFirstArg(cmd.ID, name[at+1:])
		s.addRule(true, name)
		return nil
	}
}

func (s *Selector) applyCategory(c *Commands, allow bool, name string) error {
	set := c.category(name)
	if set == 0 {
		return ErrUnknown
	}
	s.addRule(allow, "@"+name)
	c.each(func(cmd *Command) {
		if cmd.Categories&set != 0 {
			s.permit(cmd, allow)
		}
	})
	return nil
}

// permit allows or denies a command with all its sub-commands.
func (s *Selector) permit(cmd *Command, allow bool) {
	s.commands.set(cmd.ID, allow)
	delete(s.firstArgs, cmd.ID)
	for _, sub := range cmd.Sub {
		s.commands.set(sub.ID, allow)
	}
	s.allCommands = s.allCommands && allow
}

func (s *Selector) addFirstArg(id int, arg string) {
	known := func(a string) bool { return strings.EqualFold(a, arg) }
	if slices.ContainsFunc(s.firstArgs[id], known) {
		return
	}
	if s.firstArgs == nil {
		s.firstArgs = map[int][]string{}
	}
	s.firstArgs[id] = append(s.firstArgs[id], arg)
}

// addRule notes a rule about commands behind the others. Those that it makes void,
// about the same or about sub-commands of it, go. It matches ACLUpdateCommandRules.
func (s *Selector) addRule(allow bool, about string) {
	about = strings.ToLower(about)
	s.rules = slices.DeleteFunc(s.rules, func(r string) bool {
		rest, same := strings.CutPrefix(r[1:], about)
		return same && (rest == "" || rest[0] == '|')
	})
	sign := "-"
	if allow {
		sign = "+"
	}
	s.rules = append(s.rules, sign+about)
}

// Commands is the rules about commands as ACL GETUSER shows them.
func (s *Selector) Commands() string {
	first := "-@all"
	if s.future {
		first = "+@all"
	}
	return strings.Join(append([]string{first}, s.rules...), " ")
}

// Keys is the patterns of keys as ACL GETUSER shows them.
func (s *Selector) Keys() string {
	if s.allKeys {
		return "~*"
	}
	words := make([]string, len(s.keys))
	for i, p := range s.keys {
		words[i] = p.String()
	}
	return strings.Join(words, " ")
}

// Channels is the patterns of channels as ACL GETUSER shows them.
func (s *Selector) Channels() string {
	if s.allChannels {
		return "&*"
	}
	words := make([]string, len(s.channels))
	for i, p := range s.channels {
		words[i] = "&" + p
	}
	return strings.Join(words, " ")
}

// String is the rules that make the selector. It matches ACLDescribeSelector.
func (s *Selector) String() string {
	var words []string
	add := func(word string) {
		if word != "" {
			words = append(words, word)
		}
	}
	add(s.Keys())
	if !s.allChannels {
		add("resetchannels")
	}
	add(s.Channels())
	add(s.Commands())
	return strings.Join(words, " ")
}

// hasSpaces reports whether a name or pattern holds what would tear a line of rules
// apart.
func hasSpaces(s string) bool { return strings.ContainsAny(s, " \t\n\v\f\r\x00") }
