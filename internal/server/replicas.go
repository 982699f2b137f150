package server

import (
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/storage"
)

// replicationRows are the commands by which a replica takes its connection out of
// the loops, and those that wait for replicas.
var replicationRows = []*command.Row{
	{Name: "replconf", Arity: -1, Flags: command.Admin | command.NoScript | command.Loading | command.Stale | command.AllowBusy, Lock: command.LockNone, Run: command.For(replconfCommand),
		Doc: command.Doc{Since: "3.0.0", Group: "server", Summary: "Tells a primary about the replica at the other end.", Complexity: "O(1)", System: true}},
	{Name: "psync", Arity: -3, Flags: command.Admin | command.NoScript | command.NoAsyncLoading | command.NoMulti | command.TakesOver, Lock: command.LockNone, Run: command.For(psyncCommand),
		Doc: command.Brief("2.8.0", "server", "Asks a primary for its stream; replicas send it.")},
	{Name: "sync", Arity: 1, Flags: command.Admin | command.NoScript | command.NoAsyncLoading | command.NoMulti, Lock: command.LockNone, Run: command.For(psyncCommand),
		Doc: command.Brief("1.0.0", "server", "Asks a primary for its stream; replicas send it.")},
	{Name: "wait", Arity: 3, ACL: command.CatConnection, Lock: command.LockNone, Run: waitRow,
		Doc: command.Brief("3.0.0", "generic", "Waits until so many replicas have the connection's writes.")},
	{Name: "waitaof", Arity: 4, Flags: command.NoScript, ACL: command.CatConnection, Lock: command.LockNone, Run: command.For(waitAOFCommand),
		Doc: command.Brief("7.2.0", "generic", "Waits until the connection's writes are in the journal here, and in those of so many replicas.")},
}

// Follow changes the role, and what gates look at with it. All loops are stopped
// and tx holds the world: admin.Server.
func (s *Server) Follow(tx *storage.Tx, host string, port int, by string) {
	s.replication.Follow(tx, host, port, by)
	s.refreshConditions()
}

// Record notes a setting that a command changed, for CONFIG GET and REWRITE:
// admin.Server.
func (s *Server) Record(name string, args ...string) {
	if err := s.config.Record(name, args...); err != nil {
		s.log.Warn("Cannot note the setting "+name, zap.Error(err))
	}
}

// nodeIDLen is the length of the id of a member of a cluster.
const nodeIDLen = 40

