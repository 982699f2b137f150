//go:build faulty

package fault

import (
	"log"
	"os"
	"slices"
)

var chosen = choose(Name(os.Getenv("REDOUBT_FAULT")))

// choose says which fault this binary has, "" for none, and ends it if there is no such fault.
func choose(n Name) Name {
	switch {
	case n == "":
	case slices.Contains(All, n):
		log.Printf("This binary is for tests: it has the fault %s (REDOUBT_FAULT)", n)
	default:
		log.Fatalf("REDOUBT_FAULT: there is no fault %q, only %v", n, All)
	}
	return n
}

// Is reports whether this binary has a fault.
func Is(n Name) bool { return n == chosen }
