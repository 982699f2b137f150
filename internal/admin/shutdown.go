package admin

import (
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/storage"
)

func (a *Commands) shutdownRow() *command.Row {
	return stopping(serverRow("shutdown", -1, command.Admin|command.NoScript|command.Loading|command.Stale|command.NoMulti|command.AllowBusy,
		"1.0.0", "Saves if that is configured, and ends the server.", command.For(a.shutdown)))
}

func (a *Commands) shutdown(x *command.Ctx, c Operator) {
	how, abort, err := shutdownOptions(x.Args[1:])
	switch {
	case err != "":
		x.Out.Error(err)
	case how&config.ShutdownFailover != 0 && a.Cluster == nil:
		x.Out.Error(resp.ErrShutdownFailover)
	case a.Server.Busy() != "":
		a.shutdownBusy(x, how)
	case abort:
		a.abortShutdown(x, c)
	default:
		by := requestOf(c)
		client, begun := c.Suspend(), false
		c.World(func(tx *storage.Tx) {
			begun = true
			a.Log.Info("SHUTDOWN (" + by + ")")
			a.Server.BeginShutdown(tx, how, client)
		})
		if !begun && client != nil {
			client(0, func(w *resp.Writer) { w.Error(a.Server.Busy()) })
		}
	}
}

// shutdownBusy ends the server while a script takes long, which is possible only
// without saving anything: what the script has changed is no whole.
func (a *Commands) shutdownBusy(x *command.Ctx, how config.Shutdown) {
	if how&config.ShutdownNoSave == 0 {
		x.Out.Error(a.Server.Busy())
		return
	}
	a.Server.EndNow()
}

func (a *Commands) abortShutdown(x *command.Ctx, c Operator) {
	aborted := false
	c.World(func(tx *storage.Tx) { aborted = a.Server.AbortShutdown(tx) })
	if aborted {
		x.Out.OK()
	} else {
		x.Out.Error(resp.ErrNoShutdown)
	}
}

// shutdownOptions reads the words of SHUTDOWN.
func shutdownOptions(words [][]byte) (how config.Shutdown, abort bool, err resp.Error) {
	for _, w := range words {
		switch {
		case resp.EqualFold(w, "nosave"):
			how |= config.ShutdownNoSave
		case resp.EqualFold(w, "save"):
			how |= config.ShutdownSave
		case resp.EqualFold(w, "now"):
			how |= config.ShutdownNow
		case resp.EqualFold(w, "force"):
			how |= config.ShutdownForce
		case resp.EqualFold(w, "safe"):
			how |= config.ShutdownSafe
		case resp.EqualFold(w, "failover"):
			how |= config.ShutdownFailover
		case resp.EqualFold(w, "abort"):
			abort = true
		default:
			return 0, false, resp.ErrSyntax
		}
	}
	if abort && how != 0 || how&config.ShutdownSave != 0 && how&config.ShutdownNoSave != 0 {
		return 0, false, resp.ErrSyntax
	}
	return how, abort, ""
}
