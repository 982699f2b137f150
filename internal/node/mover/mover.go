// Package mover moves keys to other nodes: MIGRATE, seen from the source.
//
// Redis stands still while it does this. Here the values are serialised under
// the locks of their slots, and a goroutine sends them with no lock held; then
// the keys that the target took are deleted, under the locks again. What could
// go wrong meanwhile is a write to a key that is under way:
//
//   - In a cluster a slot with keys under way refuses writes with TRYAGAIN, as
//     it refuses commands on keys some of which have gone already; reads are
//     served. It must be so, and comparing afterwards would not do: after a DEL
//     here clients would be sent to the target, find the value there, and write
//     to it what we would then have to take back.
//   - Elsewhere nobody is sent to the target, so comparing does: a key that was
//     changed is sent again, a key that was deleted is deleted there too.
//
// Within a transaction everything happens under its locks.
package mover

import (
	"bytes"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/slots"
	"redoubt/storage"
)

// Mover is the part of a node that carries out MIGRATE.
type Mover struct {
	Parts
	conns targetCache

	inFlight atomic.Int64                    // moves, so that Busy is cheap
	slots    [slots.Count / 64]atomic.Uint64 // slots with keys under way

	mu      sync.Mutex // serialises the units of exec
	exec    *storage.Executor
	running sync.WaitGroup
}

// Parts is what a Mover works with.
type Parts struct {
	Keys    *storage.Keyspace
	Cluster bool // cluster mode: RESTORE-ASKING, and writes are refused meanwhile
	// TLS says whether targets are spoken to by TLS, and with which configuration: if
	// that is nil, not at all. It is asked for each connection; nil means no TLS.
	TLS func() (config *tls.Config, on bool)
}

// maxResends is how often a key that clients keep changing is sent again.
const maxResends = 16

const (
	errMigrateKeys    resp.Error = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
	errMigrateBusy    resp.Error = "TRYAGAIN The key was changed again and again while it was moved"
	errMigratePaused  resp.Error = "TRYAGAIN Writes are paused; the keys are here and at the target"
	errMigrateConnect resp.Error = "IOERR error or timeout connecting to the client"
)

// New makes the mover of a node.
func New(p Parts) *Mover {
	m := &Mover{Parts: p, exec: p.Keys.NewExecutor()}
	m.conns.init()
	m.conns.tls = p.TLS
	return m
}

// Executor is the one in whose units keys that have moved are deleted.
func (m *Mover) Executor() *storage.Executor { return m.exec }

// Close waits for the moves under way, whose connections it breaks.
func (m *Mover) Close() {
	m.conns.close()
	m.running.Wait()
}

// CachedTargets counts the idle connections that are kept.
func (m *Mover) CachedTargets() int { return m.conns.len() }

// Rows is the MIGRATE command.
func (m *Mover) Rows() []*command.Row {
	const access = command.KeyRW | command.KeyAccess | command.KeyDelete
	return []*command.Row{{
		Name: "migrate", Arity: -6, Flags: command.Write | command.MovableKeys | command.ClientOnly | command.MovesKeys, ACL: command.CatKeyspace | command.CatDangerous,
		Keys: []command.KeySpec{
			command.KeyAt(3, access),
			{Flags: access | command.KeyIncomplete, Begin: command.Begin{Keyword: "KEYS", Index: -2}, Find: command.Find{Last: -1, Step: 1}},
		},
		FindKeys: migrateKeys,
		Run:      m.migrate,
		Doc: command.Doc{
			Summary: "Moves keys to another node.", Since: "2.6.0", Group: "generic",
			Complexity: "O(N) where N is the size of the values, here, on the wire and at the target",
			Tips:       []string{"nondeterministic_output"},
			History: []command.Change{
				{Since: "3.0.0", What: "The options `COPY` and `REPLACE` came."},
				{Since: "3.0.6", What: "The option `KEYS` came."},
				{Since: "4.0.7", What: "The option `AUTH` came."},
				{Since: "6.0.0", What: "The option `AUTH2` came."},
			},
			Args: []command.Arg{
				{Name: "host", Type: "string"}, {Name: "port", Type: "integer"},
				{Name: "key-selector", Type: "oneof", Args: []command.Arg{
					{Name: "key", Type: "key", Key: 1}, {Name: "empty-string", Type: "pure-token", Token: `""`}}},
				{Name: "destination-db", Type: "integer"}, {Name: "timeout", Type: "integer"},
				{Name: "copy", Type: "pure-token", Token: "COPY", Flags: command.Optional, Since: "3.0.0"},
				{Name: "replace", Type: "pure-token", Token: "REPLACE", Flags: command.Optional, Since: "3.0.0"},
				{Name: "authentication", Type: "oneof", Flags: command.Optional, Args: []command.Arg{
					{Name: "auth", Type: "string", Token: "AUTH", Since: "4.0.7"},
					{Name: "auth2", Type: "block", Token: "AUTH2", Since: "6.0.0", Args: []command.Arg{
						{Name: "username", Type: "string"}, {Name: "password", Type: "string"}}}}},
				{Name: "keys", Type: "key", Key: 2, Token: "KEYS", Flags: command.Optional | command.Multiple, Since: "3.0.6"},
			},
		},
	}}
}

