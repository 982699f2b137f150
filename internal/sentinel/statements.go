package sentinel

import (
	"fmt"
	"strings"
	"time"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/config"
)

// statements are the lines of the configuration file for a state, in the order of
// rewriteConfigSentinelOption.
func statements(settings core.Settings, denyScripts bool, state *core.State) []config.Statement {
	l := &lines{}
	l.add("myid", state.MyID)
	l.flag("deny-scripts-reconfig", denyScripts, true)
	l.flag("resolve-hostnames", settings.ResolveHostnames, false)
	l.flag("announce-hostnames", settings.AnnounceHostnames, false)
	for _, m := range state.Masters {
		l.master(m)
	}
	l.add("current-epoch", number(state.CurrentEpoch))
	if settings.AnnounceIP != "" {
		l.addRaw("announce-ip", config.Quote(settings.AnnounceIP))
	}
	if settings.AnnouncePort != 0 {
		l.add("announce-port", number(settings.AnnouncePort))
	}
	l.text("sentinel-user", settings.SentinelUser)
	l.text("sentinel-pass", settings.SentinelPass)
	return l.all
}

// lines collects statements.
type lines struct{ all []config.Statement }

// add appends a line of a directive and its words.
func (l *lines) add(directive string, words ...string) {
	for i, w := range words {
		words[i] = quoted(w)
	}
	l.addRaw(directive, words...)
}

// addRaw is add with words that are quoted as they should be.
func (l *lines) addRaw(directive string, words ...string) {
	key := "sentinel " + directive
	l.all = append(l.all, config.Statement{Key: key, Line: key + " " + strings.Join(words, " ")})
}

// flag appends a line that is only wanted if the value is not the default, or if
// the file has one.
func (l *lines) flag(directive string, on, def bool) {
	word := "no"
	if on {
		word = "yes"
	}
	l.add(directive, word)
	l.all[len(l.all)-1].Optional = on == def
}

// text appends a line unless the text is empty, which stands for none.
func (l *lines) text(directive, text string) {
	if text != "" {
		l.add(directive, text)
	}
}

// master appends the lines of one master.
func (l *lines) master(m *core.MasterState) {
	def := core.DefaultOptions()
	o := &m.Options
	text := func(directive, value string) {
		if value != "" {
			l.add(directive, m.Name, value)
		}
	}
	ms := func(directive string, value, def time.Duration) {
		if value != def {
			l.add(directive, m.Name, number(value.Milliseconds()))
		}
	}
	l.add("monitor", m.Name, m.Addr.Host, number(m.Addr.Port), number(m.Quorum))
	ms("down-after-milliseconds", o.DownAfter, def.DownAfter)
	ms("failover-timeout", o.FailoverTimeout, def.FailoverTimeout)
	if o.ParallelSyncs != def.ParallelSyncs {
		l.add("parallel-syncs", m.Name, number(o.ParallelSyncs))
	}
	text("notification-script", o.NotificationScript)
	text("client-reconfig-script", o.ClientReconfigScript)
	text("auth-pass", o.AuthPass)
	text("auth-user", o.AuthUser)
	ms("master-reboot-down-after-period", o.RebootDownAfter, def.RebootDownAfter)
	ms("forget-after-milliseconds", o.ForgetAfter, def.ForgetAfter)
	if o.FastDown {
		l.add("fast-down", m.Name, "yes")
	}
	l.add("config-epoch", m.Name, number(m.ConfigEpoch))
	l.add("leader-epoch", m.Name, number(m.LeaderEpoch))
	for _, r := range m.Replicas {
		l.add("known-replica", m.Name, r.Host, number(r.Port))
		l.all[len(l.all)-1].Instead = "sentinel known-slave"
	}
	for _, s := range m.Sentinels {
		if s.ID != "" {
			l.add("known-sentinel", m.Name, s.Addr.Host, number(s.Addr.Port), s.ID)
		}
	}
	for _, r := range o.RenamedCommands {
		l.add("rename-command", m.Name, r.From, r.To)
	}
}

func number[N int | int64 | uint16 | uint64](n N) string { return fmt.Sprint(n) }

// quoted is a word as it stands in a line. Redis writes words as they are, so that
// one with a blank or a line end in it is read as several, or as further lines.
func quoted(word string) string {
	plain := func(c rune) bool { return c > ' ' && c != '"' && c != '\'' && c != 0x7f }
	for _, c := range word {
		if !plain(c) {
			return config.Quote(word)
		}
	}
	if word == "" {
		return `""`
	}
	return word
}
