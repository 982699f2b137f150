package driver

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/cluster"
	"redoubt/internal/redistest"
	"redoubt/slots"
)

// TestAMemberAmongRealServers puts a driver into a cluster of redis-server
// 7.0: it is met, it agrees, and its vote decides an election.
func TestAMemberAmongRealServers(t *testing.T) {
	t.Parallel()
	args := []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--save", "", "--repl-ping-replica-period", "1"}
	var real []*redistest.Server
	for range 3 {
		real = append(real, redistest.Start(t, redistest.Redis, args...))
	}
	a, b, replica := real[0], real[1], real[2]
	m := startMember(t)

	a.Do("CLUSTER", "ADDSLOTSRANGE", 0, 5460)
	b.Do("CLUSTER", "ADDSLOTSRANGE", 5461, 10922)
	m.WantOK("cluster", "addslotsrange", 10923, slots.Count-1)
	a.Do("CLUSTER", "SET-CONFIG-EPOCH", 1)
	b.Do("CLUSTER", "SET-CONFIG-EPOCH", 2)
	m.WantOK("cluster", "set-config-epoch", 3)
	m.WantOK("cluster", "meet", "127.0.0.1", a.Port)
	b.Do("CLUSTER", "MEET", "127.0.0.1", m.port)
	replica.Do("CLUSTER", "MEET", "127.0.0.1", a.Port)

	redistest.Until(t, 15*time.Second, "we see all", func() error { return m.sees(4, true) })
	for _, s := range real {
		redistest.Until(t, 15*time.Second, "they see all", func() error {
			info := fmt.Sprint(s.Do("CLUSTER", "INFO"))
			if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:4") {
				return fmt.Errorf("%s", info)
			}
			return nil
		})
	}
	for _, s := range real {
		if nodes := fmt.Sprint(s.Do("CLUSTER", "NODES")); !strings.Contains(nodes, m.id()+fmt.Sprintf(" 127.0.0.1:%d@%d master", m.port, m.port+10000)) {
			t.Errorf("we are not as we should be in\n%s", nodes)
		}
	}

	b.Do("PUBLISH", "news", "from redis")
	redistest.Until(t, 5*time.Second, "we hear of the news", func() error { return m.shell.heard("news from redis false") })

	idA := fmt.Sprint(a.Do("CLUSTER", "MYID"))
	replica.Do("CLUSTER", "REPLICATE", idA)
	redistest.Until(t, 15*time.Second, "the replica is in step, and we know of it", func() error {
		if up := replica.Info("master_link_status"); up != "up" {
			return fmt.Errorf("its link is %s", up)
		}
		ranges := m.View().SlotRanges()
		if len(ranges) != 3 || len(ranges[0].Nodes) != 2 {
			return fmt.Errorf("%s", m.View().NodesText(cluster.Client{}))
		}
		return nil
	})

	// Of three primaries one is dead: the replica needs b and us.
	a.Kill()
	idReplica := fmt.Sprint(replica.Do("CLUSTER", "MYID"))
	redistest.Until(t, 20*time.Second, "the replica is elected", func() error {
		if owner := m.View().Owner(0); string(owner.ID) != idReplica || !m.View().OK {
			return fmt.Errorf("%s", m.View().NodesText(cluster.Client{}))
		}
		return nil
	})
	if info := m.Do("cluster", "info"); !strings.Contains(info, "cluster_stats_messages_auth-ack_sent:1") {
		t.Errorf("we did not vote:\n%s", info)
	}
}
