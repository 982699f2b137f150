package server

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/internal/version"
)

// connOf, loopOf and serverOf are how the handlers of this package reach what
// handlers of data must not know.
func connOf(x *command.Ctx) *conn     { return x.Conn.(*conn) }
func loopOf(x *command.Ctx) *loop     { return connOf(x).home.Load() }
func serverOf(x *command.Ctx) *Server { return connOf(x).srv }

// doc is the documentation of a row that needs no more than a sentence.
func doc(since, group, summary string) command.Doc {
	return command.Doc{Since: since, Group: group, Summary: summary, Complexity: "O(1)"}
}

// deprecated says since when a command has had a successor.
func deprecated(since, by string, r *command.Row) *command.Row {
	r.Doc.Deprecated, r.Doc.ReplacedBy = since, by
	return r
}

// ofSystem says that a command is not meant for applications.
func ofSystem(r *command.Row) *command.Row {
	r.Doc.System = true
	return r
}

const quick = command.NoScript | command.Loading | command.Stale | command.Fast

var connectionRows = []*command.Row{
	{Name: "ping", Arity: -1, Flags: command.Fast | command.WhileSubscribed | command.NeedsDisk, ACL: command.CatConnection, Lock: command.LockNone, Run: pingCommand,
		Doc: command.Doc{Since: "1.0.0", Group: "connection", Summary: "Answers PONG, or its argument.", Complexity: "O(1)", Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}}},
	{Name: "echo", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: echoCommand,
		Doc: doc("1.0.0", "connection", "Answers with its argument.")},
	{Name: "select", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: selectCommand,
		Doc: doc("1.0.0", "connection", "Chooses the database that the connection works in.")},
	{Name: "auth", Arity: -2, Flags: quick | command.NoAuth | command.AllowBusy, ACL: command.CatConnection, Lock: command.LockNone, Run: authCommand,
		Doc: doc("1.0.0", "connection", "Shows the password, or a user and the password.")},
	{Name: "hello", Arity: -1, Flags: quick | command.NoAuth | command.AllowBusy, ACL: command.CatConnection, Lock: command.LockNone, Run: helloCommand,
		Doc: doc("6.0.0", "connection", "Chooses the protocol, and may authenticate and name the connection.")},
	deprecated("7.2.0", "just closing the connection", &command.Row{Name: "quit", Arity: -1, Flags: quick | command.NoAuth | command.AllowBusy | command.Unqueued | command.WhileSubscribed, ACL: command.CatConnection, Lock: command.LockNone, Run: quitCommand,
		Doc: doc("1.0.0", "connection", "Ends the connection once all replies have been sent.")}),
	{Name: "reset", Arity: 1, Flags: quick | command.NoAuth | command.AllowBusy | command.Unqueued | command.WhileSubscribed, ACL: command.CatConnection, Lock: command.LockNone, Run: resetCommand,
		Doc: doc("6.2.0", "connection", "Makes the connection as new.")},
}

func pingCommand(x *command.Ctx) {
	if len(x.Args) > 2 {
		x.Out.Error(resp.ErrArity("ping"))
		return
	}
	c := connOf(x)
	switch {
	case c.conds&condSubscribed != 0:
		x.Out.Array(2)
		x.Out.BulkString("pong")
		if len(x.Args) == 2 {
			x.Out.Bulk(x.Args[1])
		} else {
			x.Out.BulkString("")
		}
	case len(x.Args) == 2:
		x.Out.Bulk(x.Args[1])
	default:
		x.Out.Simple("PONG")
	}
}

func echoCommand(x *command.Ctx) { x.Out.Bulk(x.Args[1]) }

func selectCommand(x *command.Ctx) {
	n, ok := resp.ParseInt(x.Args[1])
	s := serverOf(x)
	switch {
	case !ok:
		x.Out.Error(resp.ErrNotInteger)
	case n != int64(int32(n)):
		x.Out.Error(resp.ErrIntRange)
	case s.ClusterEnabled() && n != 0:
		x.Out.Error(resp.ErrSelectCluster)
	case n < 0 || n >= int64(s.keyspace.Databases()):
		x.Out.Error(resp.ErrDBIndex)
	default:
		connOf(x).db = int(n)
		x.Out.OK()
	}
}

