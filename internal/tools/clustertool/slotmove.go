package clustertool

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/resp"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// A slotMove takes one slot with its keys from its owner to another primary while
// clients go on, by the steps of redis-cli (clusterManagerMoveSlot): the target
// imports, the source migrates, keys go by MIGRATE until none is left, then the target
// is told that it owns the slot, and after it everybody else.
//
// It is a state machine that does no I/O: next says which commands are to be sent to
// which node, answer takes the replies. Invariants:
//
//  1. The target is made the owner only after the source has said that it has no key
//     of the slot left. Until then a client that finds no key at the source is sent to
//     the target (ASK), so no key is out of reach at any step.
//  2. Every command may be repeated, and so may the whole move: a second one of the
//     same slot goes on where the first stopped.
//  3. A move that fails, or is abandoned, before a key has moved takes its marks back.
//     After that it leaves the slot open, which is what redirects the clients, and says
//     so.
type slotMove struct {
	slot           slots.Slot
	source, target spot
	others         []string // ids of the other primaries, which are told of the new owner
	how            moveOptions
	cold           bool // only the keys: the source is not the owner, see fix
	resumed        bool // the slot was open before: its marks are never taken back

	step     moveStep
	keys     []string // on their way
	digests  []string // of these keys at the source
	replaces bool     // they are on both nodes and are equal, or replace was asked for
	idle     int      // rounds in a row in which keys were listed and none moved
	told     int      // of others

	moved    int       // keys
	open     bool      // of a move that failed: the slot is left open
	err      error     // why it failed
	warnings []warning // gossip tells these nodes
}

// warning is a node that could not be told of the new owner of a slot.
type warning struct {
	id  string
	err error
}

// spot is a node of a move: its id, and where the source reaches it.
type spot struct {
	id   string
	host string
	port int
}

// moveOptions are the flags of redis-cli that say how keys are moved.
type moveOptions struct {
	pipeline int           // keys per MIGRATE; 0 means 10
	timeout  time.Duration // of MIGRATE, for each exchange with the target; 0 means a minute
	replace  bool          // replace keys that the target has with another value
	auth     []string      // AUTH … or AUTH2 … for MIGRATE
}

func (o *moveOptions) orDefaults() moveOptions {
	d := *o
	if d.pipeline <= 0 {
		d.pipeline = 10
	}
	if d.timeout <= 0 {
		d.timeout = time.Minute
	}
	return d
}

type moveStep int

const (
	marksTarget     moveStep = iota // SETSLOT IMPORTING
	marksSource                     // SETSLOT MIGRATING
	lists                           // which keys are left
	sends                           // MIGRATE
	digestsSource                   // the keys are on both nodes: are they equal?
	digestsTarget                   //
	dumpsSource                     // the same without DEBUG
	dumpsTarget                     //
	handsOver                       // the target is told that it owns the slot
	tellsSource                     //
	tellsOthers                     //
	countsTarget                    // has the target keys already? If not the marks go
	unmarksSource                   // SETSLOT STABLE
	countsAgain                     // has a client written to the target meanwhile?
	unmarksTarget                   //
	marksSourceBack                 // it has
	ends                            //
)

// order is commands for one node, to be sent together.
type order struct {
	to    string // id
	cmds  [][]string
	limit time.Duration // of the exchange; 0 means that of the connection
}

// maxIdle bounds how often the same keys are listed and none of them moves: keys that
// have expired are listed until they are deleted.
const maxIdle = 1000

// migrateSlack is how often MIGRATE's timeout, which is one for each exchange with the
// target, fits into the time that the tool waits for its reply.
const migrateSlack = 10

func newSlotMove(slot slots.Slot, source, target spot, others []string, how moveOptions) *slotMove {
	return &slotMove{slot: slot, source: source, target: target, others: others, how: how.orDefaults()}
}

// gather is a move of keys alone, from a node that is not the owner. That one must have
// the slot marked as importing, or it would answer MIGRATE with MOVED.
func gather(slot slots.Slot, source, owner spot, how moveOptions) *slotMove {
	m := newSlotMove(slot, source, owner, nil, how)
	m.cold, m.resumed, m.step = true, true, lists
	return m
}

