//go:build race

package storage

// raceDetector: these tests run under it, which takes twenty times as long. Those of one
// goroutine are smaller then: their full size is for a build without it, and for one with
// the tag invariants.
const raceDetector = true
