package admin

import (
	"maps"
	"math"
	"slices"
	"strings"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

func (a *Commands) clientRow() *command.Row {
	return &command.Row{Name: "client", Arity: -2, Doc: command.Brief("2.4.0", "connection", "Tells about connections and changes them."), Sub: []*command.Row{
		ownRow("id", 2, "5.0.0", "Tells the connection's number.", command.For(clientID)),
		ownRow("info", 2, "6.2.0", "Describes this connection as CLIENT LIST does.", command.For(clientInfo)),
		ownRow("getname", 2, "2.6.9", "Tells the connection's name.", command.For(clientGetName)),
		ownRow("setname", 3, "2.6.9", "Gives the connection a name.", command.For(clientSetName)),
		ownRow("setinfo", 4, "7.2.0", "Names the client's library and its version.", command.For(clientSetInfo)),
		ownRow("reply", 3, "3.2.0", "Turns the connection's replies off and on, or skips one.", command.For(clientReply)),
		ownRow("getredir", 2, "6.0.0", "Tells which connection gets this one's invalidations.", command.For(clientGetRedir)),
		stopping(ownRow("tracking", -3, "6.0.0", "Says whether and how the connection is told of changes of keys.", command.For(clientTracking))),
		ownRow("trackinginfo", 2, "6.2.0", "Tells how the connection is told of changes of keys.", command.For(clientTrackingInfo)),
		ownRow("caching", 3, "6.0.0", "Says whether the next command reads keys that the connection caches.", command.For(clientCaching)),
		ownRow("capa", -3, "8.0.0", "Takes what the client says that it is able to do, of which nothing is made use of (Valkey 8).", func(x *command.Ctx) { x.Out.OK() }),
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, ACL: command.CatConnection, Lock: command.LockNone, Run: clientHelp, Doc: command.Brief("5.0.0", "connection", "Lists the sub-commands.")},
		operatorRow("list", -2, command.LockSelf, "2.4.0", "Describes the connections, one a line.", command.For(a.clientList)),
		operatorRow("kill", -3, command.LockSelf, "2.4.0", "Closes connections.", command.For(a.clientKill)),
		operatorRow("pause", -3, command.LockSelf, "3.0.0", "Holds commands back for a time.", command.For(a.clientPause)),
		operatorRow("unpause", 2, command.LockSelf, "6.2.0", "Ends a pause.", command.For(a.clientUnpause)),
		operatorRow("unblock", -3, command.LockSelf, "5.0.0", "Ends the wait of another connection.", a.clientUnblock),
		operatorRow("no-evict", 3, command.LockNone, "7.0.0", "Keeps the connection from being closed to save memory.", command.For(clientNoEvict)),
		ownRow("no-touch", 3, "7.2.0", "Says whether the connection's commands count as use of the keys they touch.", command.For(clientNoTouch)),
	}}
}

// ownRow is a row about the connection that calls it.
func ownRow(name string, arity int, since, summary string, run command.Handler) *command.Row {
	return &command.Row{Name: name, Arity: arity, Flags: command.NoScript | command.Loading | command.Stale, ACL: command.CatConnection,
		Lock: command.LockNone, Run: run, Doc: command.Brief(since, "connection", summary)}
}

// operatorRow is a row about all connections.
func operatorRow(name string, arity int, lock command.Lock, since, summary string, run command.Handler) *command.Row {
	r := ownRow(name, arity, since, summary, run)
	r.Flags |= command.Admin
	r.Lock = lock
	return r
}

func clientID(x *command.Ctx, c Client)   { x.Out.Int(int64(c.ID())) }
func clientInfo(x *command.Ctx, c Client) { x.Out.Verbatim("txt", c.Info().String()+"\n") }

func clientGetName(x *command.Ctx, c Client) {
	if name := c.Identity().Name; name != "" {
		x.Out.BulkString(name)
		return
	}
	x.Out.Null()
}

