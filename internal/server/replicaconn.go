package server

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/internal/resp"
)

// replicaConn is a connection of replication: one that it has taken over, or the
// node's own to its primary. The loops do not know it, but CLIENT LIST shows it and
// CLIENT KILL closes it: a feeder whose connection is closed ends, and a link to the
// primary begins anew.
type replicaConn struct {
	net.Conn
	clientFacts
	srv    *Server
	name   string
	proto  int
	heard  atomic.Int64 // when something came last, as a time since the server's start
	closed sync.Once
}

// clientFacts are what CLIENT LIST and KILL pick clients by.
type clientFacts struct {
	id          uint64
	kind        string
	addr, laddr string
	user        string
	born        time.Duration
}

// facts are those of a loop's connection.
func (c *conn) facts() clientFacts {
	return clientFacts{id: c.id, kind: c.kind(), addr: c.remote, laddr: c.local, user: c.user, born: c.born}
}

// replicaConns are the connections of replicas by their number.
type replicaConns struct {
	mu   sync.Mutex
	byID map[uint64]*replicaConn // guarded by mu
}

// track makes nc, until now the connection c, one of a replica.
func (s *Server) track(c *conn, nc net.Conn) *replicaConn {
	r := &replicaConn{Conn: nc, clientFacts: c.facts(), srv: s, name: c.name, proto: c.out.Proto()}
	r.kind = "replica"
	return s.keep(r)
}

// TrackPrimary makes nc, which the node has opened to its primary, a client to be
// listed and killed.
func (s *Server) TrackPrimary(nc net.Conn) net.Conn {
	return s.keep(&replicaConn{Conn: nc, srv: s, proto: resp.Proto2, clientFacts: clientFacts{
		id: s.nextID.Add(1), kind: "master", user: "(superuser)", born: time.Since(s.started),
		addr: nc.RemoteAddr().String(), laddr: nc.LocalAddr().String(),
	}})
}

func (s *Server) keep(r *replicaConn) *replicaConn {
	r.heard.Store(int64(time.Since(s.started)))
	s.replicas.mu.Lock()
	defer s.replicas.mu.Unlock()
	if s.replicas.byID == nil {
		s.replicas.byID = map[uint64]*replicaConn{}
	}
	s.replicas.byID[r.id] = r
	return r
}

// all returns the connections in the order of their numbers.
func (x *replicaConns) all() (list []*replicaConn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.byID {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *replicaConn) int { return int(int64(a.id) - int64(b.id)) })
	return list
}

func (r *replicaConn) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	if n > 0 {
		r.heard.Store(int64(time.Since(r.srv.started)))
	}
	return n, err
}

// Close forgets the connection as well.
func (r *replicaConn) Close() error {
	r.closed.Do(func() {
		r.srv.replicas.mu.Lock()
		defer r.srv.replicas.mu.Unlock()
		delete(r.srv.replicas.byID, r.id)
	})
	return r.Conn.Close()
}

// SetNoDelay is that of a TCP connection; others have no delay.
func (r *replicaConn) SetNoDelay(on bool) error {
	if tcp, ok := r.Conn.(*net.TCPConn); ok {
		return tcp.SetNoDelay(on)
	}
	return nil
}

// describe is the line of CLIENT LIST. What is sent is not buffered here.
func (r *replicaConn) describe() string {
	now := time.Since(r.srv.started)
	flag, command := 'S', "psync"
	if r.kind == "master" {
		flag, command = 'M', "NULL"
	}
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=-1 name=%s age=%d idle=%d flags=%c db=0 sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=%d events=rw cmd=%s user=%s redir=-1 resp=%d lib-name= lib-ver=",
		r.id, r.addr, r.laddr, r.name, int64((now-r.born)/time.Second), int64((now-time.Duration(r.heard.Load()))/time.Second), flag, connBytes, command, r.user, r.proto)
}
