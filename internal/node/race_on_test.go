//go:build race

package node

// raceDetector: these tests run under it, and what they do takes many times as long.
const raceDetector = true
