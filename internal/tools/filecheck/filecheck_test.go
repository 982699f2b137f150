package filecheck

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

func command(args ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	return s
}

// preamble is an RDB file as redis-server writes it.
func preamble(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../../storage/rdb/testdata/strings.rdb")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// lay makes files in a new directory.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// theirs runs redis-check-aof or redis-check-rdb.
func theirs(t *testing.T, tool, answer string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command(redistest.Tool(t, tool), args...)
	cmd.Stdin = strings.NewReader(answer)
	b, err := cmd.Output()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

func aofTool(answer string, args ...string) (string, int) {
	var out bytes.Buffer
	code := AOF(strings.NewReader(answer), &out, "redis-check-aof", args)
	return out.String(), code
}

var set, multi, execute = command("set", "foo", "bar"), command("multi"), command("exec")

// scenarios are directories and what is checked in them, last among the arguments.
func scenarios(t *testing.T) map[string]struct {
	files  map[string]string
	args   []string
	answer string
} {
	type s = struct {
		files  map[string]string
		args   []string
		answer string
	}
	const manifest = "file b seq 1 type b\nfile i seq 1 type i\n"
	two := func(base, incr string) map[string]string {
		return map[string]string{"m": manifest, "b": base, "i": incr}
	}
	one := func(text string) map[string]string { return map[string]string{"a": text} }
	stamps := "#TS:100\r\n" + set + "#TS:200\r\n" + set + "#TS:300\r\n" + set
	p := preamble(t)
	return map[string]s{
		"a sound file":                         {one(set + set), []string{"a"}, ""},
		"an empty file":                        {one(""), []string{"a"}, ""},
		"a file that is missing":               {nil, []string{"a"}, ""},
		"a preamble and commands":              {one(p + set), []string{"a"}, ""},
		"a preamble alone":                     {one(p), []string{"a"}, ""},
		"a preamble and junk":                  {one(p + "junk"), []string{"a"}, ""},
		"transactions":                         {one(multi + set + execute + set), []string{"a"}, ""},
		"a transaction without its end":        {one(set + multi + set), []string{"a"}, ""},
		"a transaction within another":         {one(set + multi + multi), []string{"a"}, ""},
		"an end without a beginning":           {one(set + execute), []string{"a"}, ""},
		"junk":                                 {one(set + "!!!" + set), []string{"a"}, ""},
		"a torn end":                           {one(set + set[:len(set)-1]), []string{"a"}, ""},
		"a torn length":                        {one(set + "*3\r\n$3"), []string{"a"}, ""},
		"a wrong prefix":                       {one(set + "*3\r\n*3\r\nset\r\n"), []string{"a"}, ""},
		"a wrong line end":                     {one(set + "*3x\r\n"), []string{"a"}, ""},
		"a wrong end of a string":              {one(set + "*1\r\n$3\r\nabcdef\r\n"), []string{"a"}, ""},
		"a negative length":                    {one(set + "*1\r\n$-1\r\n"), []string{"a"}, ""},
		"a fix that is agreed to":              {one(set + "!!!"), []string{"--fix", "a"}, "y\n"},
		"a fix that is not":                    {one(set + "!!!"), []string{"--fix", "a"}, "n\n"},
		"a fix without an answer":              {one(set + "!!!"), []string{"--fix", "a"}, ""},
		"a fix of what is sound":               {one(set), []string{"--fix", "a"}, ""},
		"a time in the middle":                 {one(stamps), []string{"--truncate-to-timestamp", "200", "a"}, ""},
		"a time after the end":                 {one(stamps), []string{"--truncate-to-timestamp", "300", "a"}, ""},
		"a time before the beginning":          {one(stamps), []string{"--truncate-to-timestamp", "1", "a"}, ""},
		"no time":                              {one(stamps), []string{"--truncate-to-timestamp", "x", "a"}, ""},
		"a bad annotation":                     {one(set + "#TS:x\r\n"), []string{"--truncate-to-timestamp", "1", "a"}, ""},
		"a time in a preamble's tail":          {one(p + stamps), []string{"--truncate-to-timestamp", "200", "a"}, ""},
		"a manifest":                           {two(set, set), []string{"m"}, ""},
		"a manifest with an RDB base":          {two(p, set), []string{"m"}, ""},
		"a manifest with a bad base":           {two(set+multi, set), []string{"m"}, ""},
		"a manifest with a bad end":            {two(set, set+multi), []string{"--fix", "m"}, "y\n"},
		"a bad base is not fixed":              {two(set+multi, set), []string{"--fix", "m"}, "y\n"},
		"a manifest with a missing file":       {map[string]string{"m": manifest, "b": set}, []string{"m"}, ""},
		"a manifest and a time":                {two(set, stamps), []string{"--truncate-to-timestamp", "200", "m"}, ""},
		"a manifest and a time too early":      {two(stamps, stamps), []string{"--truncate-to-timestamp", "200", "m"}, ""},
		"empty parts":                          {two("", ""), []string{"m"}, ""},
		"history is not checked":               {map[string]string{"m": "file h seq 1 type h\nfile i seq 1 type i\n", "i": set}, []string{"m"}, ""},
		"too many arguments":                   {nil, []string{"--fix", "a", "b", "c"}, ""},
		"an unknown option":                    {one(set), []string{"--mend", "a"}, ""},
		"a long string":                        {one(command("set", "k", strings.Repeat("x", 3<<20)) + set + "!"), []string{"a"}, ""},
		"lines are counted without annotation": {one("#TS:1\r\n" + set + "!"), []string{"a"}, ""},
	}
}

// Line by line what redis-check-aof prints, the same exit code, and the same files
// afterwards.
func TestCheckAOFIsRedisCheckAOF(t *testing.T) {
	for name, c := range scenarios(t) {
		t.Run(name, func(t *testing.T) {
			run := func(tool func(string, ...string) (string, int)) (out string, code int, after map[string]string) {
				dir := lay(t, c.files)
				t.Chdir(dir)
				out, code = tool(c.answer, c.args...)
				after = map[string]string{}
				for file := range c.files {
					b, _ := os.ReadFile(file)
					after[file] = string(b)
				}
				return out, code, after
			}
			want, wantCode, wantFiles := run(func(answer string, args ...string) (string, int) {
				out, code := theirs(t, "redis-check-aof", answer, args...)
				return strings.ReplaceAll(out, redistest.Tool(t, "redis-check-aof"), "redis-check-aof"), code
			})
			got, code, files := run(aofTool)
			if got != want || code != wantCode {
				t.Errorf("it prints\n%s(%d), want\n%s(%d)", got, code, want, wantCode)
			}
			for file, text := range wantFiles {
				if files[file] != text {
					t.Errorf("%s is %.200q, want %.200q", file, files[file], text)
				}
			}
		})
	}
}

// A sound file of commands whose bytes were changed at random, as long as Redis's
// tool survives it.
func TestCheckAOFSeesTheDamageThatRedisSees(t *testing.T) {
	whole := set + multi + set + execute + "#TS:12\r\n" + command("rpush", "l", "a", "", "b")
	random := rand.New(rand.NewPCG(1, 2))
	t.Chdir(lay(t, nil))
	for range 300 {
		b := []byte(whole)
		for range 1 + random.IntN(2) {
			if len(b) == 0 {
				break
			}
			switch at := random.IntN(len(b)); random.IntN(3) {
			case 0:
				b[at] = "*$\r\n#0123 x"[random.IntN(11)]
			case 1:
				b = append(b[:at], b[at+1:]...)
			default:
				b = b[:at]
			}
		}
		if len(b) == 0 {
			continue
		}
		if err := os.WriteFile("a", b, 0o600); err != nil {
			t.Fatal(err)
		}
		want, wantCode := theirs(t, "redis-check-aof", "", "a")
		// Redis prints what was on its stack if the line has no end.
		ends := regexp.MustCompile(`got: 00..`)
		want = ends.ReplaceAllString(want, "got: 00")
		got, code := aofTool("", "a")
		if got = ends.ReplaceAllString(got, "got: 00"); got != want || code != wantCode {
			t.Errorf("of %q it prints\n%s(%d), want\n%s(%d)", b, got, code, want, wantCode)
		}
	}
}

func rdbTool(args ...string) (string, int) {
	var out, errs bytes.Buffer
	code := RDB(&out, &errs, "redis-check-rdb", args)
	return out.String(), code
}

// Of sound files line by line what redis-check-rdb prints; of others the same
// verdict, and the same lines but for what is said of the inside of a value.
func TestCheckRDBIsRedisCheckRDB(t *testing.T) {
	files, err := filepath.Glob("../../../storage/rdb/testdata/*.rdb")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.Contains(file, "function") {
			continue
		}
		want, wantCode := theirs(t, "redis-check-rdb", "", file)
		if got, code := rdbTool(file); got != want || code != wantCode {
			t.Errorf("%s: it prints\n%s(%d), want\n%s(%d)", file, got, code, want, wantCode)
		}
	}
	whole := []byte(preamble(t))
	t.Chdir(lay(t, nil))
	for _, c := range []struct {
		name string
		b    []byte
		says string
	}{
		{"nothing", nil, "Unexpected EOF reading RDB file"},
		{"another file", []byte("no RDB file at all"), "Wrong signature trying to load DB from file"},
		{"a later version", []byte("REDIS9999"), "Can't handle RDB format version 9999"},
		{"a torn end", whole[:len(whole)-4], "Unexpected EOF reading RDB file"},
		{"a torn middle", whole[:len(whole)/2], "Unexpected EOF reading RDB file"},
		{"a wrong checksum", append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1), "RDB CRC error"},
		{"an unknown type", append(bytes.Clone(whole[:9]), 200), "Invalid object type: "},
		{"no checksum", append(bytes.Clone(whole[:len(whole)-8]), make([]byte, 8)...), "RDB file was saved with checksum disabled: no check performed."},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile("dump.rdb", c.b, 0o600); err != nil {
				t.Fatal(err)
			}
			want, wantCode := theirs(t, "redis-check-rdb", "", "dump.rdb")
			got, code := rdbTool("dump.rdb")
			if code != wantCode || !strings.Contains(got, c.says) || !strings.Contains(want, c.says) {
				t.Errorf("it prints\n%s(%d), want\n%s(%d)", got, code, want, wantCode)
			}
			doing := func(out string) (line string) {
				_, line, _ = strings.Cut(out, "While doing: ")
				line, _, _ = strings.Cut(line, "\n")
				return line
			}
			if doing(got) != doing(want) {
				t.Errorf("it was at %q, want %q", doing(got), doing(want))
			}
		})
	}
	if out, code := rdbTool("--version"); !strings.HasPrefix(out, "redis-check-rdb ") || code != 0 {
		t.Error(out, code)
	}
	for _, args := range [][]string{nil, {"a", "b"}, {"missing"}} {
		if _, code := rdbTool(args...); code != 1 {
			t.Errorf("%q ends with %d", args, code)
		}
	}
}

// A journal of this server is no append-only file, and says so.
func TestCheckAOFKnowsAJournal(t *testing.T) {
	t.Chdir(lay(t, map[string]string{"current": "redoubt-journal 1\ngeneration 1\n"}))
	if out, code := aofTool("", "current"); code != 1 || !strings.Contains(out, "journal of Redoubt") {
		t.Error(out, code)
	}
}
