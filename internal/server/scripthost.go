package server

import (
	"bytes"
	"sync/atomic"
	"time"

	"redoubt/internal/acl"
	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/logging"
	"redoubt/internal/pubsub"
	"redoubt/internal/resp"
	"redoubt/internal/script"
	"redoubt/slots"
	"redoubt/storage"
)

// scriptHost is what a running script sees of the server: it calls commands within
// the unit of its own call, as the Caller of each. Every desk has one, and so has
// the applier of streams, for the scripts that a Redis before 7 propagates.
//
// A script may take long, and then its loop does other things: the host looks at
// nothing of the loop but what it has taken along.
type scriptHost struct {
	srv    *Server
	runner *command.Runner
	desk   *desk          // nil: the script is in a stream
	conn   *conn          // likewise
	evals  *script.Engine // of EVAL
	flush  uint64         // scripts.flushes when evals was made
	memory atomic.Int64   // of evals when it was used last, in bytes
	reply  resp.Writer

	// Of the script at hand.
	cfg          *config.Settings
	engine       *script.Engine
	hasFunctions bool // it has taken functions.engine: the script is a function
	began        time.Time
	tx           *storage.Tx
	db           int
	noTouch      bool
	user         *account // who has called it
	client       string   // … as CLIENT LIST has it, for ACL LOG; "" if the user may do everything
	flags        runFlags
	slot         int  // the slot of all keys so far, -1: there was none
	crossed      bool // it may use keys of several slots, and has called a command
	outOfMemory  bool
	readOnly     bool // READONLY of the connection, and ASKING
	asking       bool
	wrote        bool
	acted        bool             // it has written, or sent a message
	beyond       bool             // it needs more than the unit has locked
	strayed      bool             // … and has not acted yet: its call is repeated
	failures     map[string]int64 // errors of commands by code
	calls        int64            // commands that were run
	sought       [][]byte         // the keys of the command at hand
	missing      func() int       // counts those that do not exist
	view         *debugView       // nil but in an asynchronous debugging session
}

// runFlags are Redis's SCRIPT_READ_ONLY and its like.
type runFlags uint8

const (
	runReadOnly runFlags = 1 << iota
	runAllowOOM
	runCrossSlot
)

// DB, Proto, NoTouch, Redact and Block make a script the caller of its commands:
// command.Caller. None of them waits.
func (h *scriptHost) DB() int                                { return h.db }
func (h *scriptHost) Proto() int                             { return h.runner.Ctx.Out.Proto() }
func (h *scriptHost) NoTouch() bool                          { return h.noTouch }
func (h *scriptHost) Redact(...int)                          {}
func (h *scriptHost) Block(*command.Ctx, *command.Wait) bool { return false }

// Began is command.Scripted's.
func (h *scriptHost) Began() time.Time { return h.began }

// Select is SELECT, for the rest of the script: admin.Selector.
func (h *scriptHost) Select(db int) { h.db = db }

// World runs f in the script's unit, if that has the world: admin.Debugger.
func (h *scriptHost) World(f func(tx *storage.Tx)) {
	if h.tx.World() {
		f(h.tx)
	}
}

// Publish is PUBLISH. The message leaves with the unit; who will get it is counted
// now, as the script wants to know: admin.Publisher.
func (h *scriptHost) Publish(channel, message []byte, sharded bool) {
	s := h.srv
	if sharded {
		h.runner.Ctx.Out.Int(int64(s.pubsub.Subscribers(pubsub.Shard, string(channel))))
	} else {
		h.runner.Ctx.Out.Int(int64(s.pubsub.Receivers(channel)))
	}
	if h.view != nil {
		return
	}
	if h.desk != nil {
		h.desk.published = append(h.desk.published, publication{-1, bytes.Clone(channel), bytes.Clone(message), sharded})
	}
	if s.cluster != nil {
		s.forBus.Add(int64(len(channel) + len(message)))
	} else {
		h.tx.Force()
	}
}

var (
	_ script.Host      = (*scriptHost)(nil)
	_ admin.Selector   = (*scriptHost)(nil)
	_ admin.Publisher  = (*scriptHost)(nil)
	_ admin.Debugger   = (*scriptHost)(nil)
	_ command.Scripted = (*scriptHost)(nil)
)

