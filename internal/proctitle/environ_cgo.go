//go:build cgo

package proctitle

// sharedEnvironment: see environ.go.
const sharedEnvironment = true
