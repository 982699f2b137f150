package lab

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
)

// Config says what a lab consists of. It is lab.json. A zero value leaves the
// choice to the lab that is there, or else to the default beside it.
type Config struct {
	Port        int           `json:"port"`            // of the first node, the others follow; 7000
	Nodes       int           `json:"nodes"`           // all of them; 6
	Replicas    *int          `json:"replicas"`        // of each primary; 1
	NodeTimeout time.Duration `json:"node_timeout_ns"` // 5 s; nodes learn of another when they start
	// ServerBin takes redis-server's options; empty is the server in this
	// very binary.
	ServerBin string `json:"server_bin"`
}

// or fills what c leaves open from d.
func (c Config) or(d Config) Config {
	c.Port = cmp.Or(c.Port, d.Port)
	c.Nodes = cmp.Or(c.Nodes, d.Nodes)
	c.Replicas = cmp.Or(c.Replicas, d.Replicas)
	c.NodeTimeout = cmp.Or(c.NodeTimeout, d.NodeTimeout)
	c.ServerBin = cmp.Or(c.ServerBin, d.ServerBin)
	return c
}

func defaults() Config {
	one := 1
	return Config{Port: 7000, Nodes: 6, Replicas: &one, NodeTimeout: 5 * time.Second}
}

func (c *Config) validate() error {
	switch {
	case c.Port < 1 || c.Port+c.Nodes-1+busOffset > 65535:
		return fmt.Errorf("ports %d to %d and their bus ports (%d higher) must lie within 1 to 65535", c.Port, c.Port+c.Nodes-1, busOffset)
	case c.Replicas == nil || *c.Replicas < 0:
		return errors.New("the number of replicas must not be negative")
	case c.Nodes < 3*(*c.Replicas+1):
		return fmt.Errorf("3 primaries with %d replicas each are %d nodes, not %d", *c.Replicas, 3*(*c.Replicas+1), c.Nodes)
	case c.NodeTimeout < time.Millisecond:
		return errors.New("the node timeout must be at least a millisecond")
	}
	return nil
}

// command is the command line of a node, to which options are appended.
func (c *Config) command() ([]string, error) {
	if c.ServerBin != "" {
		return []string{c.ServerBin}, nil
	}
	self, err := os.Executable()
	return []string{self, "server"}, err
}

// findServer looks whether there is the server that c names, and makes its name
// one that is good in every directory: nodes run in their own.
func (c *Config) findServer() error {
	if c.ServerBin == "" {
		return nil
	}
	path, err := exec.LookPath(c.ServerBin)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	if err != nil {
		return fmt.Errorf("the server cannot be run: %w", err)
	}
	c.ServerBin = path
	return nil
}

const configFile = "lab.json"

// record is the content of lab.json.
type record struct {
	Config
	// Made says that the nodes were once a cluster of the lab's shape. Until
	// then whatever they are is what an interrupted command has left.
	Made bool `json:"made"`
}

// Lab is an opened lab. It belongs to one goroutine.
type Lab struct {
	record
	dir     string // absolute
	timeout time.Duration
	lock    *os.File
	nodes   []*node
}