// next is what is to be sent. The move has ended if there is nothing.
func (m *slotMove) next() (order, bool) {
	switch m.step {
	case marksTarget:
		return m.set(m.target, "IMPORTING", m.source.id), true
	case marksSource, marksSourceBack:
		return m.set(m.source, "MIGRATING", m.target.id), true
	case lists:
		return m.ask(m.source, "CLUSTER", "GETKEYSINSLOT", m.number(), strconv.Itoa(m.how.pipeline)), true
	case sends:
		return m.migrate(), true
	case digestsSource:
		return m.digest(m.source), true
	case digestsTarget:
		return m.digest(m.target), true
	case dumpsSource:
		return m.dump(m.source), true
	case dumpsTarget:
		return m.dump(m.target), true
	case handsOver:
		return m.set(m.target, "NODE", m.target.id), true
	case tellsSource:
		return m.set(m.source, "NODE", m.target.id), true
	case tellsOthers:
		return m.set(spot{id: m.others[m.told]}, "NODE", m.target.id), true
	case countsTarget, countsAgain:
		return m.ask(m.target, "CLUSTER", "COUNTKEYSINSLOT", m.number()), true
	case unmarksSource:
		return m.set(m.source, "STABLE"), true
	case unmarksTarget:
		return m.set(m.target, "STABLE"), true
	}
	return order{}, false
}

func (m *slotMove) number() string { return strconv.Itoa(int(m.slot)) }

func (m *slotMove) ask(p spot, args ...string) order {
	return order{to: p.id, cmds: [][]string{args}}
}

func (m *slotMove) set(p spot, args ...string) order {
	return m.ask(p, append([]string{"CLUSTER", "SETSLOT", m.number()}, args...)...)
}

func (m *slotMove) migrate() order {
	args := []string{"MIGRATE", m.target.host, strconv.Itoa(m.target.port), "", "0", strconv.FormatInt(m.how.timeout.Milliseconds(), 10)}
	if m.replaces || m.how.replace {
		args = append(args, "REPLACE")
	}
	args = append(append(args, m.how.auth...), "KEYS")
	o := m.ask(m.source, append(args, m.keys...)...)
	o.limit = migrateSlack * m.how.timeout
	return o
}

func (m *slotMove) digest(p spot) order {
	return m.ask(p, append([]string{"DEBUG", "DIGEST-VALUE"}, m.keys...)...)
}

// dump asks for the serialized values. At a node that imports the slot a command about
// one of its keys needs ASKING.
func (m *slotMove) dump(p spot) order {
	o := order{to: p.id}
	for _, k := range m.keys {
		if p.id == m.target.id {
			o.cmds = append(o.cmds, []string{"ASKING"})
		}
		o.cmds = append(o.cmds, []string{"DUMP", k})
	}
	return o
}

// answer takes the replies to what next said, or why there are none.
func (m *slotMove) answer(vs []resp.Value, err error) {
	var v resp.Value
	if err == nil {
		v = vs[len(vs)-1]
		if v.Type() == resp.Error && m.step != dumpsSource && m.step != dumpsTarget {
			err = &client.ReplyError{Text: v.String()}
		}
	}
	switch m.step {
	case marksTarget:
		m.proceed(err, marksSource, m.fail)
	case marksSource:
		m.proceed(err, lists, m.fail)
	case lists:
		m.listed(v, err)
	case sends:
		m.sent(v, err)
	case digestsSource, digestsTarget, dumpsSource, dumpsTarget:
		m.compared(vs, err)
	case handsOver:
		m.proceed(err, tellsSource, m.fail)
	case tellsSource:
		m.warn(m.source.id, err)
		m.tell()
	case tellsOthers:
		m.warn(m.others[m.told], err)
		m.told++
		m.tell()
	default:
		m.rolledBack(v, err)
	}
}

// proceed takes the next step, or fails.
func (m *slotMove) proceed(err error, next moveStep, fail func(error)) {
	if err != nil {
		fail(err)
		return
	}
	m.step = next
}

// warn notes that a node could not be told of the new owner. One that has lost its last
// slot may be a replica by now, which takes no SETSLOT and needs none.
func (m *slotMove) warn(id string, err error) {
	if err == nil || strings.Contains(err.Error(), "Please use SETSLOT only with masters") {
		return
	}
	m.warnings = append(m.warnings, warning{id, err})
}

// tell goes on to the next node that is to be told, or ends.
func (m *slotMove) tell() {
	if m.step = tellsOthers; m.told == len(m.others) {
		m.step = ends
	}
}

func (m *slotMove) listed(v resp.Value, err error) {
	if err != nil {
		m.fail(err)
		return
	}
	m.keys, m.replaces = m.keys[:0], false
	for _, k := range v.Array() {
		m.keys = append(m.keys, k.String())
	}
	switch {
	case len(m.keys) > 0:
		m.step = sends
	case m.cold:
		m.step = ends
	default:
		m.step = handsOver
	}
}

