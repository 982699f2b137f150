package admin

import (
	"errors"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// saveRows are the commands about snapshots.
func (a *Commands) saveRows() []*command.Row {
	return []*command.Row{
		stopping(serverRow("save", 1, command.Admin|command.NoScript|command.NoAsyncLoading|command.NoMulti, "1.0.0", "Saves all keys to the dump file; nothing else runs meanwhile.", command.For(a.save))),
		serverRow("bgsave", -1, command.Admin|command.NoScript|command.NoAsyncLoading, "1.0.0", "Saves all keys to the dump file while commands go on.", a.bgSave),
		serverRow("bgrewriteaof", 1, command.Admin|command.NoScript|command.NoAsyncLoading, "1.0.0", "Makes a new base of the journal while commands go on.", command.For(a.bgRewriteAOF)),
		within(command.CatAdmin|command.CatDangerous, serverRow("lastsave", 1, command.Loading|command.Stale|command.Fast, "1.0.0", "Tells when the dump file was last saved, in Unix time.", a.lastSave)),
	}
}

// idle returns what makes snapshots, or answers why none can be made now.
func (a *Commands) idle(x *command.Ctx) (p Persistence, ok bool) {
	p = a.Persistence
	switch {
	case p == nil:
		x.Out.Error(resp.ErrGeneric)
	case p.Saving():
		x.Out.Error(resp.ErrSaveInProgress)
	default:
		return p, true
	}
	return nil, false
}

func (a *Commands) save(x *command.Ctx, c Operator) {
	p, ok := a.idle(x)
	if !ok {
		return
	}
	var err error
	c.World(func(tx *storage.Tx) { err = p.Save(tx) })
	if err != nil {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	x.Out.OK()
}

func (a *Commands) bgSave(x *command.Ctx) {
	if len(x.Args) > 2 || len(x.Args) == 2 && !resp.EqualFold(x.Args[1], "schedule") {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	p, ok := a.idle(x)
	if !ok {
		return
	}
	if err := p.Background(); err != nil {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	x.Out.Simple("Background saving started")
}

// bgRewriteAOF is Redis's bgrewriteaofCommand.
func (a *Commands) bgRewriteAOF(x *command.Ctx, c Client) {
	if a.Persistence == nil {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	switch scheduled, err := a.Persistence.Rewrite(c.InTransaction()); {
	case errors.Is(err, resp.ErrRewriting):
		x.Out.Error(resp.ErrRewriting)
	case err != nil:
		x.Out.Error(resp.ErrGeneric)
	case scheduled:
		x.Out.Simple("Background append only file rewriting scheduled")
	default:
		x.Out.Simple("Background append only file rewriting started")
	}
}

func (a *Commands) lastSave(x *command.Ctx) {
	at := processStart
	if p := a.Persistence; p != nil {
		at = p.LastSave()
	}
	x.Out.Int(at.Unix())
}
