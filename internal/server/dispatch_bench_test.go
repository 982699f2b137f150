package server

import (
	"fmt"
	"testing"
)

// BenchmarkDispatch is what a request costs between the socket and the stream:
// parser, gates, locks, keyspace, reply, for a pipeline of 64 over 100,000
// keys. With -benchmem it also shows that nothing is allocated.
func BenchmarkDispatch(b *testing.B) { benchmarkDispatch(b, startNode(b)) }

// BenchmarkDispatchInCluster is the same with keys that are routed.
func BenchmarkDispatchInCluster(b *testing.B) {
	benchmarkDispatch(b, startParts(b, func(c *Config) { c.Cluster = new(wholeCluster) }, "--cluster-enabled", "yes"))
}

func benchmarkDispatch(b *testing.B, n *node) {
	const keys, depth = 100_000, 64
	n.stream.quiet = true
	n.stopLoops(nil)
	defer n.resumeLoops(nil)
	l, c := fakeConn(n)
	c.queued = true // nobody writes its output
	l.beginTurn()
	for _, bench := range []struct{ name, format string }{
		{"SET", "*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$8\r\nxxxxxxxx\r\n"},
		{"GET", "*2\r\n$3\r\nGET\r\n$16\r\nkey:%012d\r\n"},
		{"INCR", "*2\r\n$4\r\nINCR\r\n$20\r\ncounter:%012d\r\n"},
	} {
		var pipelines [][]byte
		for first := 0; first+depth <= keys; first += depth {
			var p []byte
			for i := range depth {
				p = fmt.Appendf(p, bench.format, (first+i)*7919%keys)
			}
			pipelines = append(pipelines, p)
			l.feed(c, p) // the keys are there before the clock runs
			c.out.Truncate(0)
			l.closeOutput(c)
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
