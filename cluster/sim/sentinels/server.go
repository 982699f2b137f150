package sentinels

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/cluster/sentinel"
	"redoubt/cluster/sim/virtual"
)

// Server is a machine that stands for a redis-server.
type Server struct {
	*virtual.Host
	// Priority is slave-priority; 0: it is never to be promoted.
	Priority int

	world *World
	group *Group

	conf    sentinel.Addr // replicaof in redis.conf; zero: none
	primary sentinel.Addr // whom it replicates now; zero: nobody, it is a primary
	runID   string
	offset  int64
	sync    replication
	roles   int           // counts changes of role, which end the links of replicas
	loading time.Time     // answers LOADING until then
	slow    time.Duration // what an INFO takes
	moving  bool          // it hands over to a replica: FAILOVER TO
	clients []*client
}

// replication is a replica's link to its primary.
type replication struct {
	from  *Server // nil: there is no connection
	life  int     // of from
	role  int     // of from; see Server.roles
	up    bool
	ready time.Time // when the resynchronization ends
	heard time.Time
	down  time.Time // since when the link is down by the wall clock; zero: it never was up
}

const (
	replicationPeriod  = 200 * time.Millisecond
	replicationTimeout = 10 * time.Second // repl-timeout
)

// newServer makes a server of a host, which is down.
func newServer(w *World, g *Group, h *virtual.Host) *Server {
	s := &Server{Host: h, Priority: 100, world: w, group: g}
	w.Net.Listen(h, serverPort, func(e *virtual.End[message]) virtual.Handler[message] {
		c := &client{end: e, request: s.request, gone: s.forget}
		s.clients = append(s.clients, c)
		return c
	})
	return s
}

// addr is where it is.
func (s *Server) addr() sentinel.Addr { return sentinel.Addr{Host: s.IP, Port: serverPort} }

// IsReplica reports whether it follows somebody.
func (s *Server) IsReplica() bool { return s.primary != sentinel.Addr{} }

// Start boots the server with the role in its redis.conf.
func (s *Server) Start() {
	s.Host.Start()
	s.primary = s.conf
	s.runID = fmt.Sprintf("%020x%020x", s.world.Rand.Uint64(), s.world.Rand.Uint64())
	s.sync = replication{}
	s.moving = false
	s.clients = nil
	s.tend()
}

// Crash stops the server at once. It may lose its last writes.
func (s *Server) Crash() {
	if !s.Up() {
		return
	}
	s.world.Log(s.Host, "crash")
	s.Stop()
	s.offset = max(0, s.offset-s.world.Rand.Int64N(1000))
	s.world.Net.HangUpAll(s.Host)
}

// Restart starts a server that has crashed. It may take its time to load its
// data.
func (s *Server) Restart() {
	if s.Up() {
		return
	}
	s.world.Log(s.Host, "restart")
	s.loading = s.world.Now().Add(s.world.Between(0, s.world.opt.SyncMax))
	s.Start()
}

// Move gives a server that is down another address.
func (s *Server) Move() {
	s.IP = s.world.newIP()
	s.world.owners[s.addr()] = s
	s.world.Log(s.Host, "moves to "+s.IP)
}

// follow makes it a replica of whoever is at an address, or a primary. It ends the
// links of its own replicas, as in replicationSetMaster.
func (s *Server) follow(a sentinel.Addr) {
	if a == s.primary {
		return
	}
	s.primary = a
	s.roles++
	s.sync = replication{}
}

// tend is a moment of replication: a primary's clients write, a replica copies.
func (s *Server) tend() {
	s.Later(replicationPeriod, func() {
		if s.IsReplica() {
			s.follows()
		} else if !s.moving {
			s.offset += 50 + s.world.Rand.Int64N(100)
		}
		s.tend()
	})
}

// follows is a moment of a replica's link.
func (s *Server) follows() {
	l, now := &s.sync, s.world.Now()
	p := s.world.server(s.primary)
	reachable := p != nil && p != s && s.reaches(p)
	if l.from != nil && (l.from != p || !p.Up() || l.life != p.Life() || l.role != p.roles || now.Sub(l.heard) > replicationTimeout) {
		s.lose()
	}
	switch {
	case !reachable || !p.serves():
	case l.from == nil:
		*l = replication{from: p, life: p.Life(), role: p.roles, heard: now, down: l.down}
		l.ready = now.Add(s.world.Between(0, s.world.opt.SyncMax))
	case !l.up:
		l.heard = now
		if !l.ready.After(now) {
			l.up, s.offset = true, p.offset
		}
	default:
		l.heard = now
		s.offset = max(s.offset, p.offset-s.world.Rand.Int64N(100))
	}
}

// wall is what the server reads of its clock: as redis-server it counts by the wall.
func (s *Server) wall() time.Time { return s.Clock().Round(0) }

// lose ends the link to the primary.
func (s *Server) lose() {
	down := s.sync.down
	if s.sync.up {
		down = s.wall()
	}
	s.sync = replication{down: down}
}

// reaches reports whether messages get to another server and back.
func (s *Server) reaches(p *Server) bool {
	return s.world.Net.Open(s.Host, p.Host) && s.world.Net.Open(p.Host, s.Host)
}

// serves reports whether it answers replicas now. One that is a replica itself does
// so while it has its primary: two that follow each other get nothing.
func (s *Server) serves() bool {
	return s.Up() && !s.Frozen() && !s.loading.After(s.world.Now()) && (!s.IsReplica() || s.sync.up)
}

