package lab

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
)

const (
	loopback  = "127.0.0.1"
	busOffset = 10000 // from a node's port to its bus port
	// askTimeout bounds a question to one node; a stopped process must not
	// hold up the others.
	askTimeout = 2 * time.Second
)

// kind is what a node of a lab is there for.
type kind int

const (
	member   kind = iota // of the cluster
	watched              // a primary or a replica that Sentinels watch
	sentinel             // one of those
)

// node is one node of a lab, running or not.
type node struct {
	number int
	port   int
	dir    string
	kind   kind
	client client.Options // for connections to it
	// Of a process that this command started: exited is closed when it ends,
	// logStart is where its part of the log begins.
	exited   chan struct{}
	logStart int64
}

func (n *node) addr() string    { return net.JoinHostPort(loopback, strconv.Itoa(n.port)) }
func (n *node) logFile() string { return filepath.Join(n.dir, "node.log") }
func (n *node) pidFile() string { return filepath.Join(n.dir, "pid") }

// confFile is the configuration file of a node that is not started by options alone.
func (n *node) confFile() string { return filepath.Join(n.dir, "node.conf") }

func (n *node) String() string { return fmt.Sprintf("node %d (%s)", n.number, n.addr()) }

// running returns the node's process, and whether there is one.
func (n *node) running() (pid int, running bool) {
	b, err := os.ReadFile(n.pidFile())
	if err != nil {
		return 0, false
	}
	number, identity, ok := strings.Cut(strings.TrimSpace(string(b)), " ")
	pid, err = strconv.Atoi(number)
	if !ok || err != nil || pid <= 1 {
		return 0, false
	}
	now, err := processIdentity(pid)
	return pid, err == nil && now == identity
}

// adopt writes the pid file of a process of the node that the pid file does not
// name, and returns its process id, or 0 if there is none to adopt. Only a server
// proves to be the node: it answers on the node's port and works in the node's
// directory.
func (n *node) adopt() (pid int, err error) {
	conn, err := n.dial()
	if err != nil {
		return 0, nil // nobody is there
	}
	defer conn.Close()
	info, err := conn.Do("INFO", "server")
	if err != nil {
		return 0, nil
	}
	if n.kind == member {
		dir, err := conn.Do("CONFIG", "GET", "dir")
		if err != nil || len(dir.Array()) != 2 || !sameFile(dir.Array()[1].String(), n.dir) {
			return 0, nil // a stranger; portsFree says so
		}
	} else if file, _ := clustertool.InfoField(info.String(), "config_file"); !sameFile(file, n.confFile()) {
		return 0, nil
	}
	field, _ := clustertool.InfoField(info.String(), "process_id")
	if pid, err = strconv.Atoi(field); err != nil || pid <= 1 {
		return 0, nil
	}
	if known, running := n.running(); running && known == pid {
		return 0, nil
	}
	identity, err := processIdentity(pid)
	if err != nil {
		return 0, nil // it has ended since
	}
	return pid, n.writePID(pid, identity)
}

func (n *node) writePID(pid int, identity string) error {
	return replaceFile(n.pidFile(), fmt.Appendf(nil, "%d %s\n", pid, identity))
}

// sameFile reports whether two paths are one file or directory.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// signal sends sig to the node's process, if it has one.
func (n *node) signal(sig syscall.Signal) error {
	pid, running := n.running()
	if !running {
		return nil
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("%s: signal %v to pid %d: %w", n, sig, pid, err)
	}
	return nil
}

// portsFree returns an error that names the port if another process listens
// on one of the node's ports.
func (n *node) portsFree() error {
	ports := []int{n.port, n.port + busOffset}
	if n.kind != member {
		ports = ports[:1]
	}
	for _, port := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		if err != nil {
			return fmt.Errorf("%s: port %d is in use by a process that is not this lab's: %w", n, port, err)
		}
		l.Close()
	}
	return nil
}

// options is the command line of a member of a cluster, behind the server. dir is the
// lab's.
func (n *node) options(cfg *Config, dir string) []string {
	directives := append(n.listens(cfg, dir),
		[2]string{"cluster-enabled", "yes"},
		[2]string{"cluster-config-file", "nodes.conf"},
		[2]string{"cluster-node-timeout", strconv.FormatInt(cfg.NodeTimeout.Milliseconds(), 10)},
		[2]string{"appendonly", "yes"})
	if cfg.ServerBin == "" { // redis-server does not know it
		directives = append(directives, [2]string{"shutdown-on-sigterm", "failover"})
	}
	if cfg.TLS {
		directives = append(directives, [2]string{"tls-cluster", "yes"})
	}
	if cfg.Quorum {
		directives = append(directives, [2]string{"durability", "quorum"})
	}
	var args []string
	for _, d := range directives {
		args = append(args, "--"+d[0], d[1])
	}
	return args
}

