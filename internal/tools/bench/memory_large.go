package main

import "strconv"

// A shape is how a large collection is made and changed. Elements have numbers;
// a round gives them other scores or values.
type shape struct {
	add, remove, count string
	// element appends element i as it is added in a round.
	element func(a [][]byte, i, round int) [][]byte
	// name is what removes element i; nil for a list, whose first ones go.
	name func(i int) []byte
	// changes says that adding an element again changes it.
	changes bool
}

// letters returns the word of i in memory of its own.
func letters(seed uint64, i, length int) []byte {
	w := word{seed: seed}
	return append([]byte(nil), w.of(i, length)...)
}

func decimal(i int) []byte { return strconv.AppendInt(nil, int64(i), 10) }

var (
	zsetRandom = shape{add: "ZADD", remove: "ZREM", count: "ZCARD", changes: true,
		name:    func(i int) []byte { return letters(3, i, 20) },
		element: func(a [][]byte, i, round int) [][]byte { return append(a, score(i^round<<32), letters(3, i, 20)) }}
	zsetOrdered = shape{add: "ZADD", remove: "ZREM", count: "ZCARD", changes: true,
		name:    func(i int) []byte { return letters(3, i, 20) },
		element: func(a [][]byte, i, round int) [][]byte { return append(a, decimal(i+round), letters(3, i, 20)) }}
	zsetIntegers = shape{add: "ZADD", remove: "ZREM", count: "ZCARD", changes: true,
		name: decimal,
		element: func(a [][]byte, i, round int) [][]byte {
			return append(a, decimal(int(mix(uint64(i^round<<32))%1_000_000)), decimal(i))
		}}
	setIntegers = shape{add: "SADD", remove: "SREM", count: "SCARD", name: decimal,
		element: func(a [][]byte, i, _ int) [][]byte { return append(a, decimal(i)) }}
	setMembers = shape{add: "SADD", remove: "SREM", count: "SCARD",
		name:    func(i int) []byte { return letters(3, i, 16) },
		element: func(a [][]byte, i, _ int) [][]byte { return append(a, letters(3, i, 16)) }}
	hashFields = shape{add: "HSET", remove: "HDEL", count: "HLEN", changes: true,
		name: func(i int) []byte { return letters(3, i, 16) },
		element: func(a [][]byte, i, round int) [][]byte {
			return append(a, letters(3, i, 16), letters(4+uint64(round), i, 32))
		}}
	listElements = shape{add: "RPUSH", remove: "LPOP", count: "LLEN",
		element: func(a [][]byte, i, round int) [][]byte { return append(a, letters(4+uint64(round), i, 32)) }}
)

// large measures one collection: loaded, with all elements changed, and with half
// of them removed and added again.
func large(s shape) func(o memoryOptions, n *node) ([]figure, error) {
	return func(o memoryOptions, n *node) ([]figure, error) {
		all := o.elements / batch * batch
		m := newMeter(n, all)
		m.load(all/batch, s.adds(all, 1, 0))
		m.holds(all, s.count+" large")
		m.rest("loaded")
		if s.changes {
			m.send(all/batch, s.adds(all, 1, 1))
			m.rest("all scores or values changed")
		}
		half := all / 2 / batch
		m.send(half, s.removes(all))
		m.send(half, s.adds(all, 2, 2))
		m.holds(all, s.count+" large")
		m.rest("half removed and added again")
		return m.result()
	}
}

// adds returns commands that add every step-th element.
func (s shape) adds(all, step, round int) func(b []byte, i int) []byte {
	var args [2 + 2*batch][]byte
	return func(b []byte, i int) []byte {
		a := append(args[:0], []byte(s.add), []byte("large"))
		for j := range batch {
			a = s.element(a, (i*batch+j)*step%all, round)
		}
		return request(b, a...)
	}
}

// removes returns commands that remove every second element, of a list the first
// ones.
func (s shape) removes(all int) func(b []byte, i int) []byte {
	var args [2 + batch][]byte
	return func(b []byte, i int) []byte {
		a := append(args[:0], []byte(s.remove), []byte("large"))
		if s.name == nil {
			return request(b, append(a, decimal(batch))...)
		}
		for j := range batch {
			a = append(a, s.name((i*batch+j)*2%all))
		}
		return request(b, a...)
	}
}
