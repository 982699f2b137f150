package admin

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

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
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, ACL: command.CatConnection, Lock: command.LockNone, Run: clientHelp, Doc: command.Brief("5.0.0", "connection", "Lists the sub-commands.")},
		operatorRow("list", -2, command.LockSelf, "2.4.0", "Describes the connections, one a line.", command.For(clientList)),
		operatorRow("kill", -3, command.LockSelf, "2.4.0", "Closes connections.", command.For(clientKill)),
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

func clientList(x *command.Ctx, c Operator) {
	keep := func(ClientInfo) bool { return true }
	var order []uint64 // of the answer, if the client gave one
	switch args := x.Args[2:]; {
	case len(args) == 0:
	case len(args) == 2 && resp.EqualFold(args[0], "type"):
		kind, ok := clientType(args[1])
		if !ok {
			x.Out.Error(resp.ErrClientType(args[1]))
			return
		}
		keep = func(c ClientInfo) bool { return c.Kind == kind }
	case len(args) >= 2 && resp.EqualFold(args[0], "id"):
		ids := map[uint64]bool{}
		for _, a := range args[1:] {
			id, ok := resp.ParseInt(a)
			if !ok {
				x.Out.Error(resp.ErrClientID)
				return
			}
			ids[uint64(id)] = true
			order = append(order, uint64(id))
		}
		keep = func(c ClientInfo) bool { return ids[c.ID] }
	default:
		x.Out.Error(resp.ErrSyntax)
		return
	}
	lines := map[uint64]string{}
	c.EachClient(func(p Peer) {
		if info := p.Info(); keep(info) {
			lines[info.ID] = info.String()
		}
	})
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

// killFilter is what CLIENT KILL looks for; zero fields match everything.
type killFilter struct {
	id                uint64
	kind, addr, laddr string
	user              string
	skipMe            bool
	maxAge            time.Duration
}

func (f *killFilter) matches(me uint64, c ClientInfo) bool {
	switch {
	case f.id != 0 && c.ID != f.id,
		f.kind != "" && c.Kind != f.kind,
		f.addr != "" && c.Addr != f.addr,
		f.laddr != "" && c.LocalAddr != f.laddr,
		f.user != "" && c.User != f.user,
		f.maxAge != 0 && c.Age < f.maxAge,
		f.skipMe && c.ID == me:
		return false
	}
	return true
}

// parse reads the options of CLIENT KILL's newer form.
func (f *killFilter) parse(args [][]byte) resp.Error {
	f.skipMe = true
	for ; len(args) >= 2; args = args[2:] {
		value := args[1]
		switch {
		case resp.EqualFold(args[0], "id"):
			id, ok := resp.ParseInt(value)
			if !ok || id < 1 {
				return resp.ErrClientKillID
			}
			f.id = uint64(id)
		case resp.EqualFold(args[0], "type"):
			var ok bool
			if f.kind, ok = clientType(value); !ok {
				return resp.ErrClientType(value)
			}
		case resp.EqualFold(args[0], "addr"):
			f.addr = string(value)
		case resp.EqualFold(args[0], "laddr"):
			f.laddr = string(value)
		case resp.EqualFold(args[0], "user"):
			if f.user = string(value); f.user != "default" {
				return resp.ErrNoSuchUser(value)
			}
		case resp.EqualFold(args[0], "maxage"):
			age, ok := resp.ParseInt(value)
			if !ok || age < 1 {
				return resp.ErrNotInteger
			}
			f.maxAge = time.Duration(age) * time.Second
		case resp.EqualFold(args[0], "skipme") && resp.EqualFold(value, "yes"):
			f.skipMe = true
		case resp.EqualFold(args[0], "skipme") && resp.EqualFold(value, "no"):
			f.skipMe = false
		default:
			return resp.ErrSyntax
		}
	}
	if len(args) != 0 {
		return resp.ErrSyntax
	}
	return ""
}

func clientKill(x *command.Ctx, c Operator) {
	var f killFilter
	old := len(x.Args) == 3
	if old {
		f.addr = string(x.Args[2])
	} else if err := f.parse(x.Args[2:]); err != "" {
		x.Out.Error(err)
		return
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
		"KILL <option> <value> [<option> <value> [...]]", "    Close the connections for which all of these hold: ADDR, LADDR, TYPE, USER, SKIPME, ID, MAXAGE.",
		"LIST [options ...]", "    The connections, one a line; with TYPE or ID only those.",
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
