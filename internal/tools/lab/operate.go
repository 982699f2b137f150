package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"redoubt/internal/tools/client"
)

// node returns the node that a person means by its number or its port.
func (l *Lab) node(name string) (*node, error) {
	v, err := strconv.Atoi(name)
	i := slices.IndexFunc(l.nodes, func(n *node) bool { return v == n.number || v == n.port })
	if err != nil || i < 0 {
		return nil, fmt.Errorf("there is no node %q: nodes are numbered 1 to %d, or named by port, %d to %d", name, len(l.nodes), l.Port, l.Port+len(l.nodes)-1)
	}
	return l.nodes[i], nil
}

// Numbered is a node by the number that people call it by.
type Numbered struct {
	Number int
	Addr   string
}

// Numbers returns the nodes that run, or those that do not.
func (l *Lab) Numbers(running bool) (found []Numbered) {
	for _, n := range l.nodes {
		if _, alive := n.running(); alive == running {
			found = append(found, Numbered{n.number, n.addr()})
		}
	}
	return found
}

// Primary returns the first node that is a primary now.
func (l *Lab) Primary() (Numbered, error) {
	for _, n := range l.nodes {
		if n.kind == sentinel {
			continue
		}
		info, err := n.ask("INFO", "replication")
		if err == nil && replicationOf(info).primary {
			return Numbered{n.number, n.addr()}, nil
		}
	}
	return Numbered{}, errors.New("no node says that it is a primary")
}

// Kill ends a node with SIGKILL and waits until it is gone.
func (l *Lab) Kill(out io.Writer, name string) error {
	return l.finish(out, name, "killed", func(n *node) error {
		if err := n.signal(syscall.SIGKILL); err != nil {
			return err
		}
		return n.awaitEnd(l.timeout)
	})
}

// finish ends a node if it runs, and tells what became of it.
func (l *Lab) finish(out io.Writer, name, became string, end func(*node) error) error {
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
	if err := end(n); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s %s (pid %d)\n", n, became, pid)
	return nil
}

// Restart asks a node to shut down, waits until it has, and starts it again.
func (l *Lab) Restart(out io.Writer, name string) error {
	n, err := l.node(name)
	if err != nil {
		return err
	}
	if err := l.adopt(out); err != nil {
		return err
	}
	if _, running := n.running(); running {
		if err := l.end(n); err != nil {
			return err
		}
	}
	return l.Start(out, name)
}

// StopNode asks a node to shut down and waits until it has. A primary of this product
// hands over to a replica first.
func (l *Lab) StopNode(out io.Writer, name string) error {
	return l.finish(out, name, "stopped", l.end)
}

// termAgain is how often a node is asked to shut down. A request may be declined:
// redis-server forgets SIGTERM while it writes its first append-only file.
const termAgain = time.Second

// end asks a node to shut down until it has.
func (l *Lab) end(n *node) error {
	asked := time.Time{}
	return client.Wait(l.timeout, func() error {
		pid, running := n.running()
		if !running {
			return os.Remove(n.pidFile())
		}
		if time.Since(asked) > termAgain {
			asked = time.Now()
			if err := n.signal(syscall.SIGTERM); err != nil {
				return err
			}
		}
		return fmt.Errorf("%s still runs after %v (pid %d); %q ends it", n, l.timeout, pid, l.hint("kill "+strconv.Itoa(n.number)))
	})
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
// does not is named in the error, and left alone. They are asked with SIGINT first, as no
// primary has to hand over then.
func (l *Lab) Stop(out io.Writer) error {
	if err := l.adopt(out); err != nil {
		return err
	}
	running, asked, how := 0, time.Time{}, syscall.SIGINT
	err := client.Wait(l.timeout, func() error {
		ask := time.Since(asked) > termAgain
		left, count := []error(nil), 0
		for _, n := range l.nodes {
			pid, alive := n.running()
			if !alive {
				continue
			}
			count++
			left = append(left, fmt.Errorf("%s still runs (pid %d); %q ends it", n, pid, l.hint("kill "+strconv.Itoa(n.number))))
			if ask {
				left = append(left, n.signal(how))
			}
		}
		if ask {
			how = syscall.SIGTERM // a second SIGINT would end it at once
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

// Remove stops all nodes and deletes what the lab consists of. Files that are not the
// lab's stay, and with them the directory.
func (l *Lab) Remove(out io.Writer) error {
	if err := l.Stop(io.Discard); err != nil {
		return err
	}
	for _, n := range l.nodes {
		if err := os.RemoveAll(n.dir); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(l.dir, tlsDir)); err != nil {
		return err
	}
	// lab.json goes after the nodes, so that an interrupted removal can be repeated, and
	// the lock goes last: until then no other command is at work here.
	for _, name := range []string{"create.log", configFile, filepath.Base(l.lockFile())} {
		if err := os.Remove(filepath.Join(l.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(l.dir); err != nil {
		fmt.Fprintf(out, "the lab is removed; files that are not the lab's stay in %s\n", l.dir)
		return nil
	}
	fmt.Fprintf(out, "%s and its data are removed\n", l.dir)
	return nil
}
