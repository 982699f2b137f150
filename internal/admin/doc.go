// Package admin is the commands about a node and its clients: CLIENT, INFO,
// CONFIG, DEBUG, MEMORY, LATENCY, SLOWLOG, MONITOR, pub/sub, SAVE, SHUTDOWN and
// the like, with what they keep for themselves, such as the slow log.
//
// The handlers know no socket and no event loop. Of the client that calls them
// they know Client, or one of the interfaces beside it that add what a family of
// commands needs; command.For takes it from the call. Of the node they know the
// parts in Config, each behind an interface as small as its use. Package server
// implements those about connections and loops, package node the others.
//
// A handler that looks at all clients, or changes what belongs to the loops,
// runs that in Operator.Stop or Operator.World. Nothing else here stops a loop:
// INFO and its like read counters that the loops publish.
package admin
