package server

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// replicaConn is a connection of replication, one that it has taken over or the
// node's own to its primary, or that of an asynchronous debugging session. The loops
// do not know it, but CLIENT LIST shows it and CLIENT KILL closes it: a feeder or a
// session whose connection is closed ends, and a link to the primary begins anew.
type replicaConn struct {
	net.Conn
	about  admin.ClientInfo // what does not change
	user   *account         // nil: the node's own
	srv    *Server
	born   time.Duration
	heard  atomic.Int64 // when something came last, as a time since the server's start
	closed sync.Once

	received, sent atomic.Int64 // bytes
}

// replicaConns are the connections of replicas by their number.
type replicaConns struct {
	mu   sync.Mutex
	byID map[uint64]*replicaConn // guarded by mu
}

// peerKind is how CLIENT LIST describes a connection that has left the loops.
type peerKind struct{ kind, flags, command string }

var (
	replicaPeer = peerKind{"replica", "S", "psync"}
	debugPeer   = peerKind{"normal", "N", "eval"}
)

// track makes nc, until now the connection c, one that has left the loops.
func (s *Server) track(c *conn, nc net.Conn, k peerKind) *replicaConn {
	r := s.keep(&replicaConn{Conn: nc, srv: s, born: c.born, user: c.user, about: admin.ClientInfo{
		ID: c.id, Kind: k.kind, Flags: k.flags, Command: k.command, User: c.user.name, Proto: c.out.Proto(),
		Addr: c.remote, LocalAddr: c.local, Identity: admin.Identity{Name: c.identity.Name},
	}})
	if c.user.gone.Load() {
		r.Close() // deleted between the loops and here
	}
	return r
}

// TrackPrimary makes nc, which the node has opened to its primary, a client to be
// listed and killed.
func (s *Server) TrackPrimary(nc net.Conn) net.Conn {
	return s.keep(&replicaConn{Conn: nc, srv: s, born: time.Since(s.started), about: admin.ClientInfo{
		ID: s.nextID.Add(1), Kind: "master", Flags: "M", Command: "NULL", User: "(superuser)", Proto: resp.Proto2,
		Addr: nc.RemoteAddr().String(), LocalAddr: nc.LocalAddr().String(),
	}})
}

func (s *Server) keep(r *replicaConn) *replicaConn {
	r.heard.Store(int64(time.Since(s.started)))
	s.replicas.mu.Lock()
	defer s.replicas.mu.Unlock()
	if s.replicas.byID == nil {
		s.replicas.byID = map[uint64]*replicaConn{}
	}
	s.replicas.byID[r.about.ID] = r
	return r
}

// all returns the connections in the order of their numbers.
func (x *replicaConns) all() (list []*replicaConn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.byID {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *replicaConn) int { return cmp.Compare(a.about.ID, b.about.ID) })
	return list
}

func (r *replicaConn) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if n > 0 {
		r.heard.Store(int64(time.Since(r.srv.started)))
		r.received.Add(int64(n))
	}
	return n, err
}

func (r *replicaConn) Write(p []byte) (int, error) {
	n, err := r.Conn.Write(p)
	r.sent.Add(int64(n))
	return n, err
}

// directConn is a replicaConn to whose socket others than its owner write.
type directConn struct {
	*replicaConn
	socket syscall.RawConn
}

// direct returns the connection as one that can be written to without waiting, if its
// bytes go to the socket as they are: those of TLS do not.
func (r *replicaConn) direct() net.Conn {
	if s, ok := r.Conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return &directConn{r, raw}
		}
	}
	return r
}

// TrySend writes what the socket takes at once: psync.Sender.
func (d *directConn) TrySend(p []byte) (n int, err error) {
	failed := d.socket.Write(func(fd uintptr) bool {
		n, err = unix.Write(int(fd), p)
		return true
	})
	switch {
	case failed != nil:
		return 0, failed
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil:
		return 0, err
	}
	d.sent.Add(int64(n))
	return n, nil
}

// Close forgets the connection as well.
func (r *replicaConn) Close() error {
	r.closed.Do(func() {
		r.srv.replicas.mu.Lock()
		defer r.srv.replicas.mu.Unlock()
		delete(r.srv.replicas.byID, r.about.ID)
	})
	return r.Conn.Close()
}

// errStray ends the connection of a replica that has sent a command with a reply.
var errStray = errors.New("server: the replica has sent a command that has a reply")

// stray judges a command that a replica has sent where acknowledgements belong. A reply
// would be taken for a part of the stream, so a command that has one is not executed, and
// the connection is to end, which the log tells in the words of Redis
// (logInvalidUseAndFreeClientAsync, and afterErrorReply if the reply is an error).
func (r *replicaConn) stray(args [][]byte) error {
	row, known := r.srv.table.Resolve(args)
	name := "<unknown>"
	if row != nil {
		name = row.FullName()
	}
	if name == "replconf" && len(args)%2 == 1 && (resp.EqualFold(args[1], "ack") || resp.EqualFold(args[1], "getack")) {
		return nil // a malformed one; none of them has a reply
	}
	var failure resp.Error
	switch {
	case row == nil:
		failure = notFound(known, args)
	case !row.Takes(len(args)):
		failure = resp.ErrArity(name)
	case row.Flags&(command.Write|command.ReadOnly|command.MayReplicate) != 0:
		failure = resp.ErrReplicaKeyspace
	}
	if failure != "" {
		r.srv.strayErrors.Add(1)
		r.srv.log.Warn("== CRITICAL == This master is sending an error to its replica: '" + string(failure) +
			"' after processing the command '" + name + "'")
	}
	r.srv.log.Warn("Replica generated a reply to command '" + name + "', disconnecting it: " + r.Info().String())
	return errStray
}

// SetNoDelay is that of a TCP connection, below TLS too; others have no delay.
func (r *replicaConn) SetNoDelay(on bool) error {
	nc := r.Conn
	if t, ok := nc.(*tls.Conn); ok {
		nc = t.NetConn()
	}
	if f, ok := nc.(*feed); ok {
		nc = f.nc
	}
	if tcp, ok := nc.(*net.TCPConn); ok {
		return tcp.SetNoDelay(on)
	}
	return nil
}

// Info describes the connection. What is sent is not buffered here: admin.Peer.
func (r *replicaConn) Info() admin.ClientInfo {
	now := time.Since(r.srv.started)
	i := r.about
	i.Age, i.Idle = now-r.born, now-time.Duration(r.heard.Load())
	i.InBytes, i.OutBytes = r.received.Load(), r.sent.Load()
	i.FD, i.Queued, i.Events, i.Memory = -1, -1, "rw", connBytes
	return i
}

// Kill closes the connection: admin.Peer.
func (r *replicaConn) Kill() bool {
	r.Close()
	return true
}
