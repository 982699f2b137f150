package script

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"redoubt/internal/resp"
)

// runFuzzed runs a script with arguments for a short time and in little memory. What
// fails must do so as an error of Lua: a broken state is a fault.
func runFuzzed(t *testing.T, e *Engine, s *Script, args ...string) []byte {
	t.Helper()
	var w resp.Writer
	timer := time.AfterFunc(200*time.Millisecond, e.Kill)
	defer timer.Stop()
	r := e.Run(s, nil, toBytes(args), &tableHost{}, &w)
	if isFault(r) {
		t.Fatalf("%q: %s", args, r.Err)
	}
	return bytes.Clone(w.Bytes())
}

// isFault reports whether a run ended because the machine is broken.
func isFault(r Result) bool {
	return strings.HasPrefix(string(r.Err), "ERR Error running script ") && strings.Contains(string(r.Err), ", lua: ")
}

// FuzzJSON decodes anything. What it decodes, it encodes to a text that decodes to
// the same.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2,{"b":null}],"c":"\u00e9\ud83d\ude00"}`, `[[[]]]`, `-1.5e-3`, `"\\"`, "\x00", `{"a":1`, `nan`, `0x1p4`} {
		f.Add(seed)
	}
	s := mustCompile(f, `
		cjson.encode_invalid_numbers('null') cjson.encode_sparse_array(true)
		local v = cjson.decode(ARGV[1])
		local ok, first = pcall(cjson.encode, v)
		if not ok then return 'deep' end
		local second = cjson.encode(cjson.decode(first))
		if #first ~= #second then error('not the same: ' .. first .. ' ' .. second) end
		return 'same'`)
	f.Fuzz(func(t *testing.T, text string) {
		reply := runFuzzed(t, New(Config{MaxMemory: 32 << 20}), s, text)
		if bytes.Contains(reply, []byte("not the same")) {
			t.Fatalf("%q: %s", text, reply)
		}
	})
}

// FuzzMessagePack unpacks anything. What it unpacks, it packs again to what unpacks
// to the same. The first time the nil may go that takes the place of what is nested
// too deeply, as in Redis.
func FuzzMessagePack(f *testing.F) {
	for _, seed := range []string{"\x93\x01\x02\xa1a", "\x82\xa1a\x01\xa1b\xc0", "\xdd\xff\xff\xff\xff", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xcb\x7f\xf8", "\xc1", strings.Repeat("\x91", 17) + "0"} {
		f.Add(seed)
	}
	s := mustCompile(f, `
		local values = {cmsgpack.unpack(ARGV[1])}
		if #values == 0 then return 'nothing' end
		local first = cmsgpack.pack(unpack(values))
		local second = cmsgpack.pack(cmsgpack.unpack(first))
		local third = cmsgpack.pack(cmsgpack.unpack(second))
		if #second ~= #third then error('not the same') end
		return 'same'`)
	f.Fuzz(func(t *testing.T, text string) {
		reply := runFuzzed(t, New(Config{MaxMemory: 32 << 20}), s, text)
		if bytes.Contains(reply, []byte("not the same")) {
			t.Fatalf("%q: %s", text, reply)
		}
	})
}

// FuzzStruct packs, unpacks and sizes by any format. Of a format for numbers,
// what is packed has the size and unpacks.
func FuzzStruct(f *testing.F) {
	f.Add("bBhHlLTfdxs", "data\x00more")
	f.Add("!4 b i c3", "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b")
	f.Add(">i32Bc0", "\x03abc")
	f.Add("c2147483647", "")
	s := mustCompile(f, `
		local format, data = ARGV[1], ARGV[2]
		pcall(struct.unpack, format, data)
		pcall(struct.pack, format, data, data, data)
		local ok, size = pcall(struct.size, format)
		local packed, bytes = pcall(struct.pack, format, 1, 2, 3, 4, 5, 6, 7, 8)
		if ok and packed then
			if size ~= #bytes then error('not the size: ' .. size .. ' ' .. #bytes) end
			struct.unpack(format, bytes)
		end
		return 'fine'`)
	f.Fuzz(func(t *testing.T, format, data string) {
		reply := runFuzzed(t, New(Config{MaxMemory: 32 << 20}), s, format, data)
		if bytes.Contains(reply, []byte("not the size")) && isPlainFormat(format) {
			t.Fatalf("%q: %s", format, reply)
		}
	})
}

// isPlainFormat reports whether a format has options for values only: size
// passes over letters that pack refuses.
func isPlainFormat(format string) bool {
	return strings.Trim(format, "bBhHlLTfdx") == ""
}

// FuzzPattern finds, replaces and formats by any pattern.
func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"^(%w+)%s*=%s*(.-)$", "%b()", "%f[%a]", "[^]]", "()", "%1", "(a*(.)%w(%s*))", "%5.2f|%-10s|%q"} {
		f.Add("key = value (x)", seed)
	}
	s := mustCompile(f, `
		local text, pattern = ARGV[1], ARGV[2]
		pcall(string.find, text, pattern)
		pcall(string.match, text, pattern, 2)
		pcall(string.gsub, text, pattern, pattern)
		pcall(function() for a in text:gmatch(pattern) do end end)
		pcall(string.format, pattern, text, 5, -1.5, text)
		pcall(tonumber, text)
		return 'fine'`)
	f.Fuzz(func(t *testing.T, text, pattern string) {
		runFuzzed(t, New(Config{MaxMemory: 32 << 20}), s, text, pattern)
	})
}

// FuzzScript compiles and runs anything.
func FuzzScript(f *testing.F) {
	for _, seed := range []string{
		"return 1", rateLimiter, queueScript, "local t = {} for i = 1, 10 do t[i] = i end return #t",
		"for k, v in pairs({a = 1}) do redis.call('set', k, v) end", "return coroutine.wrap(function() coroutine.yield(1) end)()",
		"local function f(...) return select('#', ...), ... end return f(1, nil)", "goto x", "return [==[x]==] .. 'a\\065'",
		"return setmetatable({}, {__index = function(t, k) return k end}).x", "return pcall(error, {err = 'X'})",
		"return string.rep('x', 100):gsub('.', '%0%0')", "while true do local x = {} end", "#!lua flags=no-writes\nreturn 1",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		s, err := Compile([]byte(source))
		if err != nil {
			return
		}
		runFuzzed(t, New(Config{MaxMemory: 32 << 20}), s)
	})
}

// FuzzReply decodes any bytes as the reply of a command.
func FuzzReply(f *testing.F) {
	for _, seed := range []string{"$5\r\nvalue\r\n", "*2\r\n:1\r\n*1\r\n+OK\r\n", "%1\r\n+a\r\n#t\r\n", ",1.5\r\n", "=8\r\ntxt:text\r\n", "|1\r\n+a\r\n:1\r\n$-1\r\n", "*1000000000\r\n", "-ERR x\r\n"} {
		f.Add([]byte(seed))
	}
	s := mustCompile(f, "return redis.pcall('x')")
	f.Fuzz(func(t *testing.T, reply []byte) {
		e := New(Config{MaxMemory: 32 << 20})
		timer := time.AfterFunc(200*time.Millisecond, e.Kill)
		defer timer.Stop()
		var w resp.Writer
		r := e.Run(s, nil, nil, &stub{reply}, &w)
		if isFault(r) {
			t.Fatalf("%q: %s", reply, r.Err)
		}
	})
}
