//go:build race || invariants

package slab

const checked = true
