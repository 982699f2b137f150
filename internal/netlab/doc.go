// Package netlab is a network whose faults are chosen: hosts, each a network namespace of
// its own with one address, and a switch between them, which is this process. Real
// processes run in the hosts and speak plain TCP; what becomes of their packets is decided
// by a Rule for each pair of hosts and direction, which may change at any moment.
//
//	host 0 ── tun0 ─┐                 ┌─ tun0 ── host 1
//	                ├─ Network.route ─┤
//	host 2 ── tun0 ─┘                 └─ tun0 ── host 3
//
// Nothing of it is visible outside, and nothing is left behind: the namespaces have no
// names, and the kernel removes them, and ends the processes in them, when this process
// ends, however it does. What a host sends to its own address or to 127.0.0.1 does not
// pass the switch, so a client in a host always reaches the servers of that host.
//
// It needs Linux, root (CAP_NET_ADMIN and CAP_SYS_ADMIN) and /dev/net/tun; Lacking says
// what is missing. Neither iptables nor tc is used.
//
// To look into a host while its processes run: nsenter --net=/proc/PID/ns/net.
package netlab
