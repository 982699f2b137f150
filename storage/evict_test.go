package storage

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/slots"
)

func (b *bench) evictAll(p Eviction) (order []string) {
	for {
		b.units = nil
		if !b.Evict(b.now, p) {
			return order
		}
		order = append(order, strings.Join(b.units, ";"))
	}
}

// With as many samples as there are keys an eviction takes the very best.
func TestEvictionTakesTheBestCandidate(t *testing.T) {
	const keys = 10
	for _, c := range []struct {
		name   string
		policy Eviction
		setUp  func(b *bench)
		want   []string
	}{
		{"volatile-ttl", Eviction{EvictTTL, true, 64}, func(b *bench) {
			for i := range keys {
				at := int64(0)
				if i%2 == 0 {
					at = t0 + int64(100-i)*1000
				}
				b.set(fmt.Sprint("k", i), "v", at)
			}
		}, []string{"DEL k8", "DEL k6", "DEL k4", "DEL k2", "DEL k0"}},
		{"allkeys-lru", Eviction{EvictLRU, false, 64}, func(b *bench) {
			for i := range 4 {
				b.set(fmt.Sprint("k", i), "v", 0)
				b.now += 5000
			}
			b.get("k0")
		}, []string{"DEL k1", "DEL k2", "DEL k3", "DEL k0"}},
		{"volatile-lru", Eviction{EvictLRU, true, 64}, func(b *bench) {
			for i := range 4 {
				b.set(fmt.Sprint("k", i), "v", int64(i%2)*(t0+1e9))
				b.now += 5000
			}
		}, []string{"DEL k1", "DEL k3"}},
		{"noeviction of nothing", Eviction{EvictTTL, true, 64}, func(b *bench) { b.set("k", "v", 0) }, nil},
	} {
		b := newBench(t, 1)
		c.setUp(b)
		if got := b.evictAll(c.policy); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s evicts %q, want %q", c.name, got, c.want)
		}
	}
}

// Candidates are remembered from one eviction to the next. What has become of them
// since decides: a volatile policy spares keys without an expiry.
func TestACandidateThatDoesNotExpireAnyMoreStays(t *testing.T) {
	const keys = 6
	volatile := Eviction{EvictTTL, true, 64}
	for _, c := range []struct {
		name  string
		first Eviction
		at    int64
		since func(b *bench, key string)
	}{
		{"persisted", volatile, t0 + 1e6, func(b *bench, key string) {
			b.unit(func(tx *Tx) { tx.SetExpire([]byte(key), 0) }, key)
		}},
		{"set anew", volatile, t0 + 1e6, func(b *bench, key string) { b.set(key, "another", 0) }},
		{"proposed by another policy", Eviction{EvictLRU, false, 64}, 0, func(*bench, string) {}},
	} {
		b := newBench(t, 1)
		for i := range keys {
			b.set(fmt.Sprint("k", i), "v", c.at)
		}
		if !b.Evict(b.now, c.first) || len(b.pool) == 0 {
			t.Fatalf("%s: nothing is evicted, or no candidate is left", c.name)
		}
		for i := range keys {
			if key := fmt.Sprint("k", i); b.get(key) != "(nil)" {
				c.since(b, key)
			}
		}
		if got := b.evictAll(volatile); len(got) > 0 {
			t.Errorf("%s: a volatile policy evicts %q", c.name, got)
		}
		b.want(c.name, b.Len(0), keys-1)
	}
}

// An eviction of keys that expire looks through a slot in vain only once, if nothing
// in it expires any more.
func TestEvictionForgetsSlotsInWhichNothingExpires(t *testing.T) {
	const at = t0 + 1e9
	b := newBench(t, 2)
	for _, key := range []string{"persisted", "deleted", "elsewhere", "{h}1", "{h}2"} {
		b.set(key, "v", at)
	}
	b.unit(func(tx *Tx) { tx.SetExpire([]byte("persisted"), 0) }, "persisted")
	b.unit(func(tx *Tx) { tx.Delete([]byte("deleted")) }, "deleted")
	b.unit(func(tx *Tx) { tx.Move([]byte("elsewhere"), 1) }, "elsewhere")
	b.unit(func(tx *Tx) {
		tx.SetExpire([]byte("{h}1"), 0)
		tx.Delete([]byte("{h}2"))
		h, _ := tx.EditHash([]byte("{h}2"))
		h.SetDue([]byte("field"), nil, at+7)
	}, "{h}")
	b.set("volatile", "v", at)
	// Another key in the slot of what is deleted: it would not be looked at if it were
	// empty.
	b.set("{deleted}", "v", 0)
	if !b.Evict(b.now, Eviction{EvictLRU, true, 64}) {
		t.Fatal("nothing is evicted")
	}
	for key, want := range map[string]int64{"persisted": neverExpires, "deleted": neverExpires, "elsewhere": at, "{h}": at + 7} {
		b.want("the bound of the slot of "+key, b.earliest[slots.Of([]byte(key))].Load(), want)
	}
}

func TestEvictionOfManyKeysInAllDatabases(t *testing.T) {
	for _, by := range []EvictBy{EvictLRU, EvictLFU, EvictRandom} {
		b := newBench(t, 3)
		const keys = 3000
		for i := range keys {
			b.unit(func(tx *Tx) {
				tx.Select(i % 3)
				tx.SetString([]byte(fmt.Sprint("k", i)), []byte("v"), 0, 0)
			}, fmt.Sprint("k", i))
		}
		n := 0
		for b.Evict(b.now, Eviction{By: by, Samples: 5}) {
			n++
		}
		if n != keys || b.Keyspace.Stats().Evicted != keys {
			t.Errorf("%d evicts %d keys of %d; the count says %d", by, n, keys, b.Keyspace.Stats().Evicted)
		}
	}
}

func TestAReplicaEvictsNothing(t *testing.T) {
	b := newBench(t, 1)
	b.set("k", "v", 0)
	b.SetRole(RoleReplica)
	if b.Evict(b.now, Eviction{By: EvictRandom}) {
		t.Error("it does")
	}
}