func authCommand(x *command.Ctx) {
	if len(x.Args) > 3 {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	c, user, password := connOf(x), []byte("default"), x.Args[1]
	c.Redact(1, 2)
	if len(x.Args) == 3 {
		user, password = x.Args[1], x.Args[2]
	} else if loopOf(x).cfg.RequirePass == "" {
		x.Out.Error(resp.ErrNoPassword)
		return
	}
	if !c.login(user, password) {
		x.Out.Error(resp.ErrWrongPass)
		return
	}
	x.Out.OK()
}

// login authenticates the connection. There is one user, "default", with the
// password of requirepass.
func (c *conn) login(user, password []byte) bool {
	want := c.srv.config.Current().RequirePass
	if string(user) != "default" || (want != "" && !sameSecret(password, want)) {
		c.srv.authDenied.Add(1)
		return false
	}
	c.authenticated(true)
	return true
}

// authenticated notes whether the connection has named the password.
func (c *conn) authenticated(yes bool) {
	c.authed = yes
	c.parser.Limits.Unauthenticated = !yes
}

// sameSecret compares in a time that depends on the length of what was offered
// only.
func sameSecret(offered []byte, want string) bool {
	diff := len(offered) ^ len(want)
	for i, b := range offered {
		diff |= int(b ^ want[i%len(want)])
	}
	return diff == 0
}

func helloCommand(x *command.Ctx) {
	c, l := connOf(x), loopOf(x)
	proto, rest := int64(0), x.Args[1:]
	if len(rest) > 0 {
		var ok bool
		if proto, ok = resp.ParseInt(rest[0]); !ok {
			x.Out.Error(resp.ErrProtoVersion)
			return
		}
		if proto != resp.Proto2 && proto != resp.Proto3 {
			x.Out.Error(resp.ErrNoProto)
			return
		}
		rest = rest[1:]
	}
	name, named := "", false
	var user, password []byte
	for len(rest) > 0 {
		switch {
		case equalFold(rest[0], "auth") && len(rest) >= 3:
			at := len(x.Args) - len(rest)
			c.Redact(at+1, at+2)
			user, password = rest[1], rest[2]
			rest = rest[3:]
		case equalFold(rest[0], "setname") && len(rest) >= 2:
			if !validName(rest[1]) {
				x.Out.Error(resp.ErrClientName)
				return
			}
			name, named = string(rest[1]), true
			rest = rest[2:]
		default:
			x.Out.Error(resp.ErrHelloOption(rest[0]))
			return
		}
	}
	// Nothing has happened so far: a call that is refused changes nothing.
	if user != nil && !c.login(user, password) {
		x.Out.Error(resp.ErrWrongPass)
		return
	}
	if !c.authed {
		x.Out.Error(resp.ErrHelloNoAuth)
		return
	}
	if named {
		c.name = name
	}
	if proto != 0 {
		c.out.SetProto(int(proto))
		c.subscribedChanged()
	}
	mode, role := "standalone", "master"
	if l.cfg.ClusterEnabled {
		mode = "cluster"
	}
	if l.srv.isReplica() {
		role = "replica"
	}
	w := x.Out
	w.Map(7)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(version.Redis)
	w.BulkString("proto")
	w.Int(int64(w.Proto()))
	w.BulkString("id")
	w.Int(int64(c.id))
	w.BulkString("mode")
	w.BulkString(mode)
	w.BulkString("role")
	w.BulkString(role)
	w.BulkString("modules")
	w.Array(0)
}

func quitCommand(x *command.Ctx) {
	x.Out.OK()
	connOf(x).state |= stateClosing
}

// resetCommand brings the connection back to what it was when it came.
func resetCommand(x *command.Ctx) {
	c, l := connOf(x), loopOf(x)
	if c.feed != nil && c.is(stateDetached) {
		x.Out.Error(resp.ErrResetReplica)
		return
	}
	l.discard(c)
	l.srv.unsubscribeAll(c)
	if c.is(stateMonitor) {
		l.srv.monitors.remove(c)
	}
	c.state &^= stateMonitor | stateReadOnly | stateAsking | stateReplyOff | stateReplySkip | stateSkipping | stateNoEvict | stateNoTouch
	c.conds &^= condFeed
	c.db, c.name, c.feed = 0, "", nil
	c.out.SetProto(resp.Proto2)
	c.authenticated(l.cfg.RequirePass == "")
	x.Out.Simple("RESET")
}

// IPv6 reports whether the client of a call came over IPv6.
func (s *Server) IPv6(x *command.Ctx) bool { return connOf(x).ipv6 }
