package driver

import (
	"bytes"
	"context"
	"fmt"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
	"redoubt/storage"
)

// The CLUSTER commands that change something. Each becomes an event for the
// Node; the client is answered when what it changed is on disk.

// administer gives the Node a command and answers with its result. Outside of
// a transaction the connection is suspended meanwhile and its loop goes on;
// within one the loop waits, at most for one write of nodes.conf.
func (d *Driver) administer(x *command.Ctx, ev cluster.Event, reply func(*resp.Writer, cluster.Result)) {
	d.give(x, ev, nil, reply)
}

// administerCounted is administer for an event that tells how many keys there
// are, and in which the Node gives slots up if there are none. The slots are
// locked (all of them, if ss is nil) from the count until the new View is
// published. A client's write comes before that and is counted, or after and is
// sent to the new owner; in between it would be acknowledged and lost.
func (d *Driver) administerCounted(x *command.Ctx, ss []slots.Slot, count func(*storage.Tx) cluster.Event, reply func(*resp.Writer, cluster.Result)) {
	if x.Tx != nil { // a transaction: it has the world lock, and waits for the answer
		d.administer(x, count(x.Tx), reply)
		return
	}
	begin := x.Exec.BeginWorld
	if ss != nil {
		begin = func(now int64) *storage.Tx { return x.Exec.Begin(now, ss) }
	}
	tx := begin(x.Host.Now())
	if tx == nil {
		return // a script takes long, and the client is told so
	}
	defer func() { x.ReplyGate = max(x.ReplyGate, x.Exec.End()) }()
	decided := make(chan struct{})
	d.give(x, count(tx), decided, reply)
	select {
	case <-decided: // run waits for no lock, so this is soon
	case <-d.quit:
	}
}

// give posts the event. decided, if not nil, is closed when the Node has decided
// and the View shows it.
func (d *Driver) give(x *command.Ctx, ev cluster.Event, decided chan struct{}, reply func(*resp.Writer, cluster.Result)) {
	done := d.request(x)
	answer := func(w *resp.Writer, r cluster.Result) {
		if r.Err != nil {
			w.Error(resp.Error(r.Err.Error()))
			return
		}
		if done != "" {
			d.Log.Info(done)
		}
		reply(w, r)
	}
	ask := func(q *question) bool {
		return d.post(func() {
			d.tellFacts()
			d.step(ev, q)
			if decided != nil {
				d.publishView()
				close(decided)
			}
		})
	}
	if resume := x.Suspend(); resume != nil {
		ask(&question{answer: func(r cluster.Result) {
			resume(0, func(w *resp.Writer) { answer(w, r) })
		}})
		return
	}
	result := make(chan cluster.Result, 1)
	ask(&question{answer: func(r cluster.Result) { result <- r }, hasty: true})
	select {
	case r := <-result:
		answer(x.Out, r)
	case <-d.quit:
		// The node ends; nobody hears this.
		x.Out.Error(resp.ErrClusterDown)
	}
}

func ok(w *resp.Writer, _ cluster.Result) { w.OK() }

// request is the line of the log about a command that changes what the node is, or who
// belongs to the cluster; "" for others.
func (d *Driver) request(x *command.Ctx) string {
	who, known := x.Caller.(fmt.Stringer)
	if !known {
		return ""
	}
	switch x.Row.Name {
	case "failover", "forget", "replicate", "reset":
		words := bytes.ToUpper(x.Args[0])
		for _, a := range x.Args[1:] {
			words = append(append(words, ' '), a...)
		}
		return fmt.Sprintf("%s accepted (user request from '%s')", words, who)
	}
	return ""
}

const (
	errSlotArgument resp.Error = "ERR Invalid or out of range slot"
	errSlot         resp.Error = "ERR Invalid slot"
	errSlotOrCount  resp.Error = "ERR Invalid slot or number of keys"
	errSetSlot      resp.Error = "ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"
	errNoTimeout    resp.Error = "ERR Missing timeout value"
	errSetSlotRole  resp.Error = "ERR Please use SETSLOT only with masters."
	errSlotsInMulti resp.Error = "ERR The shard has to agree on its slots, which cannot be within a transaction or a script"
)

// parseSlot reads a slot, as getSlotOrReply.
func parseSlot(arg []byte) (slots.Slot, bool) {
	n, isInt := resp.ParseInt(arg)
	if !isInt || n < 0 || n >= slots.Count {
		return 0, false
	}
	return slots.Slot(n), true
}

// parseRanges reads slots, step arguments a range, and answers if they are
// none.
func parseRanges(x *command.Ctx, step int) ([]slots.Range, bool) {
	args := x.Args[2:]
	if len(args)%step != 0 {
		x.Out.Error(resp.ErrArity(x.Row.FullName()))
		return nil, false
	}
	ranges := make([]slots.Range, 0, len(args)/step)
	for i := 0; i < len(args); i += step {
		first, isSlot := parseSlot(args[i])
		last, isSlotToo := parseSlot(args[i+step-1])
		if !isSlot || !isSlotToo {
			x.Out.Error(errSlotArgument)
			return nil, false
		}
		ranges = append(ranges, slots.Range{First: first, Last: last})
	}
	return ranges, true
}

