package sentinel

import (
	"reflect"
	"testing"

	core "redoubt/cluster/sentinel"
)

// fakeDisk takes the states that a saver writes.
func fakeDisk() (s *saver, written *[]uint64) {
	written = new([]uint64)
	return &saver{write: func(state *core.State) { *written = append(*written, state.Version) }}, written
}

// names are those of the notices of effects that were freed.
func noticesOf(free []waiting) (types []string) {
	for _, w := range free {
		for _, n := range w.effects.Notices {
			types = append(types, n.Type)
		}
	}
	return types
}

func noticed(name string) waiting {
	return waiting{effects: core.Effects{Notices: []core.Notice{{Type: name}}}}
}

// Effects leave in the order of their steps, each not before its own state is on
// disk. Of the states that come while one is being written only the newest is.
func TestSaverKeepsTheOrder(t *testing.T) {
	s, written := fakeDisk()
	s.take(&core.State{Version: 1})
	s.await(noticed("a"))
	s.await(noticed("b")) // of a step without a state, which must not overtake
	s.take(&core.State{Version: 2})
	s.await(noticed("c"))
	s.take(&core.State{Version: 3})
	s.await(noticed("d"))
	if !reflect.DeepEqual(*written, []uint64{1}) {
		t.Fatalf("wrote %v while the first state was being written", *written)
	}
	if got := noticesOf(s.saved(1)); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("with state 1 on disk these leave: %v", got)
	}
	if !s.busy() {
		t.Error("what comes now may overtake c and d")
	}
	if got := noticesOf(s.saved(3)); !reflect.DeepEqual(got, []string{"c", "d"}) {
		t.Errorf("with state 3 on disk these leave: %v", got)
	}
	if !reflect.DeepEqual(*written, []uint64{1, 3}) || s.busy() {
		t.Errorf("wrote %v, busy %v", *written, s.busy())
	}
}

// A disk that refuses lets nothing leave. Clients that wait are told, once; the state
// is written again, or a newer one.
func TestSaverAfterAFailure(t *testing.T) {
	s, written := fakeDisk()
	var told []error
	s.take(&core.State{Version: 1})
	s.await(waiting{effects: core.Effects{Result: &core.Result{}, Notices: []core.Notice{{Type: "a"}}}, done: func(r core.Result) { told = append(told, r.Err) }})
	s.refuse(errSaveFailed)
	s.again()
	s.refuse(errSaveFailed)
	s.take(&core.State{Version: 2})
	s.again()
	if !reflect.DeepEqual(*written, []uint64{1, 1, 2}) {
		t.Errorf("wrote %v", *written)
	}
	free := s.saved(2)
	if got := noticesOf(free); !reflect.DeepEqual(got, []string{"a"}) {
		t.Errorf("in the end these leave: %v", got)
	}
	if len(told) != 1 || told[0] != errSaveFailed || free[0].done != nil {
		t.Errorf("the client was told %v", told)
	}
}
