package admin

import (
	"strings"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// BusDebugger is a Cluster whose bus can be disturbed, for tests.
type BusDebugger interface {
	// DropMessages has the messages of a type that come over the bus dropped, by its
	// number there; -1: none.
	DropMessages(kind int64)
	// CloseOnDrop has the link closed over which such a message has come.
	CloseOnDrop(on bool)
	// Sleep has the node do nothing in the cluster for so long: it answers nobody. Sleep
	// itself returns at once.
	Sleep(d time.Duration)
	// KillLinks closes the links to a node and those from it, and reports whether the
	// node is known.
	KillLinks(node string, to, from bool) (known bool)
}

// debugDropMessages is DEBUG DROP-CLUSTER-PACKET-FILTER.
func (a *Commands) debugDropMessages(x *command.Ctx, _ Debugger) {
	kind, ok := resp.ParseInt(x.Args[2])
	if !ok {
		x.Out.Error(resp.ErrNotInteger)
		return
	}
	if b, ok := a.Cluster.(BusDebugger); ok {
		b.DropMessages(kind)
	}
	x.Out.OK() // without a cluster there is nothing to drop
}

// debugCloseOnDrop is DEBUG CLOSE-CLUSTER-LINK-ON-PACKET-DROP of Valkey 8.
func (a *Commands) debugCloseOnDrop(x *command.Ctx, _ Debugger) {
	if b, ok := a.Cluster.(BusDebugger); ok {
		b.CloseOnDrop(string(x.Args[2]) != "0")
	}
	x.Out.OK()
}

// debugLinks is DEBUG CLUSTERLINK KILL.
func (a *Commands) debugLinks(x *command.Ctx, _ Debugger) {
	b, ok := a.Cluster.(BusDebugger)
	direction := strings.ToLower(string(x.Args[3]))
	switch {
	case !resp.EqualFold(x.Args[2], "kill"):
		x.Out.Error(resp.ErrSubcommandSyntax("debug", x.Args[1]))
	case !ok:
		x.Out.Error(resp.ErrDebugNoCluster)
	case direction != "to" && direction != "from" && direction != "all":
		x.Out.Error(resp.ErrLinkDirection(x.Args[3]))
	case !b.KillLinks(string(x.Args[4]), direction != "from", direction != "to"):
		x.Out.Error(resp.ErrUnknownNode(x.Args[4]))
	default:
		x.Out.OK()
	}
}
