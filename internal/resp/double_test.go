package resp

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestAppendDouble(t *testing.T) {
	for _, c := range []struct {
		f    float64
		want string
	}{
		{0, "0"},
		{math.Copysign(0, -1), "-0"},
		{1, "1"},
		{-17, "-17"},
		{0.1, "0.1"},
		{0.30000000000000004, "0.30000000000000004"},
		{-1.5, "-1.5"},
		{3.141, "3.141"},
		{123456.789, "123456.789"},
		{math.Inf(1), "inf"},
		{math.Inf(-1), "-inf"},
		{math.NaN(), "nan"},
		// Whole numbers are written in full up to 2^62.
		{1e8, "100000000"},
		{1 << 53, "9007199254740992"},
		{1 << 62, "4611686018427387904"},
		{-1 << 62, "-4611686018427387904"},
		{1e19, "1e+19"},
		{12345678901234567e3, "12345678901234567000"},
		{1.5e300, "1.5e+300"},
		{math.MaxFloat64, "1.7976931348623157e+308"},
		// Six digits behind the point, or less than 10^4 in size, stay without an
		// exponent.
		{0.000001, "0.000001"},
		{1e-7, "1e-7"},
		{1.5e-7, "1.5e-7"},
		{0.00123456789, "0.00123456789"},
		{0.000123456789, "1.23456789e-4"},
		{1234.123456789, "1234.123456789"},
		{12345.123456789, "1.2345123456789e+4"},
		{5e-324, "5e-324"},
	} {
		if got := string(AppendDouble(nil, c.f)); got != c.want {
			t.Errorf("%g: %s, want %s", c.f, got, c.want)
		}
	}
}

func TestDoublesAreReadBackExactly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		f := math.Float64frombits(r.Uint64())
		if math.IsNaN(f) {
			continue
		}
		text := AppendDouble(nil, f)
		if back, err := strconv.ParseFloat(string(text), 64); err != nil || back != f {
			t.Fatalf("%b is written %s and read %b, %v", f, text, back, err)
		}
	}
}
