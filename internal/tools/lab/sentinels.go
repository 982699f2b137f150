package lab

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"redoubt/internal/tools/clustertool"
)

// Master is the name under which the Sentinels of a lab know its primary.
const Master = "mymaster"

// failoverTimeout is that of the Sentinels: how soon a failover that got stuck is tried
// again. Nothing in a lab takes long.
const failoverTimeout = "10000"

// configure writes the configuration file of a node that Sentinels rewrite: of a Sentinel
// and of what it watches. One that is there stays: it says what the node was last.
func (l *Lab) configure(n *node) error {
	if _, err := os.Stat(n.confFile()); err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(n.dir, 0o755); err != nil {
		return err
	}
	var lines []string
	for _, d := range n.listens(&l.Config, l.dir) {
		lines = append(lines, d[0]+" "+strconv.Quote(d[1]))
	}
	if n.kind == watched {
		lines = append(lines, "appendonly yes")
		if n != l.nodes[0] {
			lines = append(lines, fmt.Sprintf("replicaof %s %d", loopback, l.nodes[0].port))
		}
	} else {
		lines = append(lines,
			fmt.Sprintf("sentinel monitor %s %s %d %d", Master, loopback, l.nodes[0].port, l.sentinels()/2+1),
			fmt.Sprintf("sentinel down-after-milliseconds %s %d", Master, l.NodeTimeout.Milliseconds()),
			fmt.Sprintf("sentinel failover-timeout %s %s", Master, failoverTimeout))
		if l.ServerBin == "" {
			lines = append(lines, fmt.Sprintf("sentinel fast-down %s yes", Master)) // Redis has no such thing
		}
	}
	return replaceFile(n.confFile(), []byte(strings.Join(lines, "\n")+"\n"))
}

// watching returns why the Sentinels do not watch over the lab yet: the first that does
// not know all replicas and Sentinels, or names another primary than the first one does,
// or the first node that does not replicate from there.
func (l *Lab) watching() error {
	primary := ""
	for _, n := range l.nodes {
		if n.kind != sentinel {
			continue
		}
		m, err := n.master()
		if err != nil {
			return n.why(err)
		}
		if primary == "" {
			primary = m.addr
		}
		switch {
		case m.addr != primary:
			return fmt.Errorf("%s says that the primary is %s, another one says %s", n, m.addr, primary)
		case m.flags != "master":
			return fmt.Errorf("%s says that the primary is %s", n, m.flags)
		case m.sentinels != l.sentinels()-1:
			return fmt.Errorf("%s knows %d of %d other Sentinels", n, m.sentinels, l.sentinels()-1)
		case m.replicas != *l.Replicas:
			return fmt.Errorf("%s knows %d of %d replicas", n, m.replicas, *l.Replicas)
		}
	}
	for _, n := range l.nodes {
		if n.kind != watched {
			continue
		}
		info, err := n.ask("INFO", "replication")
		if err != nil {
			return n.why(err)
		}
		r := replicationOf(info)
		switch {
		case n.addr() == primary && !r.primary:
			return fmt.Errorf("%s is not the primary yet", n)
		case n.addr() != primary && r.source != primary:
			return fmt.Errorf("%s is not a replica of %s yet", n, primary)
		case n.addr() != primary && r.link != "up":
			return fmt.Errorf("%s has no link to its primary; see %s", n, n.logFile())
		}
	}
	return nil
}

// replicating returns which replica has no link to a primary yet.
func (l *Lab) replicating() error {
	for _, n := range l.nodes {
		if n.kind != watched {
			continue
		}
		info, err := n.ask("INFO", "replication")
		if err != nil {
			return n.why(err)
		}
		if r := replicationOf(info); !r.primary && r.link != "up" {
			return fmt.Errorf("%s has no link to its primary; see %s", n, n.logFile())
		}
	}
	return nil
}

// master is what a Sentinel says of the lab's primary.
type master struct {
	addr                string
	flags               string // "master", and what is wrong with it
	replicas, sentinels int    // other Sentinels
}

// link is in one word how the Sentinel sees the primary.
func (m *master) link() string {
	for _, f := range []struct{ flag, word string }{
		{"failover_in_progress", "failover"}, {"o_down", "o_down"}, {"s_down", "s_down"}, {"disconnected", "down"},
	} {
		if slices.Contains(strings.Split(m.flags, ","), f.flag) {
			return f.word
		}
	}
	return "up"
}

func (n *node) master() (master, error) {
	conn, err := n.dial()
	if err != nil {
		return master{}, err
	}
	defer conn.Close()
	v, err := conn.Do("SENTINEL", "MASTER", Master)
	if err != nil {
		return master{}, err
	}
	var m master
	var host, port string
	pairs := v.Array()
	for i := 0; i+1 < len(pairs); i += 2 {
		value := pairs[i+1].String()
		switch pairs[i].String() {
		case "ip":
			host = value
		case "port":
			port = value
		case "flags":
			m.flags = value
		case "num-slaves":
			m.replicas, _ = strconv.Atoi(value)
		case "num-other-sentinels":
			m.sentinels, _ = strconv.Atoi(value)
		}
	}
	m.addr = host + ":" + port
	return m, nil
}

// replication is what a node says of its role.
type replication struct {
	primary bool
	source  string // of a replica: its primary
	link    string
	offset  string
}

func replicationOf(info string) replication {
	field := func(name string) string {
		v, _ := clustertool.InfoField(info, name)
		return v
	}
	if field("role") == "master" {
		return replication{primary: true, offset: field("master_repl_offset")}
	}
	return replication{
		source: field("master_host") + ":" + field("master_port"),
		link:   field("master_link_status"),
		offset: field("slave_repl_offset"),
	}
}
