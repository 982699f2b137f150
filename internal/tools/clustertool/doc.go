// Package clustertool makes and inspects clusters from outside, as redis-cli
// --cluster does: create, check, info and call.
//
// It takes the same steps in the same order, refuses the same nodes, and
// prints the lines that scripts look for in the same words; that is why its
// output says master and slave. It differs where redis-cli leaves its user
// alone: no wait is without a limit, a wait that ends in vain says which node
// disagrees with the others and why, and create returns when the cluster
// serves: every node knows every other, replicas replicate, all say
// cluster_state:ok.
//
// It works by commands alone, on real Redis as on our own nodes, and keeps no
// state. cmd/redoubt drives it, and so does the lab.
package clustertool
