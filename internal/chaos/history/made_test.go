package history

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// world executes operations one after the other, as a store does that keeps its promises.
type world struct {
	registers map[string]register
	lists     map[string][]int64
	sets      map[string][]int64
	counters  map[string]int64
	banks     map[string][]int64
	queues    map[string][]int64
	entries   []int64 // of the one stream, whose group has been given so many
	given     int
	pending   []int64
	at        time.Duration
	until     map[string]time.Duration // of keys that expire
}

func newWorld() *world {
	return &world{registers: map[string]register{}, lists: map[string][]int64{}, sets: map[string][]int64{}, counters: map[string]int64{},
		banks: map[string][]int64{}, queues: map[string][]int64{}, until: map[string]time.Duration{}}
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
		case Push, Take, Rest:
			w.queue(s)
		case Enter, Deliver, Ack, Pending, Entries:
			w.stream(s)
		case Lend:
			w.until[s.Key] = w.at + time.Duration(s.Old)*time.Millisecond
		case Peek:
			if w.at < w.until[s.Key] {
				s.Got = []int64{s.Arg}
			}
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

func (w *world) queue(s *Step) {
	q := w.queues[s.Key]
	switch {
	case s.Do == Push:
		w.queues[s.Key] = append(q, s.Arg)
	case s.Do == Rest:
		s.Got = slices.Clone(q)
	case len(q) > 0:
		s.Got, w.queues[s.Key] = []int64{q[0]}, q[1:]
	}
}

func (w *world) stream(s *Step) {
	switch s.Do {
	case Enter:
		w.entries = append(w.entries, s.Arg)
		s.Got = []int64{s.Arg}
	case Deliver:
		most := len(w.entries)
		if !s.Done {
			most = min(most, w.given+2)
		}
		s.Got = slices.Clone(w.entries[w.given:most])
		w.pending = append(w.pending, s.Got...)
		w.given = most
	case Ack:
		i := slices.Index(w.pending, s.Arg)
		if s.Done = i >= 0; s.Done {
			w.pending = slices.Delete(w.pending, i, i+1)
		}
	case Pending:
		s.Got = slices.Clone(w.pending)
	case Entries:
		s.Got = slices.Clone(w.entries)
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
	next    int64
	entered []int64
	lent    []Step
}

func (m *maker) key() string { return string(rune('a' + m.IntN(3))) }

func (m *maker) steps() (steps []Step) {
	m.next++
	switch m.IntN(11) {
	case 8:
		return []Step{{Do: []Do{Push, Push, Take}[m.IntN(3)], Key: "q", Arg: m.next}}
	case 9:
		return []Step{m.stream()}
	case 10:
		return []Step{m.lend()}
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

// stream is a step on the stream, with entries that may not be there yet.
func (m *maker) stream() Step {
	switch {
	case m.IntN(2) == 0:
		m.entered = append(m.entered, m.next)
		return Step{Do: Enter, Key: "x", Arg: m.next}
	case m.IntN(2) == 0 || len(m.entered) == 0:
		return Step{Do: Deliver, Key: "x"}
	}
	return Step{Do: Ack, Key: "x", Arg: m.entered[m.IntN(len(m.entered))]}
}

// lend is a step on a key that expires.
func (m *maker) lend() Step {
	if m.IntN(2) == 0 || len(m.lent) == 0 {
		s := Step{Do: Lend, Key: "e" + strconv.FormatInt(m.next, 10), Arg: m.next, Old: 1 + m.Int64N(200)}
		m.lent = append(m.lent, s)
		return s
	}
	s := m.lent[m.IntN(len(m.lent))]
	return Step{Do: Peek, Key: s.Key, Arg: s.Arg}
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
		w.at = e.at
		w.do(&h[e.op])
	}
	return finish(h, w)
}

// finish adds readings of everything, when all has happened.
func finish(h History, w *world) History {
	at := time.Minute
	read := func(do Do, key string) {
		o := Op{ID: len(h), Client: -1, Call: at, Return: at + time.Millisecond, Outcome: OK, Steps: []Step{{Do: do, Key: key, Done: do == Deliver}}}
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
	for _, key := range sortedKeys(w.queues) {
		read(Rest, key)
	}
	for _, do := range []Do{Deliver, Pending, Entries} {
		read(do, "x")
	}
	return h
}
