package command

import (
	"math"
	"math/big"
	"strings"
)

// is reports whether an argument is the given upper-case word in any case. It
// does not allocate.
func is(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, c := range arg {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// extended is the precision in bits of the x87 long double in which Redis
// computes INCRBYFLOAT; fewer would show in the last of the 17 digits printed.
const extended = 64

// parseFloat reads a finite or infinite number as string2ld does: no spaces, no
// trailing bytes, no NaN. nil means it is none.
func parseFloat(b []byte) *big.Float {
	s := string(b)
	if s == "" || len(s) > 256 || strings.ContainsAny(s, "_ \t\n\v\f\r\x00") {
		return nil
	}
	f, _, err := new(big.Float).SetPrec(extended).SetMode(big.ToNearestEven).Parse(s, 0)
	if err != nil {
		switch strings.ToLower(strings.TrimLeft(s, "+-")) {
		case "inf", "infinity":
			return new(big.Float).SetInf(s[0] == '-')
		}
		return nil
	}
	return f
}

// formatFloat writes f as INCRBYFLOAT stores it: at most 17 digits after the
// point, no exponent, no trailing zeros, no negative zero.
func formatFloat(f *big.Float) []byte {
	s := f.Text('f', 17)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		s = "0"
	}
	return []byte(s)
}

// expiry turns a TTL or time argument into absolute Unix milliseconds. unit is
// 1000 for seconds and 1 for milliseconds; base is the current time for a
// relative argument and 0 for an absolute one. It fails on overflow; whether
// zero and the past are allowed is the caller's affair.
func expiry(v, unit, base int64) (at int64, ok bool) {
	if v > math.MaxInt64/unit || v < math.MinInt64/unit {
		return 0, false
	}
	v *= unit
	if v > math.MaxInt64-base {
		return 0, false
	}
	return v + base, true
}
