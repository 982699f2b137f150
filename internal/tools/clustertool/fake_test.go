package clustertool

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidwall/resp"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// A fake is primaries in memory with one slot, as far as moves and repairs ask them.
// A node believes what it was told; with gossips a new owner is believed by all at once,
// which is the other extreme. What a client sees of them is in reads and writes.
type fake struct {
	t     *testing.T
	slot  slots.Slot
	nodes map[string]*fakeNode
	ids   []string
	epoch int
	// fault is asked before a command is obeyed. With lost the command is obeyed, and the
	// reply does not arrive.
	fault   func(to string, cmd []string) (err error, lost bool)
	gossips bool
	orders  int
}

type fakeNode struct {
	owner                string // of the slot, as this node believes; "" is nobody
	epoch                int
	migrating, importing string
	keys                 map[string]string
	debug                bool // DEBUG is allowed
	multi                [][]string
	asking               bool
}

// newFake makes nodes a, b and c. a owns the slot and has keys k0, k1, … of it.
func newFake(t *testing.T, keys int) *fake {
	f := &fake{t: t, slot: 7, nodes: map[string]*fakeNode{}, ids: []string{"a", "b", "c"}}
	for _, id := range f.ids {
		f.nodes[id] = &fakeNode{owner: "a", keys: map[string]string{}}
	}
	for i := range keys {
		f.nodes["a"].keys[fmt.Sprint("k", i)] = "first"
	}
	return f
}

func at(id string) spot { return spot{id, "host-" + id, 7000} }

// do is what a move or a repair drives its nodes with.
func (f *fake) do(o order) (vs []resp.Value, err error) {
	f.orders++
	for _, cmd := range o.cmds {
		var lost bool
		if f.fault != nil {
			if err, lost = f.fault(o.to, cmd); err != nil && !lost {
				return nil, &client.NetError{Op: "read", Err: err}
			}
		}
		v := f.obey(f.nodes[o.to], o.to, cmd)
		if lost {
			return nil, &client.NetError{Op: "read", Sent: true, Err: err}
		}
		vs = append(vs, v)
	}
	return vs, nil
}

func fails(format string, a ...any) resp.Value { return resp.ErrorValue(fmt.Errorf(format, a...)) }

var okReply = resp.SimpleStringValue("OK")

func (f *fake) obey(n *fakeNode, id string, cmd []string) resp.Value {
	switch cmd[0] {
	case "MULTI":
		n.multi = [][]string{}
		return okReply
	case "EXEC":
		queued := n.multi
		n.multi = nil
		var vs []resp.Value
		for _, c := range queued {
			vs = append(vs, f.obey(n, id, c))
		}
		return resp.ArrayValue(vs)
	}
	if n.multi != nil {
		n.multi = append(n.multi, slices.Clone(cmd))
		return resp.SimpleStringValue("QUEUED")
	}
	switch cmd[0] {
	case "CLUSTER":
		return f.cluster(n, id, cmd[1:])
	case "MIGRATE":
		return f.migrate(n, cmd)
	case "ASKING":
		n.asking = true
		return okReply
	case "DUMP":
		if v, there := n.keys[cmd[1]]; there {
			return resp.StringValue("dump of " + v)
		}
		return resp.NullValue()
	case "DEBUG":
		if !n.debug {
			return fails("ERR DEBUG command not allowed")
		}
		var vs []resp.Value
		for _, k := range cmd[2:] {
			v, there := n.keys[k]
			if !there {
				v = strings.Repeat("0", 40)
			}
			vs = append(vs, resp.SimpleStringValue(v))
		}
		return resp.ArrayValue(vs)
	}
	f.t.Fatalf("nobody should send %v", cmd)
	return resp.Value{}
}

func (f *fake) cluster(n *fakeNode, id string, cmd []string) resp.Value {
	switch cmd[0] {
	case "GETKEYSINSLOT":
		var vs []resp.Value
		most, _ := strconv.Atoi(cmd[2])
		for _, k := range sortedKeys(n.keys) {
			if len(vs) < most {
				vs = append(vs, resp.StringValue(k))
			}
		}
		return resp.ArrayValue(vs)
	case "COUNTKEYSINSLOT":
		return resp.IntegerValue(len(n.keys))
	case "DELSLOTS":
		if n.owner == "" {
			return fails("ERR Slot %d is already unassigned", f.slot)
		}
		n.owner = ""
		return okReply
	case "ADDSLOTS":
		if n.owner != "" {
			return fails("ERR Slot %d is already busy", f.slot)
		}
		n.owner, n.importing = id, ""
		return okReply
	case "BUMPEPOCH":
		f.claims(n, id)
		return okReply
	case "SETSLOT":
		return f.setSlot(n, id, cmd[2:])
	}
	f.t.Fatalf("nobody should send CLUSTER %v", cmd)
	return resp.Value{}
}

