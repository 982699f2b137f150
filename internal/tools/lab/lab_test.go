package lab_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/lab"
	"redoubt/internal/tools/toolstest"
)

const limit = time.Minute

// open makes a lab of real redis-servers, without starting any.
func open(t *testing.T, dir, bin string, port int) *lab.Lab {
	t.Helper()
	l, err := lab.Create(dir, lab.Config{Port: port, ServerBin: bin, NodeTimeout: 500 * time.Millisecond}, limit)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// rows returns the table of Status, one row of fields a node, without what is said below it.
func rows(t *testing.T, l *lab.Lab) [][]string {
	t.Helper()
	var out bytes.Buffer
	if err := l.Status(&out); err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n")[1:] {
		if line[0] < '0' || line[0] > '9' {
			break
		}
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

// The columns of Status that the tests read.
const (
	pid     = 2
	role    = 3
	primary = 5
	link    = 7
)

// TestLifeOfALab goes through what a newcomer does.
func TestLifeOfALab(t *testing.T) {
	bin := toolstest.Server(t)
	dir := t.TempDir()
	port := toolstest.Ports(t, 6)
	l := open(t, dir, bin, port)
	defer l.Close()
	defer l.Stop(&bytes.Buffer{})
	// say runs an operation that must succeed and print something like want.
	say := func(want string, f func(out *bytes.Buffer) error) {
		t.Helper()
		var out bytes.Buffer
		if err := f(&out); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Fatalf("printed %q, want %q", out.String(), want)
		}
	}
	say("starting 6 of 6 nodes\nmaking the cluster", func(out *bytes.Buffer) error { return l.Up(out) })
	table := rows(t, l)
	for i, r := range table {
		want := "primary"
		if i >= 3 {
			want = "replica"
			if r[link] != "up" {
				t.Errorf("replica %d has link %s", i+1, r[link])
			}
		}
		if r[role] != want {
			t.Errorf("node %d is a %s, want %s", i+1, r[role], want)
		}
	}
	addr := func(i int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port+i)) }
	c, err := client.NewCluster([]string{addr(5)}, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := c.NewSession()
	defer s.Close()
	const foo = 12182 // the slot of foo, which the third node owns
	if _, err := s.Do(foo, "SET", "foo", "bar"); err != nil {
		t.Fatal(err)
	}

	say("^$", func(out *bytes.Buffer) error { return l.Up(out) }) // all is as wanted
	// status waits until the status, which another command may ask for meanwhile, says it.
	status := func(want string) {
		t.Helper()
		err := client.Wait(limit, func() error {
			look, err := lab.Look(dir)
			if err != nil {
				return err
			}
			var out bytes.Buffer
			if err := look.Status(&out); err != nil {
				return err
			}
			if !strings.Contains(out.String(), want) {
				return fmt.Errorf("printed\n%s\nwant %q", out.String(), want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	pid3 := table[2][pid]
	say(`node 3 .* killed \(pid `+pid3+`\)`, func(out *bytes.Buffer) error { return l.Kill(out, "3") })
	say(`node 3 .* is not running`, func(out *bytes.Buffer) error { return l.Kill(out, fmt.Sprint(port+2)) })
	if r := rows(t, l)[2]; r[role] != "down" {
		t.Errorf("a killed node is %s", r[role])
	}
	status(`Node 3 does not run. "redoubt lab start 3 --dir ` + dir + `" starts it.`)
	status("The cluster: " + net.JoinHostPort("127.0.0.1", fmt.Sprint(port+2)) + " does not answer (connection refused); 5 of 5 nodes say that it has failed.")
	status("has no working replica.")
	err = client.Wait(limit, func() error {
		_, err := s.Do(foo, "SET", "foo", "baz")
		return err
	})
	if err != nil {
		t.Fatalf("nobody took over: %v", err)
	}
	say(`node 3 .* started`, func(out *bytes.Buffer) error { return l.Start(out, "3") })
	say(`node 3 .* is already running`, func(out *bytes.Buffer) error { return l.Start(out, "3") })
	err = client.Wait(limit, func() error {
		if r := rows(t, l)[2]; r[role] != "replica" || r[link] != "up" {
			return fmt.Errorf("node 3 is a %s with link %s", r[role], r[link])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := rows(t, l)[2]; r[primary] == "-" || r[pid] == pid3 {
		t.Errorf("node 3 came back as %v", r)
	}

	say(`node 4 .* stopped`, func(out *bytes.Buffer) error { return l.StopNode(out, "4") })
	say(`node 4 .* is not running`, func(out *bytes.Buffer) error { return l.StopNode(out, "4") })
	say(`node 4 .* started`, func(out *bytes.Buffer) error { return l.Start(out, "4") })

	pid5, err := strconv.Atoi(rows(t, l)[4][pid])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid5, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	status(`Node 5 has ended by itself: see ` + filepath.Join(dir, fmt.Sprint(port+4), "node.log") + `. "redoubt lab start 5 --dir ` + dir + `" starts it again.`)
	say(`node 5 .* started`, func(out *bytes.Buffer) error { return l.Start(out, "5") })

	say("6 of 6 nodes were running", func(out *bytes.Buffer) error { return l.Stop(out) })
	say("0 of 6 nodes were running", func(out *bytes.Buffer) error { return l.Stop(out) })
	status(`No node runs. "redoubt lab --dir ` + dir + `" starts them with their data.`)
	say("^starting 6 of 6 nodes\n(waiting until the cluster serves [.]+\n)?$", func(out *bytes.Buffer) error { return l.Up(out) })
	after := c.NewSession()
	defer after.Close()
	if v, err := after.Do(foo, "GET", "foo"); err != nil || v.String() != "baz" {
		t.Errorf("after a restart foo is %v, %v", v, err)
	}

	// What is not the lab's stays.
	stranger := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(stranger, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	say("the lab is removed; files that are not the lab's stay in ", func(out *bytes.Buffer) error { return l.Remove(out) })
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "notes.txt" {
		t.Errorf("left over: %v, %v", left, err)
	}
	if _, err := client.Dial(addr(0), client.Options{}); err == nil {
		t.Error("a node of the removed lab runs")
	}
	if _, err := lab.Look(dir); err == nil || !strings.Contains(err.Error(), "there is no lab") {
		t.Errorf("error %v", err)
	}
}

// TestLifeUnderSentinels goes through the same with a primary that Sentinels watch.
func TestLifeUnderSentinels(t *testing.T) {
	bin := toolstest.Server(t)
	dir := filepath.Join(t.TempDir(), "lab")
	port := toolstest.Ports(t, 6)
	// A node that is slow for a moment must not be replaced.
	cfg := lab.Config{Port: port, ServerBin: bin, NodeTimeout: 5 * time.Second, Sentinel: true}
	l, err := lab.Create(dir, cfg, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		l.Stop(&bytes.Buffer{})
		l.Close()
	}()
	var out bytes.Buffer
	if err := l.Up(&out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	// In this table there are no slots.
	const primary, link = primary - 1, link - 1
	// await waits until the roles of the nodes are as wanted.
	await := func(want string) [][]string {
		t.Helper()
		var table [][]string
		err := client.Wait(limit, func() error {
			table = rows(t, l)
			var roles []string
			for _, r := range table {
				roles = append(roles, r[role])
			}
			if got := strings.Join(roles, " "); !regexp.MustCompile("^" + want + "$").MatchString(got) {
				return fmt.Errorf("roles %s, want %s", got, want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	first := net.JoinHostPort("127.0.0.1", fmt.Sprint(port))
	for i, r := range await("primary replica replica sentinel sentinel sentinel") {
		if i > 0 && (r[primary] != first || r[link] != "up") {
			t.Errorf("node %d: %v", i+1, r)
		}
	}
	if err := l.Up(&out); err != nil {
		t.Fatal(err)
	}
	if err := l.Kill(&out, "1"); err != nil {
		t.Fatal(err)
	}
	await("down (primary replica|replica primary) sentinel sentinel sentinel")
	// If the leader of the failover dies before it has told the others, they go back to
	// the old primary once that is there again.
	err = client.Wait(limit, func() error {
		for i := 3; i < 6; i++ {
			if at := nodeOf(t, port+i, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster"); strings.Contains(at, fmt.Sprint(port)) {
				return fmt.Errorf("node %d names %s", i+1, at)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A Sentinel that goes on has its file, and the primary is not asked for again.
	for _, n := range []string{"4", "1"} {
		if err := l.Kill(&out, n); err != nil {
			t.Fatal(err)
		}
		if err := l.Start(&out, n); err != nil {
			t.Fatal(err)
		}
	}
	await("replica (primary replica|replica primary) sentinel sentinel sentinel")
	if err := l.Stop(&out); err != nil {
		t.Fatal(err)
	}
	// Whoever was the primary last is it again: the files say so.
	l.Close()
	if l, err = lab.Create(dir, lab.Config{}, limit); err != nil {
		t.Fatal(err)
	}
	if err := l.Up(&out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for i, r := range await("(replica primary replica|replica replica primary) sentinel sentinel sentinel") {
		if r[primary] == first {
			t.Errorf("node %d names the first node: %v", i+1, r)
		}
	}
	if err := l.Remove(&out); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory of the lab: %v", err)
	}
}

func TestAPortInUseIsNamed(t *testing.T) {
	bin := toolstest.Server(t)
	port := toolstest.Ports(t, 6)
	for _, tc := range []struct {
		name string
		port int
	}{
		{"the port of a node", port + 4},
		{"the bus port of a node", port + 10002},
	} {
		t.Run(tc.name, func(t *testing.T) {
			taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(tc.port)))
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			l := open(t, t.TempDir(), bin, port)
			defer l.Close()
			err = l.Up(&bytes.Buffer{})
			if want := fmt.Sprintf("port %d is in use", tc.port); err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("error %v, want %q", err, want)
			}
			for i, r := range rows(t, l) {
				if r[role] != "down" {
					t.Errorf("node %d is up although a port was taken", i+1)
				}
			}
		})
	}
}

// TestAStalePidFileHurtsNobody gives a node the number of a stranger's
// process, as after a reboot.
func TestAStalePidFileHurtsNobody(t *testing.T) {
	bin := toolstest.Server(t)
	port := toolstest.Ports(t, 6)
	dir := t.TempDir()
	l := open(t, dir, bin, port)
	defer l.Close()
	// The stranger repeats what it is told, which proves that it lives.
	stranger := exec.Command("cat")
	in, err := stranger.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	repeated, err := stranger.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer stranger.Wait()
	defer in.Close()
	node := filepath.Join(dir, fmt.Sprint(port))
	if err := os.MkdirAll(node, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"%d\n", "%d another-boot/1\n", "%d", "x y\n", "-1 z\n", "1 z\n", ""} {
		if strings.Contains(content, "%d") {
			content = fmt.Sprintf(content, stranger.Process.Pid)
		}
		if err := os.WriteFile(filepath.Join(node, "pid"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := l.Kill(&out, "1"); err != nil || !strings.Contains(out.String(), "is not running") {
			t.Fatalf("pid file %q: %v, %s", content, err, out.String())
		}
		if err := l.Stop(&out); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(in, "alive"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(repeated, make([]byte, len("alive"))); err != nil {
		t.Fatalf("the stranger is hurt: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	two, minus := 2, -1
	for _, tc := range []struct {
		name string
		cfg  lab.Config
		want string
	}{
		{"fewer nodes than three shards need", lab.Config{Replicas: &two}, "are 9 nodes, not 6"},
		{"a negative number of replicas", lab.Config{Replicas: &minus}, "must not be negative"},
		{"bus ports beyond the last port", lab.Config{Port: 60000}, "must lie within 1 to 65535"},
		{"a node timeout below a millisecond", lab.Config{NodeTimeout: 1}, "at least a millisecond"},
		{"a negative number of nodes", lab.Config{Nodes: -3}, "-3 is no number of nodes"},
		{"Sentinels without a replica", lab.Config{Sentinel: true, Replicas: new(int)}, "nothing that Sentinels could promote"},
		{"too few Sentinels", lab.Config{Sentinel: true, Nodes: 5}, "a primary, 2 replicas and 3 Sentinels are 6 nodes, not 5"},
		{"ports of Sentinels beyond the last", lab.Config{Sentinel: true, Port: 65535}, "must lie within 1 to 65535"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "lab")
			l, err := lab.Create(dir, tc.cfg, limit)
			if err == nil {
				l.Close()
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the directory of the lab: %v", err)
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// A directory of a lab, once there, fixes the server.
func TestAServerThatCannotRunLeavesNothingBehind(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, bin, want string }{
		{"no such file", plain + ".not", "no such file"},
		{"no such name in the path", "no-such-server-anywhere", "not found"},
		{"not executable", plain, "permission denied"},
		{"a directory", filepath.Dir(plain), "is a directory"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "lab")
			l, err := lab.Create(dir, lab.Config{ServerBin: tc.bin}, limit)
			if err == nil {
				l.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.bin) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("the directory of the lab: %v", err)
			}
		})
	}
}

func TestALabKeepsItsShape(t *testing.T) {
	dir := t.TempDir()
	l, err := lab.Create(dir, lab.Config{Port: 21000, Nodes: 7}, limit)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Open(dir, limit); err == nil || !strings.Contains(err.Error(), "another command is at work") {
		t.Errorf("two commands at once: %v", err)
	}
	look, err := lab.Look(dir)
	if err != nil {
		t.Fatalf("the status waits for another command: %v", err)
	}
	if table := rows(t, look); len(table) != 7 || table[6][role] != "down" {
		t.Errorf("%v", table)
	}
	l.Close()
	// No node has started yet, since a port was in use, say.
	if l, err = lab.Create(dir, lab.Config{Port: 21010}, limit); err != nil || l.Port != 21010 || l.Nodes != 7 {
		t.Fatalf("a lab that never started takes no other port: %+v, %v", l, err)
	}
	l.Close()
	if l, err = lab.Create(dir, lab.Config{Port: 21000}, limit); err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := os.Mkdir(filepath.Join(dir, "21003"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		cfg   lab.Config
		fails bool
	}{
		{"nothing said leaves it as it is", lab.Config{}, false},
		{"the same said again is fine", lab.Config{Port: 21000, Nodes: 7}, false},
		{"another port is refused", lab.Config{Port: 21001}, true},
		{"another server is refused", lab.Config{ServerBin: "/bin/true"}, true},
		{"Sentinels are refused", lab.Config{Sentinel: true}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := lab.Create(dir, tc.cfg, limit)
			if err == nil {
				defer l.Close()
				if l.Port != 21000 || l.Nodes != 7 {
					t.Errorf("the lab has become %+v", l.Config)
				}
			}
			if tc.fails != (err != nil) {
				t.Fatalf("error %v", err)
			}
		})
	}
	if _, err := lab.Open(t.TempDir(), limit); err == nil || !strings.Contains(err.Error(), "there is no lab") {
		t.Errorf("no lab: %v", err)
	}
}
