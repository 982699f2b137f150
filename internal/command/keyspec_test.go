package command

import (
	"reflect"
	"strings"
	"testing"
)

func args(line string) [][]byte {
	var a [][]byte
	for f := range strings.FieldsSeq(line) {
		a = append(a, []byte(f))
	}
	return a
}

func TestKeysOfACommandLine(t *testing.T) {
	migrate := []KeySpec{
		{Begin: Begin{Index: 3}, Find: Find{Step: 1}},
		{Begin: Begin{Index: -2, Keyword: "KEYS"}, Find: Find{Last: -1, Step: 1}},
	}
	keynum := []KeySpec{{Begin: Begin{Index: 2}, Find: Find{KeyNum: true, FirstKey: 1, Step: 1}}}
	for _, c := range []struct {
		name string
		keys []KeySpec
		line string
		want []int
		ok   bool
	}{
		{"one key", OneKey(KeyRO), "GET k", []int{1}, true},
		{"all arguments are keys", KeysFrom(1, -1, 1, KeyRM), "DEL a b c", []int{1, 2, 3}, true},
		{"every second argument is a key", KeysFrom(1, -1, 2, KeyOW), "MSET a 1 b 2", []int{1, 3}, true},
		{"keys that may be left out", append(OneKey(KeyRW), KeysFrom(2, -1, 1, KeyRO)...), "PFMERGE d", []int{1}, true},
		{"two keys", KeysFrom(1, 2, 1, KeyRW), "RENAME a b", []int{1, 2}, true},
		{"a keyword found from the end", migrate, "MIGRATE h 1 k 0 5 KEYS a b", []int{3, 7, 8}, true},
		{"a keyword that was not given", migrate, "MIGRATE h 1 k 0 5", []int{3}, true},
		{"a counted list", keynum, "EVAL s 2 a b x", []int{3, 4}, true},
		{"a counted list that is too short", keynum, "EVAL s 9 a b", nil, false},
		{"a count that is no number", keynum, "EVAL s x a b", nil, false},
		{"a count that would overflow", keynum, "EVAL s 9223372036854775807 a", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Row{Keys: c.keys}
			got, ok := r.AppendKeys(nil, args(c.line))
			if ok != c.ok || (ok && !reflect.DeepEqual(got, c.want)) {
				t.Errorf("AppendKeys(%q) = %v, %v; want %v, %v", c.line, got, ok, c.want, c.ok)
			}
		})
	}
}

func TestLookupIgnoresCaseAndDoesNotAllocate(t *testing.T) {
	run := func(*Ctx) {}
	tb := NewTable([]*Row{
		{Name: "get", Arity: 2, Keys: OneKey(KeyRO), Run: run},
		{Name: "config", Arity: -2, Sub: []*Row{{Name: "get", Arity: -3, Lock: LockNone, Run: run}}},
	})
	get, name := tb.Lookup([]byte("get")), []byte("GeT")
	if get == nil || tb.Lookup(name) != get || tb.Lookup([]byte(strings.Repeat("x", 99))) != nil {
		t.Error("Lookup is wrong")
	}
	if n := testing.AllocsPerRun(100, func() { tb.Lookup(name) }); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
	row, known := tb.Resolve(args("CONFIG GET x"))
	if row == nil || row.FullName() != "config|get" || known.Name != "config" {
		t.Errorf("Resolve = %v, %v", row, known)
	}
	if row, known := tb.Resolve(args("CONFIG NOPE")); row != nil || known == nil {
		t.Errorf("an unknown sub-command resolved to %v, %v", row, known)
	}
}
