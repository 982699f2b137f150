package admin

import "redoubt/internal/command"

// serverRow is a row of the server group that touches no data.
func serverRow(name string, arity int, flags command.Flags, since, summary string, run command.Handler) *command.Row {
	return &command.Row{Name: name, Arity: arity, Flags: flags, Lock: command.LockNone, Run: run, Doc: command.Brief(since, "server", summary)}
}

// stopping makes a row one that looks at all connections or changes the node:
// its handler stops the loops itself, and in a transaction they are stopped
// for it.
func stopping(r *command.Row) *command.Row {
	r.Lock = command.LockSelf
	return r
}

// within adds a row to ACL categories that do not follow from its flags.
func within(c command.Category, r *command.Row) *command.Row {
	r.ACL |= c
	return r
}

// deprecated says since when a command has had a successor.
func deprecated(since, by string, r *command.Row) *command.Row {
	r.Doc.Deprecated, r.Doc.ReplacedBy = since, by
	return r
}

// ofSystem says that a command is not meant for applications.
func ofSystem(r *command.Row) *command.Row {
	r.Doc.System = true
	return r
}
