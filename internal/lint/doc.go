// Package lint checks the module's source for the rules of the house. It is a
// test and nothing else: go test ./internal/lint, or make lint.
//
// rooms_test.go holds the table of rooms: each package of the module, whom it
// may import, and whether it is pure. Pure packages are functions of their
// arguments: no clock, goroutine, channel, lock, socket, file, log or global
// randomness, so that the simulator can drive them and a failure replays from
// a seed. A package that is not in the table fails: to add a row is to decide
// where it stands. External modules have their importers in a table as well.
// A row or a permission that nobody uses fails, too, save for the rooms that are
// being built, which are listed.
//
// Beside that, all files must be formatted, of a size to hold in one's head,
// and finished; and a setting that is said to do something must be read. Pages of
// docs/ are no wider than prose and tables may be, and their links lead somewhere.
package lint
