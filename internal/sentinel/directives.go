package sentinel

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/config"
)

// file is what the lines of the configuration file say that begin with the word
// sentinel.
type file struct {
	settings core.Settings
	state    *core.State
	// denyScripts is deny-scripts-reconfig: no client may say which scripts run.
	denyScripts bool
	dir         string // where relative paths of scripts begin
}

// idLength is that of a Sentinel's id, in hexadecimal digits.
const idLength = 40

// maxMs is the longest time in milliseconds that a directive may have: what fits
// the C type that Redis keeps it in.
const maxMs = 1<<31 - 1

// Reasons why a line is refused, in Redis's words (sentinelHandleConfiguration).
const (
	errUnknown       = "Unrecognized sentinel configuration statement."
	errNoMaster      = "No such master with specified name."
	errQuorum        = "Quorum must be 1 or greater."
	errPort          = "Invalid port number."
	errUnresolved    = "Can't resolve instance hostname."
	errTime          = "negative or zero time parameter."
	errNegativeTime  = "negative time parameter."
	errMyID          = "Malformed Sentinel id in myid option."
	errNumber        = "value is not an integer or out of range"
	errMasterTwice   = "Duplicate master name."
	errReplicaTwice  = "Duplicate hostname and port for replica."
	errSentinelTwice = "Duplicate runid for sentinel."
	errRenamedTwice  = "Same command renamed multiple times with rename-command."
)

// A directive is a line's first word, how many words follow it, and what the line
// does; the reason it returns is why the line is refused, "" if it is not.
type directive struct {
	name string
	// args counts the words behind the name.
	args int
	pass pass
	read func(f *file, args []string) (reason string)
}

// A pass is when a directive is read: the order of the lines does not matter, but
// some depend on others (loadSentinelConfigFromQueue).
type pass uint8

const (
	passGlobal pass = iota
	passMonitor
	passMaster
)

// ofMaster makes a directive of one about a master, whose name comes first.
func ofMaster(name string, args int, read func(f *file, m *core.MasterState, args []string) string) directive {
	return directive{name, args, passMaster, func(f *file, args []string) string {
		m := f.master(args[0])
		if m == nil {
			return errNoMaster
		}
		return read(f, m, args[1:])
	}}
}