// Busy reports whether keys of a slot are under way.
func (m *Mover) Busy(s slots.Slot) bool {
	return m.inFlight.Load() > 0 && m.slots[s>>6].Load()&(1<<(s&63)) != 0
}

// mark sets or clears the slots of a move; they are locked, and only moves
// that passed Busy come here.
func (m *Mover) mark(keys []*movingKey, on bool) {
	for _, k := range keys {
		s := slots.Of(k.name)
		if on {
			m.slots[s>>6].Or(1 << (s & 63))
		} else {
			m.slots[s>>6].And(^uint64(1 << (s & 63)))
		}
	}
}

// movingKey is a key under way.
type movingKey struct {
	name     []byte
	payload  []byte // as DUMP gives it
	expireAt int64
	watch    *storage.Watch // outside of a cluster: whether it changed meanwhile
	taken    bool           // the target has it
}

// move is one MIGRATE between its parts.
type move struct {
	migration
	db   int // selected by the client
	keys []*movingKey
	err  resp.Error // for the client
}

// migrate is MIGRATE (migrateCommand).
func (m *Mover) migrate(x *command.Ctx) {
	req, err := parseMigration(x.Args)
	x.Caller.Redact(req.secrets...)
	if err != "" {
		for i := firstOption; i < len(x.Args); i++ {
			x.Caller.Redact(i) // which of them are secrets is not known
		}
		x.Out.Error(err)
		return
	}
	v := &move{migration: req, db: x.Tx.DB()}
	for _, key := range req.names {
		if _, found := x.Tx.Find(key); !found {
			continue
		}
		k := &movingKey{name: key}
		if err := k.load(x.Tx); err != nil {
			x.Out.Error(resp.Error("ERR " + err.Error()))
			return
		}
		v.keys = append(v.keys, k)
	}
	if len(v.keys) == 0 {
		x.Out.Simple("NOKEY")
		return
	}
	resume := x.Suspend()
	if resume == nil {
		m.send(v)
		m.deleteTaken(x.Tx, v)
		v.reply(x.Out)
		return
	}
	m.begin(x.Tx, v)
	m.running.Go(func() { m.finish(v, resume) })
}

// load takes the value; the slot is locked.
func (k *movingKey) load(tx *storage.Tx) (err error) {
	e, found := tx.Peek(k.name)
	if !found {
		return errGone
	}
	k.expireAt = e.ExpireAt()
	k.payload = command.AppendDump(k.payload[:0], e)
	return nil
}

var errGone = errors.New("mover: the key is gone")

// begin protects the keys while they are under way.
func (m *Mover) begin(tx *storage.Tx, v *move) {
	m.inFlight.Add(1)
	switch {
	case v.copy:
	case m.Cluster:
		m.mark(v.keys, true)
	default:
		for _, k := range v.keys {
			k.watch = tx.Watch(k.name)
		}
	}
}

// finish is the rest of a move, in its own goroutine.
func (m *Mover) finish(v *move, resume command.Resume) {
	m.send(v)
	gate := replication.Offset(0)
	if !v.copy {
		for resends := 0; ; resends++ {
			var again []*movingKey
			gate, again = m.settle(v, resends < maxResends)
			if len(again) == 0 {
				break
			}
			m.resend(v, again)
		}
	}
	m.inFlight.Add(-1)
	resume(gate, v.reply)
}

// settle deletes what the target took, and ends the protection of all keys but
// those that changed and have to be sent again.
func (m *Mover) settle(v *move, mayResend bool) (gate replication.Offset, again []*movingKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ss := make([]slots.Slot, len(v.keys))
	for i, k := range v.keys {
		ss[i] = slots.Of(k.name)
	}
	tx := m.exec.Begin(time.Now().UnixMilli(), ss)
	tx.Select(v.db)
	tx.Command(nil)
	if m.Cluster {
		m.mark(v.keys, false)
	} else {
		again = m.stale(tx, v, mayResend)
	}
	m.deleteTaken(tx, v)
	tx.CommandEnd()
	for _, k := range again {
		k.watch = tx.Watch(k.name)
	}
	return m.exec.End(), again
}

