// Package sentinel is one Sentinel: it watches masters and their replicas,
// agrees with other Sentinels on which of them is down, and has a replica take
// over. It is a pure state machine of the same shape as package cluster:
//
//	fx := node.Step(now, event)
//
// A Node has no clock, socket, disk, goroutine or lock, and draws its random
// numbers from the source in its Config; the same events at the same times
// give the same effects. Two drivers call it: the Sentinel program, with real
// connections and a real configuration file, and package cluster/sim/sentinels.
//
// The words are those of Redis Sentinel. An instance is whatever is watched: a
// master, one of its replicas, or another Sentinel that watches the same
// master. SDOWN is this Sentinel's own opinion that an instance does not
// answer, ODOWN of a master the opinion of at least quorum Sentinels. The
// current epoch orders elections; a config epoch orders the configurations of
// one master, and the Sentinel that wins the election of an epoch is the only
// one that may use it. A hello tells the others where a Sentinel is and which
// configuration it knows. In TILT mode a Sentinel stood still for too long to
// judge anybody by what it remembers: it collects, and does not act.
//
// What goes over the wire, and the texts of all published events, are those of
// redis-sentinel 7.2, so that Sentinels of both kinds vote together.
//
// Some things differ on purpose. A promise (a vote, a claim of an epoch, the
// command that promotes a replica) leaves only when what it depends on is on
// disk: Effects.SendAfterPersist. Time is what the driver passes in, which is
// to be monotonic: a step of the wall clock is not TILT. An instance is looked
// at when something is due for it, and not ten times a second, so that a
// thousand masters cost little. What else differs is said where it does.
//
// What the package does not do: it resolves no host names, runs no scripts,
// and reads or writes no file. It takes Reply and gives Request, and knows
// nothing of RESP.
package sentinel
