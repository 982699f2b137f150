// Package chaos judges clusters of real processes from outside, while they are disturbed.
//
// An episode disturbs a cluster for some seconds, while clients write and read and keep a
// record of what they asked and were told (workload.go, client.go). Then everything is
// mended; the cluster has to serve again, and all its members have to be what they were
// (cluster.go). In the end all that was written is read once more, and package history
// looks for what no store that keeps its promises can have told.
//
// The faults of an episode are planned from its seed: their kinds, times and targets
// (plan.go, faults.go). What comes of them depends on the machine too. A group of episodes
// shares a cluster. An episode that fails leaves a folder with all that is known of it
// (folder.go), and its cluster is not used any further.
package chaos
