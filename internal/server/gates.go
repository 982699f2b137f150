package server

import (
	"slices"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// condition is a set of circumstances under which some gate has something to
// look at. The server and each connection keep their share; on a calm node
// both are empty and a request passes all gates by one test.
type condition uint32

const (
	condPassword        condition = 1 << iota // the user default needs a password, or is off
	condUnauthenticated                       // the connection has not logged in
	condRestricted                            // the connection's user may not do everything
	condMulti                                 // the connection is in MULTI
	condCluster                               // keys are routed
	condDisk                                  // the disk refuses
	condFewReplicas                           // min-replicas-to-write or min-replicas-to-ack is set
	condReplica                               // the node is a replica
	condSubscribed                            // the connection has subscriptions and speaks RESP2
	condStale                                 // a replica without its primary, that shall not serve old data
	condLoading                               // data are being loaded
	condMonitor                               // the connection is a monitor
	condPause                                 // CLIENT PAUSE or a failover holds commands back
	condMemory                                // maxmemory is set
	condFull                                  // the stream is too far ahead of its journal
	condKept                                  // snapshots keep as much memory as they may
	condBusy                                  // a script takes long
	condUnconfirmed                           // a primary whose Sentinels have not said that it is one
)

// verdict is what a gate decides.
type verdict uint8

const (
	pass   verdict = iota
	refuse         // with the error in request.refusal
	wait           // the request is run later; the connection is not read meanwhile
	queue          // the request belongs to the transaction
)

// gate is one check before a command runs. It has one of two tests: ofClient looks
// at the connection that sent the command, ofCommand at the command and the node
// only. Those of the second kind are as true of a command that another one calls,
// and make up the gates of such a call.
type gate struct {
	name      string
	when      condition // any of these; 0: always
	ofClient  func(l *loop, c *conn, q *request) verdict
	ofCommand func(l *loop, q *request) verdict
}

// gates is every check in the order of Redis's processCommand. Existence and
// arity come before, since the others need the row.
var gates = []gate{
	{name: "protected command", ofClient: gateProtected},
	{name: "authentication", when: condUnauthenticated, ofClient: gateAuth},
	{name: "not in MULTI", when: condMulti, ofClient: gateNoMulti},
	{name: "permission", when: condRestricted, ofClient: gatePermission},
	{name: "route", when: condCluster, ofClient: gateRoute},
	{name: "memory", when: condMemory, ofCommand: gateMemory},
	{name: "disk", when: condDisk, ofCommand: gateDisk},
	{name: "enough replicas", when: condFewReplicas, ofCommand: gateReplicas},
	{name: "read-only replica", when: condReplica | condUnconfirmed, ofCommand: gateReadOnly},
	{name: "RESP2 subscriber", when: condSubscribed, ofClient: gateSubscriber},
	{name: "stale replica", when: condStale, ofCommand: gateStale},
	{name: "loading", when: condLoading, ofCommand: gateLoading},
	{name: "busy", when: condBusy, ofCommand: gateBusy},
	{name: "monitor", when: condMonitor, ofClient: gateMonitor},
	{name: "pause", when: condPause | condFull | condKept, ofClient: gatePause},
	{name: "takeover", when: condReplica, ofClient: gateTakeOver},
	{name: "queue of MULTI", when: condMulti, ofClient: gateQueue},
}

// callGates are those of gates that a call without a connection passes.
var callGates = slices.DeleteFunc(slices.Clone(gates), func(g gate) bool { return g.ofCommand == nil })

// stands reports whether the gate has something to look at under conditions now.
func (g *gate) stands(now condition) bool { return g.when == 0 || g.when&now != 0 }

// admit passes a client's request through the gates.
func (l *loop) admit(c *conn, q *request) verdict {
	now := condition(l.srv.conds.Load()) | c.conds
	if now == 0 && q.row.Flags&command.Protected == 0 {
		return pass // the only gate that is always there has nothing to say
	}
	for i := range gates {
		g := &gates[i]
		if !g.stands(now) {
			continue
		}
		v := pass
		if g.ofCommand != nil {
			v = g.ofCommand(l, q)
		} else {
			v = g.ofClient(l, c, q)
		}
		if v != pass {
			return v
		}
	}
	return pass
}

// admitCall passes a command through the gates that is called without a
// connection, within the unit at hand: by a script, or for a client that has waited
// for its keys. Who the client is, and where its keys belong, has been looked at
// when the unit began. Such a call cannot wait, so the answer is an error or none.
func (l *loop) admitCall(row *command.Row, args [][]byte) resp.Error {
	q := &l.call
	*q = request{row: row, args: args, flags: row.Flags, lacking: ^row.Flags}
	now := condition(l.srv.conds.Load())
	for i := range callGates {
		if g := &callGates[i]; g.stands(now) && g.ofCommand(l, q) != pass {
			return q.refusal
		}
	}
	return ""
}

// admitLocked looks again at what a gate has passed and what may have changed
// since, now that the unit holds its locks: whose slots they are, and whether the
// node still is a primary. A role changes under the world lock, so it stays as it
// is until the unit ends. What a write changed on a replica would be in no stream.
func (l *loop) admitLocked(q *request) resp.Error {
	if q.flags&command.Write != 0 && l.runner.Ctx.Tx.Role() == storage.RoleReplica {
		if err := l.srv.readOnly(l.cfg, true); err != "" {
			if q.row.Is(command.RunsQueue) {
				return resp.ErrExecAbortedBy(err)
			}
			return err
		}
	}
	return l.routeLocked(q)
}

// deny refuses with e.
func (q *request) deny(e resp.Error) verdict {
	q.refusal = e
	return refuse
}

func gateProtected(l *loop, c *conn, q *request) verdict {
	if q.row.Flags&command.Protected == 0 || l.cfg.EnableDebugCommand.Allows(c.loopback) {
		return pass
	}
	return q.deny(resp.ErrProtected("DEBUG", "enable-debug-command"))
}

func gateAuth(l *loop, _ *conn, q *request) verdict {
	if !l.srv.is(condPassword) || q.row.Is(command.NoAuth) {
		return pass
	}
	return q.deny(resp.ErrNoAuth)
}

func gateNoMulti(_ *loop, c *conn, q *request) verdict {
	if c.multi != nil && q.row.Is(command.NoMulti) {
		return q.deny(resp.ErrNotInMulti)
	}
	return pass
}

// gateRoute sends requests for other nodes' slots there. It looks at the
// cluster's present view without a lock; the unit looks again under the locks
// of its slots. What MULTI queues has no unit yet, and looks here.
func gateRoute(l *loop, c *conn, q *request) verdict {
	if len(q.row.Keys) == 0 && !q.row.Is(command.RunsQueue) {
		return pass
	}
	if q.found = l.findWay(c, q); !q.found {
		return pass
	}
	err := l.srv.cluster.Route(q.way)
	if err == "" && c.multi != nil && !q.row.Is(command.RunsQueue) {
		err = l.routeQueued(q)
	}
	if err == "" {
		return pass
	}
	q.redirected = true
	return q.deny(err)
}

func gateDisk(l *loop, q *request) verdict {
	if q.flags&command.Write == 0 && !q.row.Is(command.NeedsDisk) {
		return pass
	}
	if err := l.srv.diskError(); err != "" {
		return q.deny(err)
	}
	return pass
}

func gateReplicas(l *loop, q *request) verdict {
	if q.flags&command.Write != 0 && l.srv.fewReplicas(l.cfg) {
		return q.deny(resp.ErrNoReplicas)
	}
	return pass
}

// fewReplicas reports whether a primary has too few good replicas for a write, be it
// to take one or to have one acknowledged.
func (s *Server) fewReplicas(cfg *config.Settings) bool {
	if !s.is(condFewReplicas) || s.replication == nil || s.IsReplica() {
		return false
	}
	return cfg.MinReplicasToAck > 0 && s.replication.OnlineReplicas() < cfg.MinReplicasToAck ||
		cfg.MinReplicasToWrite > 0 && cfg.MinReplicasMaxLag > 0 && s.replication.GoodReplicas() < cfg.MinReplicasToWrite
}

func gateReadOnly(l *loop, q *request) verdict {
	if q.flags&command.Write != 0 {
		if err := l.srv.readOnly(l.cfg, l.srv.IsReplica()); err != "" {
			v := q.deny(err)
			if l.srv.handsOver.Load() && l.srv.pause.covers(l.unix, q.flags) {
				return wait
			}
			return v
		}
	}
	return pass
}

// readOnly is why the role of the node allows no writes, "" if it does.
func (s *Server) readOnly(cfg *config.Settings, replica bool) resp.Error {
	switch {
	case s.is(condUnconfirmed):
		return resp.ErrUnconfirmed
	case replica && cfg.ReplicaReadOnly:
		return resp.ErrReadOnly
	}
	return ""
}

func gateSubscriber(_ *loop, _ *conn, q *request) verdict {
	if q.row.Is(command.WhileSubscribed) {
		return pass
	}
	return q.deny(resp.ErrPubSubContext(q.row.FullName()))
}

func gateStale(_ *loop, q *request) verdict {
	if q.lacking&command.Stale != 0 {
		return q.deny(resp.ErrMasterDown)
	}
	return pass
}

func gateLoading(l *loop, q *request) verdict {
	if q.lacking&command.Loading == 0 {
		return pass
	}
	if v := q.deny(resp.ErrLoading); int64(l.mono) >= l.srv.patience.Load() {
		return v
	}
	return wait
}

func gateMonitor(_ *loop, _ *conn, q *request) verdict {
	if q.flags&(command.Write|command.ReadOnly|command.MayReplicate) != 0 {
		return q.deny(resp.ErrReplicaKeyspace)
	}
	return pass
}

func gatePause(l *loop, c *conn, q *request) verdict {
	if c.conds&condMonitor != 0 {
		return pass
	}
	if l.srv.pause.covers(l.unix, q.flags) || l.lacksRoom(q) {
		return wait
	}
	return pass
}

// lacksRoom reports whether a request has to wait for the journal or for snapshots. A
// script counts as one that writes unless it says that it does not, as for pauses. A
// message is no data, but outside of a cluster it is a part of the stream.
func (l *loop) lacksRoom(q *request) bool {
	s, writes := l.srv, q.flags&command.Write != 0
	if !writes && (q.flags&command.MayReplicate == 0 || s.is(condReplica)) {
		return false
	}
	message := q.row.Is(command.Publishes)
	return !message && s.is(condKept) || !(message && s.cluster != nil) && !s.stream.Room()
}

func gateQueue(_ *loop, c *conn, q *request) verdict {
	if c.multi == nil || q.row.Is(command.Unqueued) {
		return pass
	}
	return queue
}
