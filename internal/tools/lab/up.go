package lab

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
)

// Up starts the nodes that do not run and makes the cluster if there is none
// yet, or finishes one that an interrupted command has begun; or has the Sentinels find
// the nodes and each other. It returns when the lab serves.
func (l *Lab) Up(out io.Writer) error {
	err := l.up(out)
	running := 0
	for _, n := range l.nodes {
		if _, alive := n.running(); alive {
			running++
		}
	}
	if err != nil && running > 0 {
		return fmt.Errorf("%w\n%d of %d nodes run. %q starts the others and goes on; %q ends all", err, running, len(l.nodes), l.hint(""), l.hint("stop"))
	}
	return err
}

func (l *Lab) up(out io.Writer) error {
	if err := l.start(out); err != nil {
		return err
	}
	if l.Sentinel {
		if err := l.wait(out, "waiting until the Sentinels have found the nodes and each other", l.watching); err != nil {
			return err
		}
		return l.setMade()
	}
	if !l.Made {
		if err := l.makeCluster(out); err != nil {
			return err
		}
	}
	return l.wait(out, "waiting until the cluster serves", l.serving)
}

// start starts the nodes that do not run, and waits until all answer.
func (l *Lab) start(out io.Writer) error {
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
		l.warnOfPorts(out)
		fmt.Fprintf(out, "starting %d of %d nodes\n", len(down), len(l.nodes))
	}
	// All ports are looked at before the first node starts, so that a clash
	// leaves nothing half up.
	for _, n := range down {
		if err := n.portsFree(); err != nil {
			return err
		}
	}
	isSentinel := func(n *node) bool { return n.kind == sentinel }
	if err := l.startAll(slices.DeleteFunc(slices.Clone(down), isSentinel)); err != nil {
		return err
	}
	if l.Sentinel && !l.Made {
		// A Sentinel that finds no replicas at first asks for them again much later.
		if err := l.wait(out, "waiting until the replicas have their links", l.replicating); err != nil {
			return err
		}
	}
	return l.startAll(slices.DeleteFunc(down, func(n *node) bool { return !isSentinel(n) }))
}

// startAll starts nodes and waits until they and all that run answer.
func (l *Lab) startAll(nodes []*node) error {
	for _, n := range nodes {
		if err := l.launch(n); err != nil {
			return err
		}
	}
	// Those that run already may have been started by a command that was killed a
	// moment ago.
	for _, n := range l.nodes {
		if _, running := n.running(); !running && !slices.Contains(nodes, n) {
			continue
		}
		if err := n.awaitAnswer(l.timeout); err != nil {
			return err
		}
	}
	return nil
}

// warnOfPorts says if the system may take the lab's ports away.
func (l *Lab) warnOfPorts(out io.Writer) {
	limits, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return // no such range is known
	}
	if why := l.ephemeral(string(limits)); why != "" {
		fmt.Fprintf(out, "WARNING: %s\n", why)
	}
}

// wait waits until ready returns nil. If that takes longer than a moment, it says what for.
func (l *Lab) wait(out io.Writer, what string, ready func() error) error {
	const moment = time.Second
	start, dots := time.Now(), 0
	err := client.Wait(l.timeout, func() error {
		if n := int(time.Since(start) / moment); n > dots {
			if dots == 0 {
				fmt.Fprint(out, what+" ")
			}
			dots = n
			fmt.Fprint(out, ".")
		}
		return ready()
	})
	if dots > 0 {
		fmt.Fprintln(out)
	}
	return err
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
	args := n.options(&l.Config, l.dir)
	if n.kind != member {
		if err := l.configure(n); err != nil {
			return err
		}
		args = []string{n.confFile()}
	}
	if n.kind == sentinel {
		args = append(args, "--sentinel")
	}
	return n.launch(append(server, args...))
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
		primaries, replicas, _ := l.Roles()
		fmt.Fprintf(out, "making the cluster of %d primaries and %d replicas\n", primaries, replicas)
	} else {
		fmt.Fprintf(out, "completing the cluster, which no earlier command has seen ready\n")
	}
	addrs := make([]string, len(l.nodes))
	for i, n := range l.nodes {
		addrs[i] = n.addr()
	}
	var text bytes.Buffer
	tool := &clustertool.Tool{Out: io.MultiWriter(&text, &progress{out: out}), Timeout: l.timeout, Client: l.client}
	err = tool.Resume(addrs, *l.Replicas)
	if werr := replaceFile(filepath.Join(l.dir, "create.log"), text.Bytes()); werr != nil && err == nil {
		err = werr
	}
	if err != nil && !fresh && client.Wait(min(l.timeout, patience), l.shaped) == nil {
		err = nil // a lab of an older version, in which replicas have taken over
	}
	if err != nil {
		out.Write(text.Bytes())
		return fmt.Errorf("the cluster could not be made (%w). Try again; or, to begin anew without the data, remove the lab (%s)", err, l.hint("remove"))
	}
	return l.setMade()
}

// progress passes on what a person who waits for a cluster wants to see of cluster create:
// the steps that take long, with a dot for each second.
type progress struct {
	out     io.Writer
	waiting bool
}

// slowSteps are the lines before the waits of cluster create, in the lab's words.
var slowSteps = map[string]string{
	"Waiting for the cluster to join": "the nodes get to know each other",
	"Waiting for the replicas":        "the replicas copy their primaries",
}

func (p *progress) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	switch what := slowSteps[text]; {
	case what != "":
		p.waiting = true
		fmt.Fprintf(p.out, "  %s ", what)
	case p.waiting && text == ".":
		fmt.Fprint(p.out, ".")
	case p.waiting:
		p.waiting = false
		fmt.Fprintln(p.out)
	}
	return len(b), nil
}

func (l *Lab) setMade() error {
	if l.Made {
		return nil
	}
	l.Made = true
	return l.write()
}

// serving returns why the cluster does not serve.
func (l *Lab) serving() error {
	for _, n := range l.nodes {
		d, err := n.describe()
		if err != nil {
			return n.why(err)
		}
		if d.Known < len(l.nodes) {
			return fmt.Errorf("%s knows %d of %d nodes; to begin anew without the data, remove the lab (%s)", n, d.Known, len(l.nodes), l.hint("remove"))
		}
		if d.State != "ok" {
			return fmt.Errorf("%s says cluster_state:%s; see %s", n, d.State, n.logFile())
		}
	}
	return nil
}
