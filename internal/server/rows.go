package server

import "redoubt/internal/command"

// connOf, loopOf and serverOf are how the handlers of this package reach what
// handlers of data must not know.
func connOf(x *command.Ctx) *conn     { return x.Caller.(*conn) }
func loopOf(x *command.Ctx) *loop     { return connOf(x).home.Load() }
func serverOf(x *command.Ctx) *Server { return connOf(x).srv }

// doc is the documentation of a row that needs no more than a sentence.
func doc(since, group, summary string) command.Doc { return command.Brief(since, group, summary) }

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
