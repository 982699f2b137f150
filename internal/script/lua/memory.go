package lua

import "unsafe"

const (
	memoryFirst = 16 << 20
	countedFrom = 32 // bytes of a string; shorter ones count as part of their slot
)

// memory bounds what a state holds. The garbage collector is Go's, so what is in
// use is not known at once: what is allocated is counted, and when that has
// doubled since the last look, everything that can be reached is measured. A
// program that needs more than the limit gets the error "not enough memory".
type memory struct {
	limit int
	count int // bytes in use at the last look, and allocated since
	next  int // when to look
	epoch uint32
}

// allocated counts bytes.
func (s *State) allocated(n int) {
	if s.memory.count += n; s.memory.count > s.memory.next {
		s.measure(0)
	}
}

// reserve is asked before something large is made.
func (s *State) reserve(n int) {
	if s.memory.limit > 0 && n > s.memory.limit-s.memory.count {
		s.measure(n)
	}
}

// measure finds what is in use, and raises an error if with need bytes more it is
// over the limit.
func (s *State) measure(need int) {
	m := &s.memory
	m.epoch++
	w := walker{epoch: m.epoch, seen: make(map[unsafe.Pointer]struct{})}
	w.table(s.globals)
	w.table(s.stringMeta)
	w.thread(s.main)
	for v := range s.kept {
		w.value(v)
	}
	w.run()
	m.count = w.bytes
	m.next = max(memoryFirst, 2*m.count)
	if m.limit > 0 {
		m.next = min(m.next, m.limit)
		// The last sixteenth stays free: within it there would be a look at every
		// turn.
		if m.count+need > m.limit-m.limit/16 {
			m.next = m.count + memoryFirst // so that the error can be handled
			panic(&thrown{value: String("not enough memory")})
		}
	}
}

// SetMaxMemory changes the bound on memory, between runs.
func (s *State) SetMaxMemory(bytes int) {
	s.memory.limit = bytes
	s.memory.next = min(s.memory.next, bytes)
}

// Allocated counts bytes that a Go function has made part of a value.
func (s *State) Allocated(n int) { s.allocated(n) }

// Unbounded calls f without a bound on memory, outside of a run: no program is
// there that an error could end.
func (s *State) Unbounded(f func()) {
	limit := s.memory.limit
	s.memory.limit = 0
	f()
	if s.memory.limit = limit; limit > 0 {
		// Where the memory is full, what needs little can still run: it may make
		// room.
		s.memory.next = max(min(s.memory.next, limit), s.memory.count+limit/16)
	}
}

// Keep counts a value as in use until Drop: one that only Go code refers to.
func (s *State) Keep(v Value) { s.kept[v] = struct{}{} }

// Drop ends a Keep.
func (s *State) Drop(v Value) { delete(s.kept, v) }

// Memory is about the bytes that the state's values take.
func (s *State) Memory() int { return s.memory.count }

// Collect forgets what is not in use any more, and returns what Memory is then.
func (s *State) Collect() int {
	limit := s.memory.limit
	s.memory.limit = 0
	s.measure(0)
	s.memory.limit = limit
	return s.memory.count
}

// A walker visits all that can be reached, each object once.
type walker struct {
	epoch uint32
	bytes int
	queue []Value
	seen  map[unsafe.Pointer]struct{} // strings and protos, which have no mark
}

// first reports whether an object is seen for the first time.
func (w *walker) first(p unsafe.Pointer) bool {
	if _, seen := w.seen[p]; seen {
		return false
	}
	w.seen[p] = struct{}{}
	return true
}

func (w *walker) value(v Value) {
	switch v.Kind() {
	case KindString:
		if n := v.strLen(); n >= countedFrom && w.first(v.ref) {
			w.bytes += n
		}
	case KindTable, KindFunction, KindThread:
		w.queue = append(w.queue, v)
	}
}

func (w *walker) run() {
	for len(w.queue) > 0 {
		v := w.queue[len(w.queue)-1]
		w.queue = w.queue[:len(w.queue)-1]
		switch v.Kind() {
		case KindTable:
			w.table(v.Table())
		case KindFunction:
			w.closure(v.Closure())
		case KindThread:
			w.thread(v.thread())
		}
	}
}

func (w *walker) table(h *Table) {
	if h == nil || h.mark == w.epoch {
		return
	}
	h.mark = w.epoch
	w.bytes += h.bytes()
	if h.meta != nil {
		w.queue = append(w.queue, h.meta.Value())
	}
	for _, v := range h.array {
		w.value(v)
	}
	for i := range h.nodes {
		w.value(h.nodes[i].key)
		w.value(h.nodes[i].value)
	}
}

func (w *walker) closure(c *Closure) {
	if c.mark == w.epoch {
		return
	}
	c.mark = w.epoch
	w.bytes += 96 + 56*len(c.upvals)
	if c.proto != nil && w.first(unsafe.Pointer(c.proto)) {
		w.bytes += c.proto.Size()
	}
	if c.env != nil {
		w.queue = append(w.queue, c.env.Value())
	}
	w.value(c.bound)
	for _, u := range c.upvals {
		if u != nil {
			w.value(*u.v)
		}
	}
}

func (w *walker) thread(t *Thread) {
	if t.mark == w.epoch {
		return
	}
	t.mark = w.epoch
	w.bytes += 256 + len(t.stack)*valueBytes + len(t.calls)*72
	for _, v := range t.stack[:min(max(t.top, t.calls[t.depth].top), len(t.stack))] {
		w.value(v)
	}
	if t.env != nil {
		w.queue = append(w.queue, t.env.Value())
	}
	w.value(t.handler)
}
