package interop

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/redistest"
	"redoubt/slots"
)

// A cluster of ours and of real nodes that speak TLS with each other: redis-cli makes it,
// checks it and moves slots in it by TLS, clients are sent to ports of their own flavour, and
// a primary that is killed is replaced.
func TestAMixedClusterByTLS(t *testing.T) {
	t.Parallel()
	secrets := redistest.NewSecrets(t)
	c := redistest.StartCluster(t, redistest.ClusterConfig{
		Primaries: 3, Replicas: 1, Kinds: []redistest.Kind{ours(), redistest.Redis}, NodeTimeout: nodeTimeout, Args: quick, TLS: secrets,
	})
	for _, s := range c.Nodes {
		noPanic(t, s)
	}
	agree(t, c)
	cli := func(args ...string) string {
		t.Helper()
		return mustRun(t, "", redistest.Tool(t, "redis-cli"), append(secrets.CLI(), args...)...)
	}
	first := c.Nodes[0]

	t.Run("ports", func(t *testing.T) {
		other := nodeOf(t, c, 0, first) // of slot 0: first itself
		key := keyIn(16383, "k")
		owner := nodeOf(t, c, 16383, other)
		for secure, port := range map[bool]int{false: owner.Port, true: owner.TLSPort} {
			out := mustRun(t, "", redistest.Tool(t, "redis-cli"), append(cliOf(secrets, first, secure), "GET", key)...)
			wantText(t, out, fmt.Sprintf("MOVED 16383 127.0.0.1:%d", port))
			for _, command := range []string{"NODES", "SLOTS", "SHARDS"} {
				out := mustRun(t, "", redistest.Tool(t, "redis-cli"), append(cliOf(secrets, first, secure), "CLUSTER", command)...)
				wantText(t, out, strconv.Itoa(port))
			}
		}
	})

	t.Run("reshard", func(t *testing.T) {
		from, to := nodeOf(t, c, 0, first), nodeOf(t, c, 8000, first) // from ours to a real one
		key := keyIn(0, "moved")
		cli("-c", "-p", strconv.Itoa(first.TLSPort), "SET", key, "value")
		cli("--cluster", "reshard", first.TLSAddr(), "--cluster-from", myself(t, from).id, "--cluster-to", myself(t, to).id,
			"--cluster-slots", "1", "--cluster-yes")
		if got := cli("-c", "-p", strconv.Itoa(first.TLSPort), "GET", key); strings.TrimSpace(got) != "value" {
			t.Errorf("the key that was moved is %q", got)
		}
		redistest.Until(t, settle, "redis-cli finds nothing to complain of", func() error {
			out, err := run(t, "", redistest.Tool(t, "redis-cli"), append(secrets.CLI(), "--cluster", "check", first.TLSAddr())...)
			if err != nil {
				return fmt.Errorf("%w\n%s", err, out)
			}
			return nil
		})
		// Ours takes it back, the other way.
		out := mustRun(t, "", redistest.Binary(t), slices.Concat([]string{"cluster", "reshard", first.TLSAddr(), "--cluster-from", to.TLSAddr(),
			"--cluster-to", from.TLSAddr(), "--cluster-slots", "1", "--cluster-yes"}, secrets.CLI())...)
		wantText(t, out, "with 1 keys", "[OK] 1 slot has been moved to "+from.TLSAddr())
		if got := cli("-c", "-p", strconv.Itoa(first.TLSPort), "GET", key); strings.TrimSpace(got) != "value" {
			t.Errorf("the key that was moved back is %q", got)
		}
	})

	t.Run("failover", func(t *testing.T) {
		bin := redistest.Binary(t)
		for _, s := range slices.Clone(primaries(t, c))[:2] { // one of each kind
			key := keyIn(myself(t, s).first(t), "after")
			replica := replicaOf(t, c, s)
			untilLinkedAt(t, replica, s, s.TLSPort)
			s.Kill()
			untilWritten(t, replica, key, settle)
			s.Restart()
			untilLinkedAt(t, s, replica, replica.TLSPort)
		}
		c.UntilStable(settle)
		agree(t, c)
		// The tools know the cluster by its TLS ports.
		out := mustRun(t, "", bin, slices.Concat([]string{"check"}, secrets.CLI(), []string{"--nodes", first.TLSAddr(), "--duration", "1s", "--keys", "512", "--timeout", "30s"})...)
		wantText(t, out, "no acknowledged write is gone")
		mustRun(t, "", bin, slices.Concat([]string{"cluster", "check", first.TLSAddr()}, secrets.CLI())...)
		mustRun(t, "", bin, slices.Concat([]string{"health", "-p", strconv.Itoa(first.TLSPort)}, secrets.CLI())...)
		if out, err := run(t, "", bin, "health", "-p", strconv.Itoa(first.TLSPort)); err == nil {
			t.Errorf("without TLS a TLS port is healthy: %s", out)
		}
	})
}

