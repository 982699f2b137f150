package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const product = "Redis 7.0.15"

// load loads a file of the given text, in a directory of its own, with options.
func load(t *testing.T, text string, options ...string) (*Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Load(Source{Args: append([]string{path}, options...), Product: product})
}

func mustLoad(t *testing.T, text string, options ...string) *Config {
	t.Helper()
	c, err := load(t, text, options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// value is what CONFIG GET shows of one directive.
func value(t *testing.T, c *Config, name string) string {
	t.Helper()
	pairs := c.Get(name)
	if len(pairs) != 1 {
		t.Fatalf("Get(%q) = %v", name, pairs)
	}
	return pairs[0].Value
}

func TestFileSyntax(t *testing.T) {
	t.Chdir("testdata") // includes are relative to the working directory
	c, err := Load(Source{Args: []string{"syntax.conf"}, Product: product})
	if err != nil {
		t.Fatal(err)
	}
	for directive, want := range map[string]string{
		"port": "7000", "bind": "127.0.0.1 -::1", "timeout": "30",
		"requirepass": "a \"quoted\" A\n secret", "pidfile": "it's here", "maxmemory": "734003200",
		"save":                       "900 1 300 10 60 10000 30 20000",
		"client-output-buffer-limit": "normal 1048576 524288 10 slave 0 0 0 pubsub 33554432 8388608 60",
		"replica-read-only":          "no", "slave-read-only": "no",
		"hash-max-listpack-entries": "21", "hash-max-ziplist-entries": "21",
		"shutdown-on-sigterm": "nosave now", "hz": "60", "appendfsync": "always", "logfile": "",
		"proc-title-template": "{title} {port}",
	} {
		if got := value(t, c, directive); got != want {
			t.Errorf("%s is %q, want %q", directive, got, want)
		}
	}
	if wd, _ := os.Getwd(); value(t, c, "dir") != wd || c.Path() != filepath.Join(wd, "syntax.conf") {
		t.Errorf("dir %q, path %q", value(t, c, "dir"), c.Path())
	}
	renames := c.Lines("rename-command")
	if len(renames) != 2 || !slices.Equal(renames[0].Args, []string{"FLUSHALL", ""}) || renames[1].Number != 19 ||
		renames[1].Text != "rename-command CONFIG secret-config" {
		t.Errorf("rename-command: %+v", renames)
	}
	if users := c.Lines("user"); len(users) != 1 || users[0].Args[0] != "default" {
		t.Errorf("user: %+v", users)
	}
	if modules := c.Lines("loadmodule"); len(modules) != 1 || modules[0].Args[2] != "two arguments" {
		t.Errorf("loadmodule: %+v", modules)
	}
	if got := c.Unused(); len(got) != 1 || !strings.HasPrefix(got[0], "dynamic-hz has no effect here: ") {
		t.Errorf("Unused() = %q", got)
	}
}

func TestAnEmptyCommandLineGivesTheDefaults(t *testing.T) {
	c, err := Load(Source{})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Current(); s.Port != 6379 || len(s.Save) != 3 || c.Path() != "" || c.Unused() != nil {
		t.Errorf("port %d, save %v, path %q, unused %v", s.Port, s.Save, c.Path(), c.Unused())
	}
}

// The cases of unit/introspection, "redis-server command line arguments".
func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		want map[string]string
	}{
		{"a value in the next argument", []string{"--port", "7001"}, map[string]string{"port": "7001"}},
		{"the last option counts", []string{"--port", "7001", "--port", "7002"}, map[string]string{"port": "7002"}},
		{"a name and a value in one argument", []string{"--maxmemory 700mb", "--maxmemory-policy volatile-lru"},
			map[string]string{"maxmemory": "734003200", "maxmemory-policy": "volatile-lru"}},
		{"a name without dashes, and quotes in an argument", []string{"loglevel", "verbose", "--maxmemory '700mb'", "--maxmemory-policy 'volatile-lru'"},
			map[string]string{"loglevel": "verbose", "maxmemory": "734003200", "maxmemory-policy": "volatile-lru"}},
		{"a value that begins with dashes", []string{"--proc-title-template", "--my--title", "--loglevel", "verbose"},
			map[string]string{"proc-title-template": "--my--title", "loglevel": "verbose"}},
		{"a value that begins with dashes in one argument", []string{"--proc-title-template --my--title", "--loglevel verbose"},
			map[string]string{"proc-title-template": "--my--title", "loglevel": "verbose"}},
		{"save without a value before an option", []string{"--save", "--loglevel", "verbose"}, map[string]string{"save": "", "loglevel": "verbose"}},
		{"save without a value at the end", []string{"--loglevel", "verbose", "--save"}, map[string]string{"save": "", "loglevel": "verbose"}},
		{"save with an empty value", []string{"--save", "", "--loglevel", "verbose"}, map[string]string{"save": "", "loglevel": "verbose"}},
		{"save as a value", []string{"--proc-title-template", "--save", "--save", "", "--loglevel", "verbose"},
			map[string]string{"proc-title-template": "--save", "save": "", "loglevel": "verbose"}},
		{"save adds to the file's", []string{"--save", "100", "100"}, map[string]string{"save": "900 1 100 100"}},
		{"several values, in one argument and in many", []string{"--shutdown-on-sigint", "nosave", "force", "now", "--shutdown-on-sigterm", "nosave force"},
			map[string]string{"shutdown-on-sigint": "nosave now force", "shutdown-on-sigterm": "nosave force"}},
		{"a value with quotes in it", []string{"--requirepass", `a"b' c`}, map[string]string{"requirepass": `a"b' c`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := mustLoad(t, "save 900 1\nport 7000", c.args...)
			for directive, want := range c.want {
				if got := value(t, config, directive); got != want {
					t.Errorf("%s is %q, want %q", directive, got, want)
				}
			}
		})
	}
}

