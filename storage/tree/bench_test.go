//go:build linux

package tree

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The benchmarks here are laid out as experiments: each makes one collection of
// a million elements (TREE_BENCH_N changes that), does to it what clients do, and
// reports the CPU nanoseconds of each kind of operation and the bytes per element
// that the space holds. Run them with -benchtime=1x.

func benchSize() int {
	if n, err := strconv.Atoi(os.Getenv("TREE_BENCH_N")); err == nil {
		return n
	}
	return 1 << 20
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// letters fills b with letters that depend on x.
func letters(b []byte, x uint64) []byte {
	var w [8]byte
	for i := 0; i < len(b); i += 8 {
		x = mix(x)
		binary.LittleEndian.PutUint64(w[:], x&0x0f0f0f0f0f0f0f0f+0x6161616161616161)
		copy(b[i:], w[:])
	}
	return b
}

type bench struct {
	b *testing.B
	e *Env
	n int
}

func newBench(b *testing.B) *bench {
	b.Helper()
	for b.Loop() {
	}
	b.ReportMetric(0, "ns/op")
	return &bench{b, newEnv(b), benchSize()}
}

func (x *bench) time(name string, n int, f func(i int)) {
	start := cpu()
	for i := range n {
		f(i)
	}
	x.b.ReportMetric(float64(cpu()-start)/float64(n), "ns/"+name)
}

// cpu is the processor time that the process has used: other work on the machine
// is not in it.
func cpu() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// held reports how many bytes per element are in blocks and in the space.
func (x *bench) held(name string, t *Tree) {
	for x.e.Space.Trim(1 << 30) {
	}
	s := x.e.Space.Stats()
	x.b.ReportMetric(float64(s.Allocated)/float64(t.Len()), "B-used/"+name)
	x.b.ReportMetric(float64(s.Committed)/float64(t.Len()), "B/"+name)
	if s.Allocated != t.Bytes() {
		x.b.Errorf("%s: %d bytes allocated, the collection says %d", name, s.Allocated, t.Bytes())
	}
}

// compact empties sparse pages as long as there are some, and reports what the
// space holds then and the time per leaf looked at.
func (x *bench) compact(name string, t *Tree) {
	start, looked := cpu(), 0
	for range 20 {
		if x.e.Space.ChooseSparse(1.0/16, 0).Blocks() == 0 {
			break
		}
		for t.Move(64) {
			looked += 64
		}
	}
	x.e.Space.EndCompaction()
	if looked > 0 {
		x.b.ReportMetric(float64(cpu()-start)/float64(looked), "ns/leaf-"+name)
	}
	x.held(name, t)
}

func (x *bench) random(i int) int { return int(mix(uint64(i)+77) % uint64(x.n)) }

func BenchmarkZSet(b *testing.B) {
	members := map[string]func(b []byte, i int) []byte{
		"letters20": func(b []byte, i int) []byte { return letters(b[:20], uint64(i)) },
		"integers":  func(b []byte, i int) []byte { return strconv.AppendInt(b[:0], int64(i), 10) },
	}
	scores := map[string]func(i, round int) float64{
		"random":     func(i, round int) float64 { return float64(mix(uint64(i)+uint64(round)<<40)>>11) / (1 << 53) },
		"sequential": func(i, round int) float64 { return float64(i + round*7) },
		"integer":    func(i, round int) float64 { return float64(mix(uint64(i)+uint64(round)<<40) % 1000000) },
	}
	for _, c := range [][2]string{{"letters20", "random"}, {"letters20", "sequential"}, {"integers", "integer"}} {
		b.Run(c[0]+"/"+c[1], func(b *testing.B) {
			x := newBench(b)
			z := new(ZSetTree)
			z.Open(x.e, nil)
			var buf [64]byte
			member := func(i int) []byte { return members[c[0]](buf[:], i) }
			benchZSet(x, z, member, scores[c[1]])
		})
	}
}

func benchZSet(x *bench, z *ZSetTree, member func(i int) []byte, score func(i, round int) float64) {
	x.time("make", x.n, func(i int) { member(x.random(i)) })
	x.time("ZADD-new", x.n, func(i int) { z.Set(member(i), score(i, 0)) })
	x.held("loaded", &z.Tree)
	x.time("ZSCORE", x.n, func(i int) {
		if _, ok := z.Score(member(x.random(i))); !ok {
			x.b.Fatal("a member is lost")
		}
	})
	x.time("ZRANK", x.n/2, func(i int) { z.Rank(member(x.random(i))) })
	out := make([]byte, 0, 1<<16)
	x.time("ZRANGE-100", x.n/10, func(i int) {
		out = out[:0]
		z.Ascend(x.random(i), func(m []byte, _ float64) bool {
			out = append(append(out, m...), '\n')
			return len(out) < 2100
		})
	})
	x.time("ZINCRBY-near", x.n, func(i int) {
		m := member(x.random(i))
		f, _ := z.Score(m)
		z.Set(m, f*(1+1e-7))
	})
	x.time("ZADD-update", x.n, func(i int) { z.Set(member(i), score(i, 1)) })
	x.held("changed", &z.Tree)
	x.time("ZADD-churn", x.n, func(i int) { z.Set(member(x.random(i)), score(i, 2)) })
	x.held("churned", &z.Tree)
	x.compact("churned-moved", &z.Tree)
	x.time("ZREM", x.n/2, func(i int) { z.Delete(member(2 * i)) })
	x.held("half", &z.Tree)
	x.compact("half-moved", &z.Tree)
	x.time("ZADD-again", x.n/2, func(i int) { z.Set(member(2*i), score(i, 99)) })
	x.held("again", &z.Tree)
	x.compact("again-moved", &z.Tree)
	x.time("ZPOPMIN", x.n/4, func(int) { z.At(0); z.Remove(0, 1) })
	x.time("ZREMRANGE-1000", x.n/4000, func(i int) { z.Remove(i*1000, 1000) })
}

func BenchmarkHash(b *testing.B) {
	x := newBench(b)
	h := new(HashTree)
	h.Open(x.e, nil)
	var name [16]byte
	var value [32]byte
	x.time("HSET-new", x.n, func(i int) { h.Set(letters(name[:], uint64(i)), letters(value[:], uint64(i)), 0) })
	x.held("loaded", &h.Tree)
	x.time("HGET", x.n, func(i int) {
		if _, _, ok := h.Get(letters(name[:], uint64(x.random(i)))); !ok {
			b.Fatal("a field is lost")
		}
	})
	x.time("HSET", x.n, func(i int) { h.Set(letters(name[:], uint64(x.random(i))), letters(value[:], uint64(i)), 0) })
	x.time("HDEL", x.n/2, func(i int) { h.Delete(letters(name[:], uint64(2*i))) })
	x.held("half", &h.Tree)
	x.compact("half-moved", &h.Tree)
	x.time("HSET-again", x.n/2, func(i int) { h.Set(letters(name[:], uint64(2*i)), letters(value[:], uint64(i)), 0) })
	x.held("again", &h.Tree)
}

func BenchmarkSet(b *testing.B) {
	var buf [64]byte
	for name, member := range map[string]func(i int) []byte{
		"letters16": func(i int) []byte { return letters(buf[:16], uint64(i)) },
		"integers":  func(i int) []byte { return strconv.AppendInt(buf[:0], int64(i), 10) },
	} {
		b.Run(name, func(b *testing.B) {
			x := newBench(b)
			s := new(SetTree)
			s.Open(x.e, nil)
			x.time("SADD-new", x.n, func(i int) { s.Add(member(i)) })
			x.held("loaded", &s.Tree)
			x.time("SISMEMBER", x.n, func(i int) {
				if !s.Has(member(x.random(i))) {
					b.Fatal("a member is lost")
				}
			})
			x.time("SRANDMEMBER", x.n, func(i int) { s.At(x.random(i)) })
			x.time("SREM", x.n/2, func(i int) { s.Delete(member(2 * i)) })
			x.held("half", &s.Tree)
			x.compact("half-moved", &s.Tree)
			x.time("SADD-again", x.n/2, func(i int) { s.Add(member(2 * i)) })
			x.held("again", &s.Tree)
			x.time("SPOP", x.n/2, func(i int) { s.Delete(s.At(x.random(i) % s.Len())) })
		})
	}
}

func BenchmarkList(b *testing.B) {
	x := newBench(b)
	l := new(ListTree)
	l.Open(x.e, nil)
	var buf [32]byte
	x.time("RPUSH", x.n, func(i int) { l.Insert(l.Len(), letters(buf[:], uint64(i))) })
	x.held("loaded", &l.Tree)
	x.time("LPUSH", x.n, func(i int) { l.Insert(0, letters(buf[:], uint64(i))) })
	x.time("LPOP", x.n, func(int) { l.At(0); l.Remove(0, 1) })
	x.time("LINDEX", x.n, func(i int) { l.At(x.random(i)) })
	x.time("LRANGE-100", x.n/10, func(i int) {
		n := 0
		l.Ascend(x.random(i), func([]byte) bool { n++; return n < 100 })
	})
	x.time("LSET", x.n, func(i int) { l.Set(x.random(i), letters(buf[:], uint64(i))) })
	x.time("LINSERT", x.n/2, func(i int) { l.Insert(x.random(i), letters(buf[:], uint64(i))) })
	x.time("LREM", x.n/2, func(i int) { l.Remove(x.random(i), 1) })
	x.held("churned", &l.Tree)
	x.compact("churned-moved", &l.Tree)
	x.time("RPOP", x.n/4, func(int) { l.At(l.Len() - 1); l.Remove(l.Len()-1, 1) })
	x.time("LTRIM", 1, func(int) { l.Remove(1000, l.Len()-2000) })
}

// Small collections of elements of 8 bytes, opened for each operation as a
// command does.
func BenchmarkSmall(b *testing.B) {
	for _, n := range []int{10, 32, 64, 110} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			x := newBench(b)
			r := rand.New(rand.NewPCG(1, 2))
			names := make([][]byte, n)
			values := [kinds][]byte{}
			h, s, z, l := new(HashTree), new(SetTree), new(ZSetTree), new(ListTree)
			h.Open(x.e, nil)
			s.Open(x.e, nil)
			z.Open(x.e, nil)
			l.Open(x.e, nil)
			for i := range names {
				names[i] = fmt.Appendf(nil, "field%d", i)
				member := letters(make([]byte, 8), uint64(i))
				h.Set(names[i], member, 0)
				s.Add(member)
				z.Set(member, float64(i))
				l.Insert(i, member)
			}
			for i, t := range []*Tree{List: &l.Tree, Set: &s.Tree, Hash: &h.Tree, ZSet: &z.Tree} {
				values[i] = append([]byte(nil), t.Value()...)
				b.ReportMetric(float64(len(values[i])), "B/"+[]string{"list", "set", "hash", "zset"}[i])
			}
			var buf [8]byte
			const rounds = 1 << 20
			x.time("HGET", rounds, func(i int) { h.Open(x.e, values[Hash]); h.Get(names[i%n]) })
			x.time("HSET", rounds, func(i int) {
				h.Open(x.e, values[Hash])
				h.Set(names[i%n], letters(buf[:], uint64(i)), 0)
				values[Hash] = h.Value()
			})
			x.time("SISMEMBER", rounds, func(i int) { s.Open(x.e, values[Set]); s.Has(letters(buf[:], uint64(i%n))) })
			x.time("ZSCORE", rounds, func(i int) { z.Open(x.e, values[ZSet]); z.Score(letters(buf[:], uint64(i%n))) })
			x.time("ZADD", rounds, func(i int) {
				z.Open(x.e, values[ZSet])
				z.Set(letters(buf[:], uint64(i%n)), float64(r.IntN(n)))
				values[ZSet] = append(values[ZSet][:0], z.Value()...)
			})
			x.time("LPUSH+RPOP", rounds, func(i int) {
				l.Open(x.e, values[List])
				l.Insert(0, letters(buf[:], uint64(i)))
				l.Remove(l.Len()-1, 1)
				values[List] = append(values[List][:0], l.Value()...)
			})
		})
	}
}

