package storage

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"redoubt/replication"
	"redoubt/slots"
)

// bench is a keyspace with an executor, and a stream that is kept.
type bench struct {
	*testing.T
	*Keyspace
	*Executor
	log
	now int64
}

func newBench(t *testing.T, databases int) *bench {
	b := &bench{T: t, now: t0}
	b.Keyspace = New(Config{Databases: databases, Stream: &b.log})
	b.Executor = b.NewExecutor()
	return b
}

// unit runs f as a command in a unit of its own on the slots of keys.
func (b *bench) unit(f func(tx *Tx), keys ...string) replication.Offset {
	tx := b.Begin(b.now, slotsOf(keys...))
	command(tx, "request", func() { f(tx) })
	return b.Executor.End()
}

func (b *bench) set(key, value string, expireAt int64) {
	b.unit(func(tx *Tx) { tx.SetString([]byte(key), []byte(value), expireAt, 0) }, key)
}

// get returns the value of key, or "(nil)".
func (b *bench) get(key string) (value string) {
	b.unit(func(tx *Tx) {
		if e, ok := tx.Find([]byte(key)); ok {
			value = string(e.Bytes())
		} else {
			value = "(nil)"
		}
	}, key)
	return value
}

func (b *bench) want(what string, got, want any) {
	b.Helper()
	if got != want {
		b.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestRandomUnitsAgainstAModel(t *testing.T) {
	type value struct {
		s  string
		at int64
	}
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 4))
		b := newBench(t, 2)
		var model [2]map[string]value
		for db := range model {
			model[db] = map[string]value{}
		}
		for range 4000 {
			b.now += int64(r.IntN(4))
			db, key, other := r.IntN(2), fmt.Sprint("k", r.IntN(300)), fmt.Sprint("k", r.IntN(300))
			m := model[db]
			for k, v := range m {
				if v.at != 0 && v.at < b.now {
					delete(m, k)
				}
			}
			was, existed := m[key]
			text, at := strings.Repeat("x", r.IntN(60)), int64(0)
			if r.IntN(2) == 0 {
				at = b.now + int64(r.IntN(500)) + 1
			}
			b.unit(func(tx *Tx) {
				tx.Select(db)
				k := []byte(key)
				switch r.IntN(8) {
				case 0, 1:
					tx.SetString(k, []byte(text), at, 0)
					m[key] = value{text, at}
				case 2:
					tx.SetString(k, []byte(text), at, KeepTTL)
					if existed {
						at = was.at
					}
					m[key] = value{text, at}
				case 3:
					copy(tx.GrowString(k, len(text)), text)
					if len(was.s) > len(text) {
						text += was.s[len(text):]
					}
					m[key] = value{text, was.at}
				case 4:
					b.want("SetExpire", tx.SetExpire(k, at), existed)
					if existed {
						m[key] = value{was.s, at}
					}
				case 5:
					b.want("Delete", tx.Delete(k), existed)
					delete(m, key)
				case 6:
					b.want("Rename", tx.Rename(k, []byte(other)), existed)
					if existed && key != other {
						m[other] = was
						delete(m, key)
					}
				case 7:
					b.want("Copy", tx.Copy(k, 1-db, []byte(other)), existed)
					if existed {
						model[1-db][other] = was
					}
				}
			}, key, other)
		}
		b.ExpireCycle(b.now, 1<<30)
		for db, m := range model {
			volatile := 0
			for k, v := range m {
				if v.at != 0 && v.at < b.now {
					delete(m, k)
				} else if v.at != 0 {
					volatile++
				}
			}
			b.want("Len", b.Len(db), len(m))
			b.want("Volatile", b.Volatile(db), volatile)
			perSlot, size := 0, int64(0)
			for n, ok := b.NextSlot(db, 0); ok; n, ok = b.NextSlot(db, n+1) {
				perSlot += b.SlotLen(n, db)
				tx := b.Begin(b.now, []slots.Slot{n})
				tx.Select(db)
				tx.Scan(n, 0, 1<<20, func(e Entry) {
					v, ok := m[string(e.Key())]
					if !ok || v.s != string(e.Bytes()) || v.at != e.ExpireAt() {
						t.Errorf("seed %d, db %d: %q is %q until %d, want %v", seed, db, e.Key(), e.Bytes(), e.ExpireAt(), v)
					}
					size += e.Size()
				})
				b.Executor.End()
			}
			b.want("keys of all slots", perSlot, len(m))
			b.want("Bytes", b.Bytes(db), size)
		}
	}
}

