package config

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// ErrLoading is returned by Set for a directive that must not change while
// the data set is loaded. The client's reply is the common LOADING error.
var ErrLoading = errors.New("config: not while loading")

// Caller is what Set needs to know of who asks.
type Caller struct {
	Local   bool // connected over loopback or a Unix socket
	Loading bool // the data set is being loaded
}

// Apply makes the running server follow settings: next is about to be
// published, old is in force. It is called with the roles exchanged to undo
// what it did when a later one fails. An Apply that returns an error, in words
// for the client, must have left things as they were. It must not call Set,
// Record or Rewrite.
type Apply func(old, next *Settings) error

type hook struct{ apply Apply }

// OnChange has apply called when Set changes any of the named directives, once
// for all of them; for one that names a file also when Set names the same file
// again. A directive may have several, which are called in the order in which they
// were given. It is called while the server is set up, before Set. The directives
// must exist.
func (c *Config) OnChange(apply Apply, directives ...string) {
	h := &hook{apply}
	for _, name := range directives {
		d := row(name)
		c.hooks[d] = append(c.hooks[d], h)
	}
}

// Set sets all pairs or none, as configSetCommand does. The text of an error
// is the client's reply, which begins with ERR, but for ErrLoading.
func (c *Config) Set(who Caller, pairs ...Pair) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.Current()
	changing, err := permitted(old, who, pairs)
	if err != nil {
		return err
	}
	next := old.clone()
	for i, d := range changing {
		if d.has(immutable) {
			continue // to the value it has, see permitted
		}
		args := []string{pairs[i].Value}
		if d.typ.many() {
			args = strings.Split(pairs[i].Value, " ")
		}
		if err := d.set(next, args); err != nil {
			return failed(strings.ToLower(pairs[i].Name), err) // which may be an alias
		}
		if reason := cmp.Or(d.refused(next), next.quorumRefused()); reason != "" {
			return failed(strings.ToLower(pairs[i].Name), errors.New(reason))
		}
	}
	if at, err := c.apply(old, next, changing); err != nil {
		return failed(strings.ToLower(pairs[at].Name), err)
	}
	c.current.Store(next)
	return nil
}

// permitted finds the directives of the pairs, and refuses those that this
// caller may not set now. An immutable one may be set to the value it has,
// unlike in Redis: who applies a whole configuration need not know which these
// are, and Redis's own suite sets all it is shown but those it knows by name.
func permitted(s *Settings, who Caller, pairs []Pair) ([]*directive, error) {
	var changing []*directive
	for _, pair := range pairs {
		d := lookup(pair.Name)
		switch {
		case d == nil:
			near := ""
			if name := nearest(pair.Name); lookup(name) != nil {
				near = ". Did you mean '" + name + "'?"
			}
			return nil, fmt.Errorf("ERR Unknown option or number of arguments for CONFIG SET - '%s'%s", pair.Name, near)
		case d.has(immutable) && s.text[d.index] != pair.Value:
			return nil, failed(pair.Name, errors.New(cmp.Or(d.fixed, "can't set immutable config")))
		case d.has(protected) && !s.EnableProtectedConfigs.Allows(who.Local):
			return nil, failed(pair.Name, errors.New("can't set protected config"))
		case d.has(denyLoading) && who.Loading:
			return nil, ErrLoading
		}
		for _, other := range changing {
			if other == d {
				return nil, failed(pair.Name, errors.New("duplicate parameter"))
			}
		}
		changing = append(changing, d)
	}
	return changing, nil
}

// apply runs the hooks of the directives that change, in their order, and
// takes them back in reverse if one fails; at is whose hook that was.
func (c *Config) apply(old, next *Settings, changing []*directive) (at int, err error) {
	var done []*hook
	ran := make(map[*hook]bool)
	for at, d := range changing {
		if old.text[d.index] == next.text[d.index] && !d.has(volatile) {
			continue
		}
		for _, h := range c.hooks[d] {
			if ran[h] {
				continue
			}
			ran[h] = true
			if err := h.apply(old, next); err != nil {
				for i := len(done) - 1; i >= 0; i-- {
					// Nothing is left to do if the way back fails as well; the
					// hook has logged it.
					_ = done[i].apply(next, old)
				}
				return at, err
			}
			done = append(done, h)
		}
	}
	return 0, nil
}

func failed(name string, err error) error {
	return fmt.Errorf("ERR CONFIG SET failed (possibly related to argument '%s') - %w", name, err)
}
