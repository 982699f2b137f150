// Package cluster is a node's part in a Redis Cluster: who the members are,
// which of them are alive, who owns which slot, and who takes over when a
// primary dies. It is a pure state machine. Events go in, effects come out:
//
//	fx := node.Step(now, event)
//
// A Node has no clock, socket, disk, goroutine or lock, and draws its random
// numbers from the source in its Config; the same events at the same times
// give the same effects. Two drivers call it: the server, with real links and
// a real disk, and package cluster/sim, with hundreds of nodes in one process.
//
// The words are those of the Redis Cluster specification. A peer is a node in
// this node's table. An outbound link is a connection that we dialled: all
// that we have to say goes there. An inbound link is one that we accepted: we
// only answer on it. PFAIL is our own suspicion, FAIL what a majority of the
// primaries with slots agrees on. A config epoch orders the claims of two
// primaries on one slot; the current epoch orders elections; both are
// cluster-wide counters without a master copy.
//
// Behaviour is that of Redis 7.0 and 7.2 on the wire and in its answers. Where
// a later version fixed a weakness in a way that older peers do not notice, we
// do as it does; the comments name those places.
//
// One thing differs on purpose. Redis saves its state and sends its messages
// in one event loop iteration, and the order of the two is invisible. Here a
// promise (a vote, a claim of an epoch that this node made up itself) leaves
// in Effects.SendAfterPersist, and until the driver has reported Persisted,
// heartbeats describe the node as it was before the claim. A slow disk so
// delays promises, never heartbeats.
//
// What the package does not do: it reads no keys and moves no data (it says
// DropKeys, and RoleChange tells whom to replicate), and it holds no client
// connection. Connections route by the View that a Node publishes, which is
// immutable and may be read anywhere.
package cluster
