package server

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
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
		{"SET", []string{"SET key:%012[1]d xxxxxxxx"}},
		{"GET", []string{"GET key:%012[1]d"}},
		{"INCR", []string{"INCR counter:%012[1]d"}},
	})
}

// BenchmarkDispatchTypes is BenchmarkDispatch for collections: for one of 100,000
// elements, and for 10,000 of ten. What a command adds another takes out.
func BenchmarkDispatchTypes(b *testing.B) {
	benchmarkDispatch(b, startNode(b), []benchmarked{
		{"HSET/one", []string{"HSET hash element:%06[1]d xxxxxxxx"}},
		{"HSET_HDEL/one", []string{"HSET fields element:%06[1]d xxxxxxxx", "HDEL fields element:%06[1]d"}},
		{"SADD_SREM/one", []string{"SADD set element:%06[1]d", "SREM set element:%06[1]d"}},
		{"ZADD/one", []string{"ZADD zset %[2]d element:%06[1]d", "ZADD zset %[2]d element:%06[1]d"}},
		{"ZADD_ZREM/one", []string{"ZADD members %[2]d element:%06[1]d", "ZREM members element:%06[1]d"}},
		{"LPUSH_RPOP/one", []string{"LPUSH list element:%06[1]d", "RPOP list"}},
		{"HSET/many", []string{"HSET hash:%04[3]d field:%[4]d xxxxxxxx"}},
		{"HSET_HDEL/many", []string{"HSET fields:%04[3]d field:%[4]d xxxxxxxx", "HDEL fields:%04[3]d field:%[4]d"}},
		{"SADD_SREM/many", []string{"SADD set:%04[3]d member:%[4]d", "SREM set:%04[3]d member:%[4]d"}},
		{"ZADD/many", []string{"ZADD zset:%04[3]d %[2]d member:%[4]d", "ZADD zset:%04[3]d %[2]d member:%[4]d"}},
		{"ZADD_ZREM/many", []string{"ZADD members:%04[3]d %[2]d member:%[4]d", "ZREM members:%04[3]d member:%[4]d"}},
		{"LPUSH_RPOP/many", []string{"LPUSH list:%04[3]d element:%[4]d", "RPOP list:%04[3]d"}},
	})
}

// benchmarked is a benchmark of commands: each of the lines is sent with all
// numbers below 100,000, then the next line. A line takes, by index: 1 the
// number, 2 a random one, 3 and 4 the number as one of 10,000 keys and of ten
// elements.
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
	c.queued = true // nobody writes its output
	l.beginTurn()
	random := rand.New(rand.NewPCG(1, 2))
	for _, bench := range benchmarks {
		var pipelines [][]byte
		for _, line := range bench.lines {
			for first := 0; first+depth <= numbers; first += depth {
				var p []byte
				for i := range depth {
					x := (first + i) * 7919 % numbers
					p = appendRequest(p, fmt.Sprintf(line, x, random.IntN(1_000_000), x%10_000, x/10_000))
				}
				pipelines = append(pipelines, p)
				l.feed(c, p) // the keys are there before the clock runs
				c.out.Truncate(0)
				l.closeOutput(c)
			}
		}
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i += depth {
				if rest := l.feed(c, pipelines[i/depth%len(pipelines)]); len(rest) != 0 {
					b.Fatalf("%d bytes were left", len(rest))
				}
				c.out.Truncate(0)
				l.closeOutput(c)
			}
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
