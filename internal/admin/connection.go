package admin

import (
	"redoubt/internal/acl"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/internal/version"
)

const quick = command.NoScript | command.Loading | command.Stale | command.Fast

func (a *Commands) connectionRows() []*command.Row {
	return []*command.Row{
		{Name: "ping", Arity: -1, Flags: command.Fast | command.WhileSubscribed | command.NeedsDisk, ACL: command.CatConnection, Lock: command.LockNone, Run: ping,
			Doc: command.Doc{Since: "1.0.0", Group: "connection", Summary: "Answers PONG, or its argument.", Complexity: "O(1)", Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}}},
		{Name: "echo", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: echo,
			Doc: command.Brief("1.0.0", "connection", "Answers with its argument.")},
		{Name: "select", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, ACL: command.CatConnection, Lock: command.LockNone, Run: command.For(selectDB),
			Doc: command.Brief("1.0.0", "connection", "Chooses the database that the connection works in.")},
		{Name: "auth", Arity: -2, Flags: quick | command.NoAuth | command.AllowBusy, ACL: command.CatConnection, Lock: command.LockNone, Run: command.For(a.auth),
			Doc: command.Brief("1.0.0", "connection", "Shows the password, or a user and the password.")},
		{Name: "hello", Arity: -1, Flags: quick | command.NoAuth | command.AllowBusy, ACL: command.CatConnection, Lock: command.LockNone, Run: command.For(a.hello),
			Doc: command.Brief("6.0.0", "connection", "Chooses the protocol, and may authenticate and name the connection.")},
		deprecated("7.2.0", "just closing the connection", &command.Row{Name: "quit", Arity: -1, Flags: quick | command.NoAuth | command.AllowBusy | command.Unqueued | command.WhileSubscribed, ACL: command.CatConnection, Lock: command.LockNone, Run: command.For(quit),
			Doc: command.Brief("1.0.0", "connection", "Ends the connection once all replies have been sent.")}),
		{Name: "reset", Arity: 1, Flags: quick | command.NoAuth | command.AllowBusy | command.Unqueued | command.WhileSubscribed, ACL: command.CatConnection, Lock: command.LockNone, Run: command.For(reset),
			Doc: command.Brief("6.2.0", "connection", "Makes the connection as new.")},
	}
}

func ping(x *command.Ctx) {
	if len(x.Args) > 2 {
		x.Out.Error(resp.ErrArity("ping"))
		return
	}
	c, _ := x.Caller.(Subscriber)
	switch {
	case c != nil && c.HearsOnly():
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

func echo(x *command.Ctx) { x.Out.Bulk(x.Args[1]) }

func selectDB(x *command.Ctx, c Selector) {
	n, ok := resp.ParseInt(x.Args[1])
	switch {
	case !ok:
		x.Out.Error(resp.ErrNotInteger)
	case n != int64(int32(n)):
		x.Out.Error(resp.ErrIntRange)
	case x.Host.ClusterEnabled() && n != 0:
		x.Out.Error(resp.ErrSelectCluster)
	case n < 0 || n >= int64(x.Host.Keyspace().Databases()):
		x.Out.Error(resp.ErrDBIndex)
	default:
		c.Select(int(n))
		x.Out.OK()
	}
}

func (a *Commands) auth(x *command.Ctx, c Session) {
	redactFrom(c, x.Args, 1)
	if len(x.Args) > 3 {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	user, password := []byte(acl.DefaultName), x.Args[1]
	if len(x.Args) == 3 {
		user, password = x.Args[1], x.Args[2]
	} else if a.Server.User(acl.DefaultName).NoPass() {
		x.Out.Error(resp.ErrNoPassword)
		return
	}
	if !c.Login(user, password) {
		x.Out.Error(resp.ErrWrongPass)
		return
	}
	x.Out.OK()
}

// redactFrom hides what stands from position at on. A call that may hold a secret hides
// it before anything else: one with a mistake in it holds the secret all the same.
func redactFrom(c command.Caller, args [][]byte, at int) {
	for ; at < len(args); at++ {
		c.Redact(at)
	}
}

func (a *Commands) hello(x *command.Ctx, c Session) {
	for i, arg := range x.Args {
		if resp.EqualFold(arg, "auth") {
			c.Redact(i+1, i+2)
		}
	}
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
		case resp.EqualFold(rest[0], "auth") && len(rest) >= 3:
			user, password = rest[1], rest[2]
			rest = rest[3:]
		case resp.EqualFold(rest[0], "setname") && len(rest) >= 2:
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
	if user != nil && !c.Login(user, password) {
		x.Out.Error(resp.ErrWrongPass)
		return
	}
	if !c.Authenticated() {
		x.Out.Error(resp.ErrHelloNoAuth)
		return
	}
	if named {
		c.Identity().Name = name
	}
	if proto != 0 {
		c.SetProto(int(proto))
	}
	mode, role := "standalone", "master"
	if x.Host.ClusterEnabled() {
		mode = "cluster"
	}
	fields := 7
	if a.Sentinel != nil {
		mode, fields = "sentinel", 6
	}
	if a.Server.IsReplica() {
		role = "replica"
	}
	w := x.Out
	w.Map(fields)
	w.BulkString("server")
	w.BulkString("redis")
	w.BulkString("version")
	w.BulkString(version.Redis)
	w.BulkString("proto")
	w.Int(int64(w.Proto()))
	w.BulkString("id")
	w.Int(int64(c.ID()))
	w.BulkString("mode")
	w.BulkString(mode)
	if a.Sentinel == nil {
		w.BulkString("role")
		w.BulkString(role)
	}
	w.BulkString("modules")
	w.Array(0)
}

func quit(x *command.Ctx, c Client) {
	x.Out.OK()
	c.CloseAfterReply()
}

func reset(x *command.Ctx, c Session) {
	if err := c.Reset(); err != "" {
		x.Out.Error(err)
		return
	}
	x.Out.Simple("RESET")
}
