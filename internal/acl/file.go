package acl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ReadFile reads the text of an ACL file: lines "user", a name and its rules. All of
// it is good, or the error tells everything that is wrong with it in one line; name is
// what that calls the file. It matches ACLLoadFromFile.
func (c *Commands) ReadFile(name, text string, allChannels bool) ([]*User, error) {
	f := &file{commands: c, name: name, allChannels: allChannels, users: map[string]*User{}}
	for i, line := range strings.Split(text, "\n") {
		f.number = i + 1
		if line = strings.Trim(line, " \t\r\n"); line != "" {
			f.line(strings.Split(line, " "))
		}
	}
	if f.wrong.Len() > 0 {
		return nil, errors.New(f.wrong.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	return f.order, nil
}

type file struct {
	commands    *Commands
	name        string
	allChannels bool
	number      int // of the line, from 1
	users       map[string]*User
	order       []*User
	wrong       strings.Builder
}

// say adds to what is wrong.
func (f *file) say(format string, args ...any) {
	fmt.Fprintf(&f.wrong, "%s:%d"+format, append([]any{f.name, f.number}, args...)...)
}

func (f *file) line(words []string) {
	switch {
	case words[0] != "user" || len(words) < 2:
		f.say(" should start with user keyword followed by the username. ")
		return
	case !ValidName(words[1]):
		f.say(": username '%s' contains invalid characters. ", words[1])
		return
	case f.users[words[1]] != nil:
		fmt.Fprintf(&f.wrong, "WARNING: Duplicate user '%s' found on line %d. ", words[1], f.number)
		return
	}
	u := f.commands.NewUser(words[1], f.allChannels)
	f.users[words[1]] = u
	f.order = append(f.order, u)
	rules, err := mergeSelectors(words[2:])
	if err != nil {
		f.say(": Unmatched parenthesis in selector definition.")
		return
	}
	f.rules(u, rules)
}

// rules applies rules to a new user. Of mistakes other than unknown commands only the
// first one is told, since the others may follow from it; and not with the rule, which
// may be a password.
func (f *file) rules(u *User, rules []string) {
	told := false
	for _, rule := range rules {
		rule = strings.Trim(rule, "\t\r\n")
		switch err := u.apply(f.commands, f.allChannels, rule); {
		case err == nil:
		case errors.Is(err, ErrUnknown):
			f.say(": Error in applying operation '%s': %v. ", rule, err)
		case !told:
			f.say(": %v. ", err)
			told = true
		}
	}
}

// Text is the ACL file of users.
func Text(users []*User) string {
	var b strings.Builder
	for _, u := range users {
		b.WriteString(u.String() + "\n")
	}
	return b.String()
}

// SortByName brings users into the order of ACL LIST.
func SortByName(users []*User) {
	slices.SortFunc(users, func(a, b *User) int { return strings.Compare(a.name, b.name) })
}

// Validate finds what is wrong with the rules of a user, whatever commands there are:
// a *RuleError, or an *UnmatchedError. It matches ACLAppendUserForLoading.
func Validate(rules ...string) error {
	rules, err := mergeSelectors(rules)
	if err != nil {
		return err
	}
	none := NewCommands(nil, nil)
	u := none.NewUser("", false)
	for _, rule := range rules {
		if err := u.apply(none, false, rule); err != nil && !errors.Is(err, ErrUnknown) {
			return &RuleError{rule, err}
		}
	}
	return nil
}
