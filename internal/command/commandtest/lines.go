// Package commandtest makes random command lines from the rows of a command
// table: the syntax that COMMAND DOCS shows is also what tests generate from, so
// a new command is in those tests as soon as it describes its arguments.
//
// Most lines are right, some are not: a number is out of range, numkeys counts
// wrongly, a key holds another type. Both matter, as an error must change
// nothing.
package commandtest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"redoubt/internal/command"
)

// Lines makes command lines. Its fields may be changed between two of them.
type Lines struct {
	*rand.Rand
	// Keys is how many keys there are of each type. A key is named for the group
	// of its commands, "list3", so that most find the type they are for.
	Keys int
	// Databases bounds the numbers of databases.
	Databases int
	// Now is the time in Unix milliseconds from which times are chosen.
	Now int64
	// Payloads are what RESTORE gets; nil: bytes that are no payload.
	Payloads [][]byte
	// Tag is put before the names of keys: "{x}" keeps them in one slot.
	Tag string
	// Lasting says that no key is to expire soon.
	Lasting bool

	counted int // what numkeys has said; 0: nothing
	fields  int // what numfields has said
	newest  int // milliseconds of the IDs of streams
	streams int // how many streams are read: as many IDs follow
}

// groups are what keys are named for.
var groups = []string{"string", "list", "hash", "set", "sorted-set", "hyperloglog", "geo", "stream"}

// Line returns a line for a row. A row that describes no arguments gets some
// words.
func (l *Lines) Line(r *command.Row) [][]byte {
	l.counted, l.fields, l.streams = 0, 0, 0
	line := strings.Fields(strings.ReplaceAll(r.FullName(), "|", " "))
	line = l.all(line, r.Doc.Args, r.Doc.Group)
	least := r.Arity
	if least < 0 {
		least = -least
	}
	for len(line) < least {
		line = append(line, l.word())
	}
	args := make([][]byte, len(line))
	for i, s := range line {
		args[i] = []byte(s)
	}
	return args
}

func (l *Lines) all(line []string, args []command.Arg, group string) []string {
	for _, a := range args {
		line = l.one(line, a, group)
	}
	return line
}

func (l *Lines) one(line []string, a command.Arg, group string) []string {
	if a.Flags&command.Optional != 0 && l.IntN(3) > 0 {
		return line
	}
	times := 1
	if a.Flags&command.Multiple != 0 {
		if times = 1 + l.IntN(3); a.Type == "key" && l.counted > 0 {
			times, l.counted = l.counted, 0
		} else if l.fields > 0 {
			times, l.fields = l.fields, 0
		} else if a.Name == "ID" && l.streams > 0 {
			times, l.streams = l.streams, 0
		} else if a.Type == "key" && group == "stream" {
			l.streams = times
		}
	}
	for i := range times {
		if a.Token != "" && a.Type != "pure-token" && (i == 0 || a.Flags&command.MultipleToken != 0) {
			line = append(line, a.Token)
		}
		switch a.Type {
		case "oneof":
			line = l.one(line, a.Args[l.IntN(len(a.Args))], group)
		case "block":
			line = l.all(line, a.Args, group)
		default:
			line = append(line, l.value(a, group))
		}
	}
	return line
}

