package sentinel

import (
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// A query is a command of a client about what the driver owns. The driver's
// goroutine answers it; the client waits meanwhile.
type query struct {
	args   []string // with the name of the command
	proto  int
	resume command.Resume
}

// errEnding is the answer to a command that comes while the Sentinel ends.
const errEnding resp.Error = "ERR The Sentinel is shutting down"

// reply answers. It is called once.
func (q *query) reply(write func(w *resp.Writer)) {
	// The bytes are made here, because what write looks at is the driver's.
	w := resp.NewWriter(nil, q.proto)
	write(w)
	q.resume(0, func(out *resp.Writer) { out.Raw(w.Bytes()) })
}

// fail answers with an error.
func (q *query) fail(err resp.Error) { q.reply(func(w *resp.Writer) { w.Error(err) }) }

// asking is the handler of a command that the driver answers.
func (s *Sentinel) asking(answer func(d *driver, q *query)) command.Handler {
	return func(x *command.Ctx) {
		q := &query{proto: x.Out.Proto(), resume: x.Suspend()}
		if q.resume == nil {
			x.Out.Error(resp.ErrNotInMulti)
			return
		}
		for _, arg := range x.Args {
			q.args = append(q.args, string(arg))
		}
		if !s.driver.post(func() { answer(s.driver, q) }) {
			q.fail(errEnding)
		}
	}
}

// rows are the commands that only a Sentinel has, or that are others there.
func (s *Sentinel) rows() []*command.Row {
	const quick = command.Loading | command.Stale | command.Fast
	return []*command.Row{
		{Name: "sentinel", Arity: -2, Flags: command.Admin, Lock: command.LockNone, Sub: s.subRows(),
			Doc: command.Brief("2.8.4", "sentinel", "Tells about masters, and changes what is monitored.")},
		{Name: "publish", Arity: 3, Flags: command.PubSub | quick, Lock: command.LockNone, Run: s.publish,
			Doc: command.Brief("2.0.0", "pubsub", "Takes the hello of another Sentinel.")},
		{Name: "role", Arity: 1, Flags: command.NoScript | quick, ACL: command.CatAdmin | command.CatDangerous, Lock: command.LockNone, Run: s.asking(role),
			Doc: command.Brief("2.8.12", "server", "Names the masters that are monitored.")},
	}
}

// subRows are the sub-commands of SENTINEL. Those with the word primary are Valkey's
// names.
func (s *Sentinel) subRows() []*command.Row {
	row := func(name string, arity int, since, summary string, answer func(d *driver, q *query)) *command.Row {
		return &command.Row{Name: name, Arity: arity, Flags: command.Admin, Lock: command.LockNone, Run: s.asking(answer),
			Doc: command.Brief(since, "sentinel", summary)}
	}
	help := row("help", 2, "6.2.0", "Lists the sub-commands.", nil)
	help.Flags, help.Run = command.Loading|command.Stale, sentinelHelp
	return []*command.Row{
		row("masters", 2, "2.8.4", "Describes all masters.", masters),
		row("primaries", 2, "8.0.0", "Describes all masters.", masters),
		row("master", 3, "2.8.4", "Describes a master.", master),
		row("primary", 3, "8.0.0", "Describes a master.", master),
		row("replicas", 3, "5.0.0", "Describes the replicas of a master.", replicas),
		row("slaves", 3, "2.8.0", "Describes the replicas of a master.", replicas),
		row("sentinels", 3, "2.8.4", "Describes the other Sentinels of a master.", sentinels),
		row("myid", 2, "6.2.0", "Returns the id of this Sentinel.", myID),
		row("get-master-addr-by-name", 3, "2.8.4", "Returns the address of a master.", masterAddr),
		row("get-primary-addr-by-name", 3, "8.0.0", "Returns the address of a master.", masterAddr),
		row("is-master-down-by-addr", 6, "2.8.4", "Tells whether a master is down, and votes.", isMasterDown),
		row("is-primary-down-by-addr", 6, "8.0.0", "Tells whether a master is down, and votes.", isMasterDown),
		row("ckquorum", 3, "2.8.4", "Checks whether there are enough Sentinels for a failover.", checkQuorum),
		row("info-cache", -3, "3.2.0", "Returns what instances have last answered to INFO.", infoCache),
		row("pending-scripts", 2, "2.8.4", "Describes the scripts that run or wait.", pendingScripts),

		row("monitor", 6, "2.8.4", "Begins to monitor a master.", monitor),
		row("remove", 3, "2.8.4", "Stops monitoring a master.", remove),
		row("set", -5, "2.8.4", "Changes the options of a master.", set),
		row("reset", 3, "2.8.4", "Forgets what is known of masters whose names match.", reset),
		row("failover", -3, "2.8.4", "Begins a failover without asking other Sentinels.", failover),
		row("flushconfig", 2, "2.8.4", "Writes the configuration file.", flushConfig),
		row("config", -4, "6.2.0", "Shows or changes the options of the Sentinel itself.", configOptions),
		row("debug", -2, "7.0.0", "Shows or changes periods.", debug),
		row("simulate-failure", -3, "3.2.0", "Has the Sentinel exit at a point of the next failover.", simulateFailure),
		help,
	}
}

func sentinelHelp(x *command.Ctx) {
	command.Help(x,
		"CKQUORUM <master-name>", "    Whether the Sentinels that are up suffice to agree on a failover and to elect its leader.",
		"CONFIG GET <pattern> [<pattern> ...]", "    The options of this Sentinel whose names match.",
		"CONFIG SET <option> <value> [<option> <value> ...]", "    Change options of this Sentinel.",
		"DEBUG [<period> <milliseconds> ...]", "    Show the periods, or change some.",
		"FAILOVER <master-name> [COORDINATED]", "    Have a replica take over, without the agreement of others. COORDINATED: the master hands over.",
		"FLUSHCONFIG", "    Write the configuration file.",
		"GET-MASTER-ADDR-BY-NAME <master-name>", "    Where the master is.",
		"INFO-CACHE <master-name> [<master-name> ...]", "    The last INFO of masters and their replicas.",
		"IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>", "    Whether this Sentinel sees the master down; a vote if runid is not *.",
		"MASTER <master-name>", "    The state of a master.",
		"MASTERS", "    The states of all masters.",
		"MONITOR <name> <ip> <port> <quorum>", "    Monitor another master.",
		"MYID", "    The id of this Sentinel.",
		"PENDING-SCRIPTS", "    The scripts that run or wait.",
		"REMOVE <master-name>", "    Do not monitor a master any more.",
		"REPLICAS <master-name>", "    The states of the replicas of a master.",
		"RESET <pattern>", "    Forget replicas, Sentinels and failovers of masters whose names match.",
		"SENTINELS <master-name>", "    The states of the other Sentinels of a master.",
		"SET <master-name> <option> <value> [<option> <value> ...]", "    Change options of a master.",
		"SIMULATE-FAILURE [CRASH-AFTER-ELECTION] [CRASH-AFTER-PROMOTION] [HELP]", "    Exit at a point of the next failover.")
}
