// Package acl is users and what they may do: the rules of ACL SETUSER, of the
// directive user and of ACL files, what they allow, and how they are shown.
//
// A User never changes. Rules make a new one of it (Commands.Change), so that
// whoever looks at a user sees one state, and a list of rules acts as a whole or
// not at all. A user has passwords, of which only SHA-256 is kept, and selectors: the
// first one, the root, is what the rules outside of parentheses are about, each
// further one is another set of permissions. A command is allowed if one selector
// allows all of it: the command, its keys and its channels.
//
// Rules name commands, of which the package knows what a table of Command tells.
// It has no connections and no list of those who are logged in, opens no files and
// reads no clock. The server keeps who is who, asks Check before a command runs,
// and notes in a Log what was denied.
//
// Behaviour, forms and texts are those of Redis 7.2 (acl.c).
package acl

import "strings"

// Command is a command or a sub-command as rules see it.
type Command struct {
	// ID tells it from others, from 0.
	ID int
	// Name is the original one, in lower case; of a sub-command "config|set".
	Name string
	// Categories is a set: bit i stands for the i-th name of the Commands.
	Categories uint32
	// Sub are the sub-commands of a container, Parent is their container.
	Sub    []*Command
	Parent *Command
}

// Commands is all that rules can name. It does not change.
type Commands struct {
	categories []string
	list       []*Command // without sub-commands
	byName     map[string]*Command
	count      int // IDs are below
}

// NewCommands makes a Commands of categories, in the order of ACL CAT, and of
// commands with their sub-commands.
func NewCommands(categories []string, list []*Command) *Commands {
	c := &Commands{categories: categories, list: list, byName: map[string]*Command{}}
	c.each(func(cmd *Command) {
		c.byName[cmd.Name] = cmd
		c.count = max(c.count, cmd.ID+1)
	})
	return c
}

// each calls f for every command and sub-command.
func (c *Commands) each(f func(*Command)) {
	for _, cmd := range c.list {
		f(cmd)
		for _, sub := range cmd.Sub {
			f(sub)
		}
	}
}

// find is the command or sub-command with this full name in any case, nil if
// there is none.
func (c *Commands) find(name string) *Command { return c.byName[strings.ToLower(name)] }

// category is the set that has only the category of this name in any case, empty if
// there is none.
func (c *Commands) category(name string) uint32 {
	for i, n := range c.categories {
		if strings.EqualFold(n, name) {
			return 1 << i
		}
	}
	return 0
}

// InCategory returns the full names of the commands in the category with this name,
// in any case, and of the sub-commands. known is false if there is no such category.
func (c *Commands) InCategory(name string) (names []string, known bool) {
	set := c.category(name)
	c.each(func(cmd *Command) {
		if cmd.Categories&set != 0 {
			names = append(names, cmd.Name)
		}
	})
	return names, set != 0
}

// Categories is the names of all categories, in the order of ACL CAT.
func (c *Commands) Categories() []string { return c.categories }
