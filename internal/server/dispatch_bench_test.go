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
		{name: "SET", lines: []string{"SET key:$n xxxxxxxx"}},
		{name: "GET", lines: []string{"GET key:$n"}},
		{name: "INCR", lines: []string{"INCR counter:$n"}},
	})
}

// BenchmarkDispatchTypes is BenchmarkDispatch for collections: for one of 100,000
// elements, and for 10,000 of ten. What a command adds another takes out.
func BenchmarkDispatchTypes(b *testing.B) {
	benchmarkDispatch(b, startNode(b), []benchmarked{
		{name: "HSET/one", lines: []string{"HSET hash element:$n xxxxxxxx"}},
		{name: "HSET_HDEL/one", lines: []string{"HSET fields element:$n xxxxxxxx", "HDEL fields element:$n"}},
		{name: "SADD_SREM/one", lines: []string{"SADD set element:$n", "SREM set element:$n"}},
		{name: "ZADD/one", lines: []string{"ZADD zset $random element:$n", "ZADD zset $random element:$n"}},
		{name: "ZADD_ZREM/one", lines: []string{"ZADD members $random element:$n", "ZREM members element:$n"}},
		{name: "LPUSH_RPOP/one", lines: []string{"LPUSH list element:$n", "RPOP list"}},
		{name: "LPUSH/one", lines: []string{"LPUSH head element:$n"}},
		{name: "LRANGE_100/one", lines: []string{"LRANGE head 0 99"}},
		{name: "HGET/one", lines: []string{"HGET hash element:$n"}},
		{name: "XADD/one", lines: []string{"XADD stream * sensor element:$n value $random unit degree"}},
		{name: "XRANGE_10/one", lines: []string{"XRANGE stream - + COUNT 10"}},
		{name: "XREADGROUP/one", before: groupOfItems, lines: []string{"XREADGROUP GROUP group consumer COUNT 1 STREAMS items >"},
			after: []string{"XGROUP DELCONSUMER items group consumer", "XGROUP SETID items group 0"}},
		{name: "XREADGROUP_XACK/one", before: groupOfItems, lines: []string{"XREADGROUP GROUP group consumer COUNT 1 STREAMS items >", "XACK items group 1-$i"},
			after: []string{"XGROUP SETID items group 0"}},
		{name: "SPOP_SADD/one", lines: []string{"SPOP set", "SADD set element:$n"}},
		{name: "ZRANGE_10/one", lines: []string{"ZRANGE zset 0 9"}},
		{name: "ZRANK/one", lines: []string{"ZRANK zset element:$n"}},
		{name: "ZPOPMIN_ZADD/one", lines: []string{"ZPOPMIN zset", "ZADD zset $random element:$n"}},
		{name: "HSET/many", lines: []string{"HSET hash:$key field:$element xxxxxxxx"}},
		{name: "HSET_HDEL/many", lines: []string{"HSET fields:$key field:$element xxxxxxxx", "HDEL fields:$key field:$element"}},
		{name: "SADD_SREM/many", lines: []string{"SADD set:$key member:$element", "SREM set:$key member:$element"}},
		{name: "ZADD/many", lines: []string{"ZADD zset:$key $random member:$element", "ZADD zset:$key $random member:$element"}},
		{name: "ZADD_ZREM/many", lines: []string{"ZADD members:$key $random member:$element", "ZREM members:$key member:$element"}},
		{name: "LPUSH_RPOP/many", lines: []string{"LPUSH list:$key element:$element", "RPOP list:$key"}},
		{name: "LRANGE_100/many", lines: []string{"LRANGE list:$key 0 99"}},
		{name: "HGET/many", lines: []string{"HGET hash:$key field:$element"}},
		{name: "PFADD/one", lines: []string{"PFADD unique element:$n"}},
		{name: "GEOSEARCH_10KM/one", before: []string{"GEOADD places $longitude $latitude element:$n"}, lines: []string{"GEOSEARCH places FROMLONLAT 15 37 BYRADIUS 10 km"}},
		{name: "XADD/many", lines: []string{"XADD stream:$key * sensor $element value $random unit degree"}},
		{name: "ZRANGE_10/many", lines: []string{"ZRANGE zset:$key 0 9"}},
		{name: "ZRANK/many", lines: []string{"ZRANK zset:$key member:$element"}},
		{name: "ZPOPMIN_ZADD/many", lines: []string{"ZPOPMIN zset:$key", "ZADD zset:$key $random member:$element"}},
	})
}

// groupOfItems makes a stream of 100,000 items, and a group that has read none.
var groupOfItems = []string{"DEL items", "XADD items 1-$i sensor element:$n value $random unit degree", "XGROUP CREATE items group 0"}

// benchmarked is a benchmark of commands: each of the lines is sent with $n from 0
// to 99,999, in any order, then the next line. $key and $element are the same
// number as one of 10,000 keys and one of ten elements, $random is any, and $i
// counts from 1 on. The lines before are sent once and not measured, those after one
// by one at the end.
type benchmarked struct {
	name                 string
	before, lines, after []string
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
	send := func(p []byte) {
		l.process(c, p)
		if out := c.out.Bytes(); bytes.Contains(out, []byte("-ERR")) {
			b.Fatalf("%q: %s", p, out)
		}
		c.out.Truncate(0)
		l.closeOutput(c)
	}
	line := func(p []byte, text string, i int) []byte {
		x := i * 7919 % numbers
		for name, value := range map[string]func() string{
			"$i":         func() string { return strconv.Itoa(i + 1) },
			"$n":         func() string { return fmt.Sprintf("%012d", x) },
			"$key":       func() string { return fmt.Sprintf("%04d", x%10_000) },
			"$element":   func() string { return strconv.Itoa(x / 10_000) },
			"$random":    func() string { return strconv.Itoa(random.IntN(1_000_000)) },
			"$longitude": func() string { return fmt.Sprintf("%.4f", 10+8*random.Float64()) },
			"$latitude":  func() string { return fmt.Sprintf("%.4f", 33+8*random.Float64()) },
		} {
			if strings.Contains(text, name) {
				text = strings.ReplaceAll(text, name, value())
			}
		}
		return appendRequest(p, text)
	}
	prepare := func(bench benchmarked) (pipelines [][]byte) {
		for _, text := range bench.before {
			for i := range numbers {
				if i == 0 || strings.Contains(text, "$") {
					send(line(nil, text, i))
				}
			}
		}
		for _, text := range bench.lines {
			for first := 0; first+depth <= numbers; first += depth {
				var p []byte
				for i := range depth {
					p = line(p, text, first+i)
				}
				pipelines = append(pipelines, p)
				send(p) // the keys are there before the clock runs
			}
		}
		for _, text := range bench.after {
			p := line(nil, text, 0)
			pipelines = append(pipelines, p)
			send(p)
		}
		return pipelines
	}
	for _, bench := range benchmarks {
		var pipelines [][]byte
		b.Run(bench.name, func(b *testing.B) {
			if pipelines == nil {
				pipelines = prepare(bench)
				runtime.GC()
				b.ResetTimer()
			}
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