// replicas are those that a primary sees connected.
func (s *Server) replicas() []*Server {
	var list []*Server
	for _, g := range s.world.Groups {
		for _, r := range g.Servers {
			if r.Up() && r.sync.from == s && r.sync.life == s.Life() {
				list = append(list, r)
			}
		}
	}
	return list
}

// request answers a client.
func (s *Server) request(c *client, commands [][]string, a *answer) {
	reply := failure("LOADING Redis is loading the dataset in memory")
	if verb := strings.ToUpper(commands[0][0]); s.loading.After(s.world.Now()) && (verb == "PING" || verb == "MULTI") {
		a.give(reply)
		return
	}
	var done []sentinel.Reply
	for _, argv := range commands {
		reply = s.execute(c, argv)
		switch strings.ToUpper(argv[0]) {
		case "MULTI":
			done = []sentinel.Reply{}
		case "EXEC":
			reply = array(done...)
		default:
			done = append(done, reply)
		}
	}
	if strings.ToUpper(commands[0][0]) == "INFO" && s.slow > 0 {
		s.Later(s.slow, func() { a.give(reply) })
		return
	}
	a.give(reply)
}

// execute carries one command out. Those of a transaction are carried out as they
// come: they come together.
func (s *Server) execute(c *client, argv []string) sentinel.Reply {
	switch strings.ToUpper(argv[0]) {
	case "PING":
		return status("PONG")
	case "INFO":
		return bulk(s.info())
	case "SUBSCRIBE":
		c.subscribed = true
	case "PUBLISH":
		s.publish(argv[2])
		return integer(1)
	case "SLAVEOF", "REPLICAOF":
		s.replicaOf(argv[1], argv[2])
	case "CONFIG":
		s.conf = s.primary
	case "CLIENT":
		if strings.ToUpper(argv[1]) == "KILL" {
			s.kill(c, argv[3])
		}
	case "FAILOVER":
		return s.handOver(argv[2], argv[3])
	}
	return status("OK")
}

// address is a host and a port in words.
func address(host, port string) sentinel.Addr {
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return sentinel.Addr{}
	}
	return sentinel.Addr{Host: host, Port: uint16(p)}
}

func (s *Server) replicaOf(host, port string) {
	if strings.EqualFold(host, "no") && strings.EqualFold(port, "one") {
		s.world.Log(s.Host, "becomes a primary")
		s.follow(sentinel.Addr{})
		return
	}
	s.world.Log(s.Host, "becomes a replica of "+host)
	s.follow(address(host, port))
}

// publish passes a message on to the subscribers, and to the replicas, which do the
// same.
func (s *Server) publish(text string) {
	for _, c := range s.clients {
		if c.subscribed {
			c.end.Send(message{hello: text})
		}
	}
	for _, r := range s.replicas() {
		if r.sync.up && s.reaches(r) {
			r.Later(s.world.Net.Latency(), func() { r.publish(text) })
		}
	}
}

// kill closes the connections of a type but the one that asks.
func (s *Server) kill(except *client, kind string) {
	for _, c := range slices.Clone(s.clients) {
		if c != except && c.subscribed == (kind == "pubsub") {
			c.end.Close()
		}
	}
}

// forget drops a connection that is gone.
func (s *Server) forget(c *client) {
	s.clients = slices.DeleteFunc(s.clients, func(other *client) bool { return other == c })
}

// handOver is FAILOVER TO: the replica takes over with all that its primary has, or
// nothing happens.
func (s *Server) handOver(host, port string) sentinel.Reply {
	to := s.world.server(address(host, port))
	switch {
	case s.IsReplica():
		return failure("ERR FAILOVER is not valid when server is a replica.")
	case s.moving:
		return failure("ERR FAILOVER already in progress.")
	case to == nil || to.sync.from != s || !to.sync.up:
		return failure("ERR FAILOVER target HOST and PORT is not a replica.")
	}
	s.moving = true
	s.Later(s.world.Between(0, time.Second), func() {
		s.moving = false
		if s.IsReplica() || to.sync.from != s || !to.sync.up || !s.reaches(to) || !to.serves() {
			s.world.Log(s.Host, "hands over in vain")
			return
		}
		s.world.Log(s.Host, "hands over to "+host)
		to.offset = s.offset
		to.follow(sentinel.Addr{})
		s.follow(to.addr())
	})
	return status("OK")
}

// info is what INFO replies.
func (s *Server) info() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("# Server")
	line("redis_version:7.2.6")
	line("run_id:%s", s.runID)
	line("")
	line("# Replication")
	if s.IsReplica() {
		s.infoOfReplica(line)
	} else {
		line("role:master")
	}
	replicas := s.replicas()
	line("connected_slaves:%d", len(replicas))
	for i, r := range replicas {
		line("slave%d:ip=%s,port=%d,state=online,offset=%d,lag=0", i, r.IP, serverPort, r.offset)
	}
	state := "no-failover"
	if s.moving {
		state = "waiting-for-sync"
	}
	line("master_failover_state:%s", state)
	line("master_repl_offset:%d", s.offset)
	return b.String()
}

func (s *Server) infoOfReplica(line func(string, ...any)) {
	l := &s.sync
	link := "down"
	if l.up {
		link = "up"
	}
	line("role:slave")
	line("master_host:%s", s.primary.Host)
	line("master_port:%d", s.primary.Port)
	line("master_link_status:%s", link)
	line("slave_repl_offset:%d", s.offset)
	if !l.up {
		since := int64(-1)
		if !l.down.IsZero() {
			since = int64(s.wall().Sub(l.down) / time.Second)
		}
		line("master_link_down_since_seconds:%d", since)
	}
	line("slave_priority:%d", s.Priority)
	line("slave_read_only:1")
	line("replica_announced:1")
}
