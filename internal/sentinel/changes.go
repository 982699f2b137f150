package sentinel

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/glob"
	"redoubt/internal/resp"
)

// The commands that change what is monitored, or how. They are answered when the
// change is in the configuration file.

// ask steps a command whose answer is OK or an error.
func (d *driver) ask(q *query, e core.Event) {
	d.command(e, func(r core.Result) { q.reply(func(w *resp.Writer) { replyResult(w, r) }) })
}

func monitor(d *driver, q *query) {
	name, host := q.args[2], q.args[3]
	quorum, err := strconv.ParseInt(q.args[5], 10, 32)
	if err != nil {
		q.fail("ERR Invalid quorum")
		return
	}
	port, err := strconv.ParseInt(q.args[4], 10, 64)
	switch {
	case err != nil:
		q.fail("ERR Invalid port")
	case quorum <= 0:
		q.fail("ERR Quorum must be 1 or greater.")
	case !isIP(host) && (!d.settings.ResolveHostnames || host == ""):
		q.fail(resp.Error(core.ErrInvalidAddr))
	case port < 0 || port > 0xffff:
		q.fail("ERR Invalid port number.")
	default:
		d.monitor(q, core.Monitor{Name: name, Addr: core.Addr{Host: host, Port: uint16(port)}, Quorum: int(quorum)})
	}
}

// monitor steps a Monitor, once a host name in it has been resolved.
func (d *driver) monitor(q *query, m core.Monitor) {
	if isIP(m.Addr.Host) {
		d.ask(q, m)
		return
	}
	d.goroutines.Go(func() {
		ctx, cancel := context.WithTimeout(d.ctx, dialTimeout)
		defer cancel()
		ip, err := lookUp(ctx, m.Addr.Host)
		if err != nil {
			q.fail(resp.Error(core.ErrInvalidAddr))
			return
		}
		if !d.post(func() {
			d.step(core.Resolved{Host: m.Addr.Host, IP: ip})
			d.ask(q, m)
		}) {
			q.fail(errEnding)
		}
	})
}

func remove(d *driver, q *query) { d.ask(q, core.Remove{Name: q.args[2]}) }

func flushConfig(d *driver, q *query) { d.ask(q, core.FlushConfig{}) }

func reset(d *driver, q *query) {
	match := func(name string) bool { return glob.Match(q.args[2], name) }
	d.command(core.Reset{Match: match}, func(r core.Result) {
		q.reply(func(w *resp.Writer) {
			if r.Err != nil {
				replyResult(w, r)
				return
			}
			w.Int(int64(r.Count))
		})
	})
}

func failover(d *driver, q *query) {
	f := core.Failover{Name: q.args[2]}
	switch {
	case len(q.args) > 4:
		q.fail(resp.ErrArity("sentinel|failover"))
		return
	case len(q.args) == 4 && !strings.EqualFold(q.args[3], "coordinated"):
		q.fail(resp.Error(fmt.Sprintf("ERR Unknown failover option specified: %s", q.args[3])))
		return
	}
	f.Coordinated = len(q.args) == 4
	d.ask(q, f)
}

// set is SENTINEL SET: all options, or none if one is refused.
func set(d *driver, q *query) {
	name := q.args[2]
	if _, ok := d.node.Master(time.Now(), name); !ok {
		q.fail(errNoSuchMaster)
		return
	}
	options, err := core.ParseOptions(q.args[3:])
	if err == nil {
		err = d.allowScripts(options)
	}
	if err != nil {
		q.reply(func(w *resp.Writer) { replyResult(w, core.Result{Err: err}) })
		return
	}
	d.ask(q, core.Set{Name: name, Options: options})
}

const errScriptsDenied core.Error = "ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig configuration directive in your Sentinel configuration"

// allowScripts refuses options that name a script, if clients may not, or if it
// cannot be run.
func (d *driver) allowScripts(options []core.Option) error {
	for _, o := range options {
		what := map[string]string{"notification-script": "Notification", "client-reconfig-script": "Client reconfiguration"}[o.Name]
		switch {
		case what == "":
		case d.denyScripts:
			return errScriptsDenied
		case len(o.Values) == 1 && o.Values[0] != "" && !executable(o.Values[0]):
			return core.Error("ERR " + what + " script seems non existing or non executable")
		}
	}
	return nil
}

func simulateFailure(d *driver, q *query) {
	var flags core.SimFailure
	for _, word := range q.args[2:] {
		switch strings.ToLower(word) {
		case "crash-after-election":
			flags |= core.CrashAfterElection
		case "crash-after-promotion":
			flags |= core.CrashAfterPromotion
		case "help":
			q.reply(func(w *resp.Writer) {
				w.Array(2)
				w.BulkString("crash-after-election")
				w.BulkString("crash-after-promotion")
			})
			return
		default:
			q.fail("ERR Unknown failure simulation specified")
			return
		}
	}
	d.ask(q, core.SimulateFailure{Flags: flags})
}

// A period is one that SENTINEL DEBUG shows and sets.
type period struct {
	name  string
	value *time.Duration
}

// periods are all, in the order of addReplySentinelDebugInfo; t and d hold their
// values.
func periods(t *core.Timing, d *driver) []period {
	return []period{
		{"info-period", &t.InfoPeriod},
		{"ping-period", &t.PingPeriod},
		{"ask-period", &t.AskPeriod},
		{"publish-period", &t.PublishPeriod},
		{"default-down-after", &t.DefaultDownAfter},
		{"default-failover-timeout", &t.DefaultFailoverTimeout},
		{"tilt-trigger", &t.TiltTrigger},
		{"tilt-period", &t.TiltPeriod},
		{"slave-reconf-timeout", &t.ReplicaReconfTimeout},
		{"min-link-reconnect-period", &t.MinLinkReconnectPeriod},
		{"election-timeout", &t.ElectionTimeout},
		{"script-max-runtime", &d.scripts.maxRuntime},
		{"script-retry-delay", &d.scripts.retryDelay},
	}
}

func debug(d *driver, q *query) {
	timing := d.settings.Timing
	all := periods(&timing, d)
	if len(q.args) == 2 {
		q.reply(func(w *resp.Writer) {
			w.Map(len(all))
			for _, p := range all {
				w.BulkString(strings.ToUpper(p.name))
				w.BulkInt(p.value.Milliseconds())
			}
		})
		return
	}
	values, err := debugValues(all, q.args[2:])
	if err != "" {
		q.fail(err)
		return
	}
	for i, value := range values {
		*all[i].value = value
	}
	d.settings.Timing = timing
	d.step(core.Configure{Settings: d.settings})
	q.reply((*resp.Writer).OK)
}

// debugValues reads names of periods and their new values, by the places of the
// periods.
func debugValues(all []period, words []string) (map[int]time.Duration, resp.Error) {
	values := make(map[int]time.Duration)
	for ; len(words) > 0; words = words[2:] {
		i := slices.IndexFunc(all, func(p period) bool { return strings.EqualFold(p.name, words[0]) })
		if i < 0 || len(words) == 1 {
			return nil, resp.Error(fmt.Sprintf("ERR Unknown option or number of arguments for SENTINEL DEBUG '%s'", words[0]))
		}
		ms, ok := resp.ParseInt([]byte(words[1]))
		if !ok || ms <= 0 || ms > maxMs {
			return nil, resp.Error(fmt.Sprintf("ERR Invalid argument '%s' for SENTINEL DEBUG '%s'", words[1], words[0]))
		}
		values[i] = time.Duration(ms) * time.Millisecond
	}
	return values, ""
}
