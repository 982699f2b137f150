package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/slots"
)

const (
	// nodeTimeout is cluster-node-timeout where a failover is wanted, and
	// patience where one would spoil the test.
	nodeTimeout = 2 * time.Second
	patience    = 20 * time.Second
	// settle is how long a cluster may take to agree after a change. It is
	// generous: the machine may be busy with something else.
	settle = 60 * time.Second
	// toolTimeout bounds one run of a command line tool.
	toolTimeout = 90 * time.Second
)

// control says that real redis-server nodes stand in for ours.
func control() bool { return os.Getenv("INTEROP_CONTROL") == "1" }

// ours is the kind of the nodes under test.
func ours() redistest.Kind {
	if control() {
		return redistest.Redis
	}
	return redistest.Redoubt
}

// oursOnly skips a test of what Redis does not promise.
func oursOnly(t *testing.T) {
	t.Helper()
	if control() {
		t.Skip("Redis does not promise this")
	}
}

// quick are options that spare the nodes waits and files that no test here
// reads, and let DEBUG DIGEST compare them.
var quick = []string{"--repl-diskless-sync-delay", "0", "--save", "", "--enable-debug-command", "yes"}

// start runs one node and looks for a panic in its log in the end.
func start(t *testing.T, kind redistest.Kind, args ...string) *redistest.Server {
	t.Helper()
	s := redistest.Start(t, kind, slices.Concat(quick, args)...)
	noPanic(t, s)
	return s
}

// startCluster makes a cluster of three primaries with a replica each. Without
// kinds all nodes are ours.
func startCluster(t *testing.T, timeout time.Duration, kinds []redistest.Kind, args ...string) *redistest.Cluster {
	t.Helper()
	if kinds == nil {
		kinds = []redistest.Kind{ours()}
	}
	c := redistest.StartCluster(t, redistest.ClusterConfig{
		Primaries: 3, Replicas: 1, Kinds: kinds, NodeTimeout: timeout, Args: slices.Concat(quick, args),
	})
	for _, s := range c.Nodes {
		noPanic(t, s)
	}
	agree(t, c)
	return c
}

// noPanic fails the test in the end if the log of a server tells of a panic.
func noPanic(t *testing.T, s *redistest.Server) {
	t.Cleanup(func() {
		if at := redistest.Panicked(s.Log()); at != "" {
			t.Errorf("the log of the node on port %d has %q", s.Port, at)
		}
	})
}

// run runs a program to its end and returns what it printed on both outputs.
func run(t *testing.T, stdin string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), toolTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	return out.String(), err
}

// mustRun fails the test if the program fails.
func mustRun(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	out, err := run(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// manage runs redis-cli --cluster.
func manage(t *testing.T, args ...string) string {
	t.Helper()
	return mustRun(t, "", redistest.Tool(t, "redis-cli"), append([]string{"--cluster"}, args...)...)
}

// wantText fails the test unless each of the texts is in out.
func wantText(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("the output has no %q:\n%s", text, out)
		}
	}
}

// A member is a line of CLUSTER NODES.
type member struct {
	id, addr string
	flags    []string // without myself
	primary  string   // "-" for a primary
	epoch    string
	slots    string // without open ones
}

func (m member) has(flag string) bool { return slices.Contains(m.flags, flag) }

// first is a slot that the member owns.
func (m member) first(t *testing.T) slots.Slot {
	t.Helper()
	digits := strings.FieldsFunc(m.slots, func(r rune) bool { return r == '-' || r == ' ' })
	if len(digits) == 0 {
		t.Fatalf("node %s has no slots", m.addr)
	}
	n, err := strconv.ParseUint(digits[0], 10, 14)
	if err != nil {
		t.Fatal(err)
	}
	return slots.Slot(n)
}

// members is CLUSTER NODES as one node tells it, by address; itself under "".
func members(t *testing.T, s *redistest.Server) map[string]member {
	t.Helper()
	all := map[string]member{}
	text, _ := s.Do("CLUSTER", "NODES").(string)
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 8 {
			t.Fatalf("CLUSTER NODES of port %d has the line %q", s.Port, line)
		}
		addr, _, _ := strings.Cut(f[1], "@")
		m := member{id: f[0], addr: addr, flags: strings.Split(f[2], ","), primary: f[3], epoch: f[6]}
		mine := m.has("myself")
		m.flags = slices.DeleteFunc(m.flags, func(f string) bool { return f == "myself" })
		f = slices.DeleteFunc(f[8:], func(s string) bool { return strings.HasPrefix(s, "[") })
		m.slots = strings.Join(f, " ")
		all[addr] = m
		if mine {
			all[""] = m
		}
	}
	return all
}

