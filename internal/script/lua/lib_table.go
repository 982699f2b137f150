package lua

import "strings"

var tableFunctions = []Function{
	{"concat", tableConcat}, {"foreach", tableForEach}, {"foreachi", tableForEachI}, {"getn", tableGetN},
	{"insert", tableInsert}, {"maxn", tableMaxN}, {"remove", tableRemove}, {"setn", tableSetN}, {"sort", tableSort},
}

func tableForEach(t *Thread) int {
	h := t.CheckTable(1)
	fn := t.checkFunction(2)
	for key := Nil; ; {
		k, v, ok := h.Next(key)
		if !ok {
			t.runError("invalid key to 'next'")
		}
		if k.IsNil() {
			return 0
		}
		if r := t.Call(fn, k, v); !r.IsNil() {
			t.Push(r)
			return 1
		}
		key = k
	}
}

func tableForEachI(t *Thread) int {
	h := t.CheckTable(1)
	n := h.Len()
	fn := t.checkFunction(2)
	for i := 1; i <= n; i++ {
		if r := t.Call(fn, Int(i), h.GetInt(i)); !r.IsNil() {
			t.Push(r)
			return 1
		}
	}
	return 0
}

func tableGetN(t *Thread) int {
	t.Push(Int(t.CheckTable(1).Len()))
	return 1
}

func tableSetN(t *Thread) int {
	t.CheckTable(1)
	t.Errorf("'setn' is obsolete")
	return 0
}

func tableMaxN(t *Thread) int {
	h := t.CheckTable(1)
	most := 0.0
	for key := Nil; ; {
		k, _, _ := h.Next(key)
		if k.IsNil() {
			break
		}
		if k.isNumber() {
			most = max(most, k.Float())
		}
		key = k
	}
	t.Push(Number(most))
	return 1
}

func tableInsert(t *Thread) int {
	h := t.CheckTable(1)
	end := h.Len() + 1
	pos := end
	switch t.Count() {
	case 2:
	case 3:
		pos = t.CheckInt(2)
		end = max(end, pos)
		if h.ReadOnly {
			t.runError("Attempt to modify a readonly table")
		}
		if pos >= 1 && end <= len(h.array) {
			copy(h.array[pos:end], h.array[pos-1:end-1])
			break
		}
		for i := end; i > pos; i-- {
			t.rawSet(h, Int(i), h.GetInt(i-1))
			t.Poll()
		}
	default:
		t.Errorf("wrong number of arguments to 'insert'")
	}
	t.rawSet(h, Int(pos), t.Arg(t.Count()))
	return 0
}

func tableRemove(t *Thread) int {
	h := t.CheckTable(1)
	end := h.Len()
	pos := t.OptInt(2, end)
	if pos < 1 || pos > end {
		return 0
	}
	v := h.GetInt(pos)
	if h.ReadOnly {
		t.runError("Attempt to modify a readonly table")
	}
	if end <= len(h.array) {
		copy(h.array[pos-1:end-1], h.array[pos:end])
	} else {
		for i := pos; i < end; i++ {
			t.rawSet(h, Int(i), h.GetInt(i+1))
		}
	}
	t.rawSet(h, Int(end), Nil)
	t.Push(v)
	return 1
}

func tableConcat(t *Thread) int {
	h := t.CheckTable(1)
	separator := ""
	if !t.Arg(2).IsNil() {
		separator = t.CheckString(2)
	}
	i := t.OptInt(3, 1)
	var last int
	if t.Arg(4).IsNil() {
		last = h.Len()
	} else {
		last = t.CheckInt(4)
	}
	total := 0
	for j := i; j <= last; j++ {
		v := h.GetInt(j)
		t.Poll()
		if !isText(v) {
			t.Errorf("invalid value (%s) at index %d in table for 'concat'", v.Kind(), j)
		}
		if v.isString() {
			total += v.strLen()
		} else {
			total += 24
		}
		total += len(separator)
		if total > 1<<20 {
			t.state.reserve(total)
		}
	}
	var b strings.Builder
	b.Grow(total)
	var number [32]byte
	for j := i; j <= last; j++ {
		if v := h.GetInt(j); v.isString() {
			b.WriteString(v.Str())
		} else {
			b.Write(AppendNumber(number[:0], v.Float(), 14))
		}
		if j != last {
			b.WriteString(separator)
		}
	}
	t.PushString(b.String())
	return 1
}

// A sorter sorts entries of a table with the quicksort of PUC Lua, so that a
// comparison that is not consistent has the same outcome, or error.
type sorter struct {
	t    *Thread
	h    *Table
	less Value
}

func tableSort(t *Thread) int {
	h := t.CheckTable(1)
	n := h.Len()
	s := sorter{t: t, h: h}
	if !t.Arg(2).IsNil() {
		s.less = t.checkFunction(2)
	}
	s.sort(1, n)
	return 0
}

func (s *sorter) before(a, b Value) bool {
	s.t.Poll()
	if s.less.IsNil() {
		return s.t.less(a, b)
	}
	return s.t.Call(s.less, a, b).Truth()
}

func (s *sorter) set(i int, v Value) { s.t.rawSet(s.h, Int(i), v) }

// order swaps two entries if the second is to come first.
func (s *sorter) order(i, j int) {
	a, b := s.h.GetInt(i), s.h.GetInt(j)
	if s.before(b, a) {
		s.set(i, b)
		s.set(j, a)
	}
}

func (s *sorter) sort(l, u int) {
	for l < u {
		s.order(l, u)
		if u-l == 1 {
			return
		}
		m := (l + u) / 2
		if p, first := s.h.GetInt(m), s.h.GetInt(l); s.before(p, first) {
			s.set(m, first)
			s.set(l, p)
		} else if last := s.h.GetInt(u); s.before(last, p) {
			s.set(m, last)
			s.set(u, p)
		}
		if u-l == 2 {
			return
		}
		pivot := s.h.GetInt(m)
		other := s.h.GetInt(u - 1)
		s.set(m, other)
		s.set(u-1, pivot)
		i := s.partition(l, u, pivot)
		// The smaller part by recursion, the larger in the loop.
		if i-l < u-i {
			s.sort(l, i-1)
			l = i + 1
		} else {
			s.sort(i+1, u)
			u = i - 1
		}
	}
}

func (s *sorter) partition(l, u int, pivot Value) int {
	i, j := l, u-1
	for {
		for i++; s.before(s.h.GetInt(i), pivot); i++ {
			if i > u {
				s.t.Errorf("invalid order function for sorting")
			}
		}
		for j--; s.before(pivot, s.h.GetInt(j)); j-- {
			if j < l {
				s.t.Errorf("invalid order function for sorting")
			}
		}
		if j < i {
			break
		}
		a, b := s.h.GetInt(i), s.h.GetInt(j)
		s.set(i, b)
		s.set(j, a)
	}
	a, b := s.h.GetInt(u-1), s.h.GetInt(i)
	s.set(u-1, b)
	s.set(i, a)
	return i
}
