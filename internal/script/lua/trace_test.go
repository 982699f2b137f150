package lua

import (
	"fmt"
	"strings"
	"testing"
)

// lineTracer notes the lines of a traced program.
type lineTracer struct {
	lines  []string
	counts int
	at     func(t *Thread, line int) // called at each line, if set
}

func (l *lineTracer) Line(t *Thread, line int) {
	l.lines = append(l.lines, fmt.Sprint(line))
	if l.at != nil {
		l.at(t, line)
	}
}

func (l *lineTracer) Count(*Thread, int) { l.counts++ }

// trace runs a program under a tracer.
func trace(t *testing.T, source string, l *lineTracer) (Value, error) {
	t.Helper()
	s := NewState(Options{MaxMemory: 256 << 20})
	s.OpenLibs()
	p, err := Compile(source, "@user_script")
	if err != nil {
		t.Fatal(err)
	}
	s.Trace(l)
	return s.PCall(s.Load(p.Traced()))
}

func TestTracerIsToldOfLines(t *testing.T) {
	for _, c := range []struct{ name, source, lines, result string }{
		{"one after the other", "local a = 1\nlocal b = 2\n\nreturn a + b", "1 2 4", "3"},
		{"two statements in a line are one", "local a = 1 local b = 2\nreturn a + b", "1 2", "3"},
		{"each turn of a loop", "local s = 0\nfor i = 1, 2 do\n s = s + i\nend\nreturn s", "1 2 3 2 3 2 5", "3"},
		{"a loop in one line, by its jumps", "for i = 1, 3 do local x = i end\nreturn 1", "1 1 1 1 2", "1"},
		{"a loop of one instruction", "for i = 1, 3 do end\nreturn 1", "1 1 1 1 2", "1"},
		{"a branch", "local a = 1\nif a == 2 then\n a = 3\nelse\n a = 4\nend\nreturn a", "1 2 5 7", "4"},
		{"a function, and back", "local function f(x)\n return x\nend\nlocal a = f(1)\nreturn a", "3 4 2 5", "1"},
		{"a call in the middle of a line", "local function f(x) return x end\nlocal a = f(1) + f(2)\nreturn a", "1 2 1 1 3", "3"},
		{"a loop over pairs", "local n = 0\nfor k in pairs({1, 2}) do\n n = n + 1\nend\nreturn n", "1 2 3 2 3 2 5", "2"},
		{"a closure with upvalues", "local n = 0\nlocal function f()\n n = n + 1\nend\nf()\nf()\nreturn n", "1 4 5 3 4 6 3 4 7", "2"},
		{"a long list", "local t = {" + strings.Repeat("1,", 600) + "}\nreturn #t", "1 2", "600"},
		{"a coroutine", "local f = coroutine.wrap(function(x)\n coroutine.yield(x)\n return 2\nend)\nf(1)\nreturn f()", "1 4 1 5 2 6 3", "2"},
		{"a tail call", "local function f() return 7 end\nreturn f()", "1 2 1", "7"},
		{"varargs", "local function f(...)\n return select('#', ...)\nend\nreturn (f(1, 2, 3))", "3 4 2", "3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l lineTracer
			v, err := trace(t, c.source, &l)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(l.lines, " "); got != c.lines || v.Text() != c.result {
				t.Errorf("lines %s, result %s\nwant  %s, result %s", got, v.Text(), c.lines, c.result)
			}
		})
	}
}

func TestTracerIsToldOfLongRuns(t *testing.T) {
	var l lineTracer
	if _, err := trace(t, "for i = 1, 250000 do end", &l); err != nil || l.counts != 2 {
		t.Errorf("%d counts, %v", l.counts, err)
	}
}

// What a tracer sees of the program, and that it may call functions in the midst of it.
func TestTracerSeesTheProgram(t *testing.T) {
	const source = `local a, b = 1, 'x'
local function inner(p)
  local q = p .. b
  return q
end
local r = inner('y')
return r`
	var seen string
	l := &lineTracer{}
	l.at = func(th *Thread, line int) {
		s := th.State()
		p, err := Compile("local s = '' for i = 1, 3 do s = s .. i end return s", "@more")
		if err != nil {
			t.Fatal(err)
		}
		if v, failure := th.Try(s.Load(p.Traced())); failure != nil || v.Text() != "123" {
			t.Errorf("at line %d: %v, %v", line, v.Text(), failure)
		}
		if p, err = Compile("error('no')", "@more"); err != nil {
			t.Fatal(err)
		}
		if _, failure := th.Try(s.Load(p)); failure == nil || failure.Error() != "more:1: no" {
			t.Errorf("at line %d: %v", line, failure)
		}
		if line != 4 {
			return
		}
		for _, f := range th.Frames() {
			seen += fmt.Sprintf("%s %s:%d", f.Name, f.Source, f.Line)
			for _, v := range f.Locals {
				seen += " " + v.Name + "=" + v.Value.Kind().String()
				if v.Value.Kind() == KindString {
					seen += ":" + v.Value.Text()
				}
			}
			seen += "\n"
		}
	}
	v, err := trace(t, source, l)
	if err != nil || v.Text() != "yx" {
		t.Fatalf("%v, %v", v.Text(), err)
	}
	const want = "inner user_script:4 p=string:y q=string:yx\n user_script:6 a=number b=string:x inner=function\n"
	if seen != want {
		t.Errorf("got  %q\nwant %q", seen, want)
	}
	if got := strings.Join(l.lines, " "); got != "1 5 6 3 4 7" {
		t.Errorf("lines %s", got)
	}
}

// An error in a program is caught as without a tracer, and one that a tracer raises
// is one of the program.
func TestTracerRaisesErrors(t *testing.T) {
	var l lineTracer
	v, err := trace(t, "local ok, e = pcall(function()\n error('x')\nend)\nreturn e", &l)
	if err != nil || v.Text() != "user_script:2: x" {
		t.Errorf("%v, %v", v.Text(), err)
	}
	l = lineTracer{at: func(th *Thread, line int) {
		if line == 2 {
			th.Throw(String("stop"))
		}
	}}
	_, err = trace(t, "local a = 1\na = 2\nreturn a", &l)
	if failure, ok := err.(*Error); !ok || failure.Line != 2 || failure.Error() != "stop" {
		t.Errorf("%v", err)
	}
}