// stale ends the watches and sorts out the keys that changed while they were
// under way: the target does not have what is here now.
func (m *Mover) stale(tx *storage.Tx, v *move, mayResend bool) (again []*movingKey) {
	for _, k := range v.keys {
		if k.watch == nil {
			continue
		}
		changed := tx.Changed(k.watch)
		tx.Unwatch(k.watch)
		k.watch = nil
		if !changed || !k.taken {
			continue
		}
		k.taken = false
		switch err := k.load(tx); {
		case err == errGone:
			k.payload = nil // resend deletes it
			again = append(again, k)
		case err != nil:
			v.fail(resp.Error("ERR " + err.Error()))
		case !mayResend:
			v.fail(errMigrateBusy)
		default:
			again = append(again, k)
		}
	}
	return again
}

// deleteTaken deletes the keys that the target has, and says so to the stream
// in one DEL. Nothing is deleted if the node has become a replica meanwhile:
// then its primary decides about its keys.
func (m *Mover) deleteTaken(tx *storage.Tx, v *move) {
	if v.copy {
		return
	}
	if tx.Role() != storage.RolePrimary {
		v.fail(resp.ErrReadOnly)
		return
	}
	if tx.ExpiryPaused() {
		// The stream stands still for a failover; a DEL would come after the
		// offset at which the new primary begins.
		v.fail(errMigratePaused)
		return
	}
	del := [][]byte{nameDel}
	for _, k := range v.keys {
		if k.taken && tx.Delete(k.name) {
			tx.Note(storage.ClassGeneric, "del", k.name)
			del = append(del, k.name)
		}
		k.taken = false
	}
	if len(del) > 1 {
		tx.Effect(del...)
	}
}

// fail keeps the first error.
func (v *move) fail(err resp.Error) {
	if v.err == "" {
		v.err = err
	}
}

func (v *move) reply(w *resp.Writer) {
	if v.err != "" {
		w.Error(v.err)
		return
	}
	w.OK()
}

// migration is what the arguments of MIGRATE say. The bytes are its own.
type migration struct {
	addr    string // host:port of the target
	db      int64  // at the target
	timeout time.Duration
	copy    bool
	replace bool
	auth    [][]byte // arguments of AUTH; nil for none
	secrets []int    // where those stand
	names   [][]byte
}

// firstOption is where the options of MIGRATE begin.
const firstOption = 6

// parseMigration reads the arguments of MIGRATE.
func parseMigration(args [][]byte) (req migration, err resp.Error) {
	req.names = [][]byte{bytes.Clone(args[3])}
	for i := firstOption; i < len(args); i++ {
		more := len(args) - 1 - i
		switch a := args[i]; {
		case resp.EqualFold(a, "copy"):
			req.copy = true
		case resp.EqualFold(a, "replace"):
			req.replace = true
		case resp.EqualFold(a, "auth") && more >= 1:
			req.auth = clone(args[i+1 : i+2])
			req.secrets = append(req.secrets, i+1)
			i++
		case resp.EqualFold(a, "auth2") && more >= 2:
			req.auth = clone(args[i+1 : i+3])
			req.secrets = append(req.secrets, i+1, i+2)
			i += 2
		case resp.EqualFold(a, "keys"):
			if len(args[3]) != 0 {
				return req, errMigrateKeys
			}
			req.names = clone(args[i+1:])
			i = len(args)
		default:
			return req, resp.ErrSyntax
		}
	}
	timeout, isInt := resp.ParseInt(args[5])
	db, isIntToo := resp.ParseInt(args[4])
	if !isInt || !isIntToo {
		return req, resp.ErrNotInteger
	}
	if timeout <= 0 {
		timeout = 1000
	}
	req.timeout = time.Duration(min(timeout, int64(time.Hour/time.Millisecond)*24)) * time.Millisecond
	req.db = db
	req.addr = joinHostPort(args[1], args[2])
	return req, ""
}

var nameDel = []byte("DEL")

func clone(args [][]byte) [][]byte {
	copies := make([][]byte, len(args))
	for i, a := range args {
		copies[i] = bytes.Clone(a)
	}
	return copies
}

// migrateKeys finds the keys of MIGRATE: argument 3, or, if that is empty,
// what follows KEYS. With both it has none, and the handler says why. A password
// may be called KEYS (migrateGetKeys).
func migrateKeys(dst []int, args [][]byte) ([]int, bool) {
	for i := 6; i < len(args); i++ {
		switch {
		case resp.EqualFold(args[i], "auth"):
			i++
		case resp.EqualFold(args[i], "auth2"):
			i += 2
		case resp.EqualFold(args[i], "keys"):
			if len(args[3]) > 0 {
				return dst, true
			}
			for j := i + 1; j < len(args); j++ {
				dst = append(dst, j)
			}
			return dst, true
		}
	}
	return append(dst, 3), len(args) > 3
}