// listens are the directives that say where the node listens, and works.
func (n *node) listens(cfg *Config, dir string) [][2]string {
	at := [][2]string{{"bind", loopback}, {"dir", n.dir}}
	if !cfg.TLS {
		return append(at, [2]string{"port", strconv.Itoa(n.port)})
	}
	at = append(at, [2]string{"port", "0"}, [2]string{"tls-port", strconv.Itoa(n.port)})
	return append(at, credentialsIn(dir).directives()...)
}

// launch starts the node's process in a session of its own, so that it
// outlives the command and its terminal, and notes its identity.
func (n *node) launch(command []string) error {
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return err
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	if n.logStart, err = log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = n.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", n, err)
	}
	pid := cmd.Process.Pid
	// The identity is read before the process is waited for: until then its
	// number cannot be given to another.
	identity, idErr := processIdentity(pid)
	exited := make(chan struct{})
	n.exited = exited
	go func() {
		cmd.Wait()
		close(exited)
	}()
	if idErr != nil {
		return fmt.Errorf("%s ended at once: %s", n, n.lastWords())
	}
	return n.writePID(pid, identity)
}

// awaitAnswer waits until the node answers, be it with an error such as LOADING,
// or its process has ended.
func (n *node) awaitAnswer(limit time.Duration) error {
	var ended error
	err := client.Wait(limit, func() error {
		if n.ended() {
			ended = n.replaced()
			return nil
		}
		if _, err := n.ask("PING"); err != nil && client.Code(err) == "" {
			return err
		}
		// Another process of the node may have been faster, see adopt.
		if pid, err := n.adopt(); err != nil || pid == 0 {
			return err
		}
		n.exited = nil
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s does not answer after %v: %w; see %s", n, limit, err, n.logFile())
	}
	return ended
}

// ended reports whether the node's process is gone.
func (n *node) ended() bool {
	if n.exited == nil {
		_, running := n.running()
		return !running
	}
	select {
	case <-n.exited:
		return true
	default:
		return false
	}
}

// replaced is for a process that ended at once. It may have met another one of
// the node that a killed command had started, which was not listening yet when
// adopt asked; then that one is the node, and all is well.
func (n *node) replaced() error {
	err := fmt.Errorf("%s ended at once: %s", n, n.lastWords())
	if n.portsFree() == nil {
		return err
	}
	n.exited = nil
	if client.Wait(askTimeout, func() error {
		if pid, adoptErr := n.adopt(); adoptErr != nil || pid == 0 {
			return err
		}
		return nil
	}) != nil {
		return err
	}
	return nil
}

// awaitEnd waits until the node's process is gone, and forgets it.
func (n *node) awaitEnd(limit time.Duration) error {
	err := client.Wait(limit, func() error {
		if pid, running := n.running(); running {
			return fmt.Errorf("%s still runs after %v (pid %d)", n, limit, pid)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.Remove(n.pidFile())
}

// why explains an error of a node that was asked: its process may have ended.
func (n *node) why(err error) error {
	if n.ended() {
		return fmt.Errorf("%s has ended: %s", n, n.lastWords())
	}
	return fmt.Errorf("%s: %w", n, err)
}

// lastWords is the end of what the process that was started logged.
func (n *node) lastWords() string {
	const lines = 8
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return err.Error()
	}
	b = b[min(n.logStart, int64(len(b))):]
	all := strings.Split(strings.TrimSpace(string(b)), "\n")
	return "the end of " + n.logFile() + ":\n" + strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (n *node) dial() (*client.Conn, error) {
	return client.Dial(n.addr(), n.client)
}

// ask sends one command on a connection of its own and returns the reply.
func (n *node) ask(args ...string) (string, error) {
	conn, err := n.dial()
	if err != nil {
		return "", err
	}
	defer conn.Close()
	v, err := conn.Do(args...)
	return v.String(), err
}

// describe asks the node for its place in the cluster.
func (n *node) describe() (*clustertool.Description, error) {
	conn, err := n.dial()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return clustertool.Describe(conn)
}
