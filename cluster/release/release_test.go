package release

import (
	"slices"
	"testing"
)

// add adds a thing that has to wait.
func add(t *testing.T, q *Queue[string], thing string) {
	t.Helper()
	if _, free := q.Add(thing); free {
		t.Errorf("%s does not wait", thing)
	}
}

// next takes out all that is free.
func next(q *Queue[string]) (things []string) {
	for e := q.Next(); e != nil; e = q.Next() {
		things = append(things, e.Thing)
	}
	return things
}

func check(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestThingsKeepTheirOrder(t *testing.T) {
	var q Queue[string]
	if _, free := q.Add("before any state"); !free {
		t.Error("a thing waits for no state")
	}
	q.Ask(1)
	add(t, &q, "a")
	add(t, &q, "b") // of a step without a state: it must not overtake
	q.Ask(2)
	add(t, &q, "c")
	q.Ask(3)
	add(t, &q, "d")
	check(t, "with nothing on disk", next(&q), nil)
	q.Saved(1)
	check(t, "with version 1 on disk", next(&q), []string{"a", "b"})
	q.Saved(3)
	check(t, "with version 3 on disk", next(&q), []string{"c", "d"})
	if _, free := q.Add("e"); !free {
		t.Error("a thing waits, although all is on disk")
	}
}

// What is done may lead to a step, whose things must not overtake those that are
// free and not done yet.
func TestAStepMeanwhileStandsBehind(t *testing.T) {
	var q Queue[string]
	q.Ask(1)
	add(t, &q, "a")
	add(t, &q, "b")
	q.Saved(1)
	if e := q.Next(); e.Thing != "a" {
		t.Fatalf("first comes %s", e.Thing)
	}
	add(t, &q, "because of a")
	check(t, "then", next(&q), []string{"b", "because of a"})
}

// A change of role that takes its time keeps its version from being told, but not
// the votes of later steps from leaving.
func TestAThingThatTakesItsTime(t *testing.T) {
	settled := func(q *Queue[string], want uint64, news bool) {
		t.Helper()
		if got, isNews := q.Settled(); got != want || isNews != news {
			t.Errorf("settled is %d, news %v; want %d, %v", got, isNews, want, news)
		}
	}
	var q Queue[string]
	settled(&q, 0, false)
	q.Ask(1)
	add(t, &q, "state")
	q.Ask(2)
	add(t, &q, "role")
	q.Ask(3)
	add(t, &q, "vote")
	q.Saved(3)
	q.Next()
	role := q.Next()
	q.Begin(role)
	check(t, "during the change", next(&q), []string{"vote"})
	settled(&q, 1, true)
	settled(&q, 1, false)
	q.End(role)
	settled(&q, 3, true)
	settled(&q, 3, false)
}
