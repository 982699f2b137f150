package sentinel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/config"
	"redoubt/internal/glob"
	"redoubt/internal/resp"
)

// An option is one of the Sentinel itself, which SENTINEL CONFIG shows and sets.
type option struct {
	name string
	get  func(d *driver) string
	// set changes the settings; it reports false if the value is none.
	set func(s *core.Settings, value string) bool
}

// options are all, in the order of sentinelConfigGetCommand. loglevel has no set:
// it is a directive of the server.
var options = []option{
	{"resolve-hostnames", func(d *driver) string { return yes(d.settings.ResolveHostnames) },
		func(s *core.Settings, value string) bool { return setYesNo(&s.ResolveHostnames, value) }},
	{"announce-hostnames", func(d *driver) string { return yes(d.settings.AnnounceHostnames) },
		func(s *core.Settings, value string) bool { return setYesNo(&s.AnnounceHostnames, value) }},
	{"announce-ip", func(d *driver) string { return d.settings.AnnounceIP },
		func(s *core.Settings, value string) bool { s.AnnounceIP = value; return true }},
	{"announce-port", func(d *driver) string { return strconv.Itoa(int(d.settings.AnnouncePort)) },
		func(s *core.Settings, value string) bool {
			port, ok := portOf(value)
			if ok {
				s.AnnouncePort = port
			}
			return ok
		}},
	{"sentinel-user", func(d *driver) string { return d.settings.SentinelUser },
		func(s *core.Settings, value string) bool { s.SentinelUser = value; return true }},
	{optionPassword, func(d *driver) string { return d.settings.SentinelPass },
		func(s *core.Settings, value string) bool { s.SentinelPass = value; return true }},
	{optionLogLevel, func(d *driver) string {
		return logLevels[d.config.Current().LogLevel]
	}, func(_ *core.Settings, value string) bool { return slices.Contains(logLevels, strings.ToLower(value)) }},
}

const (
	optionLogLevel = "loglevel"
	optionPassword = "sentinel-pass"
)

// logLevels are the names of config's levels.
var logLevels = []string{config.LogDebug: "debug", config.LogVerbose: "verbose", config.LogNotice: "notice", config.LogWarning: "warning", config.LogNothing: "nothing"}

func yes(on bool) string {
	if on {
		return "yes"
	}
	return "no"
}

func setYesNo(to *bool, value string) bool {
	on, ok := parseYesNo(value)
	if ok {
		*to = on
	}
	return ok
}

func configOptions(d *driver, q *query) {
	switch word := strings.ToLower(q.args[2]); {
	case word == "get":
		getOptions(d, q)
	case word == "set" && len(q.args) >= 5:
		setOptions(d, q)
	default:
		q.fail("ERR Only SENTINEL CONFIG GET <param> [<param> <param> ...]/ SET <param> <value> [<param> <value> ...] are supported.")
	}
}

func getOptions(d *driver, q *query) {
	q.reply(func(w *resp.Writer) {
		var found []option
		for _, pattern := range q.args[3:] {
			for _, o := range options {
				same := func(f option) bool { return f.name == o.name }
				if glob.MatchFold(pattern, o.name) && !slices.ContainsFunc(found, same) {
					found = append(found, o)
				}
			}
		}
		w.Map(len(found))
		for _, o := range found {
			w.BulkString(o.name)
			w.BulkString(o.get(d))
		}
	})
}

// setOptions sets all of the options or none. The settings are those that the file
// has next; if it cannot be written the client learns of it, and they hold all the
// same, as in Redis.
func setOptions(d *driver, q *query) {
	next := d.settings
	level, err := changeOptions(&next, q.args[3:])
	if err != "" {
		q.fail(err)
		return
	}
	if level != "" {
		if err := d.config.Set(config.Caller{Local: true}, config.Pair{Name: optionLogLevel, Value: level}); err != nil {
			q.fail(resp.Error(err.Error()))
			return
		}
	}
	d.settings = next
	d.step(core.Configure{Settings: next})
	d.ask(q, core.FlushConfig{})
}

// changeOptions reads names and values into settings. level is the new log level,
// if there is one.
func changeOptions(s *core.Settings, words []string) (level string, err resp.Error) {
	var seen []string
	for ; len(words) > 0; words = words[2:] {
		name := strings.ToLower(words[0])
		i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
		switch {
		case i < 0:
			return "", resp.Error(fmt.Sprintf("ERR Invalid argument '%s' to SENTINEL CONFIG SET", words[0]))
		case slices.Contains(seen, name):
			return "", resp.Error(fmt.Sprintf("ERR Duplicate argument '%s' to SENTINEL CONFIG SET", words[0]))
		case len(words) == 1:
			return "", resp.Error(fmt.Sprintf("ERR Missing argument '%s' value", words[0]))
		case !options[i].set(s, words[1]):
			return "", resp.Error(fmt.Sprintf("ERR Invalid value '%s' to SENTINEL CONFIG SET '%s'", words[1], words[0]))
		}
		seen = append(seen, name)
		if name == optionLogLevel {
			level = strings.ToLower(words[1])
		}
	}
	return level, ""
}
