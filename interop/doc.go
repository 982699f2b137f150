// Package interop tests the program from outside, as operators and clients
// meet it: whole processes, the real redis-server and redis-cli, client
// libraries that know nothing of us, kill -9, a full disk, junk on every port.
//
// Each test has processes of its own and ends them. With INTEROP_CONTROL=1 the
// nodes that are ours otherwise are real redis-server nodes too: a test that
// fails then asks for something that Redis does not do either. What only we
// promise (a journal that outlives kill -9) is skipped in such a run.
//
// The package has no code but its tests, and nothing imports it.
package interop
