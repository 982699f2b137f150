//go:build race || invariants

package storage

const checked = true
