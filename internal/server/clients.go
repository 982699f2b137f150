package server

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

var clientRows = []*command.Row{
	{Name: "client", Arity: -2, Doc: doc("2.4.0", "connection", "Tells about connections and changes them."), Sub: []*command.Row{
		clientRow("id", 2, "5.0.0", "Tells the connection's number.", clientID),
		clientRow("info", 2, "6.2.0", "Describes this connection as CLIENT LIST does.", clientInfo),
		clientRow("getname", 2, "2.6.9", "Tells the connection's name.", clientGetName),
		clientRow("setname", 3, "2.6.9", "Gives the connection a name.", clientSetName),
		clientRow("setinfo", 4, "7.2.0", "Names the client's library and its version.", clientSetInfo),
		clientRow("reply", 3, "3.2.0", "Turns the connection's replies off and on, or skips one.", clientReply),
		clientRow("getredir", 2, "6.0.0", "Tells which connection gets this one's invalidations.", clientGetRedir),
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, ACL: command.CatConnection, Lock: command.LockNone, Run: clientHelp, Doc: doc("5.0.0", "connection", "Lists the sub-commands.")},
		adminClientRow("list", -2, command.LockSelf, "2.4.0", "Describes the connections, one a line.", clientList),
		adminClientRow("kill", -3, command.LockSelf, "2.4.0", "Closes connections.", clientKill),
		adminClientRow("pause", -3, command.LockSelf, "3.0.0", "Holds commands back for a time.", clientPause),
		adminClientRow("unpause", 2, command.LockSelf, "6.2.0", "Ends a pause.", clientUnpause),
		adminClientRow("unblock", -3, command.LockSelf, "5.0.0", "Ends the wait of another connection.", clientUnblock),
		adminClientRow("no-evict", 3, command.LockNone, "7.0.0", "Keeps the connection from being closed to save memory.", clientNoEvict),
		clientRow("no-touch", 3, "7.2.0", "Says whether the connection's commands count as use of the keys they touch.", clientNoTouch),
	}},
}

func clientRow(name string, arity int, since, summary string, run command.Handler) *command.Row {
	return &command.Row{Name: name, Arity: arity, Flags: command.NoScript | command.Loading | command.Stale, ACL: command.CatConnection,
		Lock: command.LockNone, Run: run, Doc: doc(since, "connection", summary)}
}

func adminClientRow(name string, arity int, lock command.Lock, since, summary string, run command.Handler) *command.Row {
	r := clientRow(name, arity, since, summary, run)
	r.Flags |= command.Admin
	r.Lock = lock
	return r
}

func clientID(x *command.Ctx) { x.Out.Int(int64(connOf(x).id)) }

func clientInfo(x *command.Ctx) {
	x.Out.Verbatim("txt", serverOf(x).describe(loopOf(x), connOf(x))+"\n")
}

func clientGetName(x *command.Ctx) {
	if name := connOf(x).name; name != "" {
		x.Out.BulkString(name)
		return
	}
	x.Out.Null()
}

func clientSetName(x *command.Ctx) {
	if !validName(x.Args[2]) {
		x.Out.Error(resp.ErrClientName)
		return
	}
	connOf(x).name = string(x.Args[2])
	x.Out.OK()
}

// validName: CLIENT LIST is a line of words, so names hold printable bytes
// other than spaces.
func validName(name []byte) bool {
	return !slices.ContainsFunc(name, func(b byte) bool { return b < '!' || b > '~' })
}