// directives are all, with the older names of some.
var directives = []directive{
	{"announce-ip", 1, passGlobal, func(f *file, args []string) string { f.settings.AnnounceIP = args[0]; return "" }},
	{"announce-port", 1, passGlobal, func(f *file, args []string) string {
		port, ok := portOf(args[0])
		if !ok {
			return errPort
		}
		f.settings.AnnouncePort = port
		return ""
	}},
	{"deny-scripts-reconfig", 1, passGlobal, yesNo("Please specify yes or no for the deny-scripts-reconfig options.", func(f *file) *bool { return &f.denyScripts })},
	{"sentinel-user", 1, passGlobal, func(f *file, args []string) string { f.settings.SentinelUser = args[0]; return "" }},
	{"sentinel-pass", 1, passGlobal, func(f *file, args []string) string { f.settings.SentinelPass = args[0]; return "" }},
	{"current-epoch", 1, passGlobal, func(f *file, args []string) string { return f.readEpoch(&f.state.CurrentEpoch, args[0]) }},
	{"myid", 1, passGlobal, func(f *file, args []string) string {
		if len(args[0]) != idLength || strings.ContainsAny(args[0], " ,\r\n") {
			return errMyID
		}
		f.state.MyID = args[0]
		return ""
	}},
	{"resolve-hostnames", 1, passGlobal, yesNo("Please specify yes or no for the resolve-hostnames option.", func(f *file) *bool { return &f.settings.ResolveHostnames })},
	{"announce-hostnames", 1, passGlobal, yesNo("Please specify yes or no for the announce-hostnames option.", func(f *file) *bool { return &f.settings.AnnounceHostnames })},

	{"monitor", 4, passMonitor, (*file).monitor},

	ofMaster("down-after-milliseconds", 2, duration(1, errTime, func(o *core.Options) *time.Duration { return &o.DownAfter })),
	ofMaster("failover-timeout", 2, duration(1, errTime, func(o *core.Options) *time.Duration { return &o.FailoverTimeout })),
	ofMaster("master-reboot-down-after-period", 2, duration(0, errNegativeTime, func(o *core.Options) *time.Duration { return &o.RebootDownAfter })),
	ofMaster("primary-reboot-down-after-period", 2, duration(0, errNegativeTime, func(o *core.Options) *time.Duration { return &o.RebootDownAfter })),
	ofMaster("forget-after-milliseconds", 2, duration(0, errNegativeTime, func(o *core.Options) *time.Duration { return &o.ForgetAfter })),
	ofMaster("fast-down", 2, func(_ *file, m *core.MasterState, args []string) string {
		on, ok := parseYesNo(args[0])
		if !ok {
			return "Please specify yes or no for the fast-down option."
		}
		m.Options.FastDown = on
		return ""
	}),
	ofMaster("parallel-syncs", 2, func(_ *file, m *core.MasterState, args []string) string {
		n, err := strconv.ParseInt(args[0], 10, 32)
		if err != nil {
			return errNumber
		}
		m.Options.ParallelSyncs = int(n)
		return ""
	}),
	ofMaster("notification-script", 2, func(f *file, m *core.MasterState, args []string) string {
		m.Options.NotificationScript = args[0]
		return f.unlessExecutable(args[0], "Notification script seems non existing or non executable.")
	}),
	ofMaster("client-reconfig-script", 2, func(f *file, m *core.MasterState, args []string) string {
		m.Options.ClientReconfigScript = args[0]
		return f.unlessExecutable(args[0], "Client reconfiguration script seems non existing or non executable.")
	}),
	ofMaster("auth-pass", 2, func(_ *file, m *core.MasterState, args []string) string { m.Options.AuthPass = args[0]; return "" }),
	ofMaster("auth-user", 2, func(_ *file, m *core.MasterState, args []string) string { m.Options.AuthUser = args[0]; return "" }),
	ofMaster("config-epoch", 2, func(f *file, m *core.MasterState, args []string) string {
		return f.readEpoch(&m.ConfigEpoch, args[0])
	}),
	ofMaster("leader-epoch", 2, func(f *file, m *core.MasterState, args []string) string {
		return f.readEpoch(&m.LeaderEpoch, args[0])
	}),
	ofMaster("known-replica", 3, knownReplica),
	ofMaster("known-slave", 3, knownReplica),
	ofMaster("known-sentinel", 3, func(*file, *core.MasterState, []string) string { return "" }), // the form without an id tells nothing
	ofMaster("known-sentinel", 4, knownSentinel),
	ofMaster("rename-command", 3, func(_ *file, m *core.MasterState, args []string) string {
		same := func(r core.RenamedCommand) bool { return strings.EqualFold(r.From, args[0]) }
		if slices.ContainsFunc(m.Options.RenamedCommands, same) {
			return errRenamedTwice
		}
		m.Options.RenamedCommands = append(m.Options.RenamedCommands, core.RenamedCommand{From: args[0], To: args[1]})
		return ""
	}),
}

// hint helps with a line that was refused, as far as that is possible.
func hint(reason string, args []string) string {
	if reason != errUnknown || len(args) == 0 {
		return ""
	}
	var names []string
	for _, d := range directives {
		if d.name == strings.ToLower(args[0]) {
			return "'sentinel " + d.name + "' takes another number of words."
		}
		names = append(names, d.name)
	}
	if near := config.Nearest(args[0], names); near != "" {
		return "Did you mean 'sentinel " + near + "'?"
	}
	return ""
}

// readFile reads the sentinel lines of a configuration that was loaded. The error
// is a *config.FileError.
func readFile(c *config.Config, product string) (*file, error) {
	f := &file{state: &core.State{}, denyScripts: true, dir: c.Current().Dir}
	f.settings.Timing = core.DefaultTiming()
	for at := passGlobal; at <= passMaster; at++ {
		for _, line := range c.Lines("sentinel") {
			if reason := f.line(line.Args, at); reason != "" {
				return nil, &config.FileError{Product: product, Line: line, Reason: reason, Hint: hint(reason, line.Args)}
			}
		}
	}
	return f, nil
}

