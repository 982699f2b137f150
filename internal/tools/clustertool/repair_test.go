package clustertool

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// mended carries the repairs of the fake's slot out.
func mended(f *fake, spare string) error {
	s := f.state()
	steps := s.repairs(spare)
	for _, keys := range []bool{false, true} {
		for _, r := range steps {
			if r.movesKeys() != keys {
				continue
			}
			move := func(m *slotMove) error { return m.run(f.do, never, unheard) }
			if err := r.carryOut(f.slot, f.ids, f.do, move, at, moveOptions{pipeline: 2}); err != nil {
				return fmt.Errorf("%s: %w", r.describe(func(id string) string { return id }), err)
			}
		}
	}
	return nil
}

// Whatever three primaries claim, have marked and have keys of: afterwards one owns the
// slot and has all keys.
func TestEveryStateOfASlotIsMended(t *testing.T) {
	type mine struct {
		claims               bool
		migrating, importing string
		keys                 bool
	}
	ids := []string{"a", "b", "c"}
	choices := func(id string) (all []mine) {
		for _, claims := range []bool{false, true} {
			for _, keys := range []bool{false, true} {
				all = append(all, mine{claims, "", "", keys})
				for _, peer := range ids {
					if peer != id && claims {
						all = append(all, mine{claims, peer, "", keys})
					} else if peer != id {
						all = append(all, mine{claims, "", peer, keys})
					}
				}
			}
		}
		return all
	}
	count := 0
	for _, a := range choices("a") {
		for _, b := range choices("b") {
			for _, c := range choices("c") {
				count++
				f, want := newFake(t, 0), map[string]string{}
				f.gossips = count%2 == 0
				believed := ""
				for i, m := range []mine{a, b, c} {
					if m.claims {
						believed = ids[i]
					}
				}
				for i, m := range []mine{a, b, c} {
					n := f.nodes[ids[i]]
					n.owner, n.migrating, n.importing = believed, m.migrating, m.importing
					if m.claims {
						n.owner = ids[i]
					} else if believed == ids[i] {
						n.owner = ""
					}
					if m.keys {
						for j := range 3 {
							key := fmt.Sprint(ids[i], j)
							n.keys[key], want[key] = "v", "v"
						}
					}
				}
				before := f.state()
				if before.sound() {
					continue
				}
				if err := mended(f, "c"); err != nil {
					t.Fatalf("%+v\n%v", before, err)
				}
				after := f.state()
				if !after.sound() {
					t.Fatalf("%+v\nbecomes\n%+v", before, after)
				}
				// Of others than the owner it is gossip that tells those who moved nothing.
				owner := after.owner().id
				for _, n := range f.nodes {
					n.owner = owner
				}
				f.settled(owner, want)
				if t.Failed() {
					t.Fatalf("%+v", before)
				}
			}
		}
	}
	t.Logf("%d states", count)
}

func TestRepairs(t *testing.T) {
	for _, tc := range []struct {
		name  string
		nodes []slotNode
		want  string
	}{
		{"a slot in order", []slotNode{{id: "a", owns: true, keys: 3}, {id: "b"}}, ""},
		{"a move that was interrupted goes on", []slotNode{{id: "a", owns: true, keys: 3, migrating: "b"}, {id: "b", keys: 2, importing: "a"}, {id: "c"}},
			"finish the move from a to b"},
		{"even if the source has no mark yet", []slotNode{{id: "a", owns: true, keys: 3}, {id: "b", importing: "a"}}, "finish the move from a to b"},
		{"a third node that imports is closed", []slotNode{{id: "a", owns: true, keys: 3, migrating: "b"}, {id: "b", importing: "a"}, {id: "c", importing: "a"}},
			"finish the move from a to b; close on c"},
		{"the source alone is marked", []slotNode{{id: "a", owns: true, keys: 3, migrating: "b"}, {id: "b"}}, "close on a; tell all primaries that the owner is a"},
		{"the target imports from a node that has failed", []slotNode{{id: "d", owns: true, keys: 3}, {id: "b", keys: 2, importing: "a"}},
			"tell all primaries that the owner is d; move keys from b to the owner, d"},
		{"keys at a third node", []slotNode{{id: "a", owns: true, migrating: "b"}, {id: "b", keys: 1, importing: "a"}, {id: "c", keys: 2}},
			"close on a; tell all primaries that the owner is a; move keys from b to the owner, a; move keys from c to the owner, a"},
		{"two owners: the one with more keys remains", []slotNode{{id: "a", owns: true, keys: 1}, {id: "b", owns: true, keys: 2}},
			"a gives up its claim for b; b becomes the owner; tell all primaries that the owner is b; move keys from a to the owner, b"},
		{"nobody owns it and nobody has keys", []slotNode{{id: "a"}, {id: "s"}}, "s becomes the owner; tell all primaries that the owner is s"},
		{"nobody owns it and one has keys", []slotNode{{id: "a", keys: 1}, {id: "s"}}, "a becomes the owner; tell all primaries that the owner is a"},
		{"nobody owns it and it is open", []slotNode{{id: "a"}, {id: "b", keys: 1, importing: "x"}, {id: "s"}}, "b becomes the owner; tell all primaries that the owner is b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := slotState{5, tc.nodes}
			var got []string
			for _, r := range s.repairs("s") {
				got = append(got, r.describe(func(id string) string { return id }))
			}
			if text := strings.Join(got, "; "); text != tc.want {
				t.Errorf("got  %s\nwant %s", text, tc.want)
			}
		})
	}
}

// A repair of a half moved slot keeps the clients going.
func TestAHalfMovedSlotIsFinishedUnderClients(t *testing.T) {
	f := newFake(t, 6)
	want := maps.Clone(f.nodes["a"].keys)
	f.nodes["a"].migrating, f.nodes["b"].importing = "b", "a"
	for _, r := range (&slotState{f.slot, f.state().nodes}).repairs("c") {
		do := underClients(f, want)
		move := func(m *slotMove) error { return m.run(do, never, unheard) }
		if err := r.carryOut(f.slot, f.ids, do, move, at, moveOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.settled("b", want)
}
