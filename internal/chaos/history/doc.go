// Package history is the record of what clients asked of a store and were told, and
// checkers that say whether a store which keeps its promises could have told them that.
//
// An operation has an invocation and a completion on one clock, and an outcome. One that
// was refused has not happened. One whose outcome is unknown may have happened, at any
// moment since its invocation, or may never happen. Everything else follows from what
// the operations that are done have returned.
//
// Registers (register.go) are given to porcupine, key by key. Lists (lists.go) show in
// which order they were appended to, from which follows what must have come before what;
// a cycle is an anomaly, with the name that the literature has for it (Adya; Elle by
// Kingsbury and Alvaro). Accounts, sets and counters (sums.go), queues (queues.go), streams
// with groups (streams.go) and keys that expire (expiry.go) have laws that one reads off.
//
// Nothing here talks to a server: package chaos does, and tests make up histories.
package history
