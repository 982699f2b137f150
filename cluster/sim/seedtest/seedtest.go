// Package seedtest runs simulations from their seeds, as tests. A package that
// simulates has a test TestSeed that calls Run. A failing seed N is run again, with
// its trace, by
//
//	go test PACKAGE -run TestSeed -seed=N
//
// If the simulation has a plan of faults, the failure names the fewest of them with
// which the seed still fails, and how to run it with those alone.
package seedtest

import (
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	one     = flag.Int64("seed", -1, "run only this seed, and print its trace")
	count   = flag.Int("seeds", 50, "how many random seeds to run")
	first   = flag.Int("first-seed", 0, "the first of them")
	without = flag.String("without", "", "with -seed, the faults to leave out, by number: 0,3,4")
)

// Simulation is a random run that has not happened yet.
type Simulation interface {
	// Run lets it happen. The error, if any, is a broken rule or the reason why
	// what was simulated did not recover.
	Run() error
	// Trace tells the last things that happened, one a line.
	Trace() string
	// String says of what size it is.
	String() string
}

// Planned is a Simulation whose faults are planned, and can be left out one by one.
type Planned interface {
	// Plan are the names of the faults.
	Plan() []string
	// LeaveOut has some not happen, by their index in Plan.
	LeaveOut(faults []int)
}

// Run runs the seeds that the command line asks for.
func Run[S Simulation](t *testing.T, start func(seed uint64) S) {
	if *one >= 0 {
		s := start(uint64(*one))
		leaveOut(t, s)
		err := s.Run()
		t.Log(s.Trace())
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	sum := &tally{counts: make(map[string]int)}
	t.Cleanup(func() { t.Log(sum.text()) })
	for seed := *first; seed < *first+*count; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel() // simulations share nothing
			s := start(uint64(seed))
			err := s.Run()
			if counts, ok := any(s).(Tallied); ok {
				sum.add(counts, uint64(seed), err)
			}
			if err != nil {
				t.Fatal(report(start, uint64(seed), s, err))
			}
		})
	}
}

// leaveOut does what -without says.
func leaveOut(t *testing.T, s Simulation) {
	if *without == "" {
		return
	}
	p, planned := s.(Planned)
	if !planned {
		t.Fatal("-without: this simulation has no plan of faults")
	}
	var out []int
	for _, number := range strings.Split(*without, ",") {
		i, err := strconv.Atoi(number)
		if err != nil || i < 0 || i >= len(p.Plan()) {
			t.Fatalf("-without: there is no fault %q among 0 to %d", number, len(p.Plan())-1)
		}
		out = append(out, i)
	}
	p.LeaveOut(out)
}

// report tells of a seed that has failed, after looking for the fewest faults with
// which it still does.
func report[S Simulation](start func(seed uint64) S, seed uint64, s S, err error) string {
	again := fmt.Sprintf("run it again with -run TestSeed -seed=%d", seed)
	plan := ""
	if p, planned := any(s).(Planned); planned {
		out, smallest, why := shrink(start, seed, s, err)
		s, err = smallest, why
		var left, numbers []string
		for i, name := range p.Plan() {
			if slices.Contains(out, i) {
				numbers = append(numbers, strconv.Itoa(i))
			} else {
				left = append(left, fmt.Sprintf("%d %s", i, name))
			}
		}
		plan = fmt.Sprintf("\nthe fewest faults with which it fails: %s", strings.Join(left, ", "))
		if len(left) == 0 {
			plan = "\nit fails without any fault"
		}
		if len(numbers) > 0 {
			again += " -without=" + strings.Join(numbers, ",")
		}
	}
	return fmt.Sprintf("seed %d, %v: %v%s\n%s\n%s", seed, s, err, plan, tail(s.Trace(), 60), again)
}

// shrink leaves faults out of a run that fails, one by one, as long as it still does,
// whatever the rule that it breaks then. It gives what was left out, and the last run
// that has failed with its error.
func shrink[S Simulation](start func(seed uint64) S, seed uint64, failed S, err error) ([]int, S, error) {
	var out []int
	for i := range any(failed).(Planned).Plan() {
		s := start(seed)
		any(s).(Planned).LeaveOut(append(slices.Clone(out), i))
		if why := s.Run(); why != nil {
			out = append(out, i)
			failed, err = s, why
		}
	}
	return out, failed, err
}

// Same fails unless two runs of one seed are the same. Without this, a seed would
// say nothing.
func Same[S Simulation](t *testing.T, start func(seed uint64) S, seed uint64) {
	run := func() string {
		s := start(seed)
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		return s.Trace()
	}
	first, second := run(), run()
	if first != second {
		t.Errorf("two runs of one seed differ:\n%s\nand\n%s", tail(first, 20), tail(second, 20))
	}
}

// tail is the last lines of a text.
func tail(text string, lines int) string {
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '\n' {
			if lines == 0 {
				return text[i+1:]
			}
			lines--
		}
	}
	return text
}
