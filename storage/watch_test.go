package storage

import "testing"

// Redis's multi.c and unit/multi.tcl, watch by watch.
func TestWatch(t *testing.T) {
	const past, soon = t0 - 1, t0 + 10
	k := []byte("k")
	set := func(value string, at int64) func(*bench) { return func(b *bench) { b.set("k", value, at) } }
	world := func(f func(tx *Tx)) func(*bench) { return func(b *bench) { b.World(b.now, f) } }
	in1 := func(at int64) func(*bench) {
		return func(b *bench) {
			b.unit(func(tx *Tx) { tx.Select(1); tx.SetString(k, []byte("v"), at, 0) }, "k")
		}
	}
	wait := func(b *bench) { b.now += 100 }
	get := func(b *bench) { b.get("k") }
	replica := func(b *bench) { b.SetRole(RoleReplica) }
	flushall := world(func(tx *Tx) { tx.FlushAll() })
	swap := world(func(tx *Tx) { tx.SwapDB(0, 1) })
	type steps []func(*bench)
	for _, c := range []struct {
		name          string
		before, after steps
		changed       bool
	}{
		{"a key that nobody touches", steps{set("v", 0)}, steps{get}, false},
		{"a key that is set", steps{set("v", 0)}, steps{set("v", 0)}, true},
		{"a key that is made", nil, steps{set("v", 0)}, true},
		{"a key that gets an expiry", steps{set("v", 0)}, steps{func(b *bench) {
			b.unit(func(tx *Tx) { tx.SetExpire(k, soon) }, "k")
		}}, true},
		{"the same key in another database", steps{set("v", 0)}, steps{in1(0)}, false},
		{"another key of the slot", steps{set("v", 0)}, steps{func(b *bench) { b.set("{k}2", "v", 0) }}, false},
		{"a key that expires and is not looked at", steps{set("v", soon)}, steps{wait}, true},
		{"a key that expires and is deleted", steps{set("v", soon)}, steps{wait, get}, true},
		{"a key that was expired at WATCH", steps{set("v", past)}, nil, false},
		{"a key that was expired at WATCH and is deleted", steps{set("v", past)}, steps{get}, false},
		{"a key that was expired at WATCH and is set", steps{set("v", past)}, steps{set("v", 0)}, true},
		{"a key that was expired at WATCH, deleted and made", steps{set("v", past)}, steps{get, set("v", 0)}, true},
		{"a key that was expired at WATCH, on a replica", steps{set("v", past), replica}, steps{get}, false},
		{"FLUSHALL with the key", steps{set("v", 0)}, steps{flushall}, true},
		{"FLUSHALL without the key", nil, steps{flushall}, false},
		{"FLUSHALL with a key that was expired at WATCH", steps{set("v", past)}, steps{flushall}, false},
		{"FLUSHDB of another database", steps{set("v", 0), in1(0)}, steps{world(func(tx *Tx) { tx.FlushDB(1) })}, false},
		{"SWAPDB of the key for nothing", steps{set("v", 0)}, steps{swap}, true},
		{"SWAPDB of nothing for the key", steps{in1(0)}, steps{swap}, true},
		{"SWAPDB of nothing for nothing", nil, steps{swap}, false},
		{"SWAPDB of an expired key for another one", steps{set("v", past), in1(past)}, steps{swap}, false},
		{"SWAPDB of an expired key for nothing", steps{set("v", past)}, steps{swap}, false},
		{"SWAPDB of an expired key for a live one", steps{set("v", past), in1(0)}, steps{swap}, true},
		{"SWAPDB of nothing for an expired key", steps{in1(past)}, steps{swap}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, 2)
			for _, f := range c.before {
				f(b)
			}
			var w *Watch
			b.unit(func(tx *Tx) { w = tx.Watch(k) }, "k")
			b.want("watched keys", b.Watched(), int64(1))
			for _, f := range c.after {
				f(b)
			}
			b.unit(func(tx *Tx) {
				b.want("changed", tx.Changed(w), c.changed)
				tx.Unwatch(w)
			}, "k")
			if ks := b.Keyspace; ks.slots[w.Slot()].watched() != nil || ks.watchers.Load() != 0 || ks.Watched() != 0 {
				t.Error("Unwatch leaves something behind")
			}
		})
	}
}

func TestWatchesOfOneKeyAreIndependent(t *testing.T) {
	b := newBench(t, 1)
	k := []byte("k")
	var first, second *Watch
	b.unit(func(tx *Tx) { first = tx.Watch(k) }, "k")
	b.set("k", "v", 0)
	b.unit(func(tx *Tx) {
		second = tx.Watch(k)
		b.want("first", tx.Changed(first), true)
		b.want("second", tx.Changed(second), false)
		tx.Unwatch(first)
	}, "k")
	b.set("k", "v", 0)
	b.unit(func(tx *Tx) { b.want("second", tx.Changed(second), true) }, "k")
}