// A sorted set that fits in the caches shows the work itself, without the misses.
func BenchmarkZSetCached(b *testing.B) {
	const n = 30000
	e, z := newEnv(b), new(ZSetTree)
	z.Open(e, nil)
	members := make([][]byte, n)
	for i := range members {
		members[i] = letters(make([]byte, 20), uint64(i))
		z.Set(members[i], float64(mix(uint64(i))>>11))
	}
	for name, f := range map[string]func(i int){
		"ZSCORE": func(i int) { z.Score(members[i%n]) },
		"ZRANK":  func(i int) { z.Rank(members[i%n]) },
		"ZADD":   func(i int) { z.Set(members[i%n], float64(mix(uint64(i))>>11)) },
	} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				f(i)
			}
		})
	}
}

// The rows of a map are found by names with much in common, as IDs are: of times, and
// of running numbers.
func BenchmarkMapGet(b *testing.B) {
	for name, id := range map[string]func(i int) []byte{
		"times":   func(i int) []byte { return binary.BigEndian.AppendUint64(nil, 1_700_000_000_000+37*uint64(i)) },
		"numbers": func(i int) []byte { return append(make([]byte, 8), 3, byte(i>>16), byte(i>>8), byte(i)) },
	} {
		for _, n := range []int{5000, 200_000} {
			b.Run(fmt.Sprint(name, n), func(b *testing.B) {
				m := new(MapTree)
				m.Open(newEnv(b), nil)
				names := make([][]byte, n)
				for i := range n {
					names[i] = id(i)
					m.Set(1, names[i], names[i])
				}
				var x uint64
				for b.Loop() {
					x = mix(x)
					if _, ok := m.Get(1, names[x%uint64(n)]); !ok {
						b.Fatal("a row is missing")
					}
				}
			})
		}
	}
}
