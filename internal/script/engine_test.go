package script

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"redoubt/internal/resp"
)

func mustCompile(t testing.TB, source string) *Script {
	t.Helper()
	s, err := Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A script cannot stop being killed: not by pcall, not in a coroutine, a
// comparison, a pattern or a metamethod.
func TestKillEndsEveryLoop(t *testing.T) {
	for _, source := range []string{
		"while true do end",
		"repeat until false",
		"for i = 1, math.huge do end",
		"for i in function() return 1 end do end",
		"local function f() return f() end f()",
		"while true do pcall(function() while true do end end) end",
		"while true do xpcall(function() while true do end end, function() while true do end end) end",
		"coroutine.wrap(function() while true do pcall(function() while true do end end) end end)()",
		"while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
		"local t = {} for i = 1, 1e5 do t[i] = i end while true do table.sort(t, function(a, b) return a < b end) end",
		"while true do local s = string.rep('a', 30) s:find(string.rep('a?', 30) .. s .. 'b') end",
		"setmetatable({}, {__index = function() while true do end end}).x()",
		"while true do redis.pcall('nosuch') end",
		"table.concat({}, '', 1, 2e9)",
		"local t = {} for i = 1, 100 do t[i] = t end while true do pcall(cjson.encode, t) end",
		"table.insert({}, -2e9, 'x')",
		"local function f(...) return f(1, ...) end f()",
		"while not false do if true then local x = 1 or 2 end end",
	} {
		t.Run(source, func(t *testing.T) {
			e := New(Config{})
			s := mustCompile(t, source)
			var w resp.Writer
			ended := make(chan Result)
			go func() { ended <- e.Run(s, nil, nil, &tableHost{}, &w) }()
			deadline := time.After(20 * time.Second)
			// Kill may come before the run has begun: it is asked again.
			for tick := time.NewTicker(5 * time.Millisecond); ; {
				select {
				case <-tick.C:
					e.Kill()
					continue
				case r := <-ended:
					if !r.Killed || !strings.HasPrefix(string(r.Err), "ERR Script killed by user with SCRIPT KILL... script: "+s.SHA()+", on @user_script:1.") {
						if !strings.Contains(source, "concat") { // its first index is no string
							t.Errorf("%+v", r)
						}
					}
				case <-deadline:
					t.Fatal("it goes on")
				}
				break
			}
			w.Truncate(0)
			if e.Run(mustCompile(t, "return 1"), nil, nil, &tableHost{}, &w); string(w.Bytes()) != ":1\r\n" {
				t.Errorf("the next run: %q", w.Bytes())
			}
		})
	}
}

// Whatever way a script takes to fill the memory, it ends in an error, and the
// engine works on.
func TestMemoryIsBounded(t *testing.T) {
	for _, source := range []string{
		"string.rep('x', 1e9)",
		"string.rep('abcdefgh', 2e9)",
		"local s = 'x' while true do s = s .. s end",
		"local t = {} for i = 1, 1e9 do t[i] = i end",
		"local t = {} for i = 1, 1e9 do t[#t + 1] = 'some text ' .. i end",
		"local t = {} for i = 1, 1e9 do t['key' .. i] = true end",
		"local t = {} while true do t = {t, t} end",
		"local t = {} for i = 1, 1e9 do t[i] = {} end",
		"local t = {} for i = 1, 1e9 do t[i] = function() return t end end",
		"local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end",
		"local s = string.rep('x', 1e6) local t = {} for i = 1, 1e9 do t[i] = s .. i end",
		"local s = string.rep('x', 1e6) local t = {} for i = 1, 1e9 do t[i] = s end return table.concat(t)",
		"local s = string.rep('x', 1e7) s:gsub('.', string.rep('y', 1000))",
		"local s = string.rep('x', 1e7) s:gsub('.', function() return s end)",
		"local s = string.rep('x', 1e6) local t = {} for i = 1, 1000 do t[i] = s end cjson.encode(t)",
		"local s = string.rep('x', 1e6) local t = {} for i = 1, 1000 do t[i] = s end cmsgpack.pack(t)",
		"cjson.encode_sparse_array(true, 0) cjson.encode({[2000000000] = 1})",
		"local s = '[' .. string.rep('[],', 1e7) .. '1]' cjson.decode(s)",
		"cmsgpack.unpack('\\221\\5\\255\\255\\255' .. string.rep('\\144', 3e7))",
		"struct.pack('c0', string.rep('x', 1e8)) ",
		"local s = string.rep('x', 6e7) return string.format('%s%s%s', s, s, s)",
		"local s = string.rep('x', 3e7) s = s:upper() .. s:reverse()",
		"local n = 0 local function f() n = n + 1 local a, b, c, d, e = 1, 2, 3, 4, 5 return f() + 1 end f()",
		"local t = {} for i = 1, 1e9 do t[i] = loadstring('return ' .. i) end",
		"load(function() return string.rep('x', 1e6) end)",
	} {
		t.Run(source, func(t *testing.T) {
			e := New(Config{MaxMemory: 16 << 20})
			var w resp.Writer
			r := e.Run(mustCompile(t, source), nil, nil, &tableHost{}, &w)
			if !strings.Contains(string(r.Err), "not enough memory") && !strings.Contains(string(r.Err), "stack overflow") {
				t.Errorf("%+v", r)
			}
			w.Truncate(0)
			if e.Run(mustCompile(t, "return #string.rep('x', 1e6)"), nil, nil, &tableHost{}, &w); string(w.Bytes()) != ":1000000\r\n" {
				t.Errorf("the next run: %q", w.Bytes())
			}
		})
	}
}

// What is no longer in use does not count: a script may allocate far more over
// time than it may hold.
func TestGarbageDoesNotCount(t *testing.T) {
	e := New(Config{MaxMemory: 16 << 20})
	for _, source := range []string{
		"for i = 1, 200 do local s = string.rep('x', 1e6) end return 1",
		"for i = 1, 2e5 do local t = {1, 2, 3, {4}} end return 1",
		"local t = {} for i = 1, 1e6 do t[i % 1000] = 'text ' .. i end return 1",
		"for i = 1, 3000 do local co = coroutine.wrap(function() coroutine.yield(1) end) co() end return 1",
		"local n = 0 for i = 1, 20 do n = n + #(('x'):rep(1e5):gsub('x', 'yy')) end return n / n",
	} {
		var w resp.Writer
		if r := e.Run(mustCompile(t, source), nil, nil, &tableHost{}, &w); r.Err != "" {
			t.Errorf("%s: %s", source, r.Err)
		}
	}
	for range 100 {
		var w resp.Writer
		if r := e.Run(mustCompile(t, "local t = {} for i = 1, 1e4 do t[i] = {} end"), nil, nil, &tableHost{}, &w); r.Err != "" {
			t.Fatal(r.Err)
		}
	}
	if scripts, _ := e.Memory(); scripts > 16<<20 {
		t.Errorf("%d bytes", scripts)
	}
}

// KEYS and ARGV are tables that are used again: nothing that a script does to
// them shows in the next run.
func TestKeysAreAnew(t *testing.T) {
	e := New(Config{})
	run := func(source string, keys ...string) string {
		var w resp.Writer
		e.Run(mustCompile(t, source), toBytes(keys), nil, &tableHost{}, &w)
		return string(w.Bytes())
	}
	const describe = "local n = 0 for _ in pairs(KEYS) do n = n + 1 end return {n, #KEYS, tostring(KEYS[1]), tostring(KEYS.x), tostring(getmetatable(KEYS))}"
	for _, spoil := range []string{
		"KEYS[1] = nil", "KEYS.x = 1", "setmetatable(KEYS, {__index = function() return 5 end})", "for i = 1, 100 do KEYS[i] = i end",
		"KEYS[1000] = 1", "table.remove(KEYS)", "KEYS[-1] = 'x'", "KEYS[2] = 'x'", "KEYS[KEYS] = KEYS",
	} {
		run(spoil, "a", "b", "c")
		for _, keys := range [][]string{{"k"}, {}, {"k", "l", "m", "n", "o"}} {
			first := "nil"
			if len(keys) > 0 {
				first = keys[0]
			}
			want := fmt.Sprintf("*5\r\n:%d\r\n:%d\r\n$%d\r\n%s\r\n$3\r\nnil\r\n$3\r\nnil\r\n", len(keys), len(keys), len(first), first)
			if got := run(describe, keys...); got != want {
				t.Errorf("%s, then %v: %q", spoil, keys, got)
			}
		}
	}
}

// Keys and arguments are copies: the buffer of the request may change while the
// script keeps them.
func TestKeysAreCopies(t *testing.T) {
	e := New(Config{})
	library, err := e.Load("#!lua name=l\nlocal kept redis.register_function('f', function(keys) if keys[1] then kept = keys end return kept[1] end)", 0, &tableHost{})
	if err != nil {
		t.Fatal(err)
	}
	var w resp.Writer
	key := []byte("first")
	e.Call(library.Functions[0], [][]byte{key}, nil, &tableHost{}, &w)
	copy(key, "XXXXX")
	e.Call(library.Functions[0], nil, nil, &tableHost{}, &w)
	if got := string(w.Bytes()); got != "$5\r\nfirst\r\n$5\r\nfirst\r\n" {
		t.Errorf("%q", got)
	}
}

func TestResultOfErrors(t *testing.T) {
	for _, c := range []struct {
		source  string
		err     string // "" is none
		counted bool
	}{
		{"return 1", "", false},
		{"return {err = 'MY own'}", "MY own", false},
		{"return redis.error_reply('MY own')", "MY own", false},
		{"return redis.pcall('lpush', 'str', 1)", "WRONGTYPE Operation", true},
		{"redis.call('lpush', 'str', 1)", "WRONGTYPE Operation", true},
		{"error('x')", "ERR user_script:1: x script: ", false},
		{"return {{err = 'inner'}}", "", false},
	} {
		var w resp.Writer
		r := New(Config{}).Run(mustCompile(t, c.source), nil, nil, &tableHost{}, &w)
		if !strings.HasPrefix(string(r.Err), c.err) || (r.Err == "") != (c.err == "") || r.Counted != c.counted {
			t.Errorf("%s: %+v", c.source, r)
		}
		if c.err != "" && string(w.Bytes()) != "-"+string(r.Err)+"\r\n" {
			t.Errorf("%s: reply %q, result %q", c.source, w.Bytes(), r.Err)
		}
	}
}

func TestLogReachesTheHost(t *testing.T) {
	h := &tableHost{}
	var w resp.Writer
	New(Config{}).Run(mustCompile(t, "redis.log(redis.LOG_WARNING, 'a', 5, {}, 'b') redis.log(0, 'c')"), nil, nil, h, &w)
	if got := strings.Join(h.logged, "|"); got != "3 a 5 b|0 c" {
		t.Errorf("%q", got)
	}
}

func TestVersion(t *testing.T) {
	var w resp.Writer
	e := New(Config{RedisVersion: "7.2.4", ServerName: "redoubt", ServerVersion: "1.12.3-dev"})
	e.Run(mustCompile(t, "return {redis.REDIS_VERSION, redis.REDIS_VERSION_NUM, server.SERVER_NAME, server.SERVER_VERSION, server.SERVER_VERSION_NUM, tostring(server == redis)}"), nil, nil, &tableHost{}, &w)
	want := "*6\r\n$5\r\n7.2.4\r\n:459268\r\n$7\r\nredoubt\r\n$10\r\n1.12.3-dev\r\n:68611\r\n$4\r\ntrue\r\n"
	if got := string(w.Bytes()); got != want {
		t.Errorf("%q", got)
	}
}

// Engines side by side do not draw the same numbers; a seed gives the same ones.
func TestEnginesDrawOtherNumbers(t *testing.T) {
	draw := func(c Config) string {
		var w resp.Writer
		New(c).Run(mustCompile(t, "return math.random(1000000000)"), nil, nil, &tableHost{}, &w)
		return string(w.Bytes())
	}
	if a, b := draw(Config{}), draw(Config{}); a == b {
		t.Errorf("both draw %q", a)
	}
	if a, b := draw(Config{Seed: 7}), draw(Config{Seed: 7}); a != b {
		t.Errorf("%q and %q of one seed", a, b)
	}
}

// os has a clock, which goes on while a script runs, and nothing that reaches out of it
// (Valkey's unit/scripting).
func TestTheLibraryOSHasAClockOnly(t *testing.T) {
	for script, want := range map[string]string{
		"local start = os.clock() while os.clock() - start < 0.002 do end return 'over'":       "$4\r\nover\r\n",
		"local names = {} for name in pairs(os) do table.insert(names, name) end return names": "*1\r\n$5\r\nclock\r\n",
		"return {pcall(os.execute)}":                             "*2\r\n$-1\r\n$27\r\nattempt to call a nil value\r\n",
		"return select(2, pcall(function() os.clock = nil end))": "$49\r\nuser_script:1: Attempt to modify a readonly table\r\n",
	} {
		var w resp.Writer
		New(Config{}).Run(mustCompile(t, script), nil, nil, &tableHost{}, &w)
		if got := string(w.Bytes()); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

// faulty is a host that panics.
type faulty struct{ tableHost }

func (*faulty) Call([][]byte, *resp.Writer) bool { panic("the host is broken") }

// A panic of the host is no error of the script: it must not be caught on its way.
func TestPanicsOfTheHostGoOn(t *testing.T) {
	defer func() {
		if r := recover(); r != "the host is broken" {
			t.Errorf("recovered %v", r)
		}
	}()
	var w resp.Writer
	New(Config{}).Run(mustCompile(t, "return pcall(redis.call, 'get', 'x')"), nil, nil, &faulty{}, &w)
	t.Errorf("it was caught: %q", w.Bytes())
}

// weigher is a host that looks at the Go heap.
type weigher struct {
	tableHost
	bytes uint64
}

func (h *weigher) Call(_ [][]byte, w *resp.Writer) bool {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.bytes = m.HeapAlloc
	w.OK()
	return true
}

// A short part of a long string does not keep the long one in memory, where the
// bound would not see it.
func TestPartsDoNotKeepTheWhole(t *testing.T) {
	for _, part := range []string{"s:sub(1, 40)", "s:match('x(xxxx)')", "(s:find('(xx)', 1) and s:match('()'))", "struct.unpack('c9', s)"} {
		h := &weigher{}
		var w resp.Writer
		r := New(Config{}).Run(mustCompile(t, "local t = {} for i = 1, 100 do local s = ('x'):rep(1e6) .. i t[i] = "+part+" end redis.call('x')"), nil, nil, h, &w)
		if r.Err != "" || h.bytes > 50<<20 {
			t.Errorf("%s: %d bytes, %v", part, h.bytes, r)
		}
	}
}

// A table within itself makes a reply without an end.
func TestReplyIsBounded(t *testing.T) {
	for _, source := range []string{
		"local t = {} t[1] = t t[2] = t return t",
		"local t = {} t.map = {a = t, b = t} return t",
		"local s = ('x'):rep(1e5) local t = {} for i = 1, 3000 do t[i] = s end return t",
	} {
		var w resp.Writer
		w.OK()
		r := New(Config{MaxMemory: 16 << 20}).Run(mustCompile(t, source), nil, nil, &tableHost{}, &w)
		if r.Err != errReplySize || string(w.Bytes()) != "+OK\r\n-ERR not enough memory\r\n" {
			t.Errorf("%s: %+v, %d bytes", source, r, w.Len())
		}
	}
}

// What is counted depends on the program alone, neither on time nor on Go's garbage
// collector: whether a program meets the bound is the same each time.
func TestMemoryIsCountedTheSameEachTime(t *testing.T) {
	source := "local t = {} local n = redis.pcall('x') for i = 1, 20000 do t[i % 500] = ('x'):rep(i % 90) .. i t['k' .. i % 700] = {i, {}} end " +
		"while true do t[#t + 1] = {#t} end"
	count := func(percent int) (bytes int64, err resp.Error) {
		defer debug.SetGCPercent(debug.SetGCPercent(percent))
		e := New(Config{MaxMemory: 8 << 20, Seed: 1})
		var w resp.Writer
		r := e.Run(mustCompile(t, source), nil, nil, &tableHost{}, &w)
		bytes, _ = e.Memory()
		return bytes, r.Err
	}
	want, err := count(20)
	for _, percent := range []int{-1, 400} {
		if got, again := count(percent); got != want || again != err || !strings.Contains(string(err), "not enough memory") {
			t.Errorf("%d bytes, %q; with GOGC=%d %d bytes, %q", want, err, percent, got, again)
		}
	}
}

// A library whose variables have filled the memory is an error of each call, and
// one of the call only.
func TestFullLibrary(t *testing.T) {
	e := New(Config{MaxMemory: 16 << 20})
	library, err := e.Load("#!lua name=l\nlocal t = {} redis.register_function('fill', function() for i = 1, 1e9 do t[#t + 1] = {} end end)\n"+
		"redis.register_function('clear', function() t = {} return 'empty' end)", 0, &tableHost{})
	if err != nil {
		t.Fatal(err)
	}
	fill, empty := library.Functions[0], library.Functions[1]
	for range 3 {
		var w resp.Writer
		if r := e.Call(fill, nil, nil, &tableHost{}, &w); !strings.Contains(string(r.Err), "not enough memory") {
			t.Fatalf("%+v", r)
		}
		args := make([][]byte, 100000)
		w.Truncate(0)
		e.Call(empty, args, args, &tableHost{}, &w)
		e.Call(empty, nil, nil, &tableHost{}, &w)
		if got := string(w.Bytes()); !strings.HasSuffix(got, "$5\r\nempty\r\n") {
			t.Errorf("%q", got)
		}
	}
}
