// Package release keeps what a program must not do, or say, before its state is on
// disk. Whoever drives a state machine has one Queue: the servers of clusters, the
// Sentinels, and the simulators of both.
//
// A step may give a state to be saved, and things to be done: roles to be taken,
// votes and claims to be sent, commands to be answered. They are done in the order
// of the steps, each when the newest state that was given before it, or a later
// one, is on disk. Some things take their time, such as a change of role; others
// do not wait for them, but the state machine is not told that its state is on disk
// before they have ended.
//
//	step ──▶ Ask, Add ──▶ waiting ──Saved──▶ Next ──▶ done
//	                                           └───▶ Begin … End ──▶ Settled
//
// The package knows neither disks nor what the things are. One goroutine owns a
// Queue.
package release

import "slices"

// Queue is what waits for the disk. The zero value is ready for states whose
// versions begin with 1.
//
// Invariants:
//
//  1. told ≤ saved ≤ asked, once the disk is done with the states of an earlier life.
//  2. The versions of waiting do not fall, and none is above asked.
type Queue[T any] struct {
	asked   uint64 // version of the newest state that was given to the disk
	saved   uint64 // … of the newest on disk
	told    uint64 // … of the newest that the state machine knows to be there
	waiting []*Entry[T]
	begun   []*Entry[T]
}

// Entry is a thing in a Queue.
type Entry[T any] struct {
	Thing   T
	version uint64 // of the state that has to be on disk before
}

// Ask says that a state of that version has been given to the disk.
func (q *Queue[T]) Ask(version uint64) { q.asked = version }

// Add takes a thing of the latest step. If it is free, nothing keeps it from being
// done at once; otherwise Next gives it when its time has come.
func (q *Queue[T]) Add(thing T) (e *Entry[T], free bool) {
	e = &Entry[T]{thing, q.asked}
	if len(q.waiting) == 0 && q.asked <= q.saved {
		return e, true
	}
	q.waiting = append(q.waiting, e)
	return e, false
}

// Saved says that a version, and with it all older ones, is on disk. Then the
// caller does what Next gives, until that is nil.
func (q *Queue[T]) Saved(version uint64) { q.saved = max(q.saved, version) }

// Next takes the first thing out that need not wait any more; nil if there is none.
// Steps may be made before the next call: what they add stands behind.
func (q *Queue[T]) Next() *Entry[T] {
	if len(q.waiting) == 0 || q.waiting[0].version > q.saved {
		return nil
	}
	e := q.waiting[0]
	q.waiting = q.waiting[1:]
	return e
}

// Waiting are the things that wait, in order.
func (q *Queue[T]) Waiting() []*Entry[T] { return q.waiting }

// Begin says that e, which is free, takes its time from now on.
func (q *Queue[T]) Begin(e *Entry[T]) { q.begun = append(q.begun, e) }

// End says that what Begin began is done.
func (q *Queue[T]) End(e *Entry[T]) {
	q.begun = slices.DeleteFunc(q.begun, func(b *Entry[T]) bool { return b == e })
}

// Settled is the newest version that is on disk and all of whose things are done,
// or under way without taking their time. News says that it was not before: then
// the state machine is to be told.
func (q *Queue[T]) Settled() (version uint64, news bool) {
	version = q.saved
	for _, e := range q.begun {
		version = min(version, e.version-1)
	}
	if version <= q.told {
		return q.told, false
	}
	q.told = version
	return version, true
}