// nodeOf is the owner of a slot, as a node tells it.
func nodeOf(t *testing.T, c *redistest.Cluster, slot slots.Slot, s *redistest.Server) *redistest.Server {
	t.Helper()
	for _, p := range primaries(t, c) {
		for _, r := range strings.Fields(myself(t, p).slots) {
			first, last, span := strings.Cut(r, "-")
			if !span {
				last = first
			}
			lo, _ := strconv.Atoi(first)
			hi, _ := strconv.Atoi(last)
			if lo <= int(slot) && int(slot) <= hi {
				return p
			}
		}
	}
	t.Fatalf("nobody has slot %d", slot)
	return nil
}

// cliOf are the options with which redis-cli speaks to a node by TLS, or without.
func cliOf(secrets *redistest.Secrets, s *redistest.Server, secure bool) []string {
	if secure {
		return append(secrets.CLI(), "-p", strconv.Itoa(s.TLSPort))
	}
	return []string{"-p", strconv.Itoa(s.Port)}
}

// Sentinels of both kinds that speak TLS replace a primary that is killed, by a common
// vote. Whoever asks them is told the port for TLS, which is the one they know.
func TestSentinelsByTLS(t *testing.T) {
	t.Parallel()
	secrets := redistest.NewSecrets(t)
	const ours, redis = redistest.Redoubt, redistest.Redis
	w := &watched{secure: true}
	w.primary = redistest.StartTLS(t, ours, secrets, append(quick, "--tls-replication", "yes")...)
	for _, kind := range []redistest.Kind{ours, redis} {
		w.replicas = append(w.replicas, redistest.StartTLS(t, kind, secrets, append(quick,
			"--tls-replication", "yes", "--replicaof", fmt.Sprint("127.0.0.1 ", w.primary.TLSPort))...))
	}
	for _, r := range w.replicas {
		untilLinkedAt(t, r, w.primary, w.primary.TLSPort)
	}
	for _, kind := range []redistest.Kind{ours, redis, ours} {
		w.sentinels = append(w.sentinels, redistest.StartSentinelTLS(t, kind, secrets,
			fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 2", w.primary.TLSPort),
			"sentinel down-after-milliseconds m 2000",
			"sentinel failover-timeout m 10000"))
	}
	for _, s := range slices.Concat(w.replicas, w.sentinels, []*redistest.Server{w.primary}) {
		noPanic(t, s)
	}
	w.untilKnown(t)
	// They know each other by their ports for TLS.
	for _, s := range w.sentinels {
		text := fmt.Sprint(s.Do("SENTINEL", "SENTINELS", "m"))
		for _, other := range w.sentinels {
			if other != s && !strings.Contains(text, strconv.Itoa(other.TLSPort)) {
				t.Errorf("the Sentinel on port %d does not know one on port %d: %s", s.Port, other.TLSPort, text)
			}
		}
	}

	bin := redistest.Binary(t)
	seeds := fmt.Sprintf("m@%s,%s", w.sentinels[0].TLSAddr(), w.sentinels[1].TLSAddr())
	check := func() {
		t.Helper()
		out := mustRun(t, "", bin, slices.Concat([]string{"check"}, secrets.CLI(), []string{"--sentinel", seeds, "--duration", "1s", "--keys", "512", "--timeout", "30s"})...)
		wantText(t, out, "no acknowledged write is gone")
	}
	check()
	old := w.primary
	old.Kill()
	heir := w.untilSwitched(t, old.TLSAddr())
	for _, r := range w.replicas {
		if r != heir {
			untilLinkedAt(t, r, heir, heir.TLSPort)
		}
	}
	old.Restart()
	untilLinkedAt(t, old, heir, heir.TLSPort)
	check()
}

// A bus by TLS lets in neither a node without TLS nor one whose certificate is by another
// authority, and the log says so.
func TestTheBusByTLSIsGuarded(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	cluster := append(slices.Clone(quick), "--cluster-enabled", "yes")
	secure := append(slices.Clone(cluster), "--tls-cluster", "yes")
	s := redistest.StartTLS(t, redistest.Redoubt, redistest.NewSecrets(t), secure...)
	noPanic(t, s)
	for _, c := range []struct {
		stranger *redistest.Server
		why      string
	}{
		{redistest.Start(t, redistest.Redis, cluster...), "what it sends is not TLS"},
		// It trusts us no more than we trust it, and is the first to say so.
		{redistest.StartTLS(t, redistest.Redis, redistest.NewSecrets(t), secure...), "it broke off the TLS handshake, as OpenSSL does if it does not accept the certificate"},
	} {
		c.stranger.Do("CLUSTER", "MEET", "127.0.0.1", s.TLSPort, s.TLSPort+10000)
		redistest.Until(t, settle, "a stranger is refused", func() error {
			if !strings.Contains(s.Log(), "A cluster link from 127.0.0.1 was refused: "+c.why) {
				return fmt.Errorf("the log does not say that %s", c.why)
			}
			return nil
		})
	}
	if n := len(members(t, s)); n != 2 { // itself, by its address and as itself
		t.Errorf("it knows %d nodes", n-1)
	}
}