// Create opens the lab in dir, which it makes if it is not there. A lab that
// was started once keeps its shape: cfg may repeat it or leave it open, and is refused
// otherwise. timeout bounds each wait.
func Create(dir string, cfg Config, timeout time.Duration) (*Lab, error) {
	// Before anything is made: a node's directory fixes the lab's shape.
	if err := cfg.findServer(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l, err := lock(dir, timeout)
	if err != nil {
		return nil, err
	}
	if err := l.shape(cfg); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// shape settles what the lab consists of, and writes it down.
func (l *Lab) shape(cfg Config) error {
	err := l.read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		cfg = cfg.or(defaults())
	case err != nil:
		return err
	default:
		cfg = cfg.or(l.Config)
		if l.begun() && (cfg.Port != l.Port || cfg.Nodes != l.Nodes || *cfg.Replicas != *l.Replicas || cfg.ServerBin != l.ServerBin) {
			return fmt.Errorf("the lab in %s has another shape (see %s): stop it and remove the directory, or choose another", l.dir, filepath.Join(l.dir, configFile))
		}
	}
	if err := cfg.validate(); err != nil {
		return err
	}
	l.setConfig(cfg)
	return l.write()
}

// begun reports whether a node has ever been started: one that found its port
// in use leaves a lab of which nothing is worth keeping.
func (l *Lab) begun() bool {
	return slices.ContainsFunc(l.nodes, func(n *node) bool {
		_, err := os.Stat(n.dir)
		return err == nil
	})
}

// Open opens the lab that is in dir.
func Open(dir string, timeout time.Duration) (*Lab, error) {
	if _, err := os.Stat(filepath.Join(dir, configFile)); err != nil {
		return nil, fmt.Errorf("there is no lab in %s: %w", dir, err)
	}
	l, err := lock(dir, timeout)
	if err != nil {
		return nil, err
	}
	if err := l.read(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// lock takes the directory for this process, until Close or its end.
func lock(dir string, timeout time.Duration) (*Lab, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(abs, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another command is at work in the lab %s: %w", dir, err)
	}
	return &Lab{dir: abs, timeout: timeout, lock: f}, nil
}

// Close lets another command at the lab. The nodes run on.
func (l *Lab) Close() { l.lock.Close() }

// Dir is the lab's directory.
func (l *Lab) Dir() string { return l.dir }

func (l *Lab) read() error {
	b, err := os.ReadFile(filepath.Join(l.dir, configFile))
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	if err := r.validate(); err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	l.setConfig(r.Config)
	l.Made = r.Made
	return nil
}

func (l *Lab) setConfig(cfg Config) {
	l.Config = cfg
	l.nodes = nil
	for i := range cfg.Nodes {
		port := cfg.Port + i
		l.nodes = append(l.nodes, &node{number: i + 1, port: port, dir: filepath.Join(l.dir, strconv.Itoa(port))})
	}
}

func (l *Lab) write() error {
	b, err := json.MarshalIndent(l.record, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(l.dir, configFile), append(b, '\n'))
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// Up starts the nodes that do not run and makes the cluster if there is none
// yet, or finishes one that an interrupted command has begun. It returns when
// the cluster serves.
func (l *Lab) Up(out io.Writer) error {
	if err := l.adopt(out); err != nil {
		return err
	}
	var down []*node
	for _, n := range l.nodes {
		if _, running := n.running(); !running {
			down = append(down, n)
		}
	}
	if len(down) > 0 {
		fmt.Fprintf(out, "starting %d of %d nodes\n", len(down), len(l.nodes))
	}
	// All ports are looked at before the first node starts, so that a clash
	// leaves nothing half up.
	for _, n := range down {
		if err := n.portsFree(); err != nil {
			return err
		}
	}
	for _, n := range down {
		if err := l.launch(n); err != nil {
			return err
		}
	}
	// Those that run already may have been started by a command that was killed a
	// moment ago.
	for _, n := range l.nodes {
		if err := n.awaitAnswer(l.timeout); err != nil {
			return err
		}
	}
	if !l.Made {
		if err := l.makeCluster(out); err != nil {
			return err
		}
	}
	return client.Wait(l.timeout, l.serving)
}

// adopt finds nodes that run although their pid files do not say so: the command
// that started them was killed before it could write down which process it is.
func (l *Lab) adopt(out io.Writer) error {
	for _, n := range l.nodes {
		if _, running := n.running(); running {
			continue
		}
		pid, err := n.adopt()
		if err != nil {
			return err
		}
		if pid != 0 {
			fmt.Fprintf(out, "%s runs already (pid %d): an earlier command has started it\n", n, pid)
		}
	}
	return nil
}

func (l *Lab) launch(n *node) error {
	server, err := l.command()
	if err != nil {
		return err
	}
	return n.launch(server, l.NodeTimeout)
}

// fresh reports whether no node knows another.
func (l *Lab) fresh() (bool, error) {
	for _, n := range l.nodes {
		d, err := n.describe()
		if err != nil {
			return false, fmt.Errorf("%s: %w", n, err)
		}
		if d.Known > 1 || d.Slots != "" {
			return false, nil
		}
	}
	return true, nil
}

// patience is how long nodes that were just started may take to agree on who is
// a primary.
const patience = 10 * time.Second

// shaped returns why the nodes are no cluster of the lab's shape, whatever their
// roles are by now.
func (l *Lab) shaped() error {
	primaries := 0
	for _, n := range l.nodes {
		d, err := n.describe()
		switch {
		case err != nil:
			return err
		case d.State != "ok" || d.Known < len(l.nodes) || !d.Replica && d.Slots == "":
			return fmt.Errorf("%s has no place in the cluster", n)
		case !d.Replica:
			primaries++
		}
	}
	if want := len(l.nodes) / (*l.Replicas + 1); primaries != want {
		return fmt.Errorf("there are %d primaries, not %d", primaries, want)
	}
	return nil
}

// makeCluster runs cluster create, or the rest of one that was interrupted. What
// that prints is shown only if it fails, and is in create.log anyhow.
func (l *Lab) makeCluster(out io.Writer) error {
	fresh, err := l.fresh()
	if err != nil {
		return err
	}
	if fresh {
		fmt.Fprintf(out, "making the cluster\n")
	} else {
		fmt.Fprintf(out, "completing the cluster, which no earlier command has seen ready\n")
	}
	addrs := make([]string, len(l.nodes))
	for i, n := range l.nodes {
		addrs[i] = n.addr()
	}
	var text bytes.Buffer
	tool := &clustertool.Tool{Out: &text, Timeout: l.timeout}
	err = tool.Resume(addrs, *l.Replicas)
	if werr := replaceFile(filepath.Join(l.dir, "create.log"), text.Bytes()); werr != nil && err == nil {
		err = werr
	}
	if err != nil && !fresh && client.Wait(min(l.timeout, patience), l.shaped) == nil {
		err = nil // a lab of an older version, in which replicas have taken over
	}
	if err != nil {
		out.Write(text.Bytes())
		return fmt.Errorf("the cluster could not be made (%w). Try again; or, to begin anew without the data, stop the lab (redoubt lab stop --dir %s) and remove %s", err, l.dir, l.dir)
	}
	return l.setMade()
}

func (l *Lab) setMade() error {
	l.Made = true
	return l.write()
}

// serving returns why the cluster does not serve.
func (l *Lab) serving() error {
	for _, n := range l.nodes {
		d, err := n.describe()
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		if d.Known < len(l.nodes) {
			return fmt.Errorf("%s knows %d of %d nodes; to begin anew without the data, stop the lab and remove %s", n, d.Known, len(l.nodes), l.dir)
		}
		if d.State != "ok" {
			return fmt.Errorf("%s says cluster_state:%s; see %s", n, d.State, n.logFile())
		}
	}
	return nil
}

// node returns the node that a person means by its number or its port.
func (l *Lab) node(name string) (*node, error) {
	v, err := strconv.Atoi(name)
	i := slices.IndexFunc(l.nodes, func(n *node) bool { return v == n.number || v == n.port })
	if err != nil || i < 0 {
		return nil, fmt.Errorf("there is no node %q: nodes are numbered 1 to %d, or named by port, %d to %d", name, len(l.nodes), l.Port, l.Port+len(l.nodes)-1)
	}
	return l.nodes[i], nil
}

// Kill ends a node with SIGKILL and waits until it is gone.
func (l *Lab) Kill(out io.Writer, name string) error {
	n, err := l.node(name)
	if err != nil {
		return err
	}
	if err := l.adopt(out); err != nil {
		return err
	}
	pid, running := n.running()
	if !running {
		fmt.Fprintf(out, "%s is not running\n", n)
		return nil
	}
	if err := n.signal(syscall.SIGKILL); err != nil {
		return err
	}
	if err := n.awaitEnd(l.timeout); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s killed (pid %d)\n", n, pid)
	return nil
}

// Start starts one node and waits until it answers.
func (l *Lab) Start(out io.Writer, name string) error {
	n, err := l.node(name)
	if err != nil {
		return err
	}
	if err := l.adopt(out); err != nil {
		return err
	}
	if pid, running := n.running(); running {
		fmt.Fprintf(out, "%s is already running (pid %d)\n", n, pid)
		return nil
	}
	if err := n.portsFree(); err != nil {
		return err
	}
	if err := l.launch(n); err != nil {
		return err
	}
	if err := n.awaitAnswer(l.timeout); err != nil {
		return err
	}
	pid, _ := n.running()
	fmt.Fprintf(out, "%s started (pid %d)\n", n, pid)
	return nil
}

// Stop asks all nodes to shut down and waits until they have. A node that
// does not is named in the error, and left alone.
func (l *Lab) Stop(out io.Writer) error {
	// A request may be declined: redis-server forgets SIGTERM while it writes
	// its first append-only file. So those that still run are asked again.
	const again = time.Second
	if err := l.adopt(out); err != nil {
		return err
	}
	running, asked := 0, time.Time{}
	err := client.Wait(l.timeout, func() error {
		ask := time.Since(asked) > again
		left, count := []error(nil), 0
		for _, n := range l.nodes {
			pid, alive := n.running()
			if !alive {
				continue
			}
			count++
			left = append(left, fmt.Errorf("%s still runs (pid %d); redoubt lab kill %d ends it", n, pid, n.number))
			if ask {
				left = append(left, n.signal(syscall.SIGTERM))
			}
		}
		if ask {
			asked, running = time.Now(), max(running, count)
		}
		return errors.Join(left...)
	})
	fmt.Fprintf(out, "%d of %d nodes were running; the data stay in %s\n", running, len(l.nodes), l.dir)
	if err != nil {
		return fmt.Errorf("after %v:\n%w", l.timeout, err)
	}
	for _, n := range l.nodes {
		if err := os.Remove(n.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