func (m *slotMove) sent(v resp.Value, err error) {
	switch {
	case err == nil && v.String() == "NOKEY":
		// They have expired, or clients have deleted them, since they were listed.
		if m.idle++; m.idle == maxIdle {
			m.fail(fmt.Errorf("the node lists keys of slot %d, among them %q, and does not find them", m.slot, m.keys[0]))
			return
		}
		m.step = lists
	case err == nil:
		m.idle = 0
		m.moved += len(m.keys)
		m.step = lists
	case strings.Contains(err.Error(), "BUSYKEY") && !m.replaces:
		m.step = digestsSource
	default:
		m.fail(err)
	}
}

// compared goes through the four steps that find out whether keys which are on both
// nodes are equal: by digests, and where DEBUG is not allowed by their serialized
// values, which may differ although the values are equal.
func (m *slotMove) compared(vs []resp.Value, err error) {
	var ne *client.NetError
	switch {
	case errors.As(err, &ne):
		m.fail(err)
	case err != nil: // of DEBUG
		m.step = dumpsSource
	case m.step == digestsSource:
		m.digests, m.step = texts(vs[0].Array()), digestsTarget
	case m.step == digestsTarget:
		m.judge(texts(vs[0].Array()), strings.Repeat("0", 40))
	case m.step == dumpsSource:
		m.digests, m.step = texts(vs), dumpsTarget
	default: // each DUMP is behind an ASKING
		var dumps []resp.Value
		for i := 1; i < len(vs); i += 2 {
			dumps = append(dumps, vs[i])
		}
		m.judge(texts(dumps), "")
	}
}

func texts(vs []resp.Value) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		if !v.IsNull() {
			out[i] = v.String()
		}
	}
	return out
}

// judge has the keys sent again, replacing those at the target, unless some of them
// are different there. none is what stands for a key that is not there.
func (m *slotMove) judge(target []string, none string) {
	var differ []string
	for i, k := range m.keys {
		if i >= len(m.digests) || i >= len(target) {
			m.fail(errors.New("the nodes do not say what the keys are that both have"))
			return
		}
		if a, b := m.digests[i], target[i]; a != b && a != none && b != none {
			differ = append(differ, strconv.Quote(k))
		}
	}
	if len(differ) > 0 {
		m.fail(fmt.Errorf("both nodes have a key of slot %d, with different values: %s. Delete one of each, or use --cluster-replace, "+
			"which keeps that of the source", m.slot, some(differ)))
		return
	}
	m.replaces, m.step = true, sends
}

// errAbandoned is the error of a move that was interrupted within the slot.
var errAbandoned = errors.New("interrupted")

// abandon ends the move before its time, if it is at a point where that is possible:
// what was handed over is told to all first.
func (m *slotMove) abandon() {
	if m.err == nil && (m.step <= lists || m.step == sends) {
		m.fail(errAbandoned)
	}
}

// fail ends the move, by way of taking the marks back if no key has moved.
func (m *slotMove) fail(err error) {
	m.err = err
	switch {
	case m.step == marksTarget:
		m.step = ends
		m.open = m.resumed
	case m.resumed || m.moved > 0 || m.step == handsOver:
		m.step = ends
		m.open = true
	case m.step == marksSource:
		// Whether the source has taken its mark is not known if there was no reply.
		m.step = unmarksSource
	default:
		m.step = countsTarget
	}
}

// rolledBack takes the marks back, if the target has no key of the slot. Clients may
// have created some there. Once the source is unmarked it sends no more clients to the
// target, so a second look is certain.
func (m *slotMove) rolledBack(v resp.Value, err error) {
	switch {
	case m.step == marksSourceBack:
		m.step, m.open = ends, true
	case m.step == unmarksTarget:
		m.step, m.open = ends, err != nil
	case err != nil && m.step == countsAgain:
		m.step = marksSourceBack
	case err != nil:
		m.step, m.open = ends, true
	case m.step == countsTarget && v.Integer() == 0:
		m.step = unmarksSource
	case m.step == countsTarget:
		m.step, m.open = ends, true
	case m.step == unmarksSource:
		m.step = countsAgain
	case v.Integer() == 0:
		m.step = unmarksTarget
	default:
		m.step = marksSourceBack
	}
}

// run drives the move: do sends an order, abandons is asked before each whether to stop
// at once, and progress hears how many keys have moved.
func (m *slotMove) run(do func(order) ([]resp.Value, error), abandons func() bool, progress func(keys int)) error {
	for {
		if abandons() {
			m.abandon()
		}
		o, more := m.next()
		if !more {
			return m.err
		}
		m.answer(do(o))
		progress(m.moved)
	}
}
