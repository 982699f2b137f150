package server

import (
	"net"
	"os"
	"strconv"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/replication"
	"redoubt/storage"
)

// replicaState is what a connection said of itself with REPLCONF.
type replicaState struct{ Handshake }

var replicationRows = []*command.Row{
	stopping(serverRow("replicaof", 3, command.Admin|command.NoScript|command.Stale|command.NoAsyncLoading, "5.0.0", "Follows a primary from now on, or becomes one.", replicaOfCommand)),
	stopping(deprecated("5.0.0", "`REPLICAOF`", serverRow("slaveof", 3, command.Admin|command.NoScript|command.Stale|command.NoAsyncLoading, "1.0.0", "Is REPLICAOF by its old name.", replicaOfCommand))),
	within(command.CatAdmin|command.CatDangerous, serverRow("role", 1, command.NoScript|command.Loading|command.Stale|command.Fast, "2.8.12", "Tells whether the node is a primary or a replica, and of whom.", roleCommand)),
	ofSystem(serverRow("replconf", -1, command.Admin|command.NoScript|command.Loading|command.Stale|command.AllowBusy, "3.0.0", "Tells a primary about the replica at the other end.", replconfCommand)),
	serverRow("psync", -3, command.Admin|command.NoScript|command.NoAsyncLoading|command.NoMulti, "2.8.0", "Asks a primary for its stream; replicas send it.", psyncCommand),
	serverRow("sync", 1, command.Admin|command.NoScript|command.NoAsyncLoading|command.NoMulti, "1.0.0", "Asks a primary for its stream; replicas send it.", psyncCommand),
	{Name: "wait", Arity: 3, ACL: command.CatConnection, Lock: command.LockNone, Run: waitCommand,
		Doc: doc("3.0.0", "generic", "Waits until so many replicas have the connection's writes.")},
	{Name: "waitaof", Arity: 4, Flags: command.NoScript, ACL: command.CatConnection, Lock: command.LockNone, Run: waitAOFCommand,
		Doc: doc("7.2.0", "generic", "Waits until the connection's writes are in the journal here, and in those of so many replicas.")},
}

func replicaOfCommand(x *command.Ctx) {
	l := loopOf(x)
	s := l.srv
	if s.ClusterEnabled() {
		x.Out.Error(resp.ErrReplicaOfCluster)
		return
	}
	host, port := string(x.Args[1]), int64(0)
	if equalFold(x.Args[1], "no") && equalFold(x.Args[2], "one") {
		host = ""
	} else {
		if connOf(x).is(stateMonitor) {
			x.Out.Error(resp.ErrFeedReplicaOf) // a monitor counts as one
			return
		}
		var ok bool
		if port, ok = resp.ParseInt(x.Args[2]); !ok || port < 0 || port > 65535 {
			x.Out.Error(resp.ErrMasterPort)
			return
		}
	}
	if s.replication == nil {
		if host == "" {
			x.Out.OK() // it is a primary already
		} else {
			x.Out.Error(resp.ErrGeneric)
		}
		return
	}
	if h, p := s.replication.Primary(); host != "" && h == host && p == int(port) {
		x.Out.Simple("OK Already connected to specified master")
		return
	}
	l.follow(host, int(port))
	if host == "" {
		s.record("replicaof", "no", "one")
	} else {
		s.record("replicaof", host, strconv.FormatInt(port, 10))
	}
	x.Out.OK()
}

// follow changes the role, and what gates look at with it, while nothing runs.
func (l *loop) follow(host string, port int) {
	l.everything(func(tx *storage.Tx) {
		l.srv.replication.Follow(tx, host, port)
		l.srv.refreshConditions()
	})
}

// record notes a setting that a command changed, for CONFIG GET and REWRITE.
func (s *Server) record(name string, args ...string) {
	if err := s.config.Record(name, args...); err != nil {
		s.log.Warn("Cannot note the setting " + name + ": " + err.Error())
	}
}

func roleCommand(x *command.Ctx) {
	s, w := serverOf(x), x.Out
	if s.replication == nil {
		w.Array(3)
		w.BulkString("master")
		w.Int(int64(s.stream.End()))
		w.Array(0)
		return
	}
	host, port := s.replication.Primary()
	if host != "" {
		w.Array(5)
		w.BulkString("slave")
		w.BulkString(host)
		w.Int(int64(port))
		w.BulkString(s.replication.LinkState())
		if s.replication.LinkUp() {
			w.Int(int64(s.stream.End()))
		} else {
			w.Int(-1)
		}
		return
	}
	replicas := s.replication.Replicas()
	w.Array(3)
	w.BulkString("master")
	w.Int(int64(s.stream.End()))
	w.Array(len(replicas))
	for _, r := range replicas {
		w.Array(3)
		w.BulkString(r.IP)
		w.BulkInt(int64(r.Port))
		w.BulkInt(int64(r.Offset))
	}
}

