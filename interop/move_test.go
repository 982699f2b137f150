package interop

import (
	"fmt"
	"testing"

	"redoubt/internal/redistest"
)

// MIGRATE moves keys of all types, with their expiry, to a node of the other kind.
func TestMigrateMovesAllTypes(t *testing.T) {
	t.Parallel()
	for i, kinds := range [][2]redistest.Kind{{redistest.Redis, ours()}, {ours(), redistest.Redis}} {
		t.Run(fmt.Sprintf("from %v to %v", kinds[0], kinds[1]), func(t *testing.T) {
			from, to := start(t, kinds[0]), start(t, kinds[1])
			h := newHistory(t, from, uint64(30+i))
			h.run(150)
			h.calm()
			want, held := digest(from), types(t, from)
			c := from.Client()
			for db := range historyDBs {
				if _, err := c.Do("SELECT", db); err != nil {
					t.Fatal(err)
				}
				keys, err := c.Do("KEYS", "*")
				if err != nil {
					t.Fatal(err)
				}
				all := keys.([]any)
				some := len(all) / 2
				for _, key := range all[:some] {
					migrate(t, c, to, key, db)
				}
				if some < len(all) {
					migrate(t, c, to, "", db, append([]any{"KEYS"}, all[some:]...)...)
				}
			}
			if got := digest(to); got != want {
				t.Errorf("the digest is %s, was %s: %s", got, want, difference(t, from, to))
			}
			if left := types(t, from); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			t.Logf("moved %v", held)
		})
	}
}

func migrate(t *testing.T, c *redistest.Client, to *redistest.Server, key any, db int, more ...any) {
	t.Helper()
	reply, err := c.Do(append([]any{"MIGRATE", "127.0.0.1", to.Port, key, db, 10_000}, more...)...)
	if err != nil || reply != "OK" {
		t.Fatalf("MIGRATE %q %v: %v, %v", key, more, reply, err)
	}
}

// redis-cli --cluster reshard takes a slot with keys of all types from node to
// node, of either kind, and back.
func TestReshardMovesAllTypes(t *testing.T) {
	t.Parallel()
	real, mine := redistest.Redis, ours()
	c := redistest.StartCluster(t, redistest.ClusterConfig{
		Primaries: 3, Kinds: []redistest.Kind{mine, real, mine}, NodeTimeout: patience, Args: quick,
	})
	agree(t, c)
	owner := func() *redistest.Server {
		for _, s := range c.Nodes {
			if m := myself(t, s); m.slots != "" && m.first(t) == 0 {
				return s
			}
		}
		t.Fatal("nobody has slot 0")
		return nil
	}
	h := newHistory(t, owner(), 40)
	h.dbs, h.lines.Databases, h.lines.Tag = 1, 1, "{"+keyIn(0, "tag")+"}"
	for _, to := range []int{2, 1, 0} {
		from, to := owner(), c.Nodes[to]
		h.connect(from)
		h.run(100)
		h.calm()
		want := digest(from)
		manage(t, "reshard", from.Addr(), "--cluster-from", myself(t, from).id, "--cluster-to", myself(t, to).id, "--cluster-slots", "1", "--cluster-yes")
		if now := owner(); now != to {
			t.Fatalf("slot 0 is at port %d, not %d", now.Port, to.Port)
		}
		if got := digest(to); got != want {
			t.Errorf("from %v to %v: the digest is %s, was %s", from.Kind, to.Kind, got, want)
		}
		if got := from.Do("DBSIZE"); got != int64(0) {
			t.Errorf("from %v to %v: %v keys were left behind", from.Kind, to.Kind, got)
		}
		agree(t, c)
	}
}