// setSlot has the checks and effects of clusterCommand.
func (f *fake) setSlot(n *fakeNode, id string, cmd []string) resp.Value {
	switch cmd[0] {
	case "IMPORTING":
		if n.owner == id {
			return fails("ERR I'm already the owner of hash slot %d", f.slot)
		}
		n.importing = cmd[1]
	case "MIGRATING":
		if n.owner != id {
			return fails("ERR I'm not the owner of hash slot %d", f.slot)
		}
		n.migrating = cmd[1]
	case "STABLE":
		n.migrating, n.importing = "", ""
	case "NODE":
		if n.owner == id && cmd[1] != id && len(n.keys) > 0 {
			return fails("ERR Can't assign hashslot %d to a different node while I still hold keys for this hash slot.", f.slot)
		}
		if len(n.keys) == 0 {
			n.migrating = ""
		}
		n.owner = cmd[1]
		if cmd[1] == id && n.importing != "" {
			n.importing = ""
			f.claims(n, id)
		}
	default:
		f.t.Fatalf("SETSLOT %v", cmd)
	}
	return okReply
}

// claims gives a node a new epoch, by which the others believe its claim when they hear
// it: as clusterUpdateSlotsConfigWith does, all but those that import the slot, and
// whoever loses the slot deletes the keys that are left.
func (f *fake) claims(n *fakeNode, id string) {
	f.epoch++
	n.epoch = f.epoch
	if !f.gossips || n.owner != id {
		return
	}
	for other, o := range f.nodes {
		if other == id || o.importing != "" {
			continue
		}
		if o.owner == other {
			o.keys, o.migrating = map[string]string{}, ""
		}
		o.owner = id
	}
}

// migrate moves keys one by one, as far as the target takes them.
func (f *fake) migrate(n *fakeNode, cmd []string) resp.Value {
	to := f.nodes[strings.TrimPrefix(cmd[1], "host-")]
	replace, found := slices.Contains(cmd, "REPLACE"), false
	refused := resp.Value{}
	for _, k := range cmd[slices.Index(cmd, "KEYS")+1:] {
		v, there := n.keys[k]
		if !there {
			continue
		}
		found = true
		_, busy := to.keys[k]
		toID := strings.TrimPrefix(cmd[1], "host-")
		switch {
		case to.owner != toID && to.importing == "":
			refused = fails("ERR Target instance replied with error: MOVED %d somewhere", f.slot)
		case to.owner == toID && to.migrating != "" && !busy:
			refused = fails("ERR Target instance replied with error: ASK %d somewhere", f.slot)
		case busy && !replace:
			refused = fails("ERR Target instance replied with error: BUSYKEY Target key name already exists.")
		default:
			to.keys[k] = v
			delete(n.keys, k)
		}
	}
	switch {
	case !found:
		return resp.SimpleStringValue("NOKEY")
	case refused.Type() == resp.Error:
		return refused
	}
	return okReply
}

func sortedKeys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// serves is the node that a client's command about a key is executed on: it begins at
// a node, and follows MOVED and ASK.
func (f *fake) serves(first, key string) (*fakeNode, error) {
	at, asking := first, false
	for range 6 {
		n := f.nodes[at]
		_, there := n.keys[key]
		switch {
		case n.owner == at && n.migrating != "" && !there:
			at, asking = n.migrating, true
		case n.owner == at || asking && n.importing != "":
			return n, nil
		case n.owner == "":
			return nil, errors.New("CLUSTERDOWN Hash slot not served")
		default:
			at, asking = n.owner, false
		}
	}
	return nil, fmt.Errorf("from %s a client is sent round in circles", first)
}

// reads fails the test unless clients of every node read what was written.
func (f *fake) reads(want map[string]string) {
	f.t.Helper()
	for _, first := range f.ids {
		for key, value := range want {
			n, err := f.serves(first, key)
			if err != nil {
				f.t.Fatalf("after %d orders: %v", f.orders, err)
			}
			if got := n.keys[key]; got != value {
				f.t.Fatalf("after %d orders a client that begins at %s reads %q of %s, want %q", f.orders, first, got, key, value)
			}
		}
	}
}

// writes sets a key as a client does.
func (f *fake) writes(want map[string]string, key, value string) {
	f.t.Helper()
	n, err := f.serves("c", key)
	if err != nil {
		f.t.Fatal(err)
	}
	n.keys[key] = value
	want[key] = value
}

// state is the slot as the tool finds it.
func (f *fake) state() slotState {
	s := slotState{slot: f.slot}
	for _, id := range f.ids {
		n := f.nodes[id]
		s.nodes = append(s.nodes, slotNode{id: id, owns: n.owner == id, keys: len(n.keys), migrating: n.migrating, importing: n.importing})
	}
	return s
}

// settled fails the test unless the node owns the slot, and everybody says so, and no
// key is elsewhere, and no mark is left.
func (f *fake) settled(owner string, want map[string]string) {
	f.t.Helper()
	for _, id := range f.ids {
		n := f.nodes[id]
		if n.owner != owner || n.migrating != "" || n.importing != "" {
			f.t.Errorf("%s: owner %q, migrating %q, importing %q; want owner %q", id, n.owner, n.migrating, n.importing, owner)
		}
		if id != owner && len(n.keys) > 0 {
			f.t.Errorf("%s has keys: %v", id, n.keys)
		}
	}
	f.reads(want)
}