// Call runs a command: script.Host. It matches scriptCall.
func (h *scriptHost) Call(args [][]byte, w *resp.Writer) (ran bool) {
	row, known := h.srv.table.Resolve(args)
	if row == nil && known != nil {
		row = known // without a sub-command, or with one that it does not have
	}
	err := h.refusal(row, args)
	if err == "" && h.view != nil {
		err = h.view.prepare(h, row, args)
	}
	if err != "" {
		if row != nil {
			h.runner.CountRejection(row)
		}
		h.failed(err)
		w.Error(err)
		return false
	}
	start := w.Len()
	began := time.Now()
	h.runner.CallWithin(h, w, row, args)
	h.crossed = h.crossed || h.flags&runCrossSlot != 0
	took := time.Since(began)
	b := w.Bytes()[start:]
	failed := len(b) > 0 && b[0] == '-'
	if failed {
		h.failed(errorLine(b))
	}
	h.runner.Count(row, took, failed)
	h.calls++
	h.account(row, args, took)
	return true
}

// refusal is why a command is not called, or "". It matches the checks of scriptCall
// and their order.
func (h *scriptHost) refusal(row *command.Row, args [][]byte) resp.Error {
	switch {
	case row == nil || row.Run == nil:
		return resp.ErrInScriptUnknown
	case !row.Takes(len(args)):
		return resp.ErrInScriptArity
	case row.Is(command.NoScript) && !h.srv.allScripts.Load():
		return resp.ErrInScriptDenied
	case h.desk == nil:
		return "" // whoever made the stream has looked
	case h.desk.run.killed.Load() || h.strayed:
		return resp.ErrKilled // the engine says so as well
	case h.srv.is(condStale) && !row.Is(command.Stale):
		return resp.ErrInScriptStale
	}
	if err := h.deniedByUser(row, args); err != "" {
		return err
	}
	if h.view != nil {
		if err := h.view.refuses(row); err != "" {
			return err
		}
	}
	if err := h.refusesWrite(row); err != "" {
		return err
	}
	if h.outOfMemory && row.Is(command.DenyOOM) && h.flags&runAllowOOM == 0 && !h.wrote {
		return resp.ErrOOM
	}
	if !h.holds(row, args) {
		h.beyond = true
		if !h.acted && !h.desk.inExec {
			h.strayed = true
			h.engine.Kill()
		}
		return resp.ErrInScriptNotLocal
	}
	h.acted = h.acted || row.Flags&(command.Write|command.MayReplicate) != 0
	if row.Is(command.Write) && !h.wrote {
		if !h.desk.run.writes() {
			return resp.ErrKilled
		}
		h.wrote = true
	}
	return h.refusesRoute(row, args)
}

// deniedByUser asks the rules of the user who runs the script. It matches
// scriptVerifyACL.
func (h *scriptHost) deniedByUser(row *command.Row, args [][]byte) resp.Error {
	why, at := h.user.check(row, args)
	if why == acl.Allowed {
		return ""
	}
	d := h.user.deny(why, at, row, args)
	d.note(h.srv, acl.InScript, h.client)
	return resp.ErrInScriptNoPerm(d.err())
}

// ReadsAllKeys is command.Restricted's. Who made a stream has looked.
func (h *scriptHost) ReadsAllKeys(row *command.Row, args [][]byte) bool {
	return h.desk == nil || h.user.readsAllKeys(row, args)
}

// refusesWrite matches scriptVerifyWriteCommandAllow.
func (h *scriptHost) refusesWrite(row *command.Row) resp.Error {
	if h.flags&runReadOnly != 0 && row.Flags&(command.Write|command.MayReplicate) != 0 {
		return resp.ErrInScriptReadOnly
	}
	s := h.srv
	if !row.Is(command.Write) || h.wrote || !s.is(condReplica|condUnconfirmed|condDisk|condFewReplicas) {
		return ""
	}
	if err := s.readOnly(h.cfg, s.IsReplica()); err != "" {
		return err
	}
	if err := s.diskError(); err != "" {
		return err
	}
	if s.fewReplicas(h.cfg) {
		return resp.ErrNoReplicas
	}
	return ""
}

// holds reports whether the unit has locked all that a command may look at.
func (h *scriptHost) holds(row *command.Row, args [][]byte) bool {
	if h.tx.World() {
		return true
	}
	switch row.Needs(args) {
	case command.LockNone:
		return true
	case command.LockKeys:
	default:
		return false
	}
	var ok bool
	if h.runner.Keys, ok = row.AppendKeys(h.runner.Keys[:0], args); !ok {
		return false
	}
	for _, i := range h.runner.Keys {
		if !h.tx.Holds(slots.Of(args[i])) {
			return false
		}
	}
	return true
}

