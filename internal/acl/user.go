package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Why a rule is refused, in the words of ACLSetUserStringError.
var (
	ErrUnknown          = errors.New("Unknown command or category name in ACL")
	ErrSyntax           = errors.New("Syntax error")
	ErrAfterAllKeys     = errors.New("Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns")
	ErrAfterAllChannels = errors.New("Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels")
	ErrNoSuchPassword   = errors.New("The password you are trying to remove from the user does not exist")
	ErrPasswordHash     = errors.New("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")
	ErrDuplicate        = errors.New("Duplicate user found. A user can only be defined once in config files")
	ErrFirstArgOfSub    = errors.New("Allowing first-arg of a subcommand is not supported")
)

// RuleError says which rule is refused and why.
type RuleError struct {
	Rule string
	Err  error
}

func (e *RuleError) Error() string {
	return fmt.Sprintf("Error in ACL SETUSER modifier '%s': %v", e.Rule, e.Err)
}
func (e *RuleError) Unwrap() error { return e.Err }

// UnmatchedError says that a selector is not closed.
type UnmatchedError struct{ Rule string }

func (e *UnmatchedError) Error() string {
	return fmt.Sprintf("Unmatched parenthesis in acl selector starting at '%s'.", e.Rule)
}

// DefaultName is the name of the user that a connection is before it has said
// another. That user cannot be deleted.
const DefaultName = "default"

// User is a user. It does not change.
type User struct {
	name         string
	on           bool
	noPass       bool
	skipSanitize bool
	passwords    []string    // SHA-256, in lower case hexadecimal digits
	selectors    []*Selector // the first one is the root
}

// NewUser returns a user who is off and may do nothing. allChannels is what
// acl-pubsub-default says.
func (c *Commands) NewUser(name string, allChannels bool) *User {
	return &User{name: name, selectors: []*Selector{newSelector(c, allChannels)}}
}

// Default returns the user default as it is until something is said of it: everything
// is allowed, without a password. It matches ACLCreateDefaultUser.
func (c *Commands) Default() *User {
	u := c.NewUser(DefaultName, true)
	u.on, u.noPass = true, true
	root := u.selectors[0]
	root.allKeys = true
	root.everyCommand(true)
	return u
}

// Name is the user's name.
func (u *User) Name() string { return u.name }

// On reports whether it is possible to log in as the user.
func (u *User) On() bool { return u.on }

// NoPass reports whether every password is right.
func (u *User) NoPass() bool { return u.noPass }

// Passwords are those of the user: SHA-256, in hexadecimal digits.
func (u *User) Passwords() []string { return u.passwords }

// Root is the permissions outside of parentheses, Selectors are the others.
func (u *User) Root() *Selector        { return u.selectors[0] }
func (u *User) Selectors() []*Selector { return u.selectors[1:] }

// Full reports whether the user may do everything, so that nothing need be checked.
func (u *User) Full() bool { return slices.ContainsFunc(u.selectors, (*Selector).full) }

// LooksAtKeys reports whether it depends on the keys of a call whether the user may
// make it.
func (u *User) LooksAtKeys() bool {
	return slices.ContainsFunc(u.selectors, func(s *Selector) bool { return !s.allKeys })
}

// ValidName reports whether a user may have this name.
func ValidName(name string) bool { return !hasSpaces(name) }

// Change returns the user that the rules make of u, or which of them is refused:
// a *RuleError, or an *UnmatchedError. Selectors may be spread over several rules.
// allChannels is what acl-pubsub-default says. It matches ACLStringSetUser.
func (c *Commands) Change(u *User, allChannels bool, rules ...string) (*User, error) {
	rules, err := mergeSelectors(rules)
	if err != nil {
		return nil, err
	}
	next := u.clone()
	for _, rule := range rules {
		if err := next.apply(c, allChannels, rule); err != nil {
			return nil, &RuleError{rule, err}
		}
	}
	return next, nil
}

func (u *User) clone() *User {
	v := *u
	v.passwords = slices.Clone(u.passwords)
	v.selectors = make([]*Selector, len(u.selectors))
	for i, s := range u.selectors {
		v.selectors[i] = s.clone()
	}
	return &v
}

// mergeSelectors makes one rule of each selector that is spread over several: it
// begins with a parenthesis and goes on up to a rule that ends with one.
func mergeSelectors(rules []string) ([]string, error) {
	var merged []string
	open, selector := "", ""
	for _, rule := range rules {
		switch {
		case open != "":
			selector += " " + rule
			if strings.HasSuffix(rule, ")") {
				merged, open = append(merged, selector), ""
			}
		case strings.HasPrefix(rule, "(") && !strings.HasSuffix(rule, ")"):
			open, selector = rule, rule
		default:
			merged = append(merged, rule)
		}
	}
	if open != "" {
		return nil, &UnmatchedError{open}
	}
	return merged, nil
}

