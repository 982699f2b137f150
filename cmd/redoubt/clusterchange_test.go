package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/clustertool"
)

// The command that restarts a node is run to its end; what it leaves behind is not
// waited for.
func TestTheCommandThatRestartsANode(t *testing.T) {
	node := clustertool.Node{ID: "0123", Host: "127.0.0.1", Port: 7000}
	for _, tc := range []struct {
		name, template, printed, fails string
		limit                          time.Duration
	}{
		{"one that succeeds", "echo restarted {addr}", "+ echo restarted 127.0.0.1:7000\nrestarted 127.0.0.1:7000\n", "", time.Minute},
		{"one that fails", "echo {port} >&2; exit 3", "7000\n", "exit status 3", time.Minute},
		{"one that starts the node in the background", "echo {port}; sleep 60 &", "7000\n", "", time.Minute},
		{"one that does not end", "echo {port}; sleep 60", "7000\n", "did not end within 500ms", 500 * time.Millisecond},
		{"one that names no node", "systemctl restart redoubt", "", "names no node", time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			began := time.Now()
			err := restartBy(&out, tc.template, node, tc.limit)
			if !strings.Contains(out.String(), tc.printed) {
				t.Errorf("printed %q", out.String())
			}
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("error %v, want %q", err, tc.fails)
			}
			if took := time.Since(began); took > 30*time.Second {
				t.Errorf("that took %v", took)
			}
		})
	}
}

// What help says of cluster is what there is: its commands, and the statuses with which
// they end.
func TestHelpOfCluster(t *testing.T) {
	out, err := run(t, "", "help", "cluster")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"create", "status", "check", "info", "call", "add-node", "del-node", "reshard", "rebalance", "fix", "failover", "upgrade"} {
		if !strings.Contains(out, "\n  "+want+" ") {
			t.Errorf("%s is missing:\n%s", want, out)
		}
	}
	if !strings.Contains(out, "130 if it was interrupted") {
		t.Errorf("the exit statuses are missing:\n%s", out)
	}
	for _, command := range []string{"create", "add-node", "del-node", "reshard", "rebalance", "fix", "failover", "upgrade"} {
		if out, err := run(t, "", "help", "cluster", command); err != nil || !strings.Contains(out, "--plan ") || !strings.Contains(out, "--cluster-yes ") {
			t.Errorf("%s has no --plan: %v\n%s", command, err, out)
		}
	}
}