func TestExpiry(t *testing.T) {
	const at = t0 + 1000
	t.Run("the very millisecond belongs to the key", func(t *testing.T) {
		b := newBench(t, 1)
		b.set("k", "v", at)
		b.now = at
		b.want("at its time", b.get("k"), "v")
		b.now++
		b.want("after it", b.get("k"), "(nil)")
		b.want("Len", b.Len(0), 0)
		b.want("expired", b.Keyspace.Stats().Expired, int64(1))
		b.want("stream", strings.Join(b.units, " | "), "request | DEL k")
	})
	t.Run("a replica hides the key and keeps it", func(t *testing.T) {
		b := newBench(t, 1)
		b.set("k", "v", at)
		b.SetRole(RoleReplica)
		b.now = at + 1
		b.want("value", b.get("k"), "(nil)")
		b.want("Len", b.Len(0), 1)
		tx := b.BeginApply(b.now, 99, slotsOf("k"))
		_, ok := tx.Find([]byte("k"))
		b.want("an applying unit finds it", ok, true)
		b.Executor.End()
		expired, more := b.ExpireCycle(b.now, 100)
		b.want("actively expired", expired, 0)
		b.want("more", more, false)
		b.want("stream", strings.Join(b.units, " | "), "request")
	})
	t.Run("a write on a replica does not continue an expired value", func(t *testing.T) {
		b := newBench(t, 1)
		b.set("k", "old", at)
		b.SetRole(RoleReplica)
		b.now = at + 1
		b.unit(func(tx *Tx) { b.want("grown", string(tx.GrowString([]byte("k"), 2)), "\x00\x00") }, "k")
		b.want("stream", len(b.units), 1)
	})
	t.Run("a pause of writes keeps expired keys", func(t *testing.T) {
		b := newBench(t, 1)
		b.set("k", "v", at)
		b.now = at + 1
		b.World(b.now, func(tx *Tx) { tx.PauseExpiry(true) })
		b.want("value", b.get("k"), "(nil)")
		b.want("Len while paused", b.Len(0), 1)
		b.World(b.now, func(tx *Tx) { tx.PauseExpiry(false) })
		b.want("value", b.get("k"), "(nil)")
		b.want("Len after", b.Len(0), 0)
	})
	t.Run("the cycle finds all, in bounded slices, without MULTI", func(t *testing.T) {
		b := newBench(t, 2)
		const n = 3000
		for i := range n {
			tx := b.Begin(b.now, slotsOf("{tag}"))
			tx.Select(i % 2)
			tx.SetString(fmt.Appendf(nil, "{tag}%d", i), nil, at+int64(i%3), 0)
			b.Executor.End()
		}
		b.set("stays", "v", 0)
		b.want("AvgTTL", (b.AvgTTL(0, t0)+50)/100, int64(10))
		b.units = nil
		b.now = at + 2
		total, slices := 0, 0
		for more := true; more; slices++ {
			var expired int
			expired, more = b.ExpireCycle(b.now, 100)
			total += expired
			if expired > expireChunk {
				t.Errorf("%d keys in one slice", expired)
			}
		}
		b.want("expired", total, 2*n/3)
		if slices < 3 {
			t.Errorf("it took %d slices", slices)
		}
		b.want("left", b.Len(0)+b.Len(1), n/3+1)
		all := strings.Join(b.units, ";")
		b.want("DELs in the stream", strings.Count(all, "DEL {tag}"), total)
		b.want("MULTIs", strings.Count(all, "MULTI"), 0)
		b.now++
		expired, _ := b.ExpireCycle(b.now, n)
		b.want("expired a millisecond later", expired, n/3)
		b.units = nil
		expired, _ = b.ExpireCycle(b.now+1000, n)
		b.want("expired when nothing is left", expired, 0)
	})
}