func (l *Lines) value(a command.Arg, group string) string {
	switch {
	case a.Type == "pure-token":
		return a.Token
	case a.Type == "key":
		return l.Key(group)
	case a.Name == "serialized-value" && len(l.Payloads) > 0:
		return string(l.Payloads[l.IntN(len(l.Payloads))])
	case a.Name == "encoding":
		return l.fieldType()
	case a.Name == "radius" || a.Name == "width" || a.Name == "height":
		return strconv.Itoa(l.IntN(3000))
	case a.Name == "subcommand":
		return []string{"GETREG", "DECODE", "ENCODING", "TODENSE"}[l.IntN(4)]
	case a.Name == "timeout":
		return "0.001"
	case a.Name == "numkeys":
		l.counted = 1 + l.IntN(3)
		return strconv.Itoa(l.counted)
	case a.Name == "numfields":
		l.fields = 1 + l.IntN(3)
		if l.IntN(20) == 0 {
			return strconv.Itoa(l.IntN(5) - 1)
		}
		return strconv.Itoa(l.fields)
	case slices.Contains([]string{"db", "destination-db", "index1", "index2"}, a.Name):
		return strconv.Itoa(l.IntN(l.Databases))
	}
	if group == "stream" {
		if text, ok := l.ofStream(a.Name); ok {
			return text
		}
	}
	switch a.Type {
	case "integer":
		return l.integer(a.Name)
	case "double":
		return strconv.FormatFloat(float64(l.IntN(200)-100)/8, 'g', -1, 64)
	case "unix-time":
		at := l.Now + l.duration()
		if strings.HasSuffix(a.Name, "-milliseconds") {
			return strconv.FormatInt(at, 10)
		}
		return strconv.FormatInt(at/1000, 10)
	case "pattern":
		return l.Key(group)[:len(l.Tag)+1] + "*"
	}
	return l.word()
}

// fieldType is the type of an integer of BITFIELD.
func (l *Lines) fieldType() string {
	if l.IntN(20) == 0 {
		return l.word()
	}
	return []string{"u", "i"}[l.IntN(2)] + strconv.Itoa(1+l.IntN(63))
}

// ofStream is a value of an argument that means something to streams only. IDs are
// few, so that many are there; those of new items are likely to be higher.
func (l *Lines) ofStream(name string) (text string, ok bool) {
	switch name {
	case "ID", "id", "lastid", "last-id", "max-deleted-id", "start", "end":
		l.newest += l.IntN(2)
		id := max(l.newest-l.IntN(8), 0)
		return []string{"0", "$", ">", "-", "+", "(5-0", fmt.Sprint(id), fmt.Sprint(id, "-*"), fmt.Sprint(id, "-", l.IntN(3)),
			fmt.Sprint(id, "-", l.IntN(3)), fmt.Sprint(id + 3)}[l.IntN(11)], true
	case "threshold":
		return fmt.Sprint(max(l.newest-l.IntN(20), 0) * l.IntN(2)), true
	case "group":
		return fmt.Sprint("group", l.IntN(2)), true
	case "consumer":
		return fmt.Sprint("consumer", l.IntN(3)), true
	case "min-idle-time":
		return []string{"0", "1000000"}[l.IntN(2)], true
	case "milliseconds":
		return "1", true // for how long XREAD waits
	}
	return "", false
}

// Key is a key, most likely of the group's type.
func (l *Lines) Key(group string) string {
	if group == "bitmap" {
		group = "string" // their commands are for each other's keys
	}
	if !slices.Contains(groups, group) || l.IntN(10) == 0 {
		group = groups[l.IntN(len(groups))]
	}
	return fmt.Sprint(l.Tag, group, l.IntN(l.Keys))
}

// Soon and Late divide the times to live: a key has lost it within Soon
// milliseconds, or keeps it for longer than Late.
const (
	Soon = 50
	Late = 1_000_000
)

// duration is a time to live in milliseconds.
func (l *Lines) duration() int64 {
	if !l.Lasting && l.IntN(5) == 0 {
		return l.Int64N(Soon)
	}
	return Late + l.Int64N(Late)
}

func (l *Lines) integer(name string) string {
	switch {
	case name == "milliseconds" || name == "ttl":
		return strconv.FormatInt(l.duration(), 10)
	case name == "seconds":
		return strconv.Itoa(Late/1000 + 1 + l.IntN(1000))
	case l.IntN(20) == 0:
		return strconv.Itoa(l.IntN(1000) - 500)
	}
	return strconv.Itoa(l.IntN(12) - 3)
}

// word is a value, a field or a member: often one that was there before, now and
// then a long one, an integer or none at all.
func (l *Lines) word() string {
	switch l.IntN(12) {
	case 0:
		return ""
	case 1:
		return strings.Repeat(string(rune('a'+l.IntN(26))), l.IntN(300))
	case 2, 3, 4:
		return strconv.Itoa(l.IntN(50) - 10)
	}
	return fmt.Sprint("w", l.IntN(40))
}
