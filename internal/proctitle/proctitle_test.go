package proctitle

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// helper is set in the environment of the process whose title is tried out.
const helper = "PROCTITLE_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helper) != "" {
		tryTitles()
		return
	}
	os.Exit(m.Run())
}

// tryTitles takes each line of its input as the title, and answers it with its
// arguments and an entry of its environment.
func tryTitles() {
	title := Own()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		title.Set(in.Text())
		fmt.Println(strings.Join(os.Args, " "), os.Getenv(helper))
	}
}

func TestPsShowsTheTitle(t *testing.T) {
	cmd := exec.Command(os.Args[0], "first", "second")
	cmd.Env = append(os.Environ(), helper+"="+strings.Repeat("long ", 100))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	answers := bufio.NewScanner(out)
	room := len(strings.Join(cmd.Args, " "))
	for _, title := range []string{"short", strings.Repeat("x", room), "longer than the arguments, " + strings.Repeat("y", room), "again"} {
		fmt.Fprintln(in, title)
		if !answers.Scan() {
			t.Fatal("the process has ended: ", answers.Err())
		}
		if want := strings.Join(cmd.Args, " ") + " " + strings.Repeat("long ", 100); answers.Text() != want {
			t.Errorf("after %q the process has %q", title, answers.Text())
		}
		shown, err := os.ReadFile("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		want := title
		if sharedEnvironment {
			want = title[:min(len(title), room)]
		}
		if got := strings.TrimRight(string(shown), "\x00"); got != want {
			t.Errorf("the title is %q, want %q", got, want)
		}
	}
}

func TestAreaOfTheTitle(t *testing.T) {
	stat := func(argStart, argEnd, envStart, envEnd int) []byte {
		return fmt.Appendf(nil, "7 (a b) c)%s %d %d %d %d 0", strings.Repeat(" 1", statArgStart), argStart, argEnd, envStart, envEnd)
	}
	all := uint64(30)
	if sharedEnvironment {
		all = 10
	}
	for _, c := range []struct {
		name  string
		stat  []byte
		start uint64
		want  uint64
	}{
		{"arguments and environment", stat(100, 110, 110, 130), 100, all},
		{"something between them", stat(100, 110, 112, 130), 100, 10},
		{"no environment", stat(100, 110, 110, 110), 100, 10},
		{"arguments that are elsewhere", stat(100, 110, 110, 130), 101, 0},
		{"no arguments", stat(100, 100, 100, 130), 100, 0},
		{"an old kernel", []byte("7 (a) S 1 2 3"), 100, 0},
		{"nothing", nil, 100, 0},
	} {
		if got := areaSize(c.stat, c.start); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}

func TestATitleThatCannotBeChanged(t *testing.T) { (&Title{}).Set("anything") }