func (d *Driver) addSlotsCommand(x *command.Ctx)      { d.addSlots(x, 1) }
func (d *Driver) addSlotsRangeCommand(x *command.Ctx) { d.addSlots(x, 2) }
func (d *Driver) delSlotsCommand(x *command.Ctx)      { d.delSlots(x, 1) }
func (d *Driver) delSlotsRangeCommand(x *command.Ctx) { d.delSlots(x, 2) }

func (d *Driver) addSlots(x *command.Ctx, step int) {
	if ranges, valid := parseRanges(x, step); valid {
		d.changeSlots(x, locked{}, func(*storage.Tx) cluster.Event { return cluster.AddSlots{Ranges: ranges} })
	}
}

func (d *Driver) delSlots(x *command.Ctx, step int) {
	if ranges, valid := parseRanges(x, step); valid {
		d.changeSlots(x, locked{}, func(*storage.Tx) cluster.Event { return cluster.DelSlots{Ranges: ranges} })
	}
}

func (d *Driver) flushSlotsCommand(x *command.Ctx) {
	d.changeSlots(x, locked{world: true}, func(*storage.Tx) cluster.Event {
		return cluster.FlushSlots{Keys: d.Keys.Len(0)}
	})
}

func (d *Driver) bumpEpochCommand(x *command.Ctx) {
	d.administer(x, cluster.BumpEpoch{}, func(w *resp.Writer, r cluster.Result) {
		word := "STILL"
		if r.Bumped {
			word = "BUMPED"
		}
		w.Simple(fmt.Sprintf("%s %d", word, r.Epoch))
	})
}

func (d *Driver) countReportsCommand(x *command.Ctx) {
	d.administer(x, cluster.CountFailureReports{ID: nodeID(x.Args[2])}, func(w *resp.Writer, r cluster.Result) {
		w.Int(int64(r.Count))
	})
}

func nodeID(arg []byte) bus.NodeID { return bus.NodeID(arg) }

func (d *Driver) failoverCommand(x *command.Ctx) {
	mode := cluster.FailoverNormal
	switch {
	case len(x.Args) == 2:
	case len(x.Args) > 3:
		x.Out.Error(resp.ErrSubcommandSyntax("cluster", x.Args[1]))
		return
	case resp.EqualFold(x.Args[2], "force"):
		mode = cluster.FailoverForce
	case resp.EqualFold(x.Args[2], "takeover"):
		mode = cluster.FailoverTakeover
	default:
		x.Out.Error(resp.ErrSyntax)
		return
	}
	switch {
	case d.Quorum == nil:
	case mode == cluster.FailoverNormal:
		d.elect(x, d.Quorum.Elect)
		return
	case d.Config.Current().QuorumUnsafeRecover:
		d.elect(x, d.Quorum.Recover)
		return
	}
	d.administer(x, cluster.Failover{Mode: mode}, ok)
}

// HandOver gives the Node a HandOver and returns the result; ctx ends the wait for it.
func (d *Driver) HandOver(ctx context.Context, heirs []cluster.Heir) (cluster.Result, error) {
	return d.ask(ctx, cluster.HandOver{Heirs: heirs})
}

// Failover gives the Node a Failover, as CLUSTER FAILOVER does.
func (d *Driver) Failover(ctx context.Context, mode cluster.FailoverMode) error {
	_, err := d.ask(ctx, cluster.Failover{Mode: mode})
	return err
}

// ask gives the Node a command that no client has sent.
func (d *Driver) ask(ctx context.Context, ev cluster.Event) (cluster.Result, error) {
	result := make(chan cluster.Result, 1)
	d.post(func() {
		d.tellFacts()
		d.step(ev, &question{answer: func(r cluster.Result) { result <- r }})
	})
	select {
	case r := <-result:
		return r, r.Err
	case <-ctx.Done():
		return cluster.Result{}, ctx.Err()
	case <-d.quit:
		return cluster.Result{}, errEnded
	}
}

func (d *Driver) forgetCommand(x *command.Ctx) {
	d.administer(x, cluster.Forget{ID: nodeID(x.Args[2])}, ok)
}

func (d *Driver) meetCommand(x *command.Ctx) {
	if len(x.Args) > 5 {
		x.Out.Error(resp.ErrSubcommandSyntax("cluster", x.Args[1]))
		return
	}
	meet := cluster.Meet{IP: string(x.Args[2])}
	var isInt bool
	if meet.Port, isInt = resp.ParseInt(x.Args[3]); !isInt {
		x.Out.Error(resp.Error("ERR Invalid TCP base port specified: " + string(x.Args[3])))
		return
	}
	if len(x.Args) == 5 {
		if meet.BusPort, isInt = resp.ParseInt(x.Args[4]); !isInt {
			x.Out.Error(resp.Error("ERR Invalid TCP bus port specified: " + string(x.Args[4])))
			return
		}
		if meet.BusPort == 0 {
			meet.BusPort = -1 // it was given; 0 would be the usual one
		}
	}
	d.administer(x, meet, ok)
}