func clientSetInfo(x *command.Ctx) {
	c := connOf(x)
	var field *string
	switch {
	case equalFold(x.Args[2], "lib-name"):
		field = &c.libName
	case equalFold(x.Args[2], "lib-ver"):
		field = &c.libVer
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

func clientReply(x *command.Ctx) {
	c := connOf(x)
	switch {
	case equalFold(x.Args[2], "on"):
		c.state &^= stateReplyOff | stateReplySkip | stateSkipping
		x.Out.OK()
	case equalFold(x.Args[2], "off"):
		c.state |= stateReplyOff
	case equalFold(x.Args[2], "skip"):
		if !c.is(stateReplyOff) {
			c.state |= stateReplySkip
		}
	default:
		x.Out.Error(resp.ErrSyntax)
	}
}

// clientGetRedir: nothing is tracked.
func clientGetRedir(x *command.Ctx) { x.Out.Int(-1) }

func clientNoEvict(x *command.Ctx) { switchState(x, stateNoEvict) }
func clientNoTouch(x *command.Ctx) { switchState(x, stateNoTouch) }

func switchState(x *command.Ctx, s connState) {
	switch {
	case equalFold(x.Args[2], "on"):
		connOf(x).set(s, true)
	case equalFold(x.Args[2], "off"):
		connOf(x).set(s, false)
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
		if equalFold(word, t) {
			if t == "slave" {
				return "replica", true
			}
			return t, true
		}
	}
	return "", false
}

// kind is the class of the connection.
func (c *conn) kind() string {
	if c.subs.count() > 0 {
		return "pubsub"
	}
	return "normal" // monitors too; replicas are no longer a loop's connections, see replicaConn
}

func clientList(x *command.Ctx) {
	l := loopOf(x)
	keep := func(clientFacts) bool { return true }
	var order []uint64 // of the answer, if the client gave one
	switch args := x.Args[2:]; {
	case len(args) == 0:
	case len(args) == 2 && equalFold(args[0], "type"):
		kind, ok := clientType(args[1])
		if !ok {
			x.Out.Error(resp.ErrClientType(args[1]))
			return
		}
		keep = func(c clientFacts) bool { return c.kind == kind }
	case len(args) >= 2 && equalFold(args[0], "id"):
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
		keep = func(c clientFacts) bool { return ids[c.id] }
	default:
		x.Out.Error(resp.ErrSyntax)
		return
	}
	lines := map[uint64]string{}
	l.allConns(func() {
		l.srv.eachConn(func(c *conn) {
			if keep(c.facts()) {
				lines[c.id] = l.srv.describe(l, c)
			}
		})
	})
	for _, r := range l.srv.replicas.all() {
		if keep(r.clientFacts) {
			lines[r.id] = r.describe()
		}
	}
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

func (f *killFilter) matches(l *loop, me *conn, c clientFacts) bool {
	switch {
	case f.id != 0 && c.id != f.id,
		f.kind != "" && c.kind != f.kind,
		f.addr != "" && c.addr != f.addr,
		f.laddr != "" && c.laddr != f.laddr,
		f.user != "" && c.user != f.user,
		f.maxAge != 0 && l.mono-c.born < f.maxAge,
		f.skipMe && c.id == me.id:
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
		case equalFold(args[0], "id"):
			id, ok := resp.ParseInt(value)
			if !ok || id < 1 {
				return resp.ErrClientKillID
			}
			f.id = uint64(id)
		case equalFold(args[0], "type"):
			var ok bool
			if f.kind, ok = clientType(value); !ok {
				return resp.ErrClientType(value)
			}
		case equalFold(args[0], "addr"):
			f.addr = string(value)
		case equalFold(args[0], "laddr"):
			f.laddr = string(value)
		case equalFold(args[0], "user"):
			if f.user = string(value); f.user != "default" {
				return resp.ErrNoSuchUser(value)
			}
		case equalFold(args[0], "maxage"):
			age, ok := resp.ParseInt(value)
			if !ok || age < 1 {
				return resp.ErrNotInteger
			}
			f.maxAge = time.Duration(age) * time.Second
		case equalFold(args[0], "skipme") && equalFold(value, "yes"):
			f.skipMe = true
		case equalFold(args[0], "skipme") && equalFold(value, "no"):
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

func clientKill(x *command.Ctx) {
	var f killFilter
	old := len(x.Args) == 3
	if old {
		f.addr = string(x.Args[2])
	} else if err := f.parse(x.Args[2:]); err != "" {
		x.Out.Error(err)
		return
	}
	l, me, killed := loopOf(x), connOf(x), 0
	l.allConns(func() {
		l.srv.eachConn(func(c *conn) {
			if !f.matches(l, me, c.facts()) || c.is(stateClosing) {
				return
			}
			killed++
			if c == me {
				return
			}
			// It runs nothing more from here on; its own loop closes it.
			c.state |= stateClosing
			home := c.home.Load()
			home.post(func() { home.drop(c) })
		})
	})
	for _, r := range l.srv.replicas.all() {
		if f.matches(l, me, r.clientFacts) {
			killed++
			r.Close()
		}
	}
	switch {
	case me.is(stateClosed):
		return
	case old && killed == 0:
		x.Out.Error(resp.ErrNoSuchClient)
	case old:
		x.Out.OK()
	default:
		x.Out.Int(int64(killed))
	}
	if !f.skipMe && f.matches(l, me, me.facts()) {
		me.state |= stateClosing
	}
}

func clientPause(x *command.Ctx) {
	all := true
	switch {
	case len(x.Args) > 4:
		x.Out.Error(resp.ErrSubcommandSyntax("client", x.Args[1]))
		return
	case len(x.Args) == 4 && equalFold(x.Args[3], "write"):
		all = false
	case len(x.Args) == 4 && !equalFold(x.Args[3], "all"):
		x.Out.Error(resp.ErrPauseMode)
		return
	}
	ms, ok := resp.ParseInt(x.Args[2])
	l := loopOf(x)
	switch {
	case !ok:
		x.Out.Error(resp.ErrBadTimeout)
		return
	case ms < 0:
		x.Out.Error(resp.ErrNegTimeout)
		return
	case ms > math.MaxInt64-l.unix:
		x.Out.Error(resp.ErrFarTimeout)
		return
	}
	l.everything(func(tx *storage.Tx) { l.srv.beginPause(tx, pauseByClient, l.unix+ms, all) })
	x.Out.OK()
}

func clientUnpause(x *command.Ctx) {
	l := loopOf(x)
	l.everything(func(tx *storage.Tx) { l.srv.endPause(tx, pauseByClient) })
	x.Out.OK()
}

func clientUnblock(x *command.Ctx) {
	err := resp.Error("")
	switch {
	case len(x.Args) > 4:
		x.Out.Error(resp.ErrSubcommandSyntax("client", x.Args[1]))
		return
	case len(x.Args) == 4 && equalFold(x.Args[3], "error"):
		err = resp.ErrUnblocked
	case len(x.Args) == 4 && !equalFold(x.Args[3], "timeout"):
		x.Out.Error(resp.ErrUnblockReason)
		return
	}
	id, ok := resp.ParseInt(x.Args[2])
	if !ok {
		x.Out.Error(resp.ErrNotInteger)
		return
	}
	if serverOf(x).unblock(uint64(id), err) {
		x.Out.Int(1)
	} else {
		x.Out.Int(0)
	}
}

func clientHelp(x *command.Ctx) {
	command.Help(x, "GETREDIR", "    Which connection gets the invalidations of this one.",
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
		"UNBLOCK <clientid> [TIMEOUT|ERROR]", "    End the wait of another connection.",
		"NO-EVICT (ON|OFF)", "    Keep this connection when memory runs out.",
		"NO-TOUCH (ON|OFF)", "    Whether commands of this connection count as use of keys.")
}

// describe is the line of CLIENT LIST for c; the caller holds the turn of its
// loop.
func (s *Server) describe(l *loop, c *conn) string {
	var flags []byte
	mark := func(on bool, f byte) {
		if on {
			flags = append(flags, f)
		}
	}
	mark(c.is(stateMonitor), 'O')
	mark(c.subs.count() > 0, 'P')
	mark(c.multi != nil, 'x')
	mark(c.is(stateWaiting) || c.inPaused, 'b')
	mark(c.is(stateClosing), 'c')
	mark(strings.HasPrefix(c.remote, "/"), 'U')
	mark(c.is(stateReadOnly), 'r')
	mark(c.is(stateNoEvict), 'e')
	mark(c.is(stateNoTouch), 'T')
	if len(flags) == 0 {
		flags = append(flags, 'N')
	}
	events := ""
	if !c.stopped() {
		events = "r"
	}
	if c.polled&writable != 0 {
		events += "w"
	}
	queuedCommands, queuedBytes := -1, 0
	if c.multi != nil {
		queuedCommands, queuedBytes = len(c.multi.queue), c.multi.bytes
	}
	last := "NULL"
	if c.last != nil {
		last = c.last.FullName()
	}
	channels, patterns, shards := c.subs.counts()
	now := time.Since(s.started)
	// Arguments that have arrived whole are no longer in Redis's query buffer.
	argv, input := c.parser.Unfinished(len(c.in))
	if c == l.runner.Ctx.Caller {
		input = max(input, l.feeding)
		for _, a := range l.runner.Ctx.Args {
			argv += len(a)
		}
	}
	// Redis's names for one buffer: obl is what lies in a first small one, omem
	// what waits in the list behind it.
	inFirst := min(c.out.Len()-c.sent, smallOutput)
	waiting := c.out.Len() - c.sent - inFirst
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d events=%s cmd=%s user=%s redir=-1 resp=%d lib-name=%s lib-ver=%s",
		c.id, c.remote, c.local, c.fd, c.name, int64((now-c.born)/time.Second), int64((now-c.active)/time.Second), flags, c.db,
		channels, patterns, shards, queuedCommands, input, max(cap(c.in)-len(c.in), 0), argv, queuedBytes,
		cap(c.out.Bytes()), cap(c.out.Bytes()), inFirst, min(waiting, 1), waiting, c.memory(),
		events, last, c.user, c.out.Proto(), c.libName, c.libVer)
}
