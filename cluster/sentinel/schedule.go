package sentinel

import (
	"container/heap"
	"time"
)

// task is something that is looked at when its time has come, or when an event
// concerned it: an instance or a link.
type task interface {
	slot() *schedule
	// run does what is due.
	run(n *Node)
	// alarm is when run is needed again if nothing happens; zero if never.
	alarm(n *Node) time.Time
}

// schedule is a task's place in the queue.
type schedule struct {
	due     time.Time
	index   int // in the queue, -1 if it is not there
	touched bool
	gone    bool // it is not watched any more
}

func (s *schedule) slot() *schedule { return s }

// minGap is the least time between two looks at a task that nothing concerned:
// it bounds what a condition that stays due may cost.
const minGap = 10 * time.Millisecond

// touch has a task run in this Step.
func (n *Node) touch(t task) {
	if s := t.slot(); !s.touched && !s.gone {
		s.touched = true
		n.touched = append(n.touched, t)
	}
}

// drop takes a task off the queue for good.
func (n *Node) drop(t task) {
	s := t.slot()
	s.gone = true
	if s.index >= 0 {
		heap.Remove(&n.queue, s.index)
	}
}

// touchDue touches all whose time has come.
func (n *Node) touchDue() {
	for len(n.queue) > 0 && !n.queue[0].slot().due.After(n.now) {
		n.touch(heap.Pop(&n.queue).(task))
	}
}

// runTouched runs all tasks that have been touched, and those that these touch.
func (n *Node) runTouched() {
	for i := 0; i < len(n.touched); i++ {
		t := n.touched[i]
		t.slot().touched = false
		if t.slot().gone {
			continue
		}
		t.run(n)
		n.plan(t)
	}
	clear(n.touched)
	n.touched = n.touched[:0]
}

// plan puts a task at its place in the queue.
func (n *Node) plan(t task) {
	s := t.slot()
	at := t.alarm(n)
	if s.gone || at.IsZero() {
		if s.index >= 0 {
			heap.Remove(&n.queue, s.index)
		}
		return
	}
	if least := n.now.Add(minGap); at.Before(least) {
		at = least
	}
	s.due = at
	if s.index >= 0 {
		heap.Fix(&n.queue, s.index)
	} else {
		heap.Push(&n.queue, t)
	}
}

// queue is a heap of tasks by when they are due.
type queue []task

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].slot().due.Before(q[j].slot().due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].slot().index, q[j].slot().index = i, j
}

func (q *queue) Push(x any) {
	t := x.(task)
	t.slot().index = len(*q)
	*q = append(*q, t)
}

func (q *queue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	t.slot().index = -1
	return t
}

// alarm is the earliest of some times.
type alarm struct{ at time.Time }

// by moves the alarm to t if that is earlier. Zero is no time.
func (a *alarm) by(t time.Time) {
	if !t.IsZero() && (a.at.IsZero() || t.Before(a.at)) {
		a.at = t
	}
}

// latest is the latest of some times.
func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}
