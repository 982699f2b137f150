// Package lab runs a cluster on this machine for people to try: nodes as
// processes on the loopback interface that outlive the command that started
// them, made into a cluster, each with a directory of its own. Or it runs a
// primary with its replicas, and Sentinels that watch them; then each node has a
// configuration file, which the Sentinels rewrite.
//
// A lab is a directory. lab.json says what it consists of; for every node
// there is a directory named after its port with the node's data, node.log,
// and a file pid. That file holds the process's number and start time, and a
// process is a node's only if both match: after a reboot, or when the number
// has been given out anew, a stale file makes nothing happen to a stranger.
//
// A command may be interrupted, or killed, at any moment. The next one takes over
// what runs: a process without a pid file is adopted if it answers on a node's port
// and works in that node's directory. lab.json says whether the nodes were ever a
// whole cluster; until then Up does what is left to do of making one.
//
// Nodes are numbered from 1. Every operation may be repeated: what is already
// as wanted stays as it is. One command at a time works in a directory; Look and
// Status change nothing and wait for nobody.
//
// The server is named by a command line, so the same lab runs real
// redis-server processes. cmd/redoubt drives the package.
package lab
