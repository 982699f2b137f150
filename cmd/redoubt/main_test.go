package main

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/config"
	"redoubt/internal/logging"
	"redoubt/internal/proctitle"
)

// run executes a command line and returns what it printed on stdout.
func run(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	root := newRoot(&proctitle.Title{})
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestVerdictCommand(t *testing.T) {
	const rep = `{"writes":{"ok":9},"shards":[{"number":1,"primary":"10.0.0.1:6379"}],
		"lost":[{"key":"k","value":"v","acked_at":"2026-01-02T12:00:00Z","shard":1}]}`
	for _, tc := range []struct {
		name, stdin string
		args        []string
		want        string // in the output
		fails       string // in the error
	}{
		{"a loss at the fault is excused", rep, []string{"--fault", "10.0.0.1@2026-01-02T12:00:00.5Z"}, "VERDICT: good: 1 lost", ""},
		{"a loss without a fault exits with 1", rep, nil, "VERDICT: guilty", errSilent.Error()},
		{"the node timeout widens the window", rep, []string{"--node-timeout", "1h", "--fault", "10.0.0.1@2026-01-02T11:00:00Z"}, "VERDICT: good", ""},
		{"a fault without a time", rep, []string{"--fault", "10.0.0.1"}, "", "is not NODE@TIME"},
		{"a fault with a bad time", rep, []string{"--fault", "10.0.0.1@noon"}, "", "cannot parse"},
		{"a report that is none", "oops", nil, "", "report -"},
		{"a report that is not there", "", []string{"--report", "/nonexistent"}, "", "no such file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := run(t, tc.stdin, append([]string{"check", "verdict"}, tc.args...)...)
			if !strings.Contains(out, tc.want) {
				t.Errorf("printed:\n%s", out)
			}
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("error %v, want %q", err, tc.fails)
			}
		})
	}
}

// Whoever names a certificate wants TLS: the tools do not go on in plain text.
func TestFlagsOfTLS(t *testing.T) {
	for _, args := range [][]string{{"health"}, {"check"}, {"cluster", "check", "127.0.0.1:1"}} {
		for _, tc := range []struct {
			flags []string
			want  string // in the error
		}{
			{[]string{"--cacert", "ca.crt"}, "need --tls"},
			{[]string{"--insecure"}, "need --tls"},
			{[]string{"--tls-ciphers", "DEFAULT"}, "need --tls"},
			{[]string{"--tls", "--cacert", "/nowhere/ca.crt"}, "--cacert '/nowhere/ca.crt'"},
			{[]string{"--tls", "--cert", "/nowhere/node.crt"}, "No --key"},
		} {
			if _, err := run(t, "", slices.Concat(args, tc.flags)...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v %v: %v, want %q", args, tc.flags, err, tc.want)
			}
		}
	}
}