func TestStandardInputComesBetweenFileAndOptions(t *testing.T) {
	for _, args := range [][]string{{"-", "--hz", "30"}, {"--hz", "30", "-"}} {
		c, err := Load(Source{Args: args, Stdin: strings.NewReader("hz 20\nport 7000")})
		if err != nil {
			t.Fatal(err)
		}
		if s := c.Current(); s.HZ != 30 || s.Port != 7000 {
			t.Errorf("%q: hz %d, port %d", args, s.HZ, s.Port)
		}
	}
	if c, err := Load(Source{Args: []string{"-"}}); err != nil || c.Current().Port != 6379 {
		t.Errorf("without a standard input: %v", err)
	}
}

// The first line of the file is line 1; the options follow an empty line.
func TestRefusedConfigurations(t *testing.T) {
	const head = "\n*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***\n"
	at := func(line, text, reason string) string {
		return head + "Reading the configuration file, at line " + line + "\n>>> '" + text + "'\n" + reason
	}
	for _, c := range []struct {
		name, file string
		options    []string
		want       string
	}{
		{"an unknown name", "port 1\n  bla 1 ", nil, at("2", "bla 1", "Bad directive or wrong number of arguments")},
		{"a bad value", "port x", nil, at("1", "port x", "argument couldn't be parsed into an integer")},
		{"open quotes", `dir "x`, nil, at("1", `dir "x`, "Unbalanced quotes in configuration line")},
		{"open quotes in a list", `save "'1 2"`, nil, at("1", `save "'1 2"`, "Unbalanced quotes in configuration line")},
		{"an option without a value", "", []string{"--port"}, at("2", "port", "wrong number of arguments")},
		{"a last option without a value", "", []string{"--port", "6380", "--loglevel"}, at("3", "loglevel", "wrong number of arguments")},
		{"two values for one", "", []string{"--port", "6379", "6380"}, at("2", `port "6379" "6380"`, "wrong number of arguments")},
		{"an option taken as a value", "", []string{"--port", "--loglevel", "verbose"}, at("2", `port "--loglevel" "verbose"`, "wrong number of arguments")},
		{"dashes that are no number", "", []string{"--port", "--bla", "--loglevel", "verbose"}, at("2", `port "--bla"`, "argument couldn't be parsed into an integer")},
		{"no value for a list", "", []string{"--shutdown-on-sigint"},
			at("2", "shutdown-on-sigint", "argument(s) must be one of the following: default, save, nosave, now, force, safe, failover")},
		{"a bad port of the primary", "", []string{"--replicaof", "--127.0.0.1", "abc"}, at("2", `replicaof "--127.0.0.1" "abc"`, "Invalid master port")},
		{"half a primary", "", []string{"--replicaof", "--127.0.0.1", "--abc"}, at("2", `replicaof "--127.0.0.1"`, "wrong number of arguments")},
		{"a replica in a cluster", "cluster-enabled yes\nreplicaof a 1", nil, at("2", "replicaof a 1", "replicaof directive not allowed in cluster mode")},
		{"a sentinel's directive", "sentinel monitor m h 1 1", nil, at("1", "sentinel monitor m h 1 1", "sentinel directive while not in sentinel mode")},
		{"a module's setting without a value", "a.b", nil, at("1", "a.b", "Module config specified without value")},
		{"a module's setting without a module", "a.b 1", nil, at("1", "a.b 1", "Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting")},
		{"a file that includes itself", "include node.conf", nil, "Too many nested include directives"},
		{"an included file that is not there", "include nowhere.conf", nil, "Fatal error, can't open config file 'nowhere.conf': No such file or directory"},
		{"an error in an included file", "include bad.conf", nil, at("2", "nonsense", "Bad directive or wrong number of arguments")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for name, text := range map[string]string{"node.conf": c.file, "bad.conf": "hz 10\nnonsense"} {
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Load(Source{Args: append([]string{"node.conf"}, c.options...), Product: product})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
		})
	}
}

