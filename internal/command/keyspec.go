package command

import (
	"strconv"
	"strings"
)

// KeySpec says where keys stand in a command's arguments and what is done to
// them: Redis's key specifications. Begin finds the first key, Find the others.
type KeySpec struct {
	Flags KeyFlags
	Begin Begin
	Find  Find
	Notes string
}

// Begin is the start of a key specification. With a Keyword the search starts
// at argument Index (negative: from the end, backwards) and the keys begin after
// the word; without one they begin at argument Index. Index 0 without a keyword
// is "unknown".
type Begin struct {
	Index   int
	Keyword string
}

// Find is the rest of a key specification.
//
// A range: keys stand from the first one to Last, every Step arguments; Last is
// relative to the first key, or negative from the end of the arguments; Limit n
// above 1 divides what remains by n. With KeyNum, argument first+NumIndex holds
// the number of keys and they begin at first+FirstKey.
type Find struct {
	Last, Step, Limit int

	KeyNum             bool
	NumIndex, FirstKey int
}

// KeyFlags says what a command does to the keys of one specification.
type KeyFlags uint16

const (
	KeyRO KeyFlags = 1 << iota
	KeyRW
	KeyOW
	KeyRM
	KeyAccess
	KeyUpdate
	KeyInsert
	KeyDelete
	KeyNotKey
	KeyIncomplete
	KeyVariable
)

var keyFlagNames = []string{
	"RO", "RW", "OW", "RM", "access", "update", "insert", "delete", "not_key", "incomplete", "variable_flags",
}

// Names is the flags as COMMAND INFO lists them.
func (f KeyFlags) Names() []string {
	var names []string
	for i, n := range keyFlagNames {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}

// OneKey is the specification of a command whose only key is argument 1.
func OneKey(f KeyFlags) []KeySpec { return []KeySpec{KeyAt(1, f)} }

// KeyAt is a single key at argument i.
func KeyAt(i int, f KeyFlags) KeySpec {
	return KeySpec{Flags: f, Begin: Begin{Index: i}, Find: Find{Step: 1}}
}

// KeysFrom is keys from argument i to argument last (negative: from the end),
// every step arguments.
func KeysFrom(i, last, step int, f KeyFlags) []KeySpec {
	if last > 0 {
		last -= i
	}
	return []KeySpec{{Flags: f, Begin: Begin{Index: i}, Find: Find{Last: last, Step: step}}}
}

// AppendKeys appends the positions of the keys in args to dst. ok is false when
// the arguments do not fit the specification (a wrong number of keys).
// Positions may repeat if specifications overlap. It allocates only if dst
// must grow.
func (r *Row) AppendKeys(dst []int, args [][]byte) (_ []int, ok bool) {
	if r.FindKeys != nil {
		return r.FindKeys(dst, args)
	}
	for i := range r.Keys {
		if r.Keys[i].Flags&KeyNotKey != 0 {
			continue
		}
		if dst, ok = r.Keys[i].appendKeys(dst, args); !ok {
			return dst, false
		}
	}
	return dst, true
}

// AppendRouted is AppendKeys with the names that stand in the place of keys for a
// cluster (channels of sharded pub/sub).
func (r *Row) AppendRouted(dst []int, args [][]byte) (_ []int, ok bool) {
	if r.FindKeys != nil {
		return r.FindKeys(dst, args)
	}
	for i := range r.Keys {
		if dst, ok = r.Keys[i].appendKeys(dst, args); !ok {
			return dst, false
		}
	}
	return dst, true
}

func (k *KeySpec) appendKeys(dst []int, args [][]byte) ([]int, bool) {
	first := k.Begin.find(args)
	if first == 0 || first >= len(args) {
		// An option that was not given, or a range up to the end that is empty: how many
		// keys a command needs at least is in its arity.
		return dst, k.Begin.Keyword != "" || first > 0 && k.Find.Last < 0
	}
	last, step := 0, max(k.Find.Step, 1)
	if k.Find.KeyNum {
		if first+k.Find.NumIndex >= len(args) {
			return dst, false
		}
		n, err := strconv.Atoi(string(args[first+k.Find.NumIndex]))
		if err != nil || n < 0 || n > len(args) {
			return dst, false
		}
		first += k.Find.FirstKey
		last = first + (n-1)*step
	} else {
		last = first + k.Find.Last
		if k.Find.Last < 0 {
			last = len(args) + k.Find.Last
			if k.Find.Limit > 1 {
				last = first + (len(args)-first)/k.Find.Limit + k.Find.Last
			}
		}
	}
	if last >= len(args) {
		return dst, false
	}
	for i := first; i <= last; i += step {
		dst = append(dst, i)
	}
	return dst, true
}

// find is the position where the keys begin, 0 if there is none.
func (b Begin) find(args [][]byte) int {
	if b.Keyword == "" {
		return b.Index
	}
	if b.Index > 0 {
		for i := b.Index; i < len(args)-1; i++ {
			if strings.EqualFold(string(args[i]), b.Keyword) {
				return i + 1
			}
		}
		return 0
	}
	for i := len(args) + b.Index; i > 0; i-- {
		if strings.EqualFold(string(args[i]), b.Keyword) && i+1 < len(args) {
			return i + 1
		}
	}
	return 0
}

// LegacyRange is the first key, last key and step of the old COMMAND format:
// the one range that covers all specifications, zeros if the command has none.
func (r *Row) LegacyRange() (first, last, step int) {
	for _, k := range r.Keys {
		if k.Begin.Keyword != "" || k.Find.KeyNum || k.Begin.Index == 0 {
			continue
		}
		f, l, s := k.Begin.Index, k.Find.Last, max(k.Find.Step, 1)
		if l >= 0 {
			l += f
		}
		if first == 0 {
			first, last, step = f, l, s
			continue
		}
		// Several single keys merge into one range only if they are adjacent.
		if f == last+1 && last > 0 {
			last, step = l, s
		}
	}
	return first, last, step
}
