//go:build faulty

package fault

import (
	"log"
	"os"
	"slices"
)

var chosen = Name(os.Getenv("REDOUBT_FAULT"))

func init() {
	switch {
	case chosen == "":
	case slices.Contains(All, chosen):
		log.Printf("This binary is for tests: it has the fault %s (REDOUBT_FAULT)", chosen)
	default:
		log.Fatalf("REDOUBT_FAULT: there is no fault %q, only %v", chosen, All)
	}
}

// Is reports whether this binary has a fault.
func Is(n Name) bool { return n == chosen }