// refusesRoute looks whether the keys of a command are this node's. It matches
// scriptVerifyClusterState.
func (h *scriptHost) refusesRoute(row *command.Row, args [][]byte) resp.Error {
	if h.srv.cluster == nil || len(row.Keys) == 0 {
		return ""
	}
	h.runner.Keys, _ = row.AppendRouted(h.runner.Keys[:0], args)
	if len(h.runner.Keys) == 0 {
		return ""
	}
	h.sought = h.sought[:0]
	for _, i := range h.runner.Keys {
		h.sought = append(h.sought, args[i])
	}
	r := Route{
		Slot: slots.Of(h.sought[0]), Keys: len(h.sought), Shard: row.Is(command.OfShards),
		Write: row.Is(command.Write), ReadOnly: h.readOnly, Asking: h.asking, Missing: h.missing,
	}
	if r.Shard {
		r.Keys, r.Missing = 0, nil
	}
	for _, k := range h.sought[1:] {
		if string(k) != string(h.sought[0]) {
			r.Many = true
			r.Mixed = r.Mixed || slots.Of(k) != r.Slot
		}
	}
	switch err := h.srv.cluster.Route(r); err {
	case "":
	case resp.ErrClusterDown:
		return resp.ErrInScriptDown
	case resp.ErrClusterDownWrites:
		return resp.ErrInScriptDownWrites
	default:
		return resp.ErrInScriptNotLocal
	}
	if h.flags&runCrossSlot == 0 {
		if h.slot >= 0 && h.slot != int(r.Slot) {
			return resp.ErrInScriptCrossSlot
		}
		h.slot = int(r.Slot)
	}
	return ""
}

func (h *scriptHost) countMissing() int {
	n := 0
	for _, k := range h.sought {
		if h.view != nil {
			h.view.fetch(0, k) // or the command fails for the same reason
		}
		h.tx.Select(0)
		if _, ok := h.tx.Peek(k); !ok {
			n++
		}
	}
	return n
}

// failed counts an error of a command. It reaches the loop's counts when the script has
// ended.
func (h *scriptHost) failed(err resp.Error) {
	code := err.Code()
	if _, known := h.failures[code]; known || len(h.failures) < maxErrorCodes {
		h.failures[code]++
	}
}

// monitoredBytes bounds what monitors are shown of one unit: a script may call commands
// without an end.
const monitoredBytes = 1 << 20

// account keeps the books of a command that the script has called.
func (h *scriptHost) account(row *command.Row, args [][]byte, took time.Duration) {
	if h.desk == nil || h.view != nil {
		return
	}
	s := h.srv
	if limit := h.cfg.SlowlogLogSlowerThan; took >= limit && limit >= 0 && row.Flags&command.SkipSlowlog == 0 {
		s.admin.SlowLog.Add(s.now(), took, args, h.conn.remote, h.conn.identity.Name)
	}
	if limit := h.cfg.LatencyMonitorThreshold; limit > 0 && took >= limit {
		s.admin.Latency.Add(admin.LatencyEvent(row), s.now()/1000, took)
	}
	if s.monitors.any.Load() && row.Flags&(command.SkipMonitor|command.Admin) == 0 && !s.Loading() && len(h.desk.monitored) < monitoredBytes {
		h.desk.monitored = append(h.desk.monitored, admin.MonitorLine(time.Now(), h.db, "lua", args)...)
	}
}

// MayRun is redis.acl_check_cmd: script.Host.
func (h *scriptHost) MayRun(args [][]byte) (allowed, known bool) {
	row, _ := h.srv.table.Resolve(args)
	switch {
	case row == nil:
		return false, false
	case h.desk == nil:
		return true, true // whoever made the stream has looked
	}
	why, _ := h.user.check(row, args)
	return why == acl.Allowed, true
}

// SetReplication is redis.set_repl: script.Host. The stream is the journal as well
// as what replicas get, so effects go to both or to none.
func (h *scriptHost) SetReplication(targets script.Replication) {
	h.tx.Mute(targets == 0 || h.view != nil)
}

// Log is redis.log: script.Host.
func (h *scriptHost) Log(level script.LogLevel, message string) { h.srv.logOfScript(level, message) }

func (s *Server) logOfScript(level script.LogLevel, message string) {
	switch {
	case level >= script.LogWarning:
		s.log.Warn(message)
	case level >= script.LogNotice:
		s.log.Info(message)
	case level >= script.LogVerbose:
		s.log.Log(logging.Verbose, message)
	default:
		s.log.Log(logging.Debug, message)
	}
}

// loadHost is what the code of a library sees: nothing but the log.
type loadHost struct{ srv *Server }

func (h loadHost) Call(_ [][]byte, w *resp.Writer) (ran bool) {
	w.Error(resp.ErrInScriptDenied)
	return false
}

func (h loadHost) MayRun([][]byte) (allowed, known bool)     { return false, false }
func (h loadHost) SetReplication(script.Replication)         {}
func (h loadHost) Log(level script.LogLevel, message string) { h.srv.logOfScript(level, message) }
