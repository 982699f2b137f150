package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// node is one server under load.
type node struct {
	name string
	port string
	dir  string
	bin  string
	args []string
	cmd  *exec.Cmd

	tls     *secrets // nil: the load comes in plain text
	tlsPort string
}

func startBoth(o options, mode string) (ours, theirs *node, err error) {
	args := journal(mode)
	if o.cluster {
		args = append(args, "--cluster-enabled", "yes")
	}
	if ours, err = o.startOurs(args...); err != nil {
		return nil, nil, err
	}
	if theirs, err = o.startTheirs(args...); err != nil {
		ours.stop()
		return nil, nil, err
	}
	if o.cluster {
		if err = errors.Join(ours.own(), theirs.own()); err != nil {
			ours.stop()
			theirs.stop()
		}
	}
	return ours, theirs, err
}

// journal is the arguments for a journal or append-only file that is off, or on
// with this appendfsync.
func journal(mode string) []string {
	if mode == "off" {
		return []string{"--appendonly", "no"}
	}
	return []string{"--appendonly", "yes", "--appendfsync", mode}
}

func (o options) startOurs(args ...string) (*node, error) {
	return start("redoubt", o.bin, append([]string{"server"}, args...), o.tls)
}

func (o options) startTheirs(args ...string) (*node, error) {
	return start("redis", o.redis, slices.Clone(args), o.tls)
}

// start runs a server on a free port of the loopback interface, with a
// directory of its own.
func start(name, bin string, args []string, secure bool) (*node, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench-"+name)
	if err != nil {
		return nil, err
	}
	n := &node{name: name, port: port, dir: dir, bin: bin}
	n.args = append(args, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--logfile", dir+"/log")
	if secure {
		if n.tls, err = newSecrets(dir); err == nil {
			n.tlsPort, err = freePort()
		}
		if err != nil {
			n.stop()
			return nil, err
		}
		n.args = append(n.args, n.tls.directives(n.tlsPort)...)
	}
	if err := n.launch(20 * time.Second); err != nil {
		n.stop()
		return nil, err
	}
	return n, nil
}

func freePort() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

// launch starts the process and waits until it answers, which it does when it
// has loaded its data.
func (n *node) launch(patience time.Duration) error {
	n.cmd = exec.Command(n.bin, n.args...)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if n.ping() {
			return nil
		}
	}
	log, _ := os.ReadFile(n.dir + "/log")
	return fmt.Errorf("%s does not answer; its log:\n%s", n.name, log)
}

// restart ends the process in order and returns how long the next one takes
// until it answers.
func (n *node) restart() (time.Duration, error) {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	n.cmd.Wait()
	began := time.Now()
	err := n.launch(5 * time.Minute)
	return time.Since(began), err
}

func (n *node) ping() bool { return n.ask("PING") == "+PONG\r\n" }

// ask sends one command and returns the reply as it is, or "", one read's worth
// of it.
func (n *node) ask(line string) string {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+n.port, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	c.Write([]byte(line + "\r\n"))
	b := make([]byte, 4096)
	got, _ := c.Read(b)
	return string(b[:got])
}

// own makes the node a cluster of one, which owns all slots.
func (n *node) own() error {
	answer := n.ask("CLUSTER ADDSLOTSRANGE 0 16383")
	if answer != "+OK\r\n" {
		return fmt.Errorf("%s does not take the slots: %q", n.name, answer)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if strings.Contains(n.ask("CLUSTER INFO"), "cluster_state:ok") {
			return nil
		}
	}
	return fmt.Errorf("%s: the cluster of one node does not get ready", n.name)
}

func (n *node) stop() {
	if n.cmd != nil && n.cmd.Process != nil {
		n.cmd.Process.Kill()
		n.cmd.Wait()
	}
	os.RemoveAll(n.dir)
}

// measure is one run of redis-benchmark.
type measure struct {
	rate float64 // operations a second
	cpu  float64 // of the server, in microseconds per operation
}

func (n *node) load(o options, test, pipeline string, requests int) (measure, error) {
	if test == "ONEKEY" {
		return n.benchmark(o.clients, pipeline, requests, "-t", "set")
	}
	return n.benchmark(o.clients, pipeline, requests, "-t", strings.ToLower(test), "-r", "100000")
}

// benchmark runs redis-benchmark with more arguments.
func (n *node) benchmark(clients int, pipeline string, requests int, more ...string) (measure, error) {
	args := []string{"-p", n.port, "-c", strconv.Itoa(clients), "-n", strconv.Itoa(requests), "-P", pipeline, "--csv"}
	if n.tls != nil {
		args[1] = n.tlsPort
		args = append(args, "--tls", "--cacert", n.tls.ca)
	}
	before, err := n.cpu()
	if err != nil {
		return measure{}, err
	}
	out, err := exec.Command("redis-benchmark", append(args, more...)...).Output()
	if err != nil {
		return measure{}, fmt.Errorf("redis-benchmark (Debian: redis-tools): %w", err)
	}
	after, err := n.cpu()
	if err != nil {
		return measure{}, err
	}
	rate, err := parseBenchmark(string(out))
	return measure{rate, float64((after - before).Microseconds()) / float64(requests)}, err
}

// parseBenchmark finds the rate in what redis-benchmark --csv prints.
func parseBenchmark(out string) (rate float64, err error) {
	records, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(records) < 2 || len(records[1]) < 2 {
		return 0, fmt.Errorf("redis-benchmark printed %q", out)
	}
	return strconv.ParseFloat(records[1][1], 64)
}

// clockTick is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu is the processor time the server has used.
func (n *node) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("bench: /proc/PID/stat has too few fields")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err1, err2)
}

// memory is the server's resident memory in bytes.
func (n *node) memory() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", n.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, errors.New("bench: /proc/PID/statm has too few fields")
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// connect opens idle connections.
func (n *node) connect(count int) ([]net.Conn, error) {
	var conns []net.Conn
	for range count {
		c, err := n.dial()
		if err != nil {
			return conns, fmt.Errorf("connection %d to %s: %w", len(conns)+1, n.name, err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}