func TestGates(t *testing.T) {
	b := newBench(t, 1)
	end := b.unit(func(tx *Tx) { tx.SetString([]byte("a"), nil, 0, 0) }, "a")
	b.want("of a write", end, b.log.end)
	read := func(keys ...string) replication.Offset { return b.unit(func(*Tx) {}, keys...) }
	b.want("of a read of another slot", read("b"), replication.Offset(0))
	b.want("of a read of the slot", read("a"), end)
	two := b.unit(func(tx *Tx) { tx.SetString([]byte("b"), nil, 0, 0) }, "c", "b")
	b.want("of a read of a slot that was only held", read("c"), replication.Offset(0))
	b.want("of a read of both", read("a", "b"), two)
	b.want("of a world unit", b.World(t0, func(*Tx) {}), b.log.end)

	world := b.World(t0, func(tx *Tx) { command(tx, "flushall", func() { tx.FlushAll(); tx.Force() }) })
	b.want("of a read after a write of the world", read("c"), world)

	b.BeginApply(t0, 5000, slotsOf("c")).SetString([]byte("c"), nil, 0, 0)
	b.want("of an applied unit", b.Executor.End(), replication.Offset(5000))
	b.want("of a read after it", read("c"), replication.Offset(5000))

	b.World(t0, func(tx *Tx) { tx.Rebase(3) })
	b.want("of a read in a new history", read("c"), replication.Offset(3))
}

func TestStringEncodings(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"0", "int"}, {"-1", "int"}, {"9223372036854775807", "int"}, {"-9223372036854775808", "int"},
		{"9223372036854775808", "embstr"}, {"-0", "embstr"}, {"01", "embstr"}, {"+1", "embstr"}, {"", "embstr"},
		{"-", "embstr"}, {"1 ", "embstr"}, {"12345678901234567x", "embstr"},
		{strings.Repeat("x", 44), "embstr"}, {strings.Repeat("x", 45), "raw"},
		{strings.Repeat("1", 20), "embstr"},
	} {
		b := newBench(t, 1)
		b.set("k", c.value, 0)
		b.unit(func(tx *Tx) {
			e, _ := tx.Peek([]byte("k"))
			b.want(c.value, e.Encoding(), c.want)
			tx.Copy([]byte("k"), 0, []byte("{k}copy"))
			tx.GrowString([]byte("k"), 0)
			e, _ = tx.Peek([]byte("k"))
			b.want(c.value+" after a change in place", e.Encoding(), "raw")
			e, _ = tx.Peek([]byte("{k}copy"))
			b.want(c.value+" copied", e.Encoding(), c.want)
		}, "k")
	}
}

func TestGrownStringsShowZerosOnly(t *testing.T) {
	b := newBench(t, 1)
	b.set("k", "a long value to begin with", 0)
	b.set("k", "short", 0)
	b.unit(func(tx *Tx) {
		b.want("grown", string(tx.GrowString([]byte("k"), 9)), "short\x00\x00\x00\x00")
		b.want("not shrunk", len(tx.GrowString([]byte("k"), 1)), 9)
	}, "k")
}

