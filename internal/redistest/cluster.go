package redistest

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// createTimeout is how long making a cluster may take: redis-cli --cluster
// create first, then until all nodes agree.
const createTimeout = 60 * time.Second

// ClusterConfig describes a cluster to be made.
type ClusterConfig struct {
	Primaries int // at least 3, or redis-cli refuses
	Replicas  int // for each primary
	// Kinds are the kinds of the nodes in their order, begun again when they
	// run out: Redis, Redoubt makes every other node ours. None means Redis.
	// redis-cli makes the first nodes primaries.
	Kinds []Kind
	// NodeTimeout is cluster-node-timeout; zero means two seconds.
	NodeTimeout time.Duration
	Args        []string // further options of every node
	// TLS has the nodes speak TLS with each other, and redis-cli with them; nil: plain.
	TLS *Secrets
	// Hosts are where the nodes run, one on each; nil: all on 127.0.0.1. There is no TLS
	// with them.
	Hosts []Host
}

// Cluster is a cluster of servers that agree with each other.
type Cluster struct {
	Nodes []*Server
	t     testing.TB
}

// StartCluster starts the servers and has redis-cli make a cluster of them. It
// returns when every node knows all others, sees every slot served, and every
// replica is in step with its primary.
func StartCluster(t testing.TB, cfg ClusterConfig) *Cluster {
	t.Helper()
	cli := Tool(t, "redis-cli")
	if len(cfg.Kinds) == 0 {
		cfg.Kinds = []Kind{Redis}
	}
	if cfg.NodeTimeout == 0 {
		cfg.NodeTimeout = 2 * time.Second
	}
	args := append([]string{
		"--cluster-enabled", "yes",
		"--cluster-node-timeout", strconv.FormatInt(cfg.NodeTimeout.Milliseconds(), 10),
	}, cfg.Args...)
	c := &Cluster{t: t}
	create := []string{"--cluster", "create"}
	if cfg.TLS != nil {
		args = append(args, "--tls-cluster", "yes", "--tls-replication", "yes")
		create = append(cfg.TLS.CLI(), create...)
	}
	for i := range cfg.Primaries * (1 + cfg.Replicas) {
		kind := cfg.Kinds[i%len(cfg.Kinds)]
		if cfg.TLS != nil {
			s := StartTLS(t, kind, cfg.TLS, args...)
			c.Nodes = append(c.Nodes, s)
			create = append(create, s.TLSAddr())
			continue
		}
		s := cfg.start(t, i, kind, args)
		c.Nodes = append(c.Nodes, s)
		create = append(create, s.Addr())
	}
	create = append(create, "--cluster-replicas", strconv.Itoa(cfg.Replicas), "--cluster-yes")

	ctx, cancel := context.WithTimeout(context.Background(), createTimeout)
	defer cancel()
	if out, err := cfg.run(exec.CommandContext(ctx, cli, create...)); err != nil {
		t.Fatalf("redistest: redis-cli %s: %v\n%s", strings.Join(create, " "), err, out)
	}
	c.UntilStable(createTimeout)
	return c
}

// start starts the node with an index.
func (cfg *ClusterConfig) start(t testing.TB, i int, kind Kind, args []string) *Server {
	t.Helper()
	if cfg.Hosts != nil {
		return StartOn(t, cfg.Hosts[i], kind, args...)
	}
	return Start(t, kind, args...)
}

// run runs a tool where it reaches the nodes, and returns what it printed.
func (cfg *ClusterConfig) run(cmd *exec.Cmd) (string, error) {
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	begin := cmd.Start
	if cfg.Hosts != nil {
		begin = func() error { return cfg.Hosts[0].Start(cmd) }
	}
	if err := begin(); err != nil {
		return "", err
	}
	err := cmd.Wait()
	return out.String(), err
}

// UntilStable waits until all nodes that run agree: each sees the state ok and
// every slot served, and every replica's link to its primary is up.
func (c *Cluster) UntilStable(within time.Duration) {
	c.t.Helper()
	for _, s := range c.Nodes {
		if !s.Running() {
			continue
		}
		Until(c.t, within, fmt.Sprintf("the node at %s is in a stable cluster", s.Addr()), func() error {
			for _, want := range [][2]string{
				{"cluster_state", "ok"},
				{"cluster_slots_ok", "16384"},
				{"cluster_known_nodes", strconv.Itoa(len(c.Nodes))},
			} {
				if got := s.Info(want[0]); got != want[1] {
					return fmt.Errorf("%s is %s, not %s", want[0], got, want[1])
				}
			}
			if s.Info("role") == "slave" && s.Info("master_link_status") != "up" {
				return fmt.Errorf("replica is not in step")
			}
			return nil
		})
	}
}
