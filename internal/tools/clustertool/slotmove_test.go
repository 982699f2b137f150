package clustertool

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/resp"
)

func never() bool { return false }

func unheard(int) {}

// fromAToB is a move of the fake's slot, three keys at a time.
func fromAToB(f *fake, resumed bool) *slotMove {
	m := newSlotMove(f.slot, at("a"), at("b"), []string{"c"}, moveOptions{pipeline: 3})
	m.resumed = resumed
	return m
}

// clients write before every order of the move, and read everything after it.
func underClients(f *fake, want map[string]string) func(order) ([]resp.Value, error) {
	return func(o order) ([]resp.Value, error) {
		n := f.orders
		f.writes(want, fmt.Sprint("new", n), "born")
		f.writes(want, fmt.Sprint("k", n%10), fmt.Sprint("at ", n))
		vs, err := f.do(o)
		f.reads(want)
		return vs, err
	}
}

func TestASlotMovesUnderClients(t *testing.T) {
	for i, keys := range []int{0, 1, 3, 10, 10} {
		f := newFake(t, keys)
		f.gossips = i == 4
		want := maps.Clone(f.nodes["a"].keys)
		m := fromAToB(f, false)
		if err := m.run(underClients(f, want), never, unheard); err != nil {
			t.Fatal(err)
		}
		f.settled("b", want)
		if m.open || m.moved < keys || len(m.warnings) > 0 {
			t.Errorf("of %d keys %d moved; open %v, warnings %v", keys, m.moved, m.open, m.warnings)
		}
	}
}

// The tool dies, or loses its connections, at each of its orders: before the node has
// obeyed, and after. Clients go on. Whoever comes next finds the slot half moved, and
// finishes it.
func TestAMoveThatIsCutOffGoesOn(t *testing.T) {
	whole := newFake(t, 10)
	if err := fromAToB(whole, false).run(whole.do, never, unheard); err != nil {
		t.Fatal(err)
	}
	for cut := range whole.orders {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("at order %d, obeyed %v", cut, lost), func(t *testing.T) {
				f := newFake(t, 10)
				want := maps.Clone(f.nodes["a"].keys)
				dead := 0
				f.fault = func(string, []string) (error, bool) {
					if f.orders > cut {
						dead++
						return errors.New("connection lost"), lost && dead == 1
					}
					return nil, false
				}
				m := fromAToB(f, false)
				err := m.run(underClients(f, want), never, unheard)
				f.fault = nil
				f.reads(want)
				told := f.nodes["a"].owner == "b" && f.nodes["b"].owner == "b"
				if err == nil && f.nodes["b"].owner != "b" {
					t.Fatal("the move failed and says that it succeeded")
				}
				if told {
					return // c hears it by gossip
				}
				// The second run, which sees only what the nodes say.
				s := f.state()
				from, to, ok := s.halfMoved()
				switch {
				case ok:
					if from != "a" || to != "b" {
						t.Fatalf("it is on its way from %s to %s", from, to)
					}
				case f.nodes["b"].owner == "b": // a has not been told; gossip does that
					f.nodes["a"].owner, f.nodes["a"].migrating, f.nodes["c"].owner = "b", "", "b"
					f.settled("b", want)
					return
				case s.sound():
				default:
					t.Fatalf("a second run would not know what to do: %+v", s)
				}
				if err := fromAToB(f, ok).run(underClients(f, want), never, unheard); err != nil {
					t.Fatal(err)
				}
				f.settled("b", want)
			})
		}
	}
}

// An error reply at any order leaves the slot either whole at its owner, without a
// mark, or open and marked on both sides, as the move says.
func TestAMoveThatIsRefused(t *testing.T) {
	for _, tc := range []struct {
		name, refuses string
		to            string
		open          bool
		fails         string
	}{
		{"the target does not import", "IMPORTING", "b", false, "refused"},
		{"the source does not migrate", "MIGRATING", "a", false, "refused"},
		{"the source does not list its keys", "GETKEYSINSLOT", "a", false, "refused"},
		{"the target takes no key", "MIGRATE", "a", false, "refused"},
		{"the target does not take over", "NODE", "b", true, "refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFake(t, 5)
			want := maps.Clone(f.nodes["a"].keys)
			m := fromAToB(f, false)
			err := m.run(func(o order) ([]resp.Value, error) {
				if o.to == tc.to && slices.Contains(o.cmds[0], tc.refuses) {
					return []resp.Value{resp.ErrorValue(errors.New("ERR refused"))}, nil
				}
				return f.do(o)
			}, never, unheard)
			if err == nil || !strings.Contains(err.Error(), tc.fails) || m.open != tc.open {
				t.Errorf("error %v, open %v", err, m.open)
			}
			f.reads(want)
			if a, b := f.nodes["a"], f.nodes["b"]; (a.migrating != "") != tc.open || (b.importing != "") != tc.open {
				t.Errorf("marks: a %q, b %q", a.migrating, b.importing)
			}
		})
	}
}

