//go:build !race

package tree

const seedStep = 1
