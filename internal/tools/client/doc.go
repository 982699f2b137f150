// Package client is the Redis client of the tools: cluster, check and lab.
//
// A Conn is one connection; it sends commands and reads their replies in
// order. A Cluster is the tools' knowledge of a cluster: which node serves
// which slot, and which nodes were ever seen. A Session sends single-key
// commands to the node that the Cluster names, and follows MOVED and ASK.
// Outside of a cluster there is one shard with all slots: a node, what is behind
// a proxy, or the primary that Sentinels name.
//
// What the package is careful about is the truth about a failed command.
// Every failure is one of two: a *ReplyError, the server refused and has not
// executed it; or a *NetError, which says whether the command may have
// reached the server. The consistency check rests on that distinction.
//
// It speaks RESP2 by way of tidwall/resp. Replies are bounded in size and
// depth before that module sees them, so no server can exhaust the tool that
// asks it. It speaks TLS if Options say so. There is no pub/sub and no
// connection pool.
package client
