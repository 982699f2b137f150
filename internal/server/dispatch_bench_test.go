package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkDispatch is what a request costs between the socket and the stream:
// parser, gates, locks, keyspace, reply, for a pipeline of 64 over 100,000
// keys. With -benchmem it also shows that nothing is allocated.
func BenchmarkDispatch(b *testing.B) { benchmarkStrings(b, startNode(b)) }

// BenchmarkDispatchInCluster is the same with keys that are routed.
func BenchmarkDispatchInCluster(b *testing.B) {
	benchmarkStrings(b, startParts(b, func(c *Config) { c.Cluster = new(wholeCluster) }, "--cluster-enabled", "yes"))
}

func benchmarkStrings(b *testing.B, n *node) {
	benchmarkDispatch(b, n, []benchmarked{
		{"SET", []string{"SET key:$n xxxxxxxx"}},
		{"GET", []string{"GET key:$n"}},
		{"INCR", []string{"INCR counter:$n"}},
	})
}

// BenchmarkDispatchTypes is BenchmarkDispatch for collections: for one of 100,000
// elements, and for 10,000 of ten. What a command adds another takes out.
func BenchmarkDispatchTypes(b *testing.B) {
	benchmarkDispatch(b, startNode(b), []benchmarked{
		{"HSET/one", []string{"HSET hash element:$n xxxxxxxx"}},
		{"HSET_HDEL/one", []string{"HSET fields element:$n xxxxxxxx", "HDEL fields element:$n"}},
		{"SADD_SREM/one", []string{"SADD set element:$n", "SREM set element:$n"}},
		{"ZADD/one", []string{"ZADD zset $random element:$n", "ZADD zset $random element:$n"}},
		{"ZADD_ZREM/one", []string{"ZADD members $random element:$n", "ZREM members element:$n"}},
		{"LPUSH_RPOP/one", []string{"LPUSH list element:$n", "RPOP list"}},
		{"LPUSH/one", []string{"LPUSH head element:$n"}},
		{"LRANGE_100/one", []string{"LRANGE head 0 99"}},
		{"HGET/one", []string{"HGET hash element:$n"}},
		{"XADD/one", []string{"XADD stream * sensor element:$n value $random unit degree"}},
		{"XRANGE_10/one", []string{"XRANGE stream - + COUNT 10"}},
		{"SPOP_SADD/one", []string{"SPOP set", "SADD set element:$n"}},
		{"ZRANGE_10/one", []string{"ZRANGE zset 0 9"}},
		{"ZRANK/one", []string{"ZRANK zset element:$n"}},
		{"ZPOPMIN_ZADD/one", []string{"ZPOPMIN zset", "ZADD zset $random element:$n"}},
		{"HSET/many", []string{"HSET hash:$key field:$element xxxxxxxx"}},
		{"HSET_HDEL/many", []string{"HSET fields:$key field:$element xxxxxxxx", "HDEL fields:$key field:$element"}},
		{"SADD_SREM/many", []string{"SADD set:$key member:$element", "SREM set:$key member:$element"}},
		{"ZADD/many", []string{"ZADD zset:$key $random member:$element", "ZADD zset:$key $random member:$element"}},
		{"ZADD_ZREM/many", []string{"ZADD members:$key $random member:$element", "ZREM members:$key member:$element"}},
		{"LPUSH_RPOP/many", []string{"LPUSH list:$key element:$element", "RPOP list:$key"}},
		{"LRANGE_100/many", []string{"LRANGE list:$key 0 99"}},
		{"HGET/many", []string{"HGET hash:$key field:$element"}},
		{"XADD/many", []string{"XADD stream:$key * sensor $element value $random unit degree"}},
		{"ZRANGE_10/many", []string{"ZRANGE zset:$key 0 9"}},
		{"ZRANK/many", []string{"ZRANK zset:$key member:$element"}},
		{"ZPOPMIN_ZADD/many", []string{"ZPOPMIN zset:$key", "ZADD zset:$key $random member:$element"}},
	})
}

// benchmarked is a benchmark of commands: each of the lines is sent with $n from 0
// to 99,999, in any order, then the next line. $key and $element are the same
// number as one of 10,000 keys and one of ten elements, $random is any.
type benchmarked struct {
	name  string
	lines []string
}

func benchmarkDispatch(b *testing.B, n *node, benchmarks []benchmarked) {
	const numbers, depth = 100_000, 64
	n.stream.quiet = true
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	l, c := fakeConn(n)
	c.queued = true // its output is written only where there is much
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	c.fd = int(null.Fd())
	l.beginTurn()
	random := rand.New(rand.NewPCG(1, 2))
	for _, bench := range benchmarks {
		var pipelines [][]byte
		for _, line := range bench.lines {
			for first := 0; first+depth <= numbers; first += depth {
				var p []byte
				for i := range depth {
					x := (first + i) * 7919 % numbers
					p = appendRequest(p, strings.NewReplacer("$n", fmt.Sprintf("%012d", x), "$key", fmt.Sprintf("%04d", x%10_000),
						"$element", strconv.Itoa(x/10_000), "$random", strconv.Itoa(random.IntN(1_000_000))).Replace(line))
				}
				pipelines = append(pipelines, p)
				l.process(c, p) // the keys are there before the clock runs
				if bytes.Contains(c.out.Bytes(), []byte("-ERR")) {
					b.Fatalf("%s: %s", line, c.out.Bytes())
				}
				c.out.Truncate(0)
				l.closeOutput(c)
			}
		}
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			before := threadTime(b)
			for i := 0; i < b.N; i += depth {
				if rest := l.process(c, pipelines[i/depth%len(pipelines)]); len(rest) != 0 {
					b.Fatalf("%d bytes were left", len(rest))
				}
				c.out.Truncate(0)
				l.closeOutput(c)
			}
			b.ReportMetric(float64(threadTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// appendRequest appends a command of words as an array of bulk strings.
func appendRequest(b []byte, line string) []byte {
	words := strings.Fields(line)
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b
}

// threadTime is the processor time that the thread has used. It says more than
// the clock on a machine that does other things as well.
func threadTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
