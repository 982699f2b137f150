package history

import (
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// register is the state of one key: a number, or nothing.
type register struct {
	is    bool
	value int64
}

func holding(v int64) register { return register{true, v} }

// result is what an operation returned, and whether that is known.
type result struct {
	known bool
	got   register
	done  bool
}

// apply is what a register is after a step, and whether the step can have had this result.
func (r register) apply(s Step, out result) (bool, register) {
	fits := func(ok bool) bool { return !out.known || ok }
	switch s.Do {
	case Get:
		return fits(out.got == r), r
	case Set:
		return true, holding(s.Arg)
	case Swap:
		return fits(out.got == r), holding(s.Arg)
	case Incr:
		next := holding(r.value + 1) // nothing counts as 0
		return fits(out.got == next), next
	case Del:
		return fits(out.done == r.is), register{}
	case SetNX:
		if r.is {
			return fits(!out.done), r
		}
		return fits(out.done), holding(s.Arg)
	case CAS:
		if r != holding(s.Old) {
			return fits(!out.done), r
		}
		return fits(out.done), holding(s.Arg)
	}
	return false, r
}

var registerModel = porcupine.Model{
	Init: func() any { return register{} },
	Step: func(state, in, out any) (bool, any) {
		ok, next := state.(register).apply(in.(Step), out.(result))
		return ok, next
	},
	Equal: func(a, b any) bool { return a == b },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%v %v", in, out)
	},
}

// isRegister reports whether a step is one on a register.
func (s Step) isRegister() bool {
	return slices.Contains([]Do{Get, Set, Swap, SetNX, Incr, CAS, Del}, s.Do)
}

// Registers checks that each register is linearizable, in no more than the time for each.
// Those for which that is too short are undecided.
func Registers(h History, each time.Duration) (bad []Violation, undecided []string) {
	byKey := map[string][]Op{}
	for _, o := range h.sorted() {
		if len(o.Steps) == 1 && o.Steps[0].isRegister() && o.counts() {
			key := o.Steps[0].Key
			byKey[key] = append(byKey[key], o)
		}
	}
	for _, key := range sortedKeys(byKey) {
		switch porcupine.CheckOperationsTimeout(registerModel, linear(byKey[key]), each) {
		case porcupine.Illegal:
			bad = append(bad, Violation{"not linearizable", "register " + key, shortest(byKey[key], each)})
		case porcupine.Unknown:
			undecided = append(undecided, key)
		}
	}
	return bad, undecided
}

// counts reports whether the operation says anything: one that was refused does not, nor
// does one that only reads and had no answer.
func (o Op) counts() bool {
	switch o.Outcome {
	case OK:
		return true
	case Unknown:
		return slices.ContainsFunc(o.Steps, Step.writes)
	}
	return false
}

// linear is the operations as porcupine takes them. Those whose outcome is unknown end
// after all others, with any result; at the end, one has no effect that anybody sees.
func linear(ops []Op) (all []porcupine.Operation) {
	for _, o := range ops {
		s := o.Steps[0]
		out := result{known: o.Outcome == OK, done: s.Done}
		if len(s.Got) > 0 {
			out.got = holding(s.Got[0])
		}
		all = append(all, porcupine.Operation{ClientId: o.Client, Input: s, Call: int64(o.Call), Output: out, Return: int64(o.Return)})
	}
	return all
}

// shortest is the operations of a history that is not linearizable, up to the first moment
// at which it cannot be any more: those that come later are left out.
func shortest(ops []Op, each time.Duration) []Op {
	ends := []time.Duration{}
	for _, o := range ops {
		if o.Outcome == OK {
			ends = append(ends, o.Return)
		}
	}
	slices.Sort(ends)
	until := func(end time.Duration) (some []Op) {
		for _, o := range ops {
			if o.Call > end {
				continue
			}
			if o.Return > end {
				o.Outcome, o.Return = Unknown, Never
			}
			if o.counts() {
				some = append(some, o)
			}
		}
		return some
	}
	n, _ := slices.BinarySearchFunc(ends, true, func(end time.Duration, _ bool) int {
		if porcupine.CheckOperationsTimeout(registerModel, linear(until(end)), each) == porcupine.Illegal {
			return 1
		}
		return -1
	})
	if n == len(ends) {
		return ops
	}
	return until(ends[n])
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) (keys []string) {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