// TestRefusedLinesAreFound: an error says in which file the line stands, and what may have
// been meant.
func TestRefusedLinesAreFound(t *testing.T) {
	for _, c := range []struct {
		name, file string
		args       []string
		stdin      string
		want       string
	}{
		{"a misspelt directive", "port 1\nmaxmemroy 1gb", []string{"node.conf"}, "",
			"at line 2\n>>> 'maxmemroy 1gb'\nBad directive or wrong number of arguments\nThe line is in DIR/node.conf, at line 2.\nDid you mean 'maxmemory'?"},
		{"in an included file", "port 1\n\ninclude more.conf", []string{"node.conf"}, "",
			"\nThe line is in DIR/more.conf, at line 3.\n'port' takes: 0 to 65535."},
		{"in one of several included files", "include m*.conf", []string{"node.conf"}, "",
			"at line 4\n>>> 'port x'\nargument couldn't be parsed into an integer\nThe line is in DIR/more.conf, at line 3.\n'port' takes: 0 to 65535."},
		{"on the command line", "port 1", []string{"node.conf", "--apendonly", "yes"}, "",
			"\n>>> 'apendonly \"yes\"'\nBad directive or wrong number of arguments\nThe line is in the command line.\nDid you mean 'appendonly'?"},
		{"on the standard input", "port 1", []string{"node.conf", "-"}, "hz 1\nuser",
			"at line 3\n>>> 'user'\nBad directive or wrong number of arguments\nThe line is in the standard input, at line 2.\n'user' takes: a name and its rules."},
		{"a name that is like no other", "nonsense 1", []string{"node.conf"}, "", "The line is in DIR/node.conf, at line 1."},
		{"a directive where a file belongs", "", []string{"port", "7000"}, "",
			"can't open config file 'port': No such file or directory. Directives on the command line begin with two dashes: --port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			for name, text := range map[string]string{"node.conf": c.file, "more.conf": "\n# a comment\nport x", "m.conf": "hz 10"} {
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Load(Source{Args: c.args, Stdin: strings.NewReader(c.stdin), Product: product})
			if want := strings.ReplaceAll(c.want, "DIR", dir); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
}

func TestAMissingFileIsNamed(t *testing.T) {
	_, err := Load(Source{Args: []string{"/nowhere.conf"}, Product: product})
	var fatal *FileError
	if want := "Fatal error, can't open config file '/nowhere.conf': No such file or directory"; errors.As(err, &fatal) || err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestIncludesStartAtDir(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "more.conf"), []byte("hz 77"), 0o644); err != nil {
		t.Fatal(err)
	}
	if c := mustLoad(t, "dir "+Quote(dir)+"\ninclude more.conf"); c.Current().HZ != 77 {
		t.Errorf("hz is %d", c.Current().HZ)
	}
}

// Real files are not kept here: they belong to others. REDIS_CONF=path names
// one, say the redis.conf of a Redis or the valkey.conf of a Valkey.
func TestRealFile(t *testing.T) {
	path := os.Getenv("REDIS_CONF")
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("REDIS_CONF names no file: it should be the redis.conf of Debian's redis-server")
		}
		t.Skip("REDIS_CONF names no file: a redis.conf, such as that of Debian's redis-server")
	}
	c, err := Load(Source{Args: []string{path}, Product: product})
	if err != nil {
		t.Fatal(err)
	}
	if value(t, c, "port") != "6379" || len(c.Current().Bind) != 2 {
		t.Errorf("port %s, bind %q", value(t, c, "port"), c.Current().Bind)
	}
}

// FuzzText reads any text as a file. What is accepted must survive a rewrite
// of everything.
func FuzzText(f *testing.F) {
	syntax, err := os.ReadFile("testdata/syntax.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(syntax))
	for _, line := range []string{
		"save 1 2\nsave \"\"", "bind \"\"", "unixsocketperm 700", "client-output-buffer-limit pubsub 1gb 0 1",
		"latency-tracking-info-percentiles -0", "maxmemory-clients 5%", "replicaof ::1 07", "requirepass \"\\x00\\\"\"",
	} {
		f.Add(line)
	}
	parse := func(text string) (*Settings, error) {
		l := &loader{config: newConfig(), settings: defaults(), seen: make(map[*directive]Line)}
		l.put("dir", "/")
		return l.settings, l.text([]part{{"test.conf", text, true}})
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, dangerous := range []string{"include", "dir"} { // of the machine's files
			if strings.Contains(strings.ToLower(text), dangerous) {
				return
			}
		}
		s, err := parse(text)
		if err != nil {
			return
		}
		r := readOld(text)
		s.rewrite(r, true)
		again, err := parse(r.String())
		if err != nil {
			t.Fatalf("the rewrite is refused: %v", err)
		}
		for _, d := range table {
			if before, after := s.text[d.index], again.text[d.index]; before != after {
				t.Errorf("%s was %q, is %q after a rewrite", d.name, before, after)
			}
		}
	})
}