func clientSetName(x *command.Ctx, c Client) {
	if !validName(x.Args[2]) {
		x.Out.Error(resp.ErrClientName)
		return
	}
	c.Identity().Name = string(x.Args[2])
	x.Out.OK()
}

// validName: CLIENT LIST is a line of words, so names hold printable bytes
// other than spaces.
func validName(name []byte) bool {
	return !slices.ContainsFunc(name, func(b byte) bool { return b < '!' || b > '~' })
}

func clientSetInfo(x *command.Ctx, c Client) {
	var field *string
	switch {
	case resp.EqualFold(x.Args[2], "lib-name"):
		field = &c.Identity().LibName
	case resp.EqualFold(x.Args[2], "lib-ver"):
		field = &c.Identity().LibVersion
	default:
		x.Out.Error(resp.ErrSetInfoOption(x.Args[2]))
		return
	}
	if !validName(x.Args[3]) {
		x.Out.Error(resp.ErrSetInfoValue(strings.ToLower(string(x.Args[2]))))
		return
	}
	*field = string(x.Args[3])
	x.Out.OK()
}

func clientReply(x *command.Ctx, c Client) {
	switch {
	case resp.EqualFold(x.Args[2], "on"):
		c.SetReply(ReplyOn)
		x.Out.OK()
	case resp.EqualFold(x.Args[2], "off"):
		c.SetReply(ReplyOff)
	case resp.EqualFold(x.Args[2], "skip"):
		c.SetReply(ReplySkip)
	default:
		x.Out.Error(resp.ErrSyntax)
	}
}

func clientNoEvict(x *command.Ctx, c Client) { onOrOff(x, c.SetNoEvict) }
func clientNoTouch(x *command.Ctx, c Client) { onOrOff(x, c.SetNoTouch) }

// onOrOff sets what a command turns on or off.
func onOrOff(x *command.Ctx, set func(on bool)) {
	switch {
	case resp.EqualFold(x.Args[2], "on"):
		set(true)
	case resp.EqualFold(x.Args[2], "off"):
		set(false)
	default:
		x.Out.Error(resp.ErrSyntax)
		return
	}
	x.Out.OK()
}

// clientTypes are the classes CLIENT LIST and KILL know.
var clientTypes = []string{"normal", "master", "replica", "slave", "pubsub"}

func clientType(word []byte) (string, bool) {
	for _, t := range clientTypes {
		if resp.EqualFold(word, t) {
			if t == "slave" {
				return "replica", true
			}
			return t, true
		}
	}
	return "", false
}

func (a *Commands) clientList(x *command.Ctx, c Operator) {
	f := clientFilter{users: a.Server}
	if err := f.parse(x.Args[2:], resp.ErrClientID); err != "" {
		x.Out.Error(err)
		return
	}
	lines := map[uint64]string{}
	c.EachClient(func(p Peer) {
		if info := p.Info(); f.matches(c.ID(), info) {
			lines[info.ID] = info.String()
		}
	})
	order := f.ids
	if order == nil {
		order = slices.Sorted(maps.Keys(lines))
	}
	var b strings.Builder
	for _, id := range order {
		if text, ok := lines[id]; ok {
			b.WriteString(text)
			b.WriteByte('\n')
		}
	}
	x.Out.Verbatim("txt", b.String())
}

func (a *Commands) clientKill(x *command.Ctx, c Operator) {
	f := clientFilter{users: a.Server}
	old := len(x.Args) == 3
	if old {
		f.add(false, func(c ClientInfo) bool { return c.Addr == string(x.Args[2]) })
	} else {
		f.skipMe = true
		if err := f.parse(x.Args[2:], resp.ErrClientKillID); err != "" {
			x.Out.Error(err)
			return
		}
	}
	killed, myself := 0, false
	c.EachClient(func(p Peer) {
		switch info := p.Info(); {
		case !f.matches(c.ID(), info):
		case info.ID == c.ID():
			killed++
			myself = true
		case p.Kill():
			killed++
		}
	})
	switch {
	case old && killed == 0:
		x.Out.Error(resp.ErrNoSuchClient)
	case old:
		x.Out.OK()
	default:
		x.Out.Int(int64(killed))
	}
	if myself {
		c.CloseAfterReply()
	}
}

