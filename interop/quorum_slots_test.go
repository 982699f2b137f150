package interop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"redoubt/internal/redistest"
)

// counters are keys of all slots that one client each counts up, with what is known of them.
type counters struct {
	stop    chan struct{}
	running sync.WaitGroup
	mu      sync.Mutex
	acked   map[string]int // the last value that was acknowledged
	tried   map[string]int // the last one that was sent
}

func (c *counters) count(addrs []string, writers, keys int) {
	c.stop, c.acked, c.tried = make(chan struct{}), map[string]int{}, map[string]int{}
	for w := range writers {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, MaxRetries: -1, ReadTimeout: time.Second})
		c.running.Go(func() {
			defer client.Close()
			for i := 0; ; i++ {
				select {
				case <-c.stop:
					return
				case <-time.After(time.Millisecond):
				}
				key := fmt.Sprintf("counter:%d:%d", w, i%keys)
				c.mu.Lock()
				c.tried[key]++
				value := c.tried[key]
				c.mu.Unlock()
				if client.Set(context.Background(), key, value, 0).Err() == nil {
					c.mu.Lock()
					c.acked[key] = value
					c.mu.Unlock()
				}
			}
		})
	}
}

// verify reads all keys: each has what was acknowledged last, or something that was sent later.
func (c *counters) verify(t *testing.T, addrs []string) {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ReadTimeout: time.Second})
	defer client.Close()
	lost := 0
	for key, acked := range c.acked {
		var value int
		redistest.Until(t, settle, "a key is read", func() error {
			text, err := client.Get(context.Background(), key).Result()
			if errors.Is(err, redis.Nil) {
				return nil
			}
			value, _ = strconv.Atoi(text)
			return err
		})
		if value < acked || value > c.tried[key] {
			t.Errorf("%s is %d, %d was acknowledged and %d sent", key, value, acked, c.tried[key])
			if lost++; lost == 10 {
				t.FailNow()
			}
		}
	}
	t.Logf("%d keys are there", len(c.acked))
}

// Slots go to and fro between two quorum shards while clients write and a primary of one of them
// is killed. In the end all slots are served, and no acknowledged write is lost.
func TestQuorumSlotsMoveWhilePrimariesDie(t *testing.T) {
	oursOnly(t)
	t.Parallel()
	shards := make([]*quorumShard, 2)
	var addrs []string
	for i := range shards {
		q := &quorumShard{t: t}
		for range 3 {
			n := start(t, ours(), append(quorumArgs, "--cluster-node-timeout", "3000")...)
			q.nodes, addrs = append(q.nodes, n), append(addrs, n.Addr())
		}
		q.nodes[0].Do("CLUSTER", "ADDSLOTSRANGE", 8192*i, 8192*i+8191)
		for _, n := range q.nodes[1:] {
			q.join(n)
		}
		shards[i] = q
	}
	shards[1].nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", shards[0].nodes[0].Port)
	for _, q := range shards {
		q.untilVoting(3)
	}
	tool := func(args ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), redistest.Binary(t), append([]string{"cluster"}, args...)...)
	}
	checked := func() error {
		out, err := tool("check", shards[0].nodes[0].Addr()).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	}
	redistest.Until(t, settle, "the cluster is whole", checked)
	var c counters
	c.count(addrs, 4, 500)
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for round := range 6 {
		from, to := shards[round%2], shards[(round+1)%2]
		fromID, toID := from.leader(nil).Do("CLUSTER", "MYID").(string), to.leader(nil).Do("CLUSTER", "MYID").(string)
		reshard := tool("reshard", addrs[0], "--cluster-from", fromID, "--cluster-to", toID, "--cluster-slots", "2000", "--cluster-yes", "--timeout", "5s")
		var out strings.Builder
		reshard.Stdout, reshard.Stderr = &out, &out
		if err := reshard.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(50+rnd.IntN(800)) * time.Millisecond)
		victim := []*quorumShard{from, to}[rnd.IntN(2)].leader(nil)
		victim.Kill()
		time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
		victim.Launch()
		err := reshard.Wait() // that it gives up is expected
		for _, q := range shards {
			q.untilVoting(3)
		}
		left := ""
		redistest.Until(t, settle, "the cluster is whole again", func() error {
			err := checked()
			if err != nil {
				left = err.Error()
				fixed, _ := tool("fix", addrs[0], "--cluster-yes", "--cluster-replace", "--timeout", "5s").CombinedOutput()
				left += "\n" + string(fixed)
			}
			return err
		})
		t.Logf("round %d: the reshard: %v; left to fix: %v", round, err, left != "")
		if t.Failed() {
			t.Log(out.String(), left)
		}
	}
	close(c.stop)
	c.running.Wait()
	c.verify(t, addrs)
}