func replconfCommand(x *command.Ctx) {
	if len(x.Args)%2 == 0 {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	c := connOf(x)
	if c.feed == nil {
		c.feed = &replicaState{}
	}
	for args := x.Args[1:]; len(args) > 0; args = args[2:] {
		word, value := args[0], args[1]
		switch {
		case equalFold(word, "ack"), equalFold(word, "getack"):
			return // of replicas, which have left the loops; no reply
		case equalFold(word, "listening-port"):
			port, ok := resp.ParseInt(value)
			if !ok {
				x.Out.Error(resp.ErrNotInteger)
				return
			}
			c.feed.ListeningPort = int(port)
		case equalFold(word, "ip-address"):
			if len(value) > 255 {
				x.Out.Error(resp.ErrReplicaIP(len(value)))
				return
			}
			c.feed.IP = string(value)
		case equalFold(word, "capa"):
			c.feed.EOF = c.feed.EOF || equalFold(value, "eof")
			c.feed.PSYNC2 = c.feed.PSYNC2 || equalFold(value, "psync2")
		case equalFold(word, "version"):
			c.feed.Version = string(value)
		case equalFold(word, "rdb-only"):
			n, ok := resp.ParseInt(value)
			switch {
			case !ok:
				x.Out.Error(resp.ErrNotInteger)
				return
			case n < 0 || n > 1:
				x.Out.Error(resp.ErrZeroOrOne)
				return
			}
			c.feed.RDBOnly = value[0] == '1'
		case equalFold(word, "rdb-filter-only"):
			parts, ok := config.SplitArgs(string(value))
			if !ok {
				x.Out.Error(resp.ErrRDBFilter)
				return
			}
			c.feed.EmptyRDB = true
			for _, p := range parts {
				if !equalFold([]byte(p), "functions") {
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
func psyncCommand(x *command.Ctx) {
	c, l := connOf(x), loopOf(x)
	s := l.srv
	if s.replication == nil {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	if c.is(stateMonitor) {
		return // it counts as a replica already, and is not answered, as in Redis
	}
	if len(x.Args) > 3 && equalFold(x.Args[3], "failover") {
		if err := l.takeOver(x.Args[1]); err != "" {
			x.Out.Error(err)
			return
		}
		if c.is(stateClosed) {
			return
		}
	}
	switch {
	case s.IsReplica() && !s.replication.LinkUp():
		x.Out.Error(resp.ErrNoMasterLink)
		return
	case c.out.Len() != 0:
		x.Out.Error(resp.ErrPendingOutput)
		return
	}
	hello := Handshake{}
	if c.feed != nil {
		hello = c.feed.Handshake
	}
	hello.User = c.user
	if len(x.Args) >= 3 {
		at, ok := resp.ParseInt(x.Args[2])
		if !ok {
			x.Out.Error(resp.ErrNotInteger)
			return
		}
		hello.Psync, hello.ID, hello.Offset = true, string(x.Args[1]), replication.Offset(at)
	}
	c.state |= stateDetached
	l.leaving = append(l.leaving, departure{c, hello})
}

// takeOver promotes the node because its primary, which hands over by FAILOVER,
// asks to be its replica in the history that both are in.
func (l *loop) takeOver(id []byte) resp.Error {
	s := l.srv
	switch {
	case !s.IsReplica(), s.ClusterEnabled():
		return resp.ErrPsyncToPrimary
	case !equalFold(id, s.replication.ID()):
		return resp.ErrPsyncOtherID
	}
	s.log.Warn("Failover request received for replid " + string(id) + ".")
	l.follow("", 0)
	s.record("replicaof", "no", "one")
	return ""
}

// departure is a connection that leaves the loops for replication at the end
// of the request.
type departure struct {
	c     *conn
	hello Handshake
}

// handOver gives the departing connections to replication. rest is what the
// connection sent after its last request.
func (l *loop) handOver(c *conn, rest []byte) {
	var hello Handshake
	for i, d := range l.leaving {
		if d.c == c {
			hello = d.hello
			l.leaving = append(l.leaving[:i], l.leaving[i+1:]...)
			break
		}
	}
	rest = append([]byte(nil), rest...)
	l.forget(c)
	l.disown(c)
	l.srv.clients.Add(-1)
	if w := c.wire; w != nil {
		tracked := l.srv.track(c, w.nc)
		// An earlier reply may still be under way.
		w.stop()
		l.srv.goroutines.Go(func() {
			<-w.written
			l.srv.replication.Serve(tracked, rest, hello)
		})
		return
	}
	nc, err := blocking(c.fd)
	if err != nil {
		l.srv.log.Warn("Cannot hand a replica's connection over: " + err.Error())
		return
	}
	l.srv.replication.Serve(l.srv.track(c, nc), rest, hello)
}

// blocking turns a socket that no loop polls any more into a connection with
// blocking calls.
func blocking(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "replica")
	defer f.Close() // FileConn works on a duplicate
	return net.FileConn(f)
}
