//go:build race

package tree

// seedStep is how many seeds the model tests go on at a time: the race detector
// makes them ten times slower.
const seedStep = 9