// A long string that a snapshot shares is not copied, and stays as it was whatever is
// done to the key; its block goes when the snapshot is released.
func TestASharedStringStaysAsItIs(t *testing.T) {
	const size = sharedFrom + 1000
	was := strings.Repeat("a", size)
	for _, c := range []struct {
		name   string
		change func(tx *Tx, key []byte)
	}{
		{"SetString", func(tx *Tx, key []byte) { tx.SetString(key, []byte(strings.Repeat("b", size)), 0, 0) }},
		{"GrowString", func(tx *Tx, key []byte) { tx.GrowString(key, size)[0] = 'b' }},
		{"GrowString beyond the end", func(tx *Tx, key []byte) { tx.GrowString(key, size+1)[0] = 'b' }},
		{"SetExpire", func(tx *Tx, key []byte) { tx.SetExpire(key, t0+1e6); tx.SetExpire(key, 0) }},
		{"Rename, then a change", func(tx *Tx, key []byte) {
			tx.Rename(key, []byte("{k}2"))
			tx.GrowString([]byte("{k}2"), size)[0] = 'b'
		}},
		{"Delete", func(tx *Tx, key []byte) { tx.Delete(key) }},
		{"a list", func(tx *Tx, key []byte) {
			tx.Delete(key)
			l, _ := tx.EditList(key)
			l.PushBack([]byte("b"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, 1)
			b.set("k", was, 0)
			var capture *Capture
			var frozen Frozen
			b.World(b.now, func(tx *Tx) {
				capture, _ = tx.BeginCapture(nil, func(int, Entry) { t.Error("it was handed over already") })
				capture.Walk(tx, 0, slots.Of([]byte("k")), 0, 10, func(_ int, e Entry) bool {
					if n := e.SharedBytes(); n != len("k") {
						t.Errorf("%d bytes are copied", n)
					}
					frozen, _ = e.Share(nil)
					return true
				})
			})
			for range 3 {
				if e := b.Keyspace; e.Kept() > 2*size {
					t.Errorf("%d bytes are kept", e.Kept())
				}
				b.unit(func(tx *Tx) { c.change(tx, []byte("k")) }, "k")
				b.unit(func(tx *Tx) { // of the same size, so that it would take the block
					tx.SetString([]byte("{k}other"), []byte(strings.Repeat("c", size)), 0, 0)
				}, "k")
				if string(frozen.Key) != "k" || string(frozen.Bytes()) != was || frozen.ExpireAt != 0 {
					t.Fatal("it has changed")
				}
				b.now += compactRestMs + 1
				for b.Compact(b.now, 100) {
				}
			}
			if b.Kept() < size {
				t.Errorf("%d bytes are kept", b.Kept())
			}
			b.World(b.now, func(tx *Tx) { tx.Release(capture); tx.FlushAll() })
			for b.Reclaim(100) {
			}
			b.want("blocks", b.space.Stats().Blocks, 0)
		})
	}
}

func TestAFrozenEntryStaysAsItIs(t *testing.T) {
	const size = 5000
	was := strings.Repeat("a", size)
	for _, c := range []struct {
		name   string
		change func(tx *Tx, key []byte)
	}{
		{"SetString", func(tx *Tx, key []byte) { tx.SetString(key, []byte(strings.Repeat("b", size)), 0, 0) }},
		{"GrowString", func(tx *Tx, key []byte) { tx.GrowString(key, size)[0] = 'b' }},
		{"GrowString beyond the end", func(tx *Tx, key []byte) { tx.GrowString(key, size+1)[0] = 'b' }},
		{"SetExpire", func(tx *Tx, key []byte) { tx.SetExpire(key, t0) }},
		{"Rename, then a change", func(tx *Tx, key []byte) {
			tx.Rename(key, []byte("{k}2"))
			tx.GrowString([]byte("{k}2"), size)[0] = 'b'
		}},
		{"Delete", func(tx *Tx, key []byte) { tx.Delete(key) }},
	} {
		b := newBench(t, 1)
		b.set("k", was, 0)
		b.unit(func(tx *Tx) {
			e, _ := tx.Peek([]byte("k"))
			frozen, _ := e.Freeze(nil)
			c.change(tx, []byte("k"))
			if string(frozen.Key) != "k" || string(frozen.Bytes()) != was || frozen.ExpireAt != 0 {
				t.Errorf("%s changes it", c.name)
			}
		}, "k")
	}
}

func TestDirtyCountsChanges(t *testing.T) {
	b := newBench(t, 1)
	b.set("k", "v", t0+1)
	b.unit(func(tx *Tx) {
		tx.SetExpire([]byte("k"), 0)
		tx.Rename([]byte("k"), []byte("{k}2"))
		b.want("Dirty", tx.Dirty(), 2)
	}, "k")
	b.set("k", "v", t0+1)
	b.now += 2
	b.get("k")
	b.get("{k}2")
	b.want("Stats", b.Keyspace.Stats(), Stats{Hits: 1, Misses: 1, Expired: 1, Dirty: 4})
	b.ResetStats()
	b.want("Stats after a reset", b.Keyspace.Stats(), Stats{Dirty: 4})
}

func TestFlushAndSwap(t *testing.T) {
	b := newBench(t, 3)
	in := func(db int, f func(tx *Tx)) {
		b.unit(func(tx *Tx) { tx.Select(db); f(tx) }, "k")
	}
	for db := range 3 {
		in(db, func(tx *Tx) { tx.SetString([]byte("k"), fmt.Append(nil, db), t0+int64(db), 0) })
	}
	b.World(t0, func(tx *Tx) { tx.SwapDB(0, 2) })
	in(0, func(tx *Tx) {
		e, _ := tx.Find([]byte("k"))
		b.want("value in 0 after the swap", string(e.Bytes()), "2")
	})
	b.World(t0, func(tx *Tx) { b.want("FlushDB", tx.FlushDB(2), 1) })
	b.want("Len(0)", b.Len(0), 1)
	b.want("Len(2)", b.Len(2), 0)
	b.want("Volatile(2)", b.Volatile(2), 0)
	in(2, func(tx *Tx) {
		_, ok := tx.Find([]byte("k"))
		b.want("found in 2", ok, false)
	})
	b.World(t0, func(tx *Tx) { b.want("FlushAll", tx.FlushAll(), 2) })
	for db := range 3 {
		b.want("Len", b.Len(db), 0)
		b.want("Bytes", b.Bytes(db), int64(0))
		_, ok := b.NextSlot(db, 0)
		b.want("NextSlot", ok, false)
	}
}

func TestRandomKey(t *testing.T) {
	b := newBench(t, 1)
	b.World(t0, func(tx *Tx) {
		_, ok := tx.RandomKey()
		b.want("of an empty database", ok, false)
	})
	want := map[string]bool{}
	for i := range 20 {
		for _, key := range []string{fmt.Sprint("k", i), fmt.Sprint("{tag}", i)} {
			b.set(key, "v", 0)
			want[key] = true
		}
	}
	b.set("expired", "v", t0-1)
	for range 2_000 {
		b.World(t0, func(tx *Tx) {
			e, ok := tx.RandomKey()
			if !ok || e.ExpireAt() != 0 {
				t.Fatalf("RandomKey gives %v", e)
			}
			delete(want, string(e.Key()))
		})
	}
	if len(want) > 0 {
		t.Errorf("never picked: %v", want)
	}
	b.set("last", "v", t0-1)
	b.SetRole(RoleReplica)
	b.World(t0, func(tx *Tx) { tx.FlushAll() })
	tx := b.BeginApply(t0, 0, slotsOf("k"))
	tx.SetString([]byte("k"), nil, t0-1, 0)
	b.Executor.End()
	b.World(t0, func(tx *Tx) {
		e, ok := tx.RandomKey()
		b.want("a replica with expired keys only finds one", ok && string(e.Key()) == "k", true)
	})
}

func TestAccessBits(t *testing.T) {
	b := newBench(t, 1)
	k := []byte("k")
	idle := func() (n int64) {
		b.unit(func(tx *Tx) { e, _ := tx.Peek(k); n = e.IdleSeconds() }, "k")
		return n
	}
	b.set("k", "v", 0)
	b.now += 10_000
	b.want("idle", idle(), int64(10))
	b.get("k")
	b.want("idle after a read", idle(), int64(0))
	b.unit(func(tx *Tx) { tx.SetAccess(k, 500, -1) }, "k")
	b.want("idle as set", idle(), int64(500))
	b.set("k", "v2", 0)
	b.want("idle after a write", idle(), int64(0))

	freq := func() (n int) {
		b.unit(func(tx *Tx) { e, _ := tx.Peek(k); n = e.Freq() }, "k")
		return n
	}
	b.World(b.now, func(tx *Tx) { tx.UseLFU(true, 10, 1) })
	b.unit(func(tx *Tx) { tx.Delete(k) }, "k")
	b.set("k", "v", 0)
	b.want("frequency of a new key", freq(), lfuInitial)
	for range 5000 {
		b.get("k")
	}
	if n := freq(); n < 15 || n > 60 {
		t.Errorf("frequency after 5000 reads is %d", n)
	}
	b.unit(func(tx *Tx) { tx.SetAccess(k, -1, 100) }, "k")
	b.now += 30 * 60_000
	b.want("frequency half an hour later", freq(), 70)
	b.now += 200 * 60_000
	b.want("frequency hours later", freq(), 0)
}

// The figures are those of redis-server 7.0.15 for the same data.
func TestDigestIsRedis(t *testing.T) {
	b := newBench(t, 4)
	digest := func() (s string) {
		b.World(t0, func(tx *Tx) { d := tx.Digest(); s = hex.EncodeToString(d[:]) })
		return s
	}
	b.want("empty", digest(), strings.Repeat("0", 40))
	b.set("a", "1", 0)
	b.set("b", "hello", t0+1e8)
	b.want("two keys", digest(), "669dc7955c0119edb82e7cfeb40ea4a28f89f902")
	b.unit(func(tx *Tx) { tx.Select(3); tx.SetString([]byte("{x}k"), []byte("v"), 0, 0) }, "x")
	b.set("long", strings.Repeat("x", 100), 0)
	b.unit(func(tx *Tx) { copy(tx.GrowString([]byte("a"), 2), "10") }, "a")
	b.want("two databases", digest(), "7052ef76477721d98230f86f9847b15c39a4b507")
	b.unit(func(tx *Tx) {
		for _, c := range [][2]string{
			{"a", "311acb99ec6c2ffc303176a787ecb8f8d91586ec"},
			{"b", "d037c4eb8a8b36b602fbced4000daeab0714c1e3"},
			{"nokey", strings.Repeat("0", 40)},
		} {
			d := tx.DigestValue([]byte(c[0]))
			b.want("value of "+c[0], hex.EncodeToString(d[:]), c[1])
		}
	}, "a", "b", "nokey")
}

func TestReadAndOverwriteAllocateNothing(t *testing.T) {
	ks := New(Config{Stream: new(discard)})
	e := ks.NewExecutor()
	key, value := []byte("{key:}000000000001"), bytes.Repeat([]byte("v"), 64)
	held := []slots.Slot{slots.Of(key)}
	raw := request("set {key:}000000000001 " + string(value))
	ping := [][]byte{[]byte("SET"), key, value}
	now := int64(t0)
	for _, c := range []struct {
		name string
		unit func(tx *Tx)
	}{
		{"GET", func(tx *Tx) { tx.Find(key) }},
		{"SET", func(tx *Tx) { tx.SetString(key, value, 0, 0) }},
		{"SET with an effect of its own", func(tx *Tx) { tx.SetString(key, value, now+1e6, 0); tx.Effect(ping...) }},
		{"INCR", func(tx *Tx) {
			var digits [20]byte
			tx.Peek(key)
			tx.SetString(key, append(digits[:0], "123456"...), 0, KeepTTL)
		}},
		{"SETRANGE", func(tx *Tx) { copy(tx.GrowString(key, 10), "x") }},
		{"EXPIRE", func(tx *Tx) { tx.SetExpire(key, now+1e6) }},
		{"GET of a key that is not there", func(tx *Tx) { tx.Find(key[:8]) }},
	} {
		n := testing.AllocsPerRun(100, func() {
			now += 700
			tx := e.Begin(now, held)
			tx.Command(raw)
			c.unit(tx)
			tx.CommandEnd()
			e.End()
		})
		if n != 0 {
			t.Errorf("%s allocates %v times", c.name, n)
		}
	}
}

func TestScanPassesOverAndDeletesExpiredKeys(t *testing.T) {
	b := newBench(t, 1)
	for i := range 50 {
		b.set(fmt.Sprint("{tag}", i), "v", t0+int64(i%2))
	}
	b.now++
	b.units = nil
	seen := 0
	b.unit(func(tx *Tx) { tx.Scan(slots.Of([]byte("tag")), 0, 1000, func(Entry) { seen++ }) }, "tag")
	b.want("seen", seen, 25)
	b.want("Len", b.Len(0), 25)
	b.want("DELs", strings.Count(strings.Join(b.units, ""), "DEL"), 25)
}

// The walk of expiry stands in a database when another takes its place.
func TestExpiryGoesOnAfterSwapDB(t *testing.T) {
	b := newBench(t, 3)
	fill := func(db, n int, expireAt int64) {
		for i := range n {
			key := fmt.Sprint("{tag}", i)
			b.unit(func(tx *Tx) {
				tx.Select(db)
				tx.SetString([]byte(key), []byte("v"), expireAt, 0)
			}, key)
		}
	}
	fill(1, 2*expireChunk, 0)
	fill(2, 100, t0+1)
	b.now += 2
	if expired, more := b.ExpireCycle(b.now, 1); expired != 0 || !more {
		t.Fatalf("the first slice deleted %d keys, more is %v", expired, more)
	}
	b.World(b.now, func(tx *Tx) { tx.SwapDB(1, 2) })
	for more := true; more; {
		_, more = b.ExpireCycle(b.now, 1)
	}
	b.want("keys left", b.Len(1), 0)
	b.want("keys without an expiry", b.Len(2), 2*expireChunk)
}

func BenchmarkUnit(b *testing.B) {
	const keys = 1 << 20
	ks := New(Config{})
	e := ks.NewExecutor()
	value := bytes.Repeat([]byte("v"), 64)
	names := make([][]byte, keys)
	for i := range names {
		names[i] = fmt.Appendf(nil, "key:%012d", i)
	}
	one := make([]slots.Slot, 1)
	unit := func(i int, f func(tx *Tx, key []byte)) {
		key := names[i*7919%keys]
		one[0] = slots.Of(key)
		f(e.Begin(t0, one), key)
		e.End()
	}
	set := func(tx *Tx, key []byte) { tx.SetString(key, value, 0, 0) }
	for _, c := range []struct {
		name string
		f    func(tx *Tx, key []byte)
	}{
		{"insert", set},
		{"overwrite", set},
		{"lookup", func(tx *Tx, key []byte) { tx.Find(key) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			if c.name == "insert" {
				b.StopTimer()
				tx := e.BeginWorld(t0)
				tx.FlushAll()
				e.End()
				b.StartTimer()
			} else {
				for i := ks.Len(0); i < keys; i++ {
					unit(i, set)
				}
				b.ResetTimer()
			}
			b.ReportAllocs()
			for i := range b.N {
				unit(i, c.f)
			}
		})
	}
}
