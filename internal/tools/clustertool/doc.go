// Package clustertool makes, inspects and changes clusters from outside, as redis-cli
// --cluster does, and has three commands of its own: a status, a failover that is waited
// for, and the restart of all nodes.
//
// It takes the same steps in the same order, refuses the same nodes, and
// prints the lines that scripts look for in the same words; that is why its
// output says master and slave. It differs where redis-cli leaves its user
// alone: no wait is without a limit, a wait that ends in vain says which node
// disagrees with the others and why, and commands return when the cluster is as they
// were to make it: every node knows every other, replicas replicate, all agree. What is
// interrupted says how to go on, and the next command does.
//
// What is to be decided is in pure parts: layout.go (create), plan.go (reshard and
// rebalance), repair.go (fix), and slotmove.go, the state machine that moves a slot. The
// rest asks the nodes, carries out and prints.
//
// It works by commands alone, on real Redis as on our own nodes, and keeps no
// state. cmd/redoubt drives it, and so does the lab.
package clustertool
