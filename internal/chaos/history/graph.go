package history

import (
	"fmt"
	"slices"
	"strings"
)

// because is why one operation comes before another.
type because uint8

const (
	ww because = 1 << iota // the other has written the next version
	wr                     // the other has read what it has written
	rw                     // the other has written the version after the one it has read
	rt                     // it had ended when the other began
)

func (b because) String() string {
	return map[because]string{ww: "ww", wr: "wr", rw: "rw", rt: "rt"}[b]
}

// edge leads to an operation that comes later.
type edge struct {
	to  int
	why because
	key string
}

// graph has a node for each operation, and for moments.
type graph struct{ out [][]edge }

func newGraph(nodes int) *graph { return &graph{make([][]edge, nodes)} }

// more adds nodes, and returns the first.
func (g *graph) more(nodes int) int {
	n := len(g.out)
	g.out = append(g.out, make([][]edge, nodes)...)
	return n
}

func (g *graph) add(from, to int, why because, key string) {
	if from != to {
		g.out[from] = append(g.out[from], edge{to, why, key})
	}
}

// anomaly is a kind of cycles: those of these edges, with one of rw at most if single.
type anomaly struct {
	name   string
	edges  because
	single bool
}

// anomalies are the kinds of cycles, the gravest first: who finds none of the first does
// not need to ask whether one of a later kind is one of them.
var anomalies = []anomaly{
	{"G0", ww, false},
	{"G1c", ww | wr, false},
	{"G-single", ww | wr | rw, true},
	{"G2", ww | wr | rw, false},
	{"G0-realtime", ww | rt, false},
	{"G1c-realtime", ww | wr | rt, false},
	{"G-single-realtime", ww | wr | rw | rt, true},
	{"G2-realtime", ww | wr | rw | rt, false},
}

// anomalies are the cycles: for each set of operations that lie on common ones, the
// shortest of the gravest kind.
func (g *graph) anomalies(ops []Op) (bad []Violation) {
	done := map[int]bool{} // nodes of sets for which a cycle has been shown
	for _, kind := range anomalies {
		for _, set := range g.components(kind.edges) {
			if slices.ContainsFunc(set, func(n int) bool { return done[n] }) {
				continue
			}
			if cycle := g.cycle(set, kind); cycle != nil {
				bad = append(bad, report(kind.name, cycle, ops))
				for _, n := range set {
					done[n] = true
				}
			}
		}
	}
	return bad
}

// components are the strongly connected ones with more than one node, by edges of these
// kinds (Tarjan).
func (g *graph) components(kinds because) (all [][]int) {
	index, low, on := make([]int, len(g.out)), make([]int, len(g.out)), make([]bool, len(g.out))
	var stack []int
	count := 0
	var visit func(n int)
	visit = func(n int) {
		count++
		index[n], low[n], on[n] = count, count, true
		stack = append(stack, n)
		for _, e := range g.out[n] {
			if e.why&kinds == 0 {
				continue
			}
			if index[e.to] == 0 {
				visit(e.to)
				low[n] = min(low[n], low[e.to])
			} else if on[e.to] {
				low[n] = min(low[n], index[e.to])
			}
		}
		if low[n] != index[n] {
			return
		}
		at := slices.Index(stack, n)
		set := slices.Clone(stack[at:])
		stack = stack[:at]
		for _, m := range set {
			on[m] = false
		}
		if len(set) > 1 {
			all = append(all, set)
		}
	}
	for n := range g.out {
		if index[n] == 0 {
			visit(n)
		}
	}
	return all
}

// hop is an edge of a cycle.
type hop struct {
	from int
	edge
}

// cycle is the shortest of a kind within a set: one that goes on from each edge to where
// the edge begins. For a kind with a single rw, that is the edge with which it begins.
func (g *graph) cycle(set []int, kind anomaly) (best []hop) {
	in := map[int]bool{}
	for _, n := range set {
		in[n] = true
	}
	rest := kind.edges
	if kind.single {
		rest &^= rw
	}
	for _, n := range set {
		for _, e := range g.out[n] {
			if e.why&kind.edges == 0 || !in[e.to] || kind.single && e.why != rw {
				continue
			}
			if e.why == rt && best != nil {
				continue // a cycle has another edge, from which it is found too
			}
			if back := g.path(e.to, n, in, rest); back != nil && (best == nil || len(back)+1 < len(best)) {
				best = append([]hop{{n, e}}, back...)
			}
		}
	}
	return best
}

// path is the shortest one within a set by edges of these kinds.
func (g *graph) path(from, to int, in map[int]bool, kinds because) []hop {
	came := map[int]hop{}
	queue := []int{from}
	for len(queue) > 0 {
		n := queue[0]
		queue = queue[1:]
		for _, e := range g.out[n] {
			if _, seen := came[e.to]; e.why&kinds == 0 || !in[e.to] || seen || e.to == from {
				continue
			}
			came[e.to] = hop{n, e}
			if e.to == to {
				var path []hop
				for at := to; at != from; at = came[at].from {
					path = append(path, came[at])
				}
				slices.Reverse(path)
				return path
			}
			queue = append(queue, e.to)
		}
	}
	return nil
}

// report is a cycle as a violation. Nodes that are moments are left out.
func report(name string, cycle []hop, ops []Op) Violation {
	v := Violation{Kind: name}
	var steps []string
	for _, h := range cycle {
		if h.from < len(ops) {
			v.Ops = append(v.Ops, ops[h.from])
			steps = append(steps, fmt.Sprintf("#%d -%v %s→", ops[h.from].ID, h.why, h.key))
		}
	}
	v.Text = "a cycle: " + strings.Join(append(steps, fmt.Sprintf("#%d", v.Ops[0].ID)), " ")
	return v
}
