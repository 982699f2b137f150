package server

import (
	"sync"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/internal/script"
	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// debugSession is an asynchronous debugging session, with what it needs of the
// connection from which it began. It belongs to its goroutine.
type debugSession struct {
	srv         *Server
	form        form
	args        [][]byte
	conn        *conn // no loop has it any more; only what never changes of it is read
	db, proto   int
	noTouch     bool
	user        *account
	client      string
	cfg         *config.Settings
	readOnly    bool
	asking      bool
	outOfMemory bool
	terminal    *netTerminal
}

// run is the session from its first line to the reply.
func (v *debugSession) run() {
	s, t := v.srv, v.terminal
	defer s.clients.Add(-1)
	defer t.nc.Close()
	defer s.debugs.end(t, true)
	s.log.Info("A debugging session of a script begins.")
	out := resp.NewWriter(nil, v.proto)
	if view, ok := newDebugView(s); ok {
		d := script.NewDebugger(v.args[1], t, v.cfg.BusyReplyThreshold, true)
		v.evaluate(view, out, d)
		d.End()
		view.close()
	} else {
		out.Error(s.busy())
	}
	t.Send(out.Bytes())
	s.log.Info("The debugging session has ended.")
}

// evaluate runs the script on the view.
func (v *debugSession) evaluate(view *debugView, out *resp.Writer, d *script.Debugger) {
	s := v.srv
	k := &desk{exec: view.keyspace.NewExecutor()}
	k.runner = command.NewRunner(s.table, k.exec, debugNode{s, view.keyspace})
	h := s.newScriptHost(k)
	h.conn, h.cfg, h.db, h.noTouch, h.view = v.conn, v.cfg, v.db, v.noTouch, view
	h.user, h.client = v.user, v.client
	h.readOnly, h.asking, h.outOfMemory = v.readOnly, v.asking, v.outOfMemory
	x := &k.runner.Ctx
	x.Caller, x.Out, x.Args = h, out, v.args
	x.Tx = k.exec.BeginWorld(s.now())
	defer k.exec.End()
	x.Tx.Mute(true)
	x.Tx.Select(v.db)
	view.tx = x.Tx
	c, keys, args, err := s.scriptOf(v.args, v.form)
	if err == "" {
		err = h.prepare(x, v.form, c.Flags(), keys)
	}
	if err != "" {
		out.Error(err)
		return
	}
	h.engine = newEngine()
	h.boundMemory()
	h.engine.Debug(c.Script, keys, args, h, &h.reply, d)
	out.Raw(h.reply.Bytes())
}

// debugView is a keyspace for an asynchronous session. It begins empty: a key is copied
// into it from the node's when the script first names it, and all keys are when it
// calls a command that looks at any. From then on the script sees its own copy, as it
// has changed it. The copies end with the session.
type debugView struct {
	srv      *Server
	keyspace *storage.Keyspace
	tx       *storage.Tx         // the one unit of the session
	have     map[string]struct{} // the keys that were looked up, each behind the two bytes of its database
	whole    bool                // all keys have been copied
	copied   int64               // about the bytes of the copies
}

// debugLimits bound an asynchronous session, in bytes.
type debugLimits struct {
	copies int64 // of keys that it copies
	space  int64 // of all that its keyspace holds
}

var defaultDebugLimits = debugLimits{copies: 64 << 20, space: 256 << 20}

// newDebugView makes a view with the node's limits and role. It fails while a script
// takes long.
func newDebugView(s *Server) (v *debugView, ok bool) {
	v = &debugView{srv: s, have: map[string]struct{}{}}
	v.keyspace = storage.New(storage.Config{Databases: s.keyspace.Databases()})
	ok = s.debugs.copier.unit(s, nil, func(tx *storage.Tx) {
		v.keyspace.World(0, func(own *storage.Tx) {
			own.SetLimits(tx.Limits())
			own.SetRole(tx.Role())
		})
	})
	if !ok {
		v.close()
	}
	return v, ok
}

func (v *debugView) close() { v.keyspace.Close() }

// debugNode is the node as the commands of a session see it: with the session's keyspace.
type debugNode struct {
	*Server
	keyspace *storage.Keyspace
}

// Keyspace is command.Host's.
func (n debugNode) Keyspace() *storage.Keyspace { return n.keyspace }

// refuses is why a session does not call a command, or "". Commands about the node
// would change the node, not the view.
func (v *debugView) refuses(row *command.Row) resp.Error {
	switch {
	case row.Is(command.NoScript), row.Is(command.Admin) && !row.OnData():
		return resp.ErrDebugAside
	case row.Is(command.DenyOOM) && v.keyspace.Memory().Committed > v.srv.debugs.limits.space:
		return resp.ErrDebugSpace
	}
	return ""
}

// prepare copies what a command is about to look at.
func (v *debugView) prepare(h *scriptHost, row *command.Row, args [][]byte) resp.Error {
	if v.whole || !row.OnData() {
		return ""
	}
	if row.Needs(args) == command.LockKeys {
		var ok bool
		if h.runner.Keys, ok = row.AppendKeys(h.runner.Keys[:0], args); !ok {
			return "" // the handler says what is wrong
		}
		for _, i := range h.runner.Keys {
			if err := v.fetch(h.db, args[i]); err != "" {
				return err
			}
		}
		return ""
	}
	return v.fetchAll()
}

// fetch copies a key, unless that was done before.
func (v *debugView) fetch(db int, key []byte) (err resp.Error) {
	name := string(append([]byte{byte(db >> 8), byte(db)}, key...))
	if _, done := v.have[name]; done || v.whole {
		return ""
	}
	var p *copied
	done := v.srv.debugs.copier.unit(v.srv, []slots.Slot{slots.Of(key)}, func(tx *storage.Tx) {
		tx.Select(db)
		if e, found := tx.PeekExpired(key); found {
			p, err = v.take(db, e)
		}
	})
	switch {
	case !done:
		return v.srv.busy()
	case err != "":
		return err
	}
	v.have[name] = struct{}{}
	if p != nil && v.put(p) != nil {
		return resp.ErrGeneric
	}
	return ""
}

// copied is a key on its way into a view.
type copied struct {
	db       int
	key      []byte
	payload  []byte // as of DUMP
	expireAt int64
	idle     int64
	freq     int
}

// take copies a key of the node, in a unit on its slot.
func (v *debugView) take(db int, e storage.Entry) (*copied, resp.Error) {
	size := e.Size()
	if v.copied+size > v.srv.debugs.limits.copies {
		return nil, resp.ErrDebugBytes
	}
	v.copied += size
	f, _ := e.Freeze(nil)
	c := &copied{db: db, key: append([]byte(nil), e.Key()...), expireAt: e.ExpireAt(), idle: e.IdleSeconds(), freq: -1}
	if v.srv.LFU() {
		c.idle, c.freq = -1, e.Freq()
	}
	c.payload = new(rdb.Encoder).AppendPayload(nil, &f)
	return c, ""
}

// put makes a copy a key of the view.
func (v *debugView) put(c *copied) error {
	p, err := rdb.ParseUnsummed(c.payload)
	if err != nil {
		return err
	}
	v.tx.Select(c.db)
	if err := p.Load(v.tx, c.key, c.expireAt); err != nil {
		return err
	}
	v.tx.SetAccess(c.key, c.idle, c.freq)
	return nil
}

// fetchAll copies all keys that were not looked up before, unless the node has more
// bytes of them than may be copied.
func (v *debugView) fetchAll() resp.Error {
	if v.srv.keyspace.Memory().Data > v.srv.debugs.limits.copies {
		return resp.ErrDebugBytes
	}
	for db := range v.srv.keyspace.Databases() {
		for n, ok := v.srv.keyspace.NextSlot(db, 0); ok; n, ok = v.srv.keyspace.NextSlot(db, n+1) {
			if err := v.fetchSlot(db, n); err != "" {
				return err
			}
		}
	}
	v.whole, v.have = true, nil
	return ""
}

// fetchKeys is how many keys are copied in one unit.
const fetchKeys = 64

// fetchSlot copies the keys of a slot, some at a time.
func (v *debugView) fetchSlot(db int, n slots.Slot) (err resp.Error) {
	for cursor, more := uint64(0), true; more && err == ""; {
		var names [][]byte
		done := v.srv.debugs.copier.unit(v.srv, []slots.Slot{n}, func(tx *storage.Tx) {
			tx.Select(db)
			cursor = tx.Scan(n, cursor, fetchKeys, func(e storage.Entry) {
				names = append(names, append([]byte(nil), e.Key()...))
			})
		})
		if !done {
			return v.srv.busy()
		}
		for _, key := range names {
			if err = v.fetch(db, key); err != "" {
				return err
			}
		}
		more = cursor != 0
	}
	return err
}

// copier reads the node's keys for all views, in units of its own.
type copier struct {
	mu   sync.Mutex
	exec *storage.Executor // guarded by mu; nil until it is needed
}

// unit runs f in a unit on slots. It reports false if it has not, because a script that
// takes long holds them.
func (c *copier) unit(s *Server, ss []slots.Slot, f func(tx *storage.Tx)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.exec == nil {
		c.exec = s.keyspace.NewExecutor()
		c.exec.MayGiveUp()
	}
	tx := c.exec.Begin(s.now(), ss)
	if tx == nil {
		return false
	}
	f(tx)
	c.exec.End()
	return true
}
