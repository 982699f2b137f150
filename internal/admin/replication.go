package admin

import (
	"errors"
	"math"
	"strconv"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// replicationRows are the commands about the node's role.
func (a *Commands) replicationRows() []*command.Row {
	const flags = command.Admin | command.NoScript | command.Stale | command.NoAsyncLoading
	return []*command.Row{
		stopping(serverRow("replicaof", 3, flags, "5.0.0", "Follows a primary from now on, or becomes one.", command.For(a.replicaOf))),
		stopping(deprecated("5.0.0", "`REPLICAOF`", serverRow("slaveof", 3, flags, "1.0.0", "Is REPLICAOF by its old name.", command.For(a.replicaOf)))),
		stopping(serverRow("failover", -1, command.Admin|command.NoScript|command.Stale, "6.2.0", "Hands over to a replica once that has everything.", command.For(a.failover))),
		within(command.CatAdmin|command.CatDangerous, serverRow("role", 1, command.NoScript|command.Loading|command.Stale|command.Fast,
			"2.8.12", "Tells whether the node is a primary or a replica, and of whom.", a.role)),
	}
}

func (a *Commands) replicaOf(x *command.Ctx, c Operator) {
	if x.Host.ClusterEnabled() {
		x.Out.Error(resp.ErrReplicaOfCluster)
		return
	}
	if f, ok := a.Replication.(Coordinator); ok && f.FailoverState() != NoFailover {
		x.Out.Error(resp.ErrReplicaOfHanding)
		return
	}
	host, port := string(x.Args[1]), int64(0)
	if resp.EqualFold(x.Args[1], "no") && resp.EqualFold(x.Args[2], "one") {
		host = ""
	} else {
		if c.Monitoring() {
			x.Out.Error(resp.ErrFeedReplicaOf) // a monitor counts as one
			return
		}
		var ok bool
		if port, ok = resp.ParseInt(x.Args[2]); !ok || port < 0 || port > 65535 {
			x.Out.Error(resp.ErrMasterPort)
			return
		}
	}
	if a.Replication == nil {
		if host == "" {
			x.Out.OK() // it is a primary already
		} else {
			x.Out.Error(resp.ErrGeneric)
		}
		return
	}
	if h, p := a.Replication.Primary(); host != "" && h == host && p == int(port) {
		x.Out.Simple("OK Already connected to specified master")
		return
	}
	by := requestOf(c)
	c.World(func(tx *storage.Tx) { a.Server.Follow(tx, host, int(port), by) })
	if host == "" {
		a.Server.Record("replicaof", "no", "one")
	} else {
		a.Server.Record("replicaof", host, strconv.FormatInt(port, 10))
	}
	x.Out.OK()
}

// failover is Redis's failoverCommand.
func (a *Commands) failover(x *command.Ctx, c Operator) {
	if x.Host.ClusterEnabled() {
		x.Out.Error(resp.ErrFailoverCluster)
		return
	}
	f, ok := a.Replication.(Coordinator)
	if !ok {
		x.Out.Error(resp.ErrGeneric)
		return
	}
	by := requestOf(c)
	act := func(tx *storage.Tx) error { return f.AbortFailover(tx, by) }
	if len(x.Args) != 2 || !resp.EqualFold(x.Args[1], "abort") {
		how, err := parseFailover(x.Args[1:])
		if err != "" {
			x.Out.Error(err)
			return
		}
		how.By = by
		act = func(tx *storage.Tx) error { return f.Failover(tx, how) }
	}
	var err error
	c.World(func(tx *storage.Tx) { err = act(tx) })
	var refusal resp.Error
	switch {
	case errors.As(err, &refusal):
		x.Out.Error(refusal)
	case err != nil:
		x.Out.Error(resp.ErrGeneric)
	default:
		x.Out.OK()
	}
}

// parseFailover reads the words of FAILOVER; the error is "" if they are right.
func parseFailover(args [][]byte) (how Failover, err resp.Error) {
	for len(args) > 0 {
		switch word, rest := args[0], args[1:]; {
		case resp.EqualFold(word, "timeout") && len(rest) > 0 && how.Timeout == 0:
			ms, ok := resp.ParseInt(rest[0])
			switch {
			case !ok:
				return how, resp.ErrNotInteger
			case ms <= 0:
				return how, resp.ErrFailoverTimeout
			}
			how.Timeout = time.Duration(min(ms, int64(math.MaxInt64/time.Millisecond))) * time.Millisecond
			args = rest[1:]
		case resp.EqualFold(word, "to") && len(rest) > 1 && how.Host == "":
			port, ok := resp.ParseInt(rest[1])
			if !ok {
				return how, resp.ErrNotInteger
			}
			how.Host, how.Port = string(rest[0]), int(port)
			args = rest[2:]
		case resp.EqualFold(word, "force") && !how.Force:
			how.Force = true
			args = rest
		default:
			return how, resp.ErrSyntax
		}
	}
	return how, ""
}

func (a *Commands) role(x *command.Ctx) {
	w := x.Out
	if a.Replication == nil {
		w.Array(3)
		w.BulkString("master")
		w.Int(int64(a.Stream.End()))
		w.Array(0)
		return
	}
	host, port := a.Replication.Primary()
	if host != "" {
		w.Array(5)
		w.BulkString("slave")
		w.BulkString(host)
		w.Int(int64(port))
		w.BulkString(a.Replication.LinkState())
		if a.Replication.LinkUp() {
			w.Int(int64(a.Stream.End()))
		} else {
			w.Int(-1)
		}
		return
	}
	replicas := a.Replication.Replicas()
	w.Array(3)
	w.BulkString("master")
	w.Int(int64(a.Stream.End()))
	w.Array(len(replicas))
	for _, r := range replicas {
		w.Array(3)
		w.BulkString(r.IP)
		w.BulkInt(int64(r.Port))
		w.BulkInt(int64(r.Offset))
	}
}