func replconfCommand(x *command.Ctx, c *conn) {
	if len(x.Args)%2 == 0 {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	if c.replica == nil {
		c.replica = &Handshake{}
	}
	for args := x.Args[1:]; len(args) > 0; args = args[2:] {
		word, value := args[0], args[1]
		switch {
		case resp.EqualFold(word, "ack"), resp.EqualFold(word, "getack"):
			return // of replicas, which have left the loops; no reply
		case resp.EqualFold(word, "listening-port"):
			port, ok := resp.ParseInt(value)
			if !ok {
				x.Out.Error(resp.ErrNotInteger)
				return
			}
			c.replica.ListeningPort = int(port)
		case resp.EqualFold(word, "ip-address"):
			if len(value) > 255 {
				x.Out.Error(resp.ErrReplicaIP(len(value)))
				return
			}
			c.replica.IP = string(value)
		case resp.EqualFold(word, "capa"):
			c.replica.EOF = c.replica.EOF || resp.EqualFold(value, "eof")
			c.replica.Member = c.replica.Member || resp.EqualFold(value, "quorum-member")
			c.replica.PromptAcks = c.replica.PromptAcks || resp.EqualFold(value, "prompt-acks")
			c.replica.PSYNC2 = c.replica.PSYNC2 || resp.EqualFold(value, "psync2")
		case resp.EqualFold(word, "version"):
			c.replica.Version = string(value)
		case resp.EqualFold(word, "set-cluster-node-id"):
			if len(value) != nodeIDLen {
				x.Out.Error(resp.ErrReplicaNodeID)
				return
			}
			c.replica.NodeID = string(value)
		case resp.EqualFold(word, "rdb-only"):
			n, ok := resp.ParseInt(value)
			switch {
			case !ok:
				x.Out.Error(resp.ErrNotInteger)
				return
			case n < 0 || n > 1:
				x.Out.Error(resp.ErrZeroOrOne)
				return
			}
			c.replica.RDBOnly = value[0] == '1'
		case resp.EqualFold(word, "rdb-filter-only"):
			parts, ok := config.SplitArgs(string(value))
			if !ok {
				x.Out.Error(resp.ErrRDBFilter)
				return
			}
			c.replica.EmptyRDB, c.replica.Functions = true, len(parts) > 0
			for _, p := range parts {
				if !resp.EqualFold([]byte(p), "functions") {
					x.Out.Error(resp.ErrRDBFilterOption([]byte(p)))
					return
				}
			}
		default:
			x.Out.Error(resp.ErrReplconfOption(word))
			return
		}
	}
	x.Out.OK()
}

// psyncCommand hands the connection over to replication: the loop forgets it.
func psyncCommand(x *command.Ctx, c *conn) {
	l, s := c.home.Load(), c.srv
	if s.replication == nil {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	if c.is(stateMonitor) {
		return // it counts as a replica already, and is not answered, as in Redis
	}
	if len(x.Args) > 3 && resp.EqualFold(x.Args[3], "failover") {
		if err := l.takeOver(x.Args[1]); err != "" {
			x.Out.Error(err)
			return
		}
		if c.is(stateClosed) {
			return
		}
	}
	switch f, ok := s.replication.(admin.Coordinator); {
	case ok && f.FailoverState() != admin.NoFailover:
		x.Out.Error(resp.ErrSyncInFailover)
		return
	case s.IsReplica() && !s.replication.LinkUp():
		x.Out.Error(resp.ErrNoMasterLink)
		return
	case c.out.Len() != 0:
		x.Out.Error(resp.ErrPendingOutput)
		return
	}
	hello := Handshake{}
	if c.replica != nil {
		hello = *c.replica
	}
	hello.User = c.user.name
	if len(x.Args) >= 3 {
		at, ok := resp.ParseInt(x.Args[2])
		if !ok {
			s.log.Warn("Replica " + c.remote + " asks for synchronization but with a wrong offset")
			x.Out.Error(resp.ErrNotInteger)
			return
		}
		hello.Psync, hello.ID, hello.Offset = true, string(x.Args[1]), replication.Offset(at)
	}
	c.state |= stateDetached
	l.leaving = append(l.leaving, departure{c, func(nc net.Conn, rest []byte) {
		if nc != nil {
			peer := s.track(c, nc, replicaPeer)
			hello.Stray = peer.stray
			s.replication.Serve(peer.direct(), rest, hello)
		}
	}})
}

// takeOverPatience is how long a replica that is to take over reads what its primary has
// sent before.
const takeOverPatience = 5 * time.Second

// gateTakeOver lets a replica read what its primary had sent when it asked to be
// replaced, if that comes by another connection and may still lie there: a FAILOVER with
// FORCE does not wait for a replica. Taking over before, the node would lose writes
// that it could have, and the primary would need a full resync. Redis has one loop for
// both connections, and looks at the older one first.
func gateTakeOver(l *loop, c *conn, q *request) verdict {
	if !q.row.Is(command.TakesOver) || len(q.args) < 4 || !resp.EqualFold(q.args[3], "failover") || l.srv.replication == nil {
		return pass
	}
	r := l.srv.replication
	next, ok := resp.ParseInt(q.args[2])
	if !ok || !resp.EqualFold(q.args[1], r.ID()) || replication.Offset(next) <= l.srv.stream.End()+1 || !r.LinkUp() {
		return pass
	}
	switch {
	case c.takesOver == 0:
		c.takesOver = l.mono
	case l.mono-c.takesOver >= takeOverPatience:
		return pass
	}
	l.resumeIn(10 * time.Millisecond)
	return wait
}

// takeOver promotes the node because its primary, which hands over by FAILOVER,
// asks to be its replica in the history that both are in.
func (l *loop) takeOver(id []byte) resp.Error {
	s := l.srv
	switch {
	case !s.IsReplica(), s.ClusterEnabled():
		return resp.ErrPsyncToPrimary
	case !resp.EqualFold(id, s.replication.ID()):
		return resp.ErrPsyncOtherID
	}
	s.log.Warn("Failover request received for replid " + string(id) + ".")
	if !l.everything(func(tx *storage.Tx) { s.Follow(tx, "", 0, "failover request of the master") }) {
		return s.busy()
	}
	s.Record("replicaof", "no", "one")
	return ""
}

// departure is a connection that leaves the loops at the end of its request. Then take
// is called with it and with what the client has sent behind the request. nc is nil if
// the connection could not be taken out of its loop.
type departure struct {
	c    *conn
	take func(nc net.Conn, rest []byte)
}

// handOff calls take of a departing connection. rest is what the client has sent behind
// its last request.
func (l *loop) handOff(c *conn, rest []byte) {
	var take func(nc net.Conn, rest []byte)
	for i, d := range l.leaving {
		if d.c == c {
			take = d.take
			l.leaving = append(l.leaving[:i], l.leaving[i+1:]...)
			break
		}
	}
	rest = append([]byte(nil), rest...)
	l.forget(c)
	l.disown(c)
	l.srv.clients.Add(-1)
	if w := c.wire; w != nil {
		// An earlier reply may still be under way.
		w.detach()
		l.srv.goroutines.Go(func() {
			<-w.written
			take(w.nc, rest)
		})
		return
	}
	nc, err := blocking(c.fd)
	if err != nil {
		l.srv.log.Warn("Cannot take a connection out of its loop", zap.Error(err))
		take(nil, nil)
		return
	}
	if t := c.tls; t != nil {
		// An earlier reply may still be under way.
		l.srv.goroutines.Go(func() {
			if len(t.sealed) > 0 {
				_, _ = nc.Write(t.sealed) // if that fails, so does what follows
			}
			take(t.unloop(nc), rest)
		})
		return
	}
	take(nc, rest)
}

// blocking turns a socket that no loop polls any more into a connection with
// blocking calls.
func blocking(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "client")
	defer f.Close() // FileConn works on a duplicate
	return net.FileConn(f)
}
