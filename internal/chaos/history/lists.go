package history

import (
	"fmt"
	"slices"
	"time"
)

// place is an element of a list.
type place struct {
	key   string
	value int64
}

// lists is what a history says of lists.
type lists struct {
	ops    []Op // that append or read lists, in the order of invocations
	by     map[place]int
	order  map[string][]int64 // of each list the longest that was read
	reader map[string]int     // who read that
	bad    []Violation
}

// Lists checks transactions that append to lists and read them whole. Together they must
// be strictly serializable: as if each had happened at one moment between its invocation
// and its completion.
func Lists(h History) []Violation {
	l := &lists{by: map[place]int{}, order: map[string][]int64{}, reader: map[string]int{}}
	for _, o := range h.sorted() {
		if slices.ContainsFunc(o.Steps, Step.isList) {
			l.ops = append(l.ops, o)
		}
	}
	l.appends()
	l.longest()
	for i := range l.ops {
		if l.ops[i].Outcome == OK {
			l.within(i)
			l.foreign(i)
		}
	}
	if l.settle(); len(l.bad) == 0 {
		l.lost()
	}
	if len(l.bad) == 0 {
		l.bad = l.graph().anomalies(l.ops)
	}
	return l.bad
}

func (s Step) isList() bool { return s.Do == Append || s.Do == Read }

// say adds a violation.
func (l *lists) say(kind, text string, ops ...int) {
	v := Violation{Kind: kind, Text: text}
	for _, i := range ops {
		v.Ops = append(v.Ops, l.ops[i])
	}
	l.bad = append(l.bad, v)
}

// appends notes who has appended what.
func (l *lists) appends() {
	for i, o := range l.ops {
		for _, s := range o.Steps {
			if s.Do == Append {
				l.by[place{s.Key, s.Arg}] = i
			}
		}
	}
}

// longest finds the longest reading of each list, which has the order of its elements, and
// checks that all others begin it.
func (l *lists) longest() {
	l.readings(func(i int, s Step) {
		if len(s.Got) > len(l.order[s.Key]) {
			l.order[s.Key], l.reader[s.Key] = s.Got, i
		}
	})
	l.readings(func(i int, s Step) {
		if all := l.order[s.Key]; !slices.Equal(s.Got, all[:len(s.Got)]) {
			l.say("incompatible order", fmt.Sprintf("two readings of %s are not the beginnings of one list", s.Key), i, l.reader[s.Key])
		}
	})
	for _, key := range sortedKeys(l.order) {
		seen := map[int64]bool{}
		for _, v := range l.order[key] {
			if seen[v] {
				l.say("duplicate", fmt.Sprintf("%s has %d twice", key, v), l.reader[key])
			}
			seen[v] = true
		}
	}
}

// readings calls f for each step that has read a list.
func (l *lists) readings(f func(i int, s Step)) {
	for i, o := range l.ops {
		for _, s := range o.Steps {
			if s.Do == Read && o.Outcome == OK {
				f(i, s)
			}
		}
	}
}

// within checks that a transaction sees what it has done itself.
func (l *lists) within(i int) {
	own, before := map[string][]int64{}, map[string][]int64{}
	for _, s := range l.ops[i].Steps {
		switch s.Do {
		case Append:
			own[s.Key] = append(own[s.Key], s.Arg)
		case Read:
			n := len(s.Got) - len(own[s.Key])
			if n < 0 || !slices.Equal(s.Got[n:], own[s.Key]) {
				l.say("internal", fmt.Sprintf("a transaction does not see what it has appended to %s", s.Key), i)
				continue
			}
			if was, ok := before[s.Key]; ok && !slices.Equal(was, s.Got[:n]) {
				l.say("internal", fmt.Sprintf("%s changes under a transaction", s.Key), i)
			}
			before[s.Key] = s.Got[:n]
		}
	}
}

// foreign checks where the elements come from that an operation has read: G1a, G1b.
func (l *lists) foreign(i int) {
	for _, s := range l.ops[i].Steps {
		if s.Do != Read {
			continue
		}
		for n, v := range s.Got {
			j, known := l.by[place{s.Key, v}]
			switch {
			case !known:
				l.say("invented", fmt.Sprintf("nobody has appended %d to %s", v, s.Key), i)
			case l.ops[j].Outcome == Refused:
				l.say("G1a", fmt.Sprintf("%s has %d, which was refused", s.Key, v), j, i)
			case j != i && n == len(s.Got)-1 && v != last(l.ops[j], s.Key):
				l.say("G1b", fmt.Sprintf("%s is read in the middle of a transaction that appends more", s.Key), j, i)
			}
		}
	}
}