// line reads a line if it belongs to the pass.
func (f *file) line(words []string, at pass) (reason string) {
	is := func(d directive) bool {
		return strings.EqualFold(d.name, words[0]) && d.args == len(words)-1
	}
	i := slices.IndexFunc(directives, is)
	switch {
	case i < 0 && at == passGlobal:
		return errUnknown
	case i < 0 || directives[i].pass != at:
		return ""
	}
	return directives[i].read(f, words[1:])
}

func (f *file) master(name string) *core.MasterState {
	for _, m := range f.state.Masters {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// monitor reads name, host, port and quorum.
func (f *file) monitor(args []string) string {
	quorum, err := strconv.ParseInt(args[3], 10, 32)
	if err != nil || quorum < 1 {
		return errQuorum
	}
	addr, reason := f.addr(args[1], args[2])
	switch {
	case reason != "":
		return reason
	case f.master(args[0]) != nil:
		return errMasterTwice
	}
	f.state.Masters = append(f.state.Masters, &core.MasterState{
		Name: args[0], Addr: addr, Quorum: int(quorum), Options: core.DefaultOptions(),
	})
	return ""
}

func knownReplica(f *file, m *core.MasterState, args []string) string {
	addr, reason := f.addr(args[0], args[1])
	switch {
	case reason != "":
		return reason
	case slices.Contains(m.Replicas, addr):
		return errReplicaTwice
	}
	m.Replicas = append(m.Replicas, addr)
	return ""
}

func knownSentinel(f *file, m *core.MasterState, args []string) string {
	addr, reason := f.addr(args[0], args[1])
	same := func(k core.KnownSentinel) bool { return k.ID == args[2] }
	switch {
	case reason != "":
		return reason
	case slices.ContainsFunc(m.Sentinels, same):
		return errSentinelTwice
	}
	m.Sentinels = append(m.Sentinels, core.KnownSentinel{Addr: addr, ID: args[2]})
	return ""
}

// addr is the address of an instance. A name is taken if names are to be resolved;
// that it does not resolve now does not matter.
func (f *file) addr(host, port string) (core.Addr, string) {
	n, ok := portOf(port)
	switch {
	case !ok:
		return core.Addr{}, errPort
	case !f.settings.ResolveHostnames && !isIP(host), host == "":
		return core.Addr{}, errUnresolved
	}
	return core.Addr{Host: host, Port: n}, ""
}

// readEpoch reads an epoch. No epoch is beyond the current one.
func (f *file) readEpoch(to *uint64, word string) string {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return errNumber
	}
	*to = n
	f.state.CurrentEpoch = max(f.state.CurrentEpoch, n)
	return ""
}

// duration is a time in milliseconds, not below least.
func duration(least int64, wrong string, field func(o *core.Options) *time.Duration) func(*file, *core.MasterState, []string) string {
	return func(_ *file, m *core.MasterState, args []string) string {
		n, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil || n < least || n > maxMs {
			return wrong
		}
		*field(&m.Options) = time.Duration(n) * time.Millisecond
		return ""
	}
}

func yesNo(wrong string, field func(f *file) *bool) func(*file, []string) string {
	return func(f *file, args []string) string {
		on, ok := parseYesNo(args[0])
		if !ok {
			return wrong
		}
		*field(f) = on
		return ""
	}
}

func parseYesNo(word string) (on, ok bool) {
	switch strings.ToLower(word) {
	case "yes":
		return true, true
	case "no":
		return false, true
	}
	return false, false
}

// portOf reads a port. 0 is that of an instance whose port is not known.
func portOf(word string) (uint16, bool) {
	n, err := strconv.ParseUint(word, 10, 16)
	return uint16(n), err == nil
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// unlessExecutable is the reason unless the file may be executed.
func (f *file) unlessExecutable(path, reason string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(f.dir, path)
	}
	if !executable(path) {
		return reason
	}
	return ""
}

func executable(path string) bool {
	const mayExecute = 1 // X_OK
	return syscall.Access(path, mayExecute) == nil
}