func (a *Commands) clientPause(x *command.Ctx, c Operator) {
	all := true
	switch {
	case len(x.Args) > 4:
		x.Out.Error(resp.ErrSubcommandSyntax("client", x.Args[1]))
		return
	case len(x.Args) == 4 && resp.EqualFold(x.Args[3], "write"):
		all = false
	case len(x.Args) == 4 && !resp.EqualFold(x.Args[3], "all"):
		x.Out.Error(resp.ErrPauseMode)
		return
	}
	ms, ok := resp.ParseInt(x.Args[2])
	now := x.Host.Now()
	switch {
	case !ok:
		x.Out.Error(resp.ErrBadTimeout)
		return
	case ms < 0:
		x.Out.Error(resp.ErrNegTimeout)
		return
	case ms > math.MaxInt64-now:
		x.Out.Error(resp.ErrFarTimeout)
		return
	}
	c.World(func(tx *storage.Tx) { a.Server.PauseClients(tx, now+ms, all) })
	x.Out.OK()
}

func (a *Commands) clientUnpause(x *command.Ctx, c Operator) {
	c.World(a.Server.UnpauseClients)
	x.Out.OK()
}

func (a *Commands) clientUnblock(x *command.Ctx) {
	err := resp.Error("")
	switch {
	case len(x.Args) > 4:
		x.Out.Error(resp.ErrSubcommandSyntax("client", x.Args[1]))
		return
	case len(x.Args) == 4 && resp.EqualFold(x.Args[3], "error"):
		err = resp.ErrUnblocked
	case len(x.Args) == 4 && !resp.EqualFold(x.Args[3], "timeout"):
		x.Out.Error(resp.ErrUnblockReason)
		return
	}
	id, ok := resp.ParseInt(x.Args[2])
	if !ok {
		x.Out.Error(resp.ErrNotInteger)
		return
	}
	if a.Server.Unblock(uint64(id), err) {
		x.Out.Int(1)
	} else {
		x.Out.Int(0)
	}
}

func clientHelp(x *command.Ctx) {
	command.Help(x, "CACHING (YES|NO)", "    Whether the keys that the next command reads are cached, with OPTIN or OPTOUT.",
		"GETREDIR", "    Which connection gets the invalidations of this one.",
		"GETNAME", "    The name of this connection.",
		"ID", "    The number of this connection.",
		"INFO", "    This connection, described as LIST does.",
		"KILL <ip:port>", "    Close the connection that comes from this address.",
		"KILL <option> <value> [<option> <value> [...]]", "    Close the connections for which all of these hold: ADDR, LADDR, IP, TYPE, USER, SKIPME, ID, MAXAGE, IDLE,", "    NAME, LIB-NAME, LIB-VER, DB, FLAGS; with NOT- before the word those for which it does not hold.",
		"LIST [options ...]", "    The connections, one a line; with the options of KILL only those.",
		"UNPAUSE", "    End a pause.",
		"PAUSE <timeout> [WRITE|ALL]", "    Hold back all commands, or only writes, for so many milliseconds.",
		"REPLY (ON|OFF|SKIP)", "    Turn replies to this connection off and on, or skip one.",
		"SETNAME <name>", "    Name this connection.",
		"SETINFO <option> <value>", "    Name the client's library: LIB-NAME or LIB-VER.",
		"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]", "         [OPTIN] [OPTOUT] [NOLOOP]", "    Whether this connection is told when keys change that it has read.",
		"TRACKINGINFO", "    How this connection is told of changes.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]", "    End the wait of another connection.",
		"NO-EVICT (ON|OFF)", "    Keep this connection when memory runs out.",
		"NO-TOUCH (ON|OFF)", "    Whether commands of this connection count as use of keys.")
}