// Between the two looks at the target a client that was sent there creates a key: the
// marks come back, or that key would be out of reach.
func TestARollbackThatComesTooLate(t *testing.T) {
	f := newFake(t, 5)
	want := maps.Clone(f.nodes["a"].keys)
	m := fromAToB(f, false)
	err := m.run(func(o order) ([]resp.Value, error) {
		if o.cmds[0][0] == "MIGRATE" {
			return []resp.Value{resp.ErrorValue(errors.New("IOERR error or timeout writing to target instance"))}, nil
		}
		if o.cmds[0][len(o.cmds[0])-1] == "STABLE" {
			f.writes(want, "new", "born")
		}
		return f.do(o)
	}, never, unheard)
	if err == nil || !m.open {
		t.Fatalf("error %v, open %v", err, m.open)
	}
	f.reads(want)
}

func TestAMoveIsAbandoned(t *testing.T) {
	for after := range 9 {
		f := newFake(t, 7)
		want := maps.Clone(f.nodes["a"].keys)
		m := fromAToB(f, false)
		err := m.run(underClients(f, want), func() bool { return f.orders >= after }, unheard)
		switch {
		case err == nil:
			f.settled("b", want)
		case !errors.Is(err, errAbandoned):
			t.Fatal(err)
		case m.open:
			s := f.state()
			if _, _, ok := s.halfMoved(); !ok {
				t.Errorf("after %d orders it cannot go on: %+v", after, s)
			}
		default:
			f.settled("a", want)
		}
	}
}

// MIGRATE may have reached the target although the source does not know: then both have
// the keys. Equal ones are replaced, others are named.
func TestKeysThatAreOnBothNodes(t *testing.T) {
	for _, debug := range []bool{true, false} {
		for _, tc := range []struct {
			name  string
			value string // at the target
			force bool
			fails string
		}{
			{"equal", "first", false, ""},
			{"different", "other", false, `both nodes have a key of slot 7, with different values: "k1". Delete one of each`},
			{"different, and they may be replaced", "other", true, ""},
		} {
			t.Run(fmt.Sprintf("%s, with DEBUG %v", tc.name, debug), func(t *testing.T) {
				f := newFake(t, 5)
				want := maps.Clone(f.nodes["a"].keys)
				for _, n := range f.nodes {
					n.debug = debug
				}
				f.nodes["a"].migrating, f.nodes["b"].importing = "b", "a"
				f.nodes["b"].keys["k1"] = tc.value
				m := fromAToB(f, true)
				m.how.replace = tc.force
				err := m.run(f.do, never, unheard)
				if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
					t.Fatalf("error %v, want %q", err, tc.fails)
				}
				f.reads(want)
				if err == nil {
					f.settled("b", want)
				} else if !m.open {
					t.Error("it is not said that the slot is open")
				}
			})
		}
	}
}

// A key that is listed and never found ends the move, instead of an endless loop.
func TestAKeyThatCannotBeFound(t *testing.T) {
	f := newFake(t, 0)
	m := fromAToB(f, false)
	err := m.run(func(o order) ([]resp.Value, error) {
		if o.cmds[0][1] == "GETKEYSINSLOT" {
			return []resp.Value{resp.ArrayValue([]resp.Value{resp.StringValue("ghost")})}, nil
		}
		return f.do(o)
	}, never, unheard)
	if err == nil || !strings.Contains(err.Error(), `"ghost"`) {
		t.Fatalf("error %v", err)
	}
	f.settled("a", map[string]string{})
}

// A bystander that does not listen is a warning: gossip tells it.
func TestABystanderThatCannotBeTold(t *testing.T) {
	f := newFake(t, 2)
	m := fromAToB(f, false)
	f.fault = func(to string, _ []string) (error, bool) {
		if to == "c" {
			return errors.New("gone"), false
		}
		return nil, false
	}
	if err := m.run(f.do, never, unheard); err != nil || len(m.warnings) != 1 {
		t.Errorf("error %v, warnings %v", err, m.warnings)
	}
}

func TestWhatMigrateIsTold(t *testing.T) {
	m := newSlotMove(7, at("a"), at("b"), nil, moveOptions{replace: true, auth: []string{"AUTH2", "u", "p"}})
	m.step, m.keys = sends, []string{"x", "y"}
	o, _ := m.next()
	if got, want := strings.Join(o.cmds[0], " "), "MIGRATE host-b 7000  0 60000 REPLACE AUTH2 u p KEYS x y"; got != want || o.to != "a" {
		t.Errorf("to %s: %s", o.to, got)
	}
}
