package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"redoubt/internal/redistest"
	"redoubt/internal/tools/lab"
)

func TestVersion(t *testing.T) {
	out, err := run(t, "", "version")
	if err != nil || !strings.HasPrefix(out, "redoubt ") || !strings.Contains(out, "\ncompatible with Redis 7.2.") {
		t.Errorf("printed %q, %v", out, err)
	}
}

// What a shell asks when somebody presses the tab key.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	l, err := lab.Create(dir, lab.Config{Port: 20000}, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // whose lock does not matter
	for _, tc := range []struct {
		args []string
		want []string // lines, among others
		not  string   // in no line
	}{
		{[]string{"server", "--appendf"}, []string{"--appendfsync\twhen the journal is forced to disk"}, "--port"},
		{[]string{"server", "redis.conf", "--port", "1", "--cluster-en"}, []string{"--cluster-enabled"}, "--port"},
		{[]string{"server", "--appendfsync", ""}, []string{"everysec", "always", "no"}, "--"},
		{[]string{"server", "--cluster-enabled", ""}, []string{"yes", "no"}, "--"},
		{[]string{"server", "--port", ""}, nil, "yes"},
		{[]string{"server", "re"}, []string{":0"}, "--"}, // a file
		{[]string{"sentinel", "sentinel.conf", "--logf"}, []string{"--logfile"}, "--port"},
		{[]string{"lab", "start", "--dir", dir, ""}, []string{"1\t127.0.0.1:20000", "6\t127.0.0.1:20005"}, "20006"},
		{[]string{"lab", "start", "--dir", dir, "1", ""}, nil, "127.0.0.1"},
		{[]string{"lab", "kill", "--dir", dir, ""}, nil, "127.0.0.1"}, // none runs
		{[]string{"lab", "kill", "--dir", dir + "/none", ""}, nil, "127.0.0.1"},
		{[]string{"lab", "restart", "--dir", dir, ""}, nil, "127.0.0.1"}, // none runs
		{[]string{"cluster", "re"}, []string{"reshard\tMove slots with their keys", "rebalance\t"}, "create"},
		{[]string{"cluster", "reshard", "127.0.0.1:1", "--cluster-f"}, []string{"--cluster-from\t"}, "--cluster-to"},
		{[]string{"cluster", "reshard", "127.0.0.1:1", "--cluster-to", ""}, []string{":4"}, "127.0.0.1"}, // nobody answers
		{[]string{"cluster", "failover", ""}, []string{":4"}, "README"},                                  // no files
		{[]string{"cluster", "st"}, []string{"status\tPrint every node with its role, slots and lag, and all that is wrong"}, "create"},
	} {
		out, err := run(t, "", append([]string{"__complete"}, tc.args...)...)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tc.want {
			if !strings.Contains("\n"+out, "\n"+want) {
				t.Errorf("%q: %q is not offered:\n%s", tc.args, want, out)
			}
		}
		if strings.Contains(out, tc.not) {
			t.Errorf("%q: %q is offered:\n%s", tc.args, tc.not, out)
		}
	}
	for _, shell := range []string{"bash", "zsh"} {
		if out, err := run(t, "", "completion", shell); err != nil || !strings.Contains(out, "completion for redoubt") && !strings.Contains(out, "compdef _redoubt redoubt") && !strings.Contains(out, "completion V2 for redoubt") {
			t.Errorf("%s: %v, %.100s", shell, err, out)
		}
	}
}

// A real bash, without the package bash-completion, offers what the program names.
func TestBashCompletes(t *testing.T) {
	bash := redistest.Tool(t, "bash")
	bin := t.TempDir()
	if err := os.Symlink(redistest.Binary(t), filepath.Join(bin, "redoubt")); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ line, want string }{
		{"redoubt clus", "cluster"},
		{"redoubt lab st", "start status stop"},
		{"redoubt server --appendfs", "--appendfsync"},
		{"redoubt server --appendfsync ", "everysec always no"},
		{"redoubt server --port 7000 --cluster-enabled ", "yes no"},
	} {
		script := fmt.Sprintf(`source <(redoubt completion bash)
COMP_LINE=%q COMP_POINT=%d COMP_TYPE=9 COMP_WORDS=(%s) COMP_CWORD=1
__start_redoubt
for word in "${COMPREPLY[@]}"; do echo "${word%%%% *}"; done`, tc.line, len(tc.line), tc.line)
		cmd := exec.Command(bash, "--norc", "--noprofile", "-c", script)
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		out, err := cmd.Output()
		if err != nil || strings.Join(strings.Fields(string(out)), " ") != tc.want {
			t.Errorf("%q: %q, %v, want %q", tc.line, out, err, tc.want)
		}
	}
}
