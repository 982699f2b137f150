package admin

import (
	"net"
	"slices"
	"strings"
	"time"

	"redoubt/internal/resp"
)

// clientFilter is which clients CLIENT LIST and CLIENT KILL are about: those for
// which all conditions hold. Beside the words of Redis 7.2 it has those that Valkey
// 8.1 and 9 document: any may stand once, and as NOT-.
type clientFilter struct {
	conditions []func(ClientInfo) bool
	ids        []uint64 // in order, if ID is given
	skipMe     bool     // the client that asks is none of them
	users      Users
}

func (f *clientFilter) matches(me uint64, c ClientInfo) bool {
	for _, holds := range f.conditions {
		if !holds(c) {
			return false
		}
	}
	return !(f.skipMe && c.ID == me)
}

// parse reads the words and their values; badID is what is said of a number that
// is none of a client.
func (f *clientFilter) parse(args [][]byte, badID resp.Error) resp.Error {
	for len(args) > 0 {
		if len(args) == 1 {
			return resp.ErrSyntax
		}
		word, value := strings.ToLower(string(args[0])), args[1]
		if word == "id" || word == "not-id" {
			ids, err := clientIDs(args[1:], badID)
			if err != "" {
				return err
			}
			f.add(word == "not-id", func(c ClientInfo) bool { return slices.Contains(ids, c.ID) })
			if word == "id" {
				f.ids = ids
			}
			args = args[1+len(ids):]
			continue
		}
		if err := f.word(word, value); err != "" {
			return err
		}
		args = args[2:]
	}
	return ""
}

// clientIDs is the numbers that args begin with, at least one.
func clientIDs(args [][]byte, bad resp.Error) (ids []uint64, err resp.Error) {
	for i, a := range args {
		id, ok := resp.ParseInt(a)
		switch {
		case ok && id >= 1:
			ids = append(ids, uint64(id))
		case ok || i == 0:
			return nil, bad
		default:
			return ids, "" // another word begins
		}
	}
	return ids, ""
}

func (f *clientFilter) add(not bool, holds func(ClientInfo) bool) {
	if not {
		f.conditions = append(f.conditions, func(c ClientInfo) bool { return !holds(c) })
	} else {
		f.conditions = append(f.conditions, holds)
	}
}

// word reads a word with one value.
func (f *clientFilter) word(word string, value []byte) resp.Error {
	switch word {
	case "skipme":
		switch {
		case resp.EqualFold(value, "yes"):
			f.skipMe = true
		case resp.EqualFold(value, "no"):
			f.skipMe = false
		default:
			return resp.ErrSyntax
		}
		return ""
	case "maxage", "idle":
		n, ok := resp.ParseInt(value)
		switch {
		case !ok:
			return resp.ErrNotInteger
		case n < 1:
			return resp.ErrClientAge(word)
		}
		least := time.Duration(min(n, int64(1)<<32)) * time.Second
		f.add(false, func(c ClientInfo) bool {
			return word == "maxage" && c.Age >= least || word == "idle" && c.Idle >= least
		})
		return ""
	}
	name, not := strings.CutPrefix(word, "not-")
	if name == "user" && f.users.User(string(value)) == nil {
		return resp.ErrNoSuchUser(value)
	}
	holds, err := clientCondition(name, value)
	if err == "" {
		f.add(not, holds)
	}
	return err
}

// clientCondition is the condition that a word and its value stand for.
func clientCondition(word string, value []byte) (holds func(ClientInfo) bool, err resp.Error) {
	text := string(value)
	is := func(field func(c *ClientInfo) string) func(ClientInfo) bool {
		return func(c ClientInfo) bool { return field(&c) == text }
	}
	switch word {
	case "type":
		kind, ok := clientType(value)
		if !ok {
			return nil, resp.ErrClientType(value)
		}
		return func(c ClientInfo) bool { return c.Kind == kind }, ""
	case "user":
		return is(func(c *ClientInfo) string { return c.User }), ""
	case "addr":
		return is(func(c *ClientInfo) string { return c.Addr }), ""
	case "laddr":
		return is(func(c *ClientInfo) string { return c.LocalAddr }), ""
	case "ip":
		return is(func(c *ClientInfo) string {
			host, _, _ := net.SplitHostPort(c.Addr)
			return host
		}), ""
	case "name":
		return is(func(c *ClientInfo) string { return c.Name }), ""
	case "lib-name":
		return is(func(c *ClientInfo) string { return c.LibName }), ""
	case "lib-ver":
		return is(func(c *ClientInfo) string { return c.LibVersion }), ""
	case "flags":
		return func(c ClientInfo) bool {
			return !strings.ContainsFunc(text, func(letter rune) bool { return !strings.ContainsRune(c.Flags, letter) })
		}, ""
	case "db":
		db, ok := resp.ParseInt(value)
		if !ok {
			return nil, resp.ErrDBIndex
		}
		return func(c ClientInfo) bool { return int64(c.DB) == db }, ""
	}
	return nil, resp.ErrSyntax
}