// myself is what a node tells of itself.
func myself(t *testing.T, s *redistest.Server) member {
	t.Helper()
	return members(t, s)[""]
}

// agree waits until all nodes that run tell the same of all nodes.
func agree(t *testing.T, c *redistest.Cluster) {
	t.Helper()
	redistest.Until(t, settle, "CLUSTER NODES is the same on all nodes", func() error {
		told, by := "", 0
		for _, s := range c.Nodes {
			if !s.Running() {
				continue
			}
			var lines []string
			for at, m := range members(t, s) {
				if at != "" {
					lines = append(lines, fmt.Sprint(m))
				}
			}
			slices.Sort(lines)
			text := strings.Join(lines, "\n")
			if told == "" {
				told, by = text, s.Port
			}
			if text != told {
				return fmt.Errorf("port %d says\n%s\nport %d says\n%s", by, told, s.Port, text)
			}
		}
		return nil
	})
}

// nodeAt is the server of an address.
func nodeAt(t *testing.T, c *redistest.Cluster, addr string) *redistest.Server {
	t.Helper()
	for _, s := range c.Nodes {
		if s.Addr() == addr {
			return s
		}
	}
	t.Fatalf("no server at %s", addr)
	return nil
}

// replicaOf is the first replica of a primary, as the primary tells it.
func replicaOf(t *testing.T, c *redistest.Cluster, s *redistest.Server) *redistest.Server {
	t.Helper()
	all := members(t, s)
	for at, m := range all {
		if at != "" && m.primary == all[""].id && !m.has("fail") {
			return nodeAt(t, c, at)
		}
	}
	t.Fatalf("port %d has no replica", s.Port)
	return nil
}

// primaries are the nodes that say that they own slots.
func primaries(t *testing.T, c *redistest.Cluster) (ps []*redistest.Server) {
	t.Helper()
	for _, s := range c.Nodes {
		if s.Running() && myself(t, s).slots != "" {
			ps = append(ps, s)
		}
	}
	return ps
}

// keyIn returns a key of a slot that begins with a prefix.
func keyIn(slot slots.Slot, prefix string) string {
	for i := 0; ; i++ {
		if key := prefix + strconv.Itoa(i); slots.Of([]byte(key)) == slot {
			return key
		}
	}
}

// untilWritten waits until a server takes a write to a key and returns how
// long that was.
func untilWritten(t *testing.T, s *redistest.Server, key string, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	c := s.Client()
	redistest.Until(t, within, fmt.Sprintf("port %d takes a write", s.Port), func() error {
		_, err := c.Do("SET", key, "written")
		return err
	})
	return time.Since(began)
}

// untilLinked waits until a replica is in step with a primary, to the byte.
func untilLinked(t *testing.T, replica, primary *redistest.Server) {
	t.Helper()
	untilLinkedAt(t, replica, primary, primary.Port)
}

// untilLinkedAt is untilLinked where the replica knows the primary by another port.
func untilLinkedAt(t *testing.T, replica, primary *redistest.Server, port int) {
	t.Helper()
	redistest.Until(t, settle, fmt.Sprintf("port %d is in step with port %d", replica.Port, primary.Port), func() error {
		if up := replica.Info("master_link_status"); up != "up" || replica.Info("master_port") != strconv.Itoa(port) {
			return fmt.Errorf("master_link_status is %q", up)
		}
		has, want := replica.Info("slave_repl_offset"), primary.Info("master_repl_offset")
		if has != want {
			return fmt.Errorf("it is at %s, the primary at %s", has, want)
		}
		return nil
	})
}

// counter is a number of INFO.
func counter(t *testing.T, s *redistest.Server, field string) int {
	t.Helper()
	n, err := strconv.Atoi(s.Info(field))
	if err != nil {
		t.Fatalf("%s of port %d: %v", field, s.Port, err)
	}
	return n
}

// lacking skips a test that the machine cannot run, and says what it needs. In
// CI that is a failure: what is skipped there is checked nowhere.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
