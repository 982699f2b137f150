package interop

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// The pages whose shell blocks are run, as a reader would, one after the other in one
// shell. In these pages a fenced block is
//
//	```sh            commands; none may fail
//	```console       commands behind "$ ", each with what it prints below. "…" stands for
//	                 any text, a line "…" for any lines
//	```conf NAME     the file NAME, which is written
//	```text          something else
//
// and a comment <!-- sh … --> is a block that the reader does not see: it makes what the
// page takes for granted, and waits for what a person would have waited for.
//
// Each page has a network of its own, in which only its processes live: it may use the
// ports and addresses that it names.
var pages = []string{"cluster.md", "migration.md", "security.md", "sentinel.md"}

// pageLimit bounds a page.
const pageLimit = 4 * time.Minute

func TestShellBlocksOfThePages(t *testing.T) {
	oursOnly(t)
	for _, name := range pages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("..", "docs", name))
			if err != nil {
				t.Fatal(err)
			}
			steps, err := parsePage(string(text))
			if err != nil {
				t.Fatal(err)
			}
			redistest.Tool(t, "redis-cli")
			needNamespaces(t)
			runPage(t, steps)
		})
	}
}

// needNamespaces skips the test where networks of its own cannot be made.
func needNamespaces(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("unshare", "-n", "-p", "-f", "--mount-proc", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		lacking(t, "needs root, util-linux and iproute2: %v %s", err, out)
	}
}

// pageStep is a block of a page, or one command of a console.
type pageStep struct {
	line    int // in the page
	file    string
	text    string // the commands, or what is in the file
	console bool
	want    string
}

// shellLine looks like something that should be run.
var shellLine = regexp.MustCompile(`^\s*(\$ |redis-cli |redoubt |redis-server |systemctl )`)

// parsePage returns what is to be done for a page, in order.
func parsePage(text string) (steps []pageStep, err error) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		first := i
		words := strings.Fields(lines[i])
		text := strings.TrimLeft(lines[i], " ")
		indent := lines[i][:len(lines[i])-len(text)] // of a block in a list
		var end string
		switch {
		case strings.HasPrefix(text, "<!-- sh"):
			words, end = []string{"```sh"}, indent+"-->"
		case strings.HasPrefix(text, "```"):
			end = indent + "```"
		case strings.HasPrefix(lines[i], "    ") && shellLine.MatchString(lines[i]):
			return nil, fmt.Errorf("line %d: a shell block is fenced and has a language", i+1)
		default:
			continue
		}
		for i++; i < len(lines) && lines[i] != end; i++ {
		}
		if i == len(lines) {
			return nil, fmt.Errorf("line %d: a block without an end", first+1)
		}
		block := slices.Clone(lines[first+1 : i])
		for j := range block {
			block[j] = strings.TrimPrefix(block[j], indent)
		}
		switch words[0] {
		case "```sh":
			steps = append(steps, pageStep{line: first + 1, text: strings.Join(block, "\n")})
		case "```console":
			steps = append(steps, consoleSteps(block, first+2)...)
		case "```conf":
			if len(words) == 2 {
				steps = append(steps, pageStep{line: first + 1, file: words[1], text: strings.Join(block, "\n") + "\n"})
			}
		case "```text":
		default:
			return nil, fmt.Errorf("line %d: a block of no known language: sh, console, conf or text", first+1)
		}
	}
	return steps, nil
}