// apply changes the user by one rule. It matches ACLSetUser.
func (u *User) apply(c *Commands, allChannels bool, rule string) error {
	if rule == "" {
		return nil
	}
	switch strings.ToLower(rule) {
	case "on", "off":
		u.on = len(rule) == len("on")
		return nil
	case "skip-sanitize-payload", "sanitize-payload":
		u.skipSanitize = len(rule) == len("skip-sanitize-payload")
		return nil
	case "nopass", "resetpass":
		u.noPass, u.passwords = len(rule) == len("nopass"), nil
		return nil
	case "clearselectors":
		u.selectors = u.selectors[:1]
		return nil
	case "reset":
		*u = *c.NewUser(u.name, allChannels)
		return nil
	}
	switch rule[0] {
	case '>', '#':
		return u.addPassword(rule)
	case '<', '!':
		return u.removePassword(rule)
	case '(':
		if rule[len(rule)-1] == ')' && len(rule) > 1 {
			return u.addSelector(c, allChannels, rule[1:len(rule)-1])
		}
	}
	return u.Root().apply(c, rule)
}

func (u *User) addSelector(c *Commands, allChannels bool, rules string) error {
	s := newSelector(c, allChannels)
	for _, rule := range strings.Fields(rules) {
		if rule[len(rule)-1] == ')' {
			// In a file of users the selector would seem to end with it. Redis takes it, and
			// cannot read what it has written.
			return ErrSyntax
		}
		if err := s.apply(c, rule); err != nil {
			return err
		}
	}
	u.selectors = append(u.selectors, s)
	return nil
}

func (u *User) addPassword(rule string) error {
	hash, err := passwordHash(rule, '>')
	if err != nil {
		return err
	}
	if !slices.Contains(u.passwords, hash) {
		u.passwords = append(u.passwords, hash)
	}
	u.noPass = false
	return nil
}

func (u *User) removePassword(rule string) error {
	hash, err := passwordHash(rule, '<')
	if err != nil {
		return err
	}
	i := slices.Index(u.passwords, hash)
	if i < 0 {
		return ErrNoSuchPassword
	}
	u.passwords = slices.Delete(u.passwords, i, i+1)
	return nil
}

// passwordHash is the hash of which a rule tells: itself, or behind the mark plain the
// password.
func passwordHash(rule string, plain byte) (string, error) {
	if rule[0] == plain {
		return hashOf(rule[1:]), nil
	}
	hash := rule[1:]
	if len(hash) != 2*sha256.Size || strings.Trim(hash, "0123456789abcdef") != "" {
		return "", ErrPasswordHash
	}
	return hash, nil
}

func hashOf[T string | []byte](password T) string {
	sum := sha256.Sum256([]byte(password))
	return hex.EncodeToString(sum[:])
}

// Accepts reports whether somebody who says this password may log in as the user.
// How long that takes tells nothing of the passwords. It matches
// ACLCheckUserCredentials.
func (u *User) Accepts(password []byte) bool {
	if !u.on {
		return false
	}
	if u.noPass {
		return true
	}
	said, right := []byte(hashOf(password)), 0
	for _, hash := range u.passwords {
		right |= subtle.ConstantTimeCompare(said, []byte(hash))
	}
	return right == 1
}

// Flags are the words of ACL GETUSER for what is not about permissions.
func (u *User) Flags() []string {
	flags := make([]string, 0, 3)
	if u.on {
		flags = append(flags, "on")
	} else {
		flags = append(flags, "off")
	}
	if u.noPass {
		flags = append(flags, "nopass")
	}
	if u.skipSanitize {
		return append(flags, "skip-sanitize-payload")
	}
	return append(flags, "sanitize-payload")
}

// String is the user as a line of ACL LIST, of an ACL file and of redis.conf: "user",
// the name and the rules that make it. It matches ACLDescribeUser.
func (u *User) String() string {
	words := append([]string{"user", u.name}, u.Flags()...)
	for _, hash := range u.passwords {
		words = append(words, "#"+hash)
	}
	words = append(words, u.Root().String())
	for _, s := range u.Selectors() {
		words = append(words, "("+s.String()+")")
	}
	return strings.Join(words, " ")
}