// A new primary founds its shard's group when it gets its first slots, which may have keys; and
// slots go from a quorum shard to one without quorum, and back. With the commands given one by
// one, which are answered when the node can do what they are for.
func TestQuorumShardGetsItsFirstSlots(t *testing.T) {
	oursOnly(t)
	t.Parallel()
	first := start(t, ours(), quorumArgs...)
	first.Do("CLUSTER", "ADDSLOTSRANGE", 0, 8000)
	first.Do("CLUSTER", "ADDSLOTSRANGE", 8001, 16383) // while the group is founded
	others := []*redistest.Server{
		start(t, ours(), quorumArgs...),
		start(t, ours(), append(slices.Clone(quorumArgs), "--durability", "async")...),
	}
	nodes := append([]*redistest.Server{first}, others...)
	var addrs []string
	for _, n := range nodes {
		addrs = append(addrs, n.Addr())
	}
	for _, n := range others {
		n.Do("CLUSTER", "MEET", "127.0.0.1", first.Port)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs[:1]})
	defer client.Close()
	const keys = 300
	for i := range keys {
		redistest.Until(t, settle, "a key is written", func() error {
			return client.Set(context.Background(), fmt.Sprint("key:", i), i, 0).Err()
		})
	}
	redistest.Until(t, settle, "all know each other", func() error {
		for _, n := range nodes {
			if known := strings.Count(n.Do("CLUSTER", "NODES").(string), "\n"); known != len(nodes) {
				return fmt.Errorf("%d are known", known)
			}
		}
		return nil
	})
	for i, n := range others {
		for _, way := range [][2]*redistest.Server{{first, n}, {n, first}} {
			out, err := run(t, "", redistest.Binary(t), "cluster", "reshard", first.Addr(), "--cluster-from", way[0].Do("CLUSTER", "MYID").(string),
				"--cluster-to", way[1].Do("CLUSTER", "MYID").(string), "--cluster-slots", "1500", "--cluster-yes")
			if err != nil {
				t.Fatalf("other %d: %v\n%s", i, err, out)
			}
			for k := range keys {
				if v, err := client.Get(context.Background(), fmt.Sprint("key:", k)).Result(); err != nil || v != strconv.Itoa(k) {
					t.Fatalf("other %d: key:%d is %q, %v", i, k, v, err)
				}
			}
		}
	}
}

// A slot that is taken by the target before all of its keys have moved keeps those at the source, and
// what has moved at the target; redoubt cluster fix brings them together.
func TestQuorumSlotThatIsTakenTooEarly(t *testing.T) {
	oursOnly(t)
	t.Parallel()
	from, to := start(t, ours(), quorumArgs...), start(t, ours(), quorumArgs...)
	from.Do("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
	to.Do("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
	to.Do("CLUSTER", "MEET", "127.0.0.1", from.Port)
	addrs := []string{from.Addr(), to.Addr()}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer client.Close()
	ctx := context.Background()
	const keys = 20
	key := func(i int) string { return fmt.Sprintf("{3}:%d", i) } // slot 1584
	for i := range keys {
		redistest.Until(t, settle, "a key is written", func() error { return client.Set(ctx, key(i), i, 0).Err() })
	}
	slot := from.Do("CLUSTER", "KEYSLOT", key(0))
	fromID, toID := from.Do("CLUSTER", "MYID"), to.Do("CLUSTER", "MYID")
	to.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	from.Do("MIGRATE", "127.0.0.1", to.Port, "", 0, 1000, "KEYS", key(0), key(1), key(2))
	to.Do("CLUSTER", "SETSLOT", slot, "NODE", toID)
	redistest.Until(t, settle, "the source says where the slot is", func() error {
		if _, err := ask(from, "GET", key(9)); err == nil || !strings.HasPrefix(err.Error(), "MOVED") {
			return fmt.Errorf("it answers %v", err)
		}
		return nil
	})
	if left, moved := from.Do("CLUSTER", "COUNTKEYSINSLOT", slot), to.Do("CLUSTER", "COUNTKEYSINSLOT", slot); left != int64(keys-3) || moved != int64(3) {
		t.Fatalf("%v keys are at the source, %v at the target", left, moved)
	}
	restartWith(from, "quorum") // it is elected again, and does not take the slot back
	redistest.Until(t, settle, "the source leads again", func() error {
		if about(from, "quorum_leading") != "1" {
			return errors.New("it does not")
		}
		return nil
	})
	redistest.Until(t, settle, "all keys are at the target", func() error {
		out, err := run(t, "", redistest.Binary(t), "cluster", "fix", addrs[0], "--cluster-search-multiple-owners", "--cluster-yes")
		if moved := to.Do("CLUSTER", "COUNTKEYSINSLOT", slot); moved != int64(keys) {
			return fmt.Errorf("%v are: %v\n%s", moved, err, out)
		}
		return nil
	})
	for i := range keys {
		if v, err := client.Get(ctx, key(i)).Result(); err != nil || v != strconv.Itoa(i) {
			t.Errorf("%s is %q, %v", key(i), v, err)
		}
	}
	redistest.Until(t, settle, "the cluster is whole", func() error {
		out, err := run(t, "", redistest.Binary(t), "cluster", "check", addrs[0])
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
		return err
	})
}