// last is the last element that an operation appends to a list.
func last(o Op, key string) (v int64) {
	for _, s := range o.Steps {
		if s.Do == Append && s.Key == key {
			v = s.Arg
		}
	}
	return v
}

// settle decides on operations whose outcome is unknown: one that was seen has happened,
// the others have not, for all that anybody knows.
func (l *lists) settle() {
	seen := map[int]bool{}
	for key, all := range l.order {
		for _, v := range all {
			if i, ok := l.by[place{key, v}]; ok {
				seen[i] = true
			}
		}
	}
	for i := range l.ops {
		if o := &l.ops[i]; o.Outcome == Unknown && !seen[i] {
			o.Outcome = Refused
		}
	}
}

// happened reports whether an operation has, after settle.
func (l *lists) happened(i int) bool { return l.ops[i].Outcome != Refused }

// lost checks that what was acknowledged is in all that was read later: if it never was
// read, its place in the order is not known, and there would be no cycle to find.
func (l *lists) lost() {
	latest := map[string]int{} // the last reading to begin
	l.readings(func(i int, s Step) { latest[s.Key] = i })
	there := map[place]bool{}
	for key, all := range l.order {
		for _, v := range all {
			there[place{key, v}] = true
		}
	}
	for i, o := range l.ops {
		for _, s := range o.Steps {
			reader, read := latest[s.Key]
			if s.Do == Append && o.Outcome == OK && read && !there[place{s.Key, s.Arg}] && l.ops[reader].Call > o.Return {
				l.say("lost", fmt.Sprintf("%s lacks %d, which was acknowledged", s.Key, s.Arg), i, reader)
			}
		}
	}
}

// graph is what must have come before what.
func (l *lists) graph() *graph {
	g := newGraph(len(l.ops))
	unseen := l.unseen()
	for key, all := range l.order {
		for n, v := range all {
			i := l.by[place{key, v}]
			if n+1 < len(all) {
				g.add(i, l.by[place{key, all[n+1]}], ww, key)
			} else {
				for _, j := range unseen[key] {
					g.add(i, j, ww, key)
				}
			}
		}
	}
	l.readings(func(i int, s Step) {
		all, n := l.order[s.Key], len(s.Got)
		for n > 0 && l.by[place{s.Key, all[n-1]}] == i {
			n-- // what it has appended itself
		}
		if n > 0 {
			g.add(l.by[place{s.Key, all[n-1]}], i, wr, s.Key)
		}
		for n < len(all) && l.by[place{s.Key, all[n]}] == i {
			n++
		}
		if n < len(all) {
			g.add(i, l.by[place{s.Key, all[n]}], rw, s.Key)
			return
		}
		for _, j := range unseen[s.Key] {
			g.add(i, j, rw, s.Key)
		}
	})
	l.realTime(g)
	return g
}

// unseen is who has appended something to a list that no reading shows. It comes behind
// the longest of them.
func (l *lists) unseen() map[string][]int {
	there := map[place]bool{}
	for key, all := range l.order {
		for _, v := range all {
			there[place{key, v}] = true
		}
	}
	who := map[string][]int{}
	for i, o := range l.ops {
		for _, s := range o.Steps {
			if s.Do == Append && l.happened(i) && !there[place{s.Key, s.Arg}] && !slices.Contains(who[s.Key], i) {
				who[s.Key] = append(who[s.Key], i)
			}
		}
	}
	return who
}

// realTime adds that what has ended comes before what begins later. The moments at which
// operations end are a chain of their own, so that the graph does not grow by the square.
func (l *lists) realTime(g *graph) {
	type moment struct {
		at time.Duration
		op int
	}
	var ends []moment
	for i, o := range l.ops {
		if l.happened(i) && o.Outcome == OK {
			ends = append(ends, moment{o.Return, i})
		}
	}
	slices.SortStableFunc(ends, func(a, b moment) int { return int(min(1, max(-1, a.at-b.at))) })
	first := g.more(len(ends))
	for n, e := range ends {
		g.add(e.op, first+n, rt, "")
		if n > 0 {
			g.add(first+n-1, first+n, rt, "")
		}
	}
	for i, o := range l.ops {
		if n, _ := slices.BinarySearchFunc(ends, o.Call, func(e moment, call time.Duration) int {
			if e.at < call {
				return -1
			}
			return 1
		}); n > 0 && l.happened(i) {
			g.add(first+n-1, i, rt, "")
		}
	}
}
