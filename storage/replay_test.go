package storage

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"redoubt/slots"
)

// perform runs a command line of the few that this test knows.
func perform(tx *Tx, line string) {
	args := strings.Fields(line)
	key := []byte(args[1])
	switch args[0] {
	case "set":
		tx.SetString(key, []byte(args[2]), 0, 0)
	case "append":
		n := 0
		if e, ok := tx.Peek(key); ok {
			n = len(e.Bytes())
		}
		copy(tx.GrowString(key, n+len(args[2]))[n:], args[2])
	case "pexpireat":
		at, _ := strconv.ParseInt(args[2], 10, 64)
		tx.SetExpire(key, at)
	case "rename":
		tx.Rename(key, []byte(args[2]))
	case "copy":
		to, _ := strconv.Atoi(args[3])
		tx.Copy(key, to, []byte(args[2]))
	case "hset", "hdel", "HDEL":
		h, ok := tx.EditHash(key)
		if !ok {
			return
		}
		name := []byte(args[2])
		h.DropExpired([][]byte{name}, 1)
		if args[0] != "hset" {
			for _, name := range args[2:] {
				h.Delete([]byte(name))
			}
			return
		}
		// The time is absolute, as in all effects.
		due, _ := strconv.ParseInt(args[3], 10, 64)
		h.SetDue(name, name, due)
	case "del", "DEL":
		tx.Delete(key)
	case "get":
		tx.Find(key)
	case "swapdb":
		a, _ := strconv.Atoi(args[1])
		b, _ := strconv.Atoi(args[2])
		tx.SwapDB(a, b)
	case "flushdb":
		tx.FlushDB(tx.DB())
		tx.Force()
	default:
		panic(line)
	}
}

// The rule of all mutations: the stream of a primary, applied at any later
// time, gives the same data, for a replica that follows and for a restart.
func TestReplayOfTheStreamGivesTheSameDigest(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 9))
		primary := newBench(t, 3)
		pick := func(verbs ...string) string { return verbs[r.IntN(len(verbs))] }
		for range 800 {
			primary.now += int64(r.IntN(5))
			var lines, keys []string
			verb := pick("set", "append", "pexpireat", "rename", "copy", "del", "get", "hset", "hset", "hset", "hdel")
			for range 1 + r.IntN(3) {
				k, other := fmt.Sprint("k", r.IntN(100)), fmt.Sprint("k", r.IntN(100))
				keys = append(keys, k, other)
				switch verb {
				case "set", "append":
					other = fmt.Sprint(r.IntN(1e6))
				case "pexpireat":
					other = fmt.Sprint(primary.now + int64(r.IntN(100)) - 20)
				case "hset":
					other = fmt.Sprint("f", r.IntN(9), " ", max(primary.now+int64(r.IntN(100))-20, 0))
				case "hdel":
					other = fmt.Sprint("f", r.IntN(9))
				case "copy":
					other += fmt.Sprint(" ", r.IntN(3))
				}
				lines = append(lines, verb+" "+k+" "+other)
			}
			var tx *Tx
			switch r.IntN(100) {
			case 0:
				tx, lines = primary.BeginWorld(primary.now), []string{"flushdb x", "set k1 v"}
			case 1, 2:
				tx, lines = primary.BeginWorld(primary.now), []string{fmt.Sprint("swapdb ", r.IntN(3), " ", r.IntN(3))}
			case 3:
				primary.ExpireCycle(primary.now, 20)
				continue
			default:
				tx = primary.Begin(primary.now, slotsOf(keys...))
			}
			for _, line := range lines {
				tx.Select(r.IntN(3))
				command(tx, line, func() { perform(tx, line) })
			}
			primary.Executor.End()
		}

		var want, got Digest
		primary.World(primary.now, func(tx *Tx) { want = tx.Digest() })
		replica := newBench(t, 3)
		replica.SetRole(RoleReplica)
		db := 0
		for i, unit := range primary.units {
			if db = primary.firstDBs[i]; unit == "" {
				t.Fatal("an empty unit")
			}
			// The clock of who applies is far ahead, and does not matter.
			tx := replica.BeginApplyWorld(primary.now*2, 0)
			tx.Select(db)
			for _, line := range strings.Split(unit, "; ") {
				switch verb, rest, _ := strings.Cut(line, " "); verb {
				case "MULTI", "EXEC":
				case "SELECT":
					db, _ = strconv.Atoi(rest)
					tx.Select(db)
				default:
					perform(tx, line)
				}
			}
			replica.Executor.End()
			if db != primary.lastDBs[i] {
				t.Errorf("seed %d: unit %q ends in database %d, said to be %d", seed, unit, db, primary.lastDBs[i])
			}
		}
		replica.World(t0, func(tx *Tx) { got = tx.Digest() })
		if got != want {
			t.Errorf("seed %d: the digest of the replay is %x, want %x", seed, got, want)
		}
		if primary.Stats().Fields == 0 {
			t.Errorf("seed %d: no field of a hash has expired", seed)
		}
		if len(replica.units) > 0 {
			t.Errorf("seed %d: the replica recorded %q", seed, replica.units)
		}
		for n := range slots.Slot(slots.Count) {
			for db := range 3 {
				if a, b := primary.SlotLen(n, db), replica.SlotLen(n, db); a != b {
					t.Errorf("seed %d: slot %d of %d has %d keys, and %d in the replay", seed, n, db, a, b)
				}
			}
		}
	}
}