func (d *Driver) replicateCommand(x *command.Ctx) {
	id := nodeID(x.Args[2])
	d.administerCounted(x, nil, func(*storage.Tx) cluster.Event {
		return cluster.Replicate{ID: id, Keys: d.Keys.Len(0)}
	}, ok)
}

func (d *Driver) resetCommand(x *command.Ctx) {
	var reset cluster.Reset
	switch {
	case len(x.Args) == 2:
	case len(x.Args) > 3:
		x.Out.Error(resp.ErrSubcommandSyntax("cluster", x.Args[1]))
		return
	case resp.EqualFold(x.Args[2], "hard"):
		reset.Hard = true
	case !resp.EqualFold(x.Args[2], "soft"):
		x.Out.Error(resp.ErrSyntax)
		return
	}
	d.administerCounted(x, nil, func(*storage.Tx) cluster.Event {
		reset.Keys = d.Keys.Len(0)
		return reset
	}, ok)
}

func (d *Driver) saveConfigCommand(x *command.Ctx) {
	d.administer(x, cluster.SaveConfig{}, ok)
}

func (d *Driver) setConfigEpochCommand(x *command.Ctx) {
	epoch, isInt := resp.ParseInt(x.Args[2])
	if !isInt {
		x.Out.Error(resp.ErrNotInteger)
		return
	}
	d.administer(x, cluster.SetConfigEpoch{Epoch: epoch}, ok)
}

func (d *Driver) setSlotCommand(x *command.Ctx) {
	if d.View().IsReplica() {
		x.Out.Error(errSetSlotRole)
		return
	}
	s, isSlot := parseSlot(x.Args[2])
	if !isSlot {
		x.Out.Error(errSlotArgument)
		return
	}
	args, err := withoutTimeout(x.Args)
	if err != "" {
		x.Out.Error(err)
		return
	}
	set := cluster.SetSlot{Slot: s}
	switch action := x.Args[3]; {
	case resp.EqualFold(action, "stable") && len(args) == 4:
		set.Action = cluster.SlotStable
	case len(args) != 5:
		x.Out.Error(errSetSlot)
		return
	case resp.EqualFold(action, "migrating"):
		set.Action = cluster.SlotMigrating
	case resp.EqualFold(action, "importing"):
		set.Action = cluster.SlotImporting
	case resp.EqualFold(action, "node"):
		set.Action = cluster.SlotNode
	default:
		x.Out.Error(errSetSlot)
		return
	}
	if len(args) == 5 {
		set.ID = nodeID(args[4])
	}
	if set.Action == cluster.SlotMigrating || set.Action == cluster.SlotImporting {
		d.changeSlots(x, locked{}, func(*storage.Tx) cluster.Event { return set })
		return
	}
	d.changeSlots(x, locked{slots: []slots.Slot{s}}, func(tx *storage.Tx) cluster.Event {
		set.Keys = d.liveKeys(tx, s)
		return set
	})
}

// withoutTimeout takes off the TIMEOUT at the end of SETSLOT, as Valkey 8 has it. There it
// bounds, in milliseconds, the wait until replicas have taken the change, which is no part
// of SETSLOT here.
func withoutTimeout(args [][]byte) ([][]byte, resp.Error) {
	n := len(args)
	switch {
	case n > 4 && resp.EqualFold(args[n-1], "timeout"):
		return nil, errNoTimeout
	case n < 6 || !resp.EqualFold(args[n-2], "timeout"):
		return args, ""
	}
	switch ms, isInt := resp.ParseInt(args[n-1]); {
	case !isInt:
		return nil, resp.ErrBadTimeout
	case ms < 0:
		return nil, resp.ErrNegTimeout
	}
	return args[:n-2], ""
}

// liveKeys is the number of keys in a slot, or 0 if all of them have expired:
// GETKEYSINSLOT does not show those, so nobody could move them.
func (d *Driver) liveKeys(tx *storage.Tx, s slots.Slot) int {
	n := d.Keys.SlotLen(s, 0)
	if n > 0 && len(scanSlot(tx, s, 1)) == 0 {
		return 0
	}
	return n
}

// keysIn is up to count keys of a slot.
func (d *Driver) keysIn(x *command.Ctx, s slots.Slot, count int) [][]byte {
	if x.Tx != nil {
		return scanSlot(x.Tx, s, count)
	}
	tx := x.Exec.Begin(x.Host.Now(), []slots.Slot{s})
	if tx == nil {
		return nil // as above
	}
	defer func() { x.ReplyGate = max(x.ReplyGate, x.Exec.End()) }()
	return scanSlot(tx, s, count)
}

func scanSlot(tx *storage.Tx, s slots.Slot, count int) (keys [][]byte) {
	for cursor := uint64(0); len(keys) < count; {
		cursor = tx.Scan(s, cursor, min(count, 1000), func(e storage.Entry) {
			if len(keys) < count {
				keys = append(keys, bytes.Clone(e.Key()))
			}
		})
		if cursor == 0 {
			break
		}
	}
	return keys
}