// consoleSteps takes the commands of a console apart. line is that of the first one.
func consoleSteps(block []string, line int) (steps []pageStep) {
	for i := 0; i < len(block); i++ {
		command, found := strings.CutPrefix(block[i], "$ ")
		if !found {
			steps[len(steps)-1].want += block[i] + "\n"
			continue
		}
		steps = append(steps, pageStep{line: line + i, console: true})
		for ; strings.HasSuffix(command, `\`) && i+1 < len(block); i++ {
			command += "\n" + block[i+1]
		}
		steps[len(steps)-1].text = command
	}
	return steps
}

// script is what a shell does for the steps. Before and after each it prints a mark.
func script(steps []pageStep) string {
	var b strings.Builder
	b.WriteString("exec 2>&1\nip link set lo up\nunset REDISCLI_AUTH\n")
	for i, s := range steps {
		fmt.Fprintf(&b, "printf '\\n%s %d\\n'\n", mark, i)
		switch {
		case s.file != "":
			fmt.Fprintf(&b, "cat >%s <<'%s'\n%s%s\n", s.file, mark, s.text, mark)
		case s.console:
			// redis-cli then prints as on a terminal.
			fmt.Fprintf(&b, "export FAKETTY=1\n%s\nunset FAKETTY\n", s.text)
		default:
			fmt.Fprintf(&b, "set -e\n%s\nset +e\n", s.text)
		}
	}
	fmt.Fprintf(&b, "printf '\\n%s %d\\n'\n", mark, len(steps))
	return b.String()
}

const mark = "@@step"

func runPage(t *testing.T, steps []pageStep) {
	dir, bin := t.TempDir(), t.TempDir()
	for _, name := range []string{"redoubt", "redoubt-sentinel"} {
		if err := os.Symlink(redistest.Binary(t), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(bin, "page.sh")
	if err := os.WriteFile(file, []byte(script(steps)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), pageLimit)
	defer cancel()
	// With the shell, which is the first of its processes, all others end.
	cmd := exec.CommandContext(ctx, "unshare", "-n", "-p", "-f", "--kill-child", "--mount-proc", "bash", file)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+dir, "LC_ALL=C.UTF-8")
	out, err := os.Create(filepath.Join(bin, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout = out // a file: what stays in the background keeps it open
	err = cmd.Run()
	text, readErr := os.ReadFile(out.Name())
	if readErr != nil {
		t.Fatal(readErr)
	}
	parts := bytes.Split(text, []byte("\n"+mark+" "))
	if err != nil || len(parts) != len(steps)+2 {
		showLogs(t, dir)
		at := steps[max(0, min(len(parts)-2, len(steps)-1))]
		t.Fatalf("line %d: %v\n%s\nprinted\n%s", at.line, err, at.text, lastOf(parts[len(parts)-1]))
	}
	for i, s := range steps {
		_, got, _ := strings.Cut(string(parts[i+1]), "\n")
		if s.console && !printedAs(got, s.want) {
			t.Errorf("line %d: %s\nprinted\n%s\nand not\n%s", s.line, s.text, got, s.want)
		}
	}
}

// showLogs logs the ends of all logs in a directory.
func showLogs(t *testing.T, dir string) {
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".log") {
			if text, err := os.ReadFile(path); err == nil {
				t.Logf("%s:\n%s", path, lastOf(text))
			}
		}
		return nil
	})
}

// lastOf is the end of what was printed.
func lastOf(p []byte) []byte { return p[max(0, len(p)-2000):] }

// printedAs compares what a command printed with what a page says it prints.
func printedAs(got, want string) bool {
	var b strings.Builder
	b.WriteString(`^`)
	for line := range strings.Lines(want) {
		line = strings.TrimSpace(line)
		if line == "…" {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		b.WriteString(`\s*` + strings.ReplaceAll(regexp.QuoteMeta(line), "…", `.*`) + `\s*\n`)
	}
	b.WriteString(`\s*$`)
	got = colours.ReplaceAllString(got, "")
	return regexp.MustCompile(b.String()).MatchString(strings.TrimSpace(got) + "\n")
}

var colours = regexp.MustCompile(`\x1b\[[0-9;]*m`)

func TestWhatAPageIsComparedWith(t *testing.T) {
	for _, tc := range []struct {
		got, want string
		same      bool
	}{
		{"OK\n", "OK\n", true},
		{"OK\n", "QUEUED\n", false},
		{"a 17 b\n", "a … b\n", true},
		{"a\nb\nc\n", "a\n…\nc\n", true},
		{"a\nc\n", "a\n…\nc\n", true},
		{"a\nb\n", "a\n…\nc\n", false},
		{"", "", true},
		{"(error) ERR\n", "", false},
	} {
		if printedAs(tc.got, tc.want) != tc.same {
			t.Errorf("%q and %q: want %v", tc.got, tc.want, tc.same)
		}
	}
	for _, bad := range []string{"    redis-cli ping", "```\nx\n```", "```sh\nx"} {
		if _, err := parsePage(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
