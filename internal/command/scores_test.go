package command

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// TestShortIntegersAreReadAsStrtodReadsThem compares the short way with the long
// one, to the sign of a zero.
func TestShortIntegersAreReadAsStrtodReadsThem(t *testing.T) {
	words := []string{"", "-", "+1", "0", "-0", "00", "-000", "000000012345", "-7", "--7", "1-", "1.5", "1e3", "0x10", "inf", "nan", " 1",
		"999999999999999", "-999999999999999", "1000000000000000", "9007199254740993", "1\x00"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		words = append(words, fmt.Sprintf("%0*d", random.IntN(18), random.Int64N(1<<random.IntN(62))-1<<20))
	}
	for _, w := range words {
		short, ok := shortInteger([]byte(w))
		if !ok {
			continue
		}
		long, ranged, ok := strtod(w)
		if !ok || ranged || math.Float64bits(short) != math.Float64bits(long) {
			t.Errorf("%q: %v, and %v (%v, %v) by strtod", w, short, long, ranged, ok)
		}
	}
	for _, w := range []string{"0", "-0", "000000012345", "-999999999999999"} {
		if _, ok := shortInteger([]byte(w)); !ok {
			t.Errorf("%q is read the long way", w)
		}
	}
}
