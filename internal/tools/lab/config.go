package lab

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Config says what a lab consists of. It is lab.json. A zero value leaves the
// choice to the lab that is there, or else to the default beside it.
type Config struct {
	Port        int           `json:"port"`            // of the first node, the others follow; 7000
	Nodes       int           `json:"nodes"`           // all of them; 6
	Replicas    *int          `json:"replicas"`        // of each primary; 1, with Sentinels 2
	NodeTimeout time.Duration `json:"node_timeout_ns"` // 5 s; nodes learn of another when they start
	// Sentinel makes the lab a primary with its replicas, and behind them as many
	// Sentinels as are left of Nodes. NodeTimeout is after what silence they hold
	// the primary to be down; they learn of another never.
	Sentinel bool `json:"sentinel,omitempty"`
	// TLS leaves the nodes no port without TLS.
	TLS bool `json:"tls,omitempty"`
	// Quorum makes each shard one with durability quorum: of three nodes, unless Replicas
	// says otherwise.
	Quorum bool `json:"quorum,omitempty"`
	// ServerBin takes redis-server's options; empty is the server in this
	// very binary.
	ServerBin string `json:"server_bin"`
}

// or fills what c leaves open from d.
func (c Config) or(d Config) Config {
	c.Sentinel = c.Sentinel || d.Sentinel
	c.TLS = c.TLS || d.TLS
	c.Quorum = c.Quorum || d.Quorum
	c.Port = cmp.Or(c.Port, d.Port)
	c.Nodes = cmp.Or(c.Nodes, d.Nodes)
	c.Replicas = cmp.Or(c.Replicas, d.Replicas)
	c.NodeTimeout = cmp.Or(c.NodeTimeout, d.NodeTimeout)
	c.ServerBin = cmp.Or(c.ServerBin, d.ServerBin)
	return c
}

// fewestSentinels is how many it takes for a majority when one of them is away.
const fewestSentinels = 3

// orDefaults fills what c leaves open.
func (c Config) orDefaults() Config {
	replicas, nodes := 1, 6
	if c.Sentinel {
		replicas = 2
		if c.Replicas != nil {
			nodes = 1 + *c.Replicas + fewestSentinels
		}
	}
	if c.Quorum {
		replicas, nodes = 2, 9
		if c.Replicas != nil {
			nodes = 3 * (1 + *c.Replicas)
		}
	}
	return c.or(Config{Port: 7000, Nodes: nodes, Replicas: &replicas, NodeTimeout: 5 * time.Second})
}

// sentinels is how many of the nodes are Sentinels.
func (c *Config) sentinels() int {
	if !c.Sentinel {
		return 0
	}
	return c.Nodes - 1 - *c.Replicas
}

func (c *Config) validate() error {
	last := c.Port + c.Nodes - 1
	switch {
	case c.Nodes < 1:
		return fmt.Errorf("%d is no number of nodes", c.Nodes)
	case c.Sentinel && (c.Port < 1 || last > maxPort):
		return fmt.Errorf("ports %d to %d must lie within 1 to %d", c.Port, last, maxPort)
	case !c.Sentinel && (c.Port < 1 || last+busOffset > maxPort):
		return fmt.Errorf("ports %d to %d and their bus ports (%d higher) must lie within 1 to %d", c.Port, last, busOffset, maxPort)
	case c.Replicas == nil || *c.Replicas < 0:
		return errors.New("the number of replicas must not be negative")
	case c.Quorum && c.Sentinel:
		return errors.New("a shard with durability quorum elects its primary by itself, without Sentinels")
	case c.Quorum && c.ServerBin != "":
		return errors.New("only nodes of this program can have durability quorum")
	case c.Sentinel && *c.Replicas < 1:
		return errors.New("without a replica there is nothing that Sentinels could promote")
	case c.Sentinel && c.sentinels() < fewestSentinels:
		return fmt.Errorf("a primary, %d replicas and %d Sentinels are %d nodes, not %d", *c.Replicas, fewestSentinels, 1+*c.Replicas+fewestSentinels, c.Nodes)
	case !c.Sentinel && c.Nodes < 3*(*c.Replicas+1):
		return fmt.Errorf("3 primaries with %d replicas each are %d nodes, not %d", *c.Replicas, 3*(*c.Replicas+1), c.Nodes)
	case c.NodeTimeout < time.Millisecond:
		return errors.New("the node timeout must be at least a millisecond")
	}
	return nil
}

const maxPort = 65535

// ephemeral says which ports of the lab the system may give to outgoing connections at
// any moment, so that a node cannot always start, or "". limits is the content of
// ip_local_port_range.
func (c *Config) ephemeral(limits string) string {
	f := strings.Fields(limits)
	if len(f) != 2 {
		return ""
	}
	low, err := strconv.Atoi(f[0])
	high, err2 := strconv.Atoi(f[1])
	if err != nil || err2 != nil {
		return ""
	}
	first, last, what := c.Port, c.Port+c.Nodes-1, "ports"
	if !c.Sentinel && (last < low || first > high) {
		first, last, what = first+busOffset, last+busOffset, "bus ports"
	}
	if last < low || first > high {
		return ""
	}
	return fmt.Sprintf("the %s %d to %d are among those that this system gives to outgoing connections (%d to %d): "+
		"a node whose port is in use so does not start; try --port %d", what, first, last, low, high, 7000)
}

// String says what the lab is, for people.
func (c *Config) String() string {
	what := "of " + c.ServerBin
	if c.ServerBin == "" {
		what = "of this program"
	}
	if c.TLS {
		what += ", with TLS"
	}
	if c.Quorum {
		what += ", durability quorum"
	}
	primaries, replicas, sentinels := c.Roles()
	if c.Sentinel {
		return fmt.Sprintf("a primary, %d replicas and %d Sentinels from port %d, %s", replicas, sentinels, c.Port, what)
	}
	return fmt.Sprintf("a cluster of %d primaries and %d replicas from port %d, %s", primaries, replicas, c.Port, what)
}

// Roles counts the nodes by what they were made: primaries, replicas and Sentinels.
func (c *Config) Roles() (primaries, replicas, sentinels int) {
	if c.Sentinel {
		return 1, *c.Replicas, c.sentinels()
	}
	primaries = c.Nodes / (*c.Replicas + 1)
	return primaries, c.Nodes - primaries, 0
}

// command is the command line of a server, to which options are appended.
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
