//go:build !faulty

package fault

// Is reports whether this binary has a fault.
func Is(Name) bool { return false }
