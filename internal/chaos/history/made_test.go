package history

import (
	"math/rand/v2"
	"slices"
	"time"
)

// world executes operations one after the other, as a store does that keeps its promises.
type world struct {
	registers map[string]register
	lists     map[string][]int64
	sets      map[string][]int64
	counters  map[string]int64
	banks     map[string][]int64
}

func newWorld() *world {
	return &world{map[string]register{}, map[string][]int64{}, map[string][]int64{}, map[string]int64{}, map[string][]int64{}}
}

// do executes an operation, and fills in its results.
func (w *world) do(o *Op) {
	for i := range o.Steps {
		s := &o.Steps[i]
		switch s.Do {
		case Append:
			w.lists[s.Key] = append(w.lists[s.Key], s.Arg)
		case Read:
			s.Got = slices.Clone(w.lists[s.Key])
		case Add:
			w.sets[s.Key] = append(w.sets[s.Key], s.Arg)
		case Members:
			s.Got = slices.Clone(w.sets[s.Key])
		case Count:
			w.counters[s.Key]++
			s.Got = []int64{w.counters[s.Key]}
		case Total:
			if n := w.counters[s.Key]; n > 0 {
				s.Got = []int64{n}
			}
		case Transfer, Balances:
			w.bank(s)
		default:
			w.register(s)
		}
	}
}

func (w *world) bank(s *Step) {
	if w.banks[s.Key] == nil {
		w.banks[s.Key] = []int64{10, 10, 10, 10}
	}
	b := w.banks[s.Key]
	if s.Do == Balances {
		s.Got = slices.Clone(b)
	} else if s.Done = b[s.Old] > 0; s.Done {
		b[s.Old]--
		b[s.Arg]++
	}
}

func (w *world) register(s *Step) {
	r := w.registers[s.Key]
	switch s.Do {
	case Get, Swap:
		if r.is {
			s.Got = []int64{r.value}
		}
	case SetNX:
		s.Done = !r.is
	case CAS:
		s.Done = r == holding(s.Old)
	case Del:
		s.Done = r.is
	case Incr:
		s.Got = []int64{r.value + 1}
	}
	_, w.registers[s.Key] = r.apply(*s, result{})
}

// maker draws operations.
type maker struct {
	*rand.Rand
	next int64
}

func (m *maker) key() string { return string(rune('a' + m.IntN(3))) }

func (m *maker) steps() (steps []Step) {
	m.next++
	switch m.IntN(8) {
	case 0, 1, 2:
		for range 1 + m.IntN(4) {
			m.next++
			if m.IntN(2) == 0 {
				steps = append(steps, Step{Do: Append, Key: "l" + m.key(), Arg: m.next})
			} else {
				steps = append(steps, Step{Do: Read, Key: "l" + m.key()})
			}
		}
		return steps
	case 3:
		do := []Do{Add, Add, Members}[m.IntN(3)]
		return []Step{{Do: do, Key: "s" + m.key(), Arg: m.next}}
	case 4:
		return []Step{{Do: []Do{Count, Total}[m.IntN(2)], Key: "c" + m.key()}}
	case 5:
		return []Step{{Do: []Do{Transfer, Balances}[m.IntN(2)], Key: "b", Old: m.Int64N(4), Arg: m.Int64N(4)}}
	}
	do := []Do{Get, Set, Swap, SetNX, Incr, CAS, Del, Get}[m.IntN(8)]
	return []Step{{Do: do, Key: "r" + m.key(), Arg: m.Int64N(5), Old: m.Int64N(5)}}
}

// made is a history of a good store: each operation happens at one moment between its
// invocation and its completion, if it was refused at none, and if its outcome is unknown
// at a later one or at none.
func made(seed uint64, ops, clients int) History {
	m := &maker{Rand: rand.New(rand.NewPCG(seed, 9))}
	var h History
	free := make([]time.Duration, clients)
	type moment struct {
		at time.Duration
		op int
	}
	var moments []moment
	ms := func(most int) time.Duration { return time.Duration(1+m.IntN(most)) * time.Millisecond }
	for i := range ops {
		c := m.IntN(clients)
		o := Op{ID: i, Client: c, Call: free[c] + ms(5), Outcome: OK, Steps: m.steps()}
		at := o.Call + ms(20)
		o.Return = at + ms(20)
		free[c] = o.Return
		switch m.IntN(12) {
		case 0:
			o.Outcome = Refused
		case 1:
			o.Outcome, o.Return = Unknown, Never
			if m.IntN(2) == 0 {
				at += ms(300)
				moments = append(moments, moment{at, i})
			}
		default:
			moments = append(moments, moment{at, i})
		}
		h = append(h, o)
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	w := newWorld()
	for _, e := range moments {
		w.do(&h[e.op])
	}
	return finish(h, w)
}

// finish adds readings of everything, when all has happened.
func finish(h History, w *world) History {
	at := time.Minute
	read := func(do Do, key string) {
		o := Op{ID: len(h), Client: -1, Call: at, Return: at + time.Millisecond, Outcome: OK, Steps: []Step{{Do: do, Key: key}}}
		at += 2 * time.Millisecond
		w.do(&o)
		h = append(h, o)
	}
	for _, key := range sortedKeys(w.lists) {
		read(Read, key)
	}
	for _, key := range sortedKeys(w.sets) {
		read(Members, key)
	}
	for _, key := range sortedKeys(w.counters) {
		read(Total, key)
	}
	read(Balances, "b")
	return h
}
