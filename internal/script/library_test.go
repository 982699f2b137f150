package script

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"redoubt/internal/redistest"
	"redoubt/internal/resp"
)

// A shelf is the libraries of one engine, as FUNCTION LOAD REPLACE keeps them.
type shelf struct {
	engine    *Engine
	libraries map[string]*Library
}

// load loads a library in the place of one of the same name and answers as
// FUNCTION LOAD does.
func (s *shelf) load(code string) []byte {
	var w resp.Writer
	library, err := s.engine.Load(code, time.Minute, &tableHost{})
	if err != nil {
		var line resp.Error
		if !errors.As(err, &line) {
			line = resp.Error("not a line for a client: " + err.Error())
		}
		w.Error(line)
		return w.Bytes()
	}
	if old := s.libraries[library.Name]; old != nil {
		s.engine.Unload(old)
	}
	s.libraries[library.Name] = library
	w.BulkString(library.Name)
	return w.Bytes()
}

func (s *shelf) find(name string) *Function {
	for _, library := range s.libraries {
		for _, f := range library.Functions {
			if f.Name == name {
				return f
			}
		}
	}
	return nil
}

func (s *shelf) call(name string, keys, args []string) []byte {
	var w resp.Writer
	f := s.find(name)
	if f == nil {
		w.Error("ERR Function not found")
		return w.Bytes()
	}
	s.engine.Call(f, toBytes(keys), toBytes(args), &tableHost{}, &w)
	return w.Bytes()
}

func TestLibraries(t *testing.T) {
	datadriven.Walk(t, "testdata/libraries", func(t *testing.T, path string) {
		s := &shelf{engine: New(Config{}), libraries: make(map[string]*Library)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "load" {
				return shown(s.load(d.Input))
			}
			keys, args, _ := parameters(d)
			return shown(s.call(d.CmdArgs[0].Key, keys, args))
		})
	})
}

func TestLibrariesLikeRedis(t *testing.T) {
	redistest.Tool(t, "redis-server")
	server := redistest.Start(t, redistest.Redis, "--save", "")
	datadriven.Walk(t, "testdata/libraries", func(t *testing.T, path string) {
		c, err := redistest.Dial(server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, command := range prepare {
			c.Do(command...)
		}
		var wrong []string
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			request := []any{"FUNCTION", "LOAD", "REPLACE", d.Input}
			if d.Cmd == "fcall" {
				keys, args, _ := parameters(d)
				request = []any{"FCALL", d.CmdArgs[0].Key, len(keys)}
				for _, k := range slices.Concat(keys, args) {
					request = append(request, k)
				}
			}
			reply, err := c.DoRaw(request...)
			if err != nil {
				t.Fatal(err)
			}
			if got := shown(reply); got != d.Expected {
				wrong = append(wrong, fmt.Sprintf("%s: %s %s\nhere:\n%sredis-server:\n%s", d.Pos, d.Cmd, d.Input, d.Expected, got))
			}
			return d.Expected
		})
		for _, w := range wrong {
			t.Error(w)
		}
	})
}

func TestLibraryTellsWhatItRegistered(t *testing.T) {
	library, err := New(Config{}).Load("#!lua name=lib\n"+
		"redis.register_function{function_name='a', callback=function() end, description='what it does', flags={'no-writes', 'ALLOW-OOM'}}\n"+
		"redis.register_function('b', function() end)", 0, &tableHost{})
	if err != nil {
		t.Fatal(err)
	}
	if library.Name != "lib" || len(library.Functions) != 2 {
		t.Fatalf("%+v", library)
	}
	a, b := library.Functions[0], library.Functions[1]
	if a.Name != "a" || a.Description == nil || *a.Description != "what it does" || a.Flags != NoWrites|AllowOOM {
		t.Errorf("%+v", a)
	}
	if got := strings.Join(a.Flags.Names(), " "); got != "no-writes allow-oom" {
		t.Errorf("flags %s", got)
	}
	if b.Name != "b" || b.Description != nil || b.Flags != 0 {
		t.Errorf("%+v", b)
	}
}

func TestLoadTimesOut(t *testing.T) {
	e := New(Config{})
	for range 2 { // the engine works on
		_, err := e.Load("#!lua name=lib\nwhile true do end", 20*time.Millisecond, &tableHost{})
		if want := resp.Error("ERR Error registering functions: ERR FUNCTION LOAD timeout"); !errors.Is(err, want) {
			t.Fatalf("got %v", err)
		}
	}
	if _, err := e.Load("#!lua name=lib\nredis.register_function('f', function() end)", time.Minute, &tableHost{}); err != nil {
		t.Fatal(err)
	}
}

// A Kill that comes when the function it is for has just ended hits nobody: the load
// that comes next may be one that the primary has done already.
func TestAKillThatComesLateLetsLibrariesLoad(t *testing.T) {
	e := New(Config{})
	const code = "\nredis.register_function('f', function() return 1 end) for i = 1, 1000 do end"
	l, err := e.Load("#!lua name=first"+code, time.Minute, &tableHost{})
	if err != nil {
		t.Fatal(err)
	}
	var w resp.Writer
	e.Call(l.Functions[0], nil, nil, &tableHost{}, &w)
	e.Kill()
	if _, err := e.Load("#!lua name=second"+code, time.Minute, &tableHost{}); err != nil {
		t.Error(err)
	}
}

// What a function that was killed has shared of its variables stays as it was, whatever
// runs next.
func TestVariablesOutliveTheirFunctionThatWasKilled(t *testing.T) {
	s := shelf{New(Config{}), map[string]*Library{}}
	s.load("#!lua name=l\nlocal add, n = nil, 0\n" +
		"redis.register_function('endless', function() local x = 1 add = function() x = x + 1 return x end while true do end end)\n" +
		"redis.register_function('next', function() local a, b, c, d = 10, 20, 30, 40 local sum = add() return {a, b, c, d, sum} end)")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.call("endless", nil, nil)
	}()
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-tick.C:
			s.engine.Kill()
			continue
		case <-ended:
			tick.Stop()
		}
		break
	}
	for _, sum := range []string{":2", ":3"} {
		if got, want := string(s.call("next", nil, nil)), "*5\r\n:10\r\n:20\r\n:30\r\n:40\r\n"+sum+"\r\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
