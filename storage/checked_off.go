//go:build !race && !invariants

package storage

// checked turns on checks that are too dear for production: that a unit holds
// the slots of the keys it touches. They run under -race and with the build
// tag invariants.
const checked = false