func TestHealthCommand(t *testing.T) {
	for _, tc := range []struct {
		name, reply string
		healthy     bool
	}{
		{"a node that answers", "+PONG\r\n", true},
		{"a node that wants a password", "-NOAUTH Authentication required.\r\n", true},
		{"a node that loads its data", "-LOADING Redis is loading the dataset in memory\r\n", true},
		{"a node that refuses", "-DENIED no\r\n", false},
		{"a node that hangs up", "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				bufio.NewReader(c).ReadString('G') // PING arrives
				c.Write([]byte(tc.reply))
			}()
			_, port, _ := net.SplitHostPort(l.Addr().String())
			if _, err := run(t, "", "health", "--port", port); tc.healthy != (err == nil) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestServerLinesThatStartNoNode: under Redis's name, too.
func TestServerLinesThatStartNoNode(t *testing.T) {
	for _, tc := range []struct{ args, want, fails string }{
		{"-v", "Redis server v=7.", ""},
		{"--version", "Redis server v=7.", ""},
		{"-h", "Usage:", ""},
		{"--help", "--check-system", ""},
		{"--check-system", "nothing to check", ""},
		{"--test-memory 100", "", "no test of the memory"},
	} {
		var out bytes.Buffer
		done, err := answer(&out, strings.Fields(tc.args), false)
		if !done || !strings.Contains(out.String(), tc.want) || (err == nil) != (tc.fails == "") || err != nil && !strings.Contains(err.Error(), tc.fails) {
			t.Errorf("%s: done %v, error %v, printed %q", tc.args, done, err, out.String())
		}
	}
	for _, args := range [][]string{nil, {"redis.conf"}, {"--port", "1", "--version"}, {"-"}, {"sentinel.conf", "--sentinel"}} {
		if done, err := answer(&bytes.Buffer{}, args, false); done || err != nil {
			t.Errorf("%q starts no node: %v", args, err)
		}
	}
}

// Suites and scripts look for the log of "--dir D --logfile log" in D.
func TestARelativeLogFileIsInDir(t *testing.T) {
	t.Chdir(t.TempDir())
	dir := t.TempDir()
	settings, err := config.Load(config.Source{Args: []string{"--logfile", "node.log", "--dir", dir}})
	if err != nil {
		t.Fatal(err)
	}
	log, err := openLog(settings.Current())
	if err != nil {
		t.Fatal(err)
	}
	defer log.(*logging.File).Close()
	if _, err := os.Stat(filepath.Join(dir, "node.log")); err != nil {
		t.Error(err)
	}
}

// A daemon whose log cannot be opened has nowhere to say so: the process that would
// start it does.
func TestADaemonWithoutItsLogIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := run(t, "", "server", "--daemonize", "yes", "--port", "0", "--dir", dir, "--logfile", "none/node.log")
	if err == nil || !strings.Contains(err.Error(), "can't open the log file: open "+filepath.Join(dir, "none/node.log")) {
		t.Errorf("error %v", err)
	}
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"cluster create", "requires at least 1 arg"},
		{"cluster create 127.0.0.1:1", errSilent.Error()},
		{"cluster create 127.0.0.1:1 127.0.0.1:2 --cluster-replicas -1", "must not be negative"},
		{"cluster create 127.0.0.1:1 127.0.0.1:2 --if-none", "needs --cluster-yes"},
		{"cluster call 127.0.0.1:1", "requires at least 2 arg"},
		{"cluster call 127.0.0.1:1 ping --cluster-only-masters --cluster-only-replicas", "none of the others can be"},
		{"cluster import 127.0.0.1:1", "unknown command \"import\" for \"redoubt cluster\". It is not built here; redis-cli --cluster import works on these nodes"},
		{"cluster create 127.0.0.1:1 127.0.0.1:2 --if-none --cluster-yes --plan", "and no --plan"},
		{"cluster add-node 127.0.0.1:1", "accepts between 2 and 3 arg"},
		{"cluster add-node 127.0.0.1:1 127.0.0.1:1", errSilent.Error()},
		{"cluster add-node 127.0.0.1:1 127.0.0.1:1 --cluster-master-id x", "needs --cluster-replica"},
		{"cluster del-node 127.0.0.1:1", "accepts between 2 and 3 arg"},
		{"cluster del-node 127.0.0.1:1 x", errSilent.Error()},
		{"cluster reshard 127.0.0.1:1", errSilent.Error()},
		{"cluster reshard 127.0.0.1:1 --cluster-slots -1", "must not be negative"},
		{"cluster reshard 127.0.0.1:1 --cluster-pipeline 0", "must be greater than 0"},
		{"cluster reshard 127.0.0.1:1 --cluster-timeout 0", "must be greater than 0"},
		{"cluster rebalance a=1", "a cluster is named by host:port"},
		{"cluster rebalance 127.0.0.1:1 --cluster-weight a=1 b=2", errSilent.Error()},
		{"cluster rebalance 127.0.0.1:1 --cluster-threshold -1", "must not be negative"},
		{"cluster fix 127.0.0.1 1", errSilent.Error()},
		{"cluster failover 127.0.0.1:1", errSilent.Error()},
		{"cluster failover 127.0.0.1:1 --force --takeover", "none of the others can be"},
		{"cluster upgrade 127.0.0.1:1", "--restart COMMAND or --lab DIR"},
		{"cluster upgrade 127.0.0.1:1 --lab x --restart {port}", "none of the others can be"},
		{"cluster upgrade 127.0.0.1:1 --lab x --since noon", "--since: "},
		{"cluster upgrade 127.0.0.1:1 --lab x", errSilent.Error()},
		{"cluster nonsense", "unknown command"},
		{"cluster status 127.0.0.1:1", "exit status 2"},
		{"cluster check 127.0.0.1:1", errSilent.Error()},
		{"check --nodes 127.0.0.1:1 --duration 1s", "no node of the cluster answers"},
		{"check --sentinel 127.0.0.1:1", "is not name@host:port"},
		{"check --sentinel m@127.0.0.1", "has no port"},
		{"check --sentinel m@127.0.0.1:1 --nodes 127.0.0.1:1", "none of the others can be"},
		{"check --sentinel m@127.0.0.1:1 --no-cluster", "none of the others can be"},
		{"check --sentinel m@127.0.0.1:1,127.0.0.1:2", "no node of the cluster answers: 127.0.0.1:1: dial 127.0.0.1:1"},
		{"lab kill", "accepts 1 arg"},
		{"lab --dir /nonexistent/lab --nodes 0", "--nodes 0: it must be greater than 0"},
		{"lab --dir /nonexistent/lab --nodes -6", "--nodes -6: it must be greater than 0"},
		{"lab --dir /nonexistent/lab --port 0", "--port 0: it must be greater than 0"},
		{"lab --dir /nonexistent/lab --node-timeout 0s", "--node-timeout 0s: it must be greater than 0"},
		{"lab --dir /nonexistent/lab --replicas -1", "must not be negative"},
		{"lab status --dir /nonexistent/lab", "there is no lab in /nonexistent/lab"},
		{"lab remove --dir /nonexistent/lab", "there is no lab in /nonexistent/lab"},
		{"version of", "unknown command"},
		{"lab nonsense", "unknown command"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			_, err := run(t, "", strings.Fields(tc.args)...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
	if _, err := run(t, "", "cluster", "info", "127.0.0.1", "1"); !errors.Is(err, errSilent) {
		t.Errorf("host and port as two arguments: %v", err)
	}
}

// The names of Redis's tools for files lead to ours.
func TestProgramNamesOfFileTools(t *testing.T) {
	for name, want := range map[string]bool{
		"/usr/bin/redis-check-aof": true, "valkey-check-rdb": true, "redoubt-check-aof": true, "redoubt": false, "redis-server": false,
	} {
		if got := fileToolOf(name) != nil; got != want {
			t.Errorf("%s is a tool for files: %v", name, got)
		}
	}
}

// The names of Redis's programs lead to the server and to the Sentinel.
func TestProgramNames(t *testing.T) {
	for name, want := range map[string]struct{ server, sentinel bool }{
		"/usr/bin/redis-server":   {server: true},
		"valkey-server":           {server: true},
		"/usr/bin/redis-sentinel": {sentinel: true},
		"valkey-sentinel":         {sentinel: true},
		"redoubt-sentinel":        {sentinel: true},
		"redoubt":                 {},
	} {
		if server, sentinel := serverName(name), sentinelName(name); server != want.server || sentinel != want.sentinel {
			t.Errorf("%s is a server: %v, a Sentinel: %v", name, server, sentinel)
		}
	}
}

// A Sentinel without a file of its own, or with a line that says nothing, does not
// start; a node does not take the file of a Sentinel.
func TestSentinelStartsThatAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(file, []byte("sentinel monitor m 127.0.0.1 7000\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"sentinel"}, {"sentinel", "--port", "0"}, {"sentinel", file}, {"server", file, "--sentinel"}, {"server", file}} {
		if _, err := run(t, "", args...); !errors.Is(err, errSilent) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
