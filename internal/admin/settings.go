package admin

import (
	"errors"
	"strings"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
)

func (a *Commands) configRow() *command.Row {
	return &command.Row{Name: "config", Arity: -2, Doc: command.Brief("2.0.0", "server", "Reads, changes and saves the settings."), Sub: []*command.Row{
		settingsRow("get", -3, "2.0.0", "Shows the settings whose names match.", a.configGet),
		stopping(settingsRow("set", -4, "2.0.0", "Changes settings of the running server.", command.For(a.configSet))),
		settingsRow("rewrite", 2, "2.8.0", "Writes the settings in force back to the configuration file.", command.For(a.configRewrite)),
		stopping(settingsRow("resetstat", 2, "2.0.0", "Sets the counters of INFO to zero.", command.For(a.configResetStat))),
		serverRow("help", 2, command.Loading|command.Stale, "5.0.0", "Lists the sub-commands.", func(x *command.Ctx) {
			command.Help(x, "GET <pattern>", "    The settings whose names match, with their values.",
				"SET <directive> <value>", "    Change a setting.",
				"RESETSTAT", "    Set the counters of INFO to zero.",
				"REWRITE", "    Write the settings in force back to their file.")
		}),
	}}
}

func settingsRow(name string, arity int, since, summary string, run command.Handler) *command.Row {
	return serverRow(name, arity, command.Admin|command.NoScript|command.Loading|command.Stale, since, summary, run)
}

func (a *Commands) configGet(x *command.Ctx) {
	var patterns []string
	for _, p := range x.Args[2:] {
		patterns = append(patterns, string(p))
	}
	pairs := a.Settings.Get(patterns...)
	x.Out.Map(len(pairs))
	for _, p := range pairs {
		x.Out.BulkString(p.Name)
		x.Out.BulkString(p.Value)
	}
}

func (a *Commands) configSet(x *command.Ctx, c Operator) {
	complete := len(x.Args)%2 == 0
	for i := 2; i < len(x.Args); i++ {
		switch {
		case !config.Sensitive(string(x.Args[i])):
		case complete && i%2 == 0:
			x.Caller.Redact(i + 1)
		case !complete:
			redactFrom(x.Caller, x.Args, i+1) // a secret with a blank in it is two words
		}
	}
	if !complete {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	var pairs []config.Pair
	for i := 2; i < len(x.Args); i += 2 {
		pairs = append(pairs, config.Pair{Name: string(x.Args[i]), Value: string(x.Args[i+1])})
	}
	switch err := c.Configure(pairs...); {
	case errors.Is(err, config.ErrLoading):
		x.Out.Error(resp.ErrLoading)
	case err != nil:
		x.Out.Error(resp.Error(err.Error()))
	default:
		for _, p := range pairs {
			if lacks := a.Settings.Lacking(p.Name); lacks != "" {
				a.Log.Warn("WARNING: " + p.Name + " has no effect in this version: " + lacks)
			}
			if why := a.Settings.Idle(p.Name); why != "" {
				a.Log.Info(p.Name + " has no effect here: " + why)
			}
		}
		x.Out.OK()
	}
}

func (a *Commands) configRewrite(x *command.Ctx, c Client) {
	if err := a.Settings.Rewrite(false); err != nil {
		a.Log.Warn("CONFIG REWRITE failed (" + requestOf(c) + "): " + strings.TrimPrefix(err.Error(), "ERR "))
		x.Out.Error(resp.Error(err.Error()))
		return
	}
	a.Log.Info("CONFIG REWRITE executed with success (" + requestOf(c) + ").")
	x.Out.OK()
}

func (a *Commands) configResetStat(x *command.Ctx, c Operator) {
	c.Stop(a.ResetStats)
	x.Out.OK()
}
