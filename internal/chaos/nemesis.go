package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"redoubt/slots"
)

// nemesis does what is planned, and writes down what it has done. It belongs to the
// goroutine of the test.
type nemesis struct {
	c      *cluster
	began  time.Time
	log    []string
	agenda []action
	undone []func()     // in the end
	slots  []slots.Slot // of keys
	// crowd connects clients to a node; ask has them ask it at once.
	crowd  func(node int) (ask func())
	crowds map[int]func() // those of stopped nodes
}

// stopNode stops a node, to which a crowd is connected.
func (n *nemesis) stopNode(i int) {
	n.crowds[i] = n.crowd(i)
	n.c.stop(i)
}

// resumeNode lets it go on. It finds the questions of the crowd before anything that others
// have told it: it may still take itself for what it was.
func (n *nemesis) resumeNode(i int) {
	n.crowds[i]()
	n.c.resume(i)
}

// action is something to do at a moment.
type action struct {
	at time.Duration
	do func()
}

// run does all that is planned, and undoes it.
func (n *nemesis) run(faults []planned) {
	for _, f := range faults {
		n.agenda = append(n.agenda, action{f.at, func() {
			what, undo := f.kind.begin(n, rand.New(rand.NewPCG(f.seed, 1)))
			n.note("%s: %s", f.kind.name, what)
			if undo != nil {
				n.agenda = append(n.agenda, action{f.at + f.lasts, func() { undo(); n.note("%s ends", f.kind.name) }})
			}
		}})
	}
	for len(n.agenda) > 0 {
		a := n.next()
		time.Sleep(time.Until(n.began.Add(a.at)))
		a.do()
	}
}

// next takes what is due first out of the agenda.
func (n *nemesis) next() action {
	i := 0
	for j := range n.agenda {
		if n.agenda[j].at < n.agenda[i].at {
			i = j
		}
	}
	a := n.agenda[i]
	n.agenda = slices.Delete(n.agenda, i, i+1)
	return a
}

// after does something more when a time has passed, as a part of a fault.
func (n *nemesis) after(d time.Duration, what string, do func()) {
	n.agenda = append(n.agenda, action{time.Since(n.began) + d, func() { do(); n.note("  %s", what) }})
}

// mend undoes whatever there still is.
func (n *nemesis) mend() {
	if n.c.net != nil {
		n.c.net.Heal()
	}
	for i, s := range n.c.states {
		switch s {
		case stopped:
			n.resumeNode(i)
		case down:
			n.c.launch(i)
		}
	}
	for _, f := range n.undone {
		f()
	}
	n.note("all is mended")
}

func (n *nemesis) note(format string, args ...any) {
	n.log = append(n.log, fmt.Sprintf("%8.3f s  ", time.Since(n.began).Seconds())+fmt.Sprintf(format, args...))
}
