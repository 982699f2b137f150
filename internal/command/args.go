package command

import (
	"math"
	"math/big"
	"strings"

	"redoubt/internal/resp"
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

// The numbers of INCRBYFLOAT are x87 long doubles, as in Redis on the machines
// it is mostly run on: fewer bits of precision would show in the last of the 17
// digits printed. A larger exponent than theirs is infinity; it also bounds the
// work of printing, for a big.Float has room for two thousand million bits.
const (
	extended    = 64
	maxExponent = 16384
	minExponent = -16445
)

// maxFloat is longer than the longest text read as a number, a long double in
// full: Redis's MAX_LONG_DOUBLE_CHARS.
const maxFloat = 5 << 10

// parseFloat reads a finite or infinite number as string2ld does: what strtold
// takes, no spaces, no trailing bytes, no NaN, nothing beyond a long double. nil
// means it is none.
func parseFloat(b []byte) *big.Float {
	if len(b) >= maxFloat {
		return nil
	}
	s := string(b)
	digits := s
	if s != "" && (s[0] == '+' || s[0] == '-') {
		digits = s[1:]
	}
	switch lower(digits) {
	case "inf", "infinity":
		return new(big.Float).SetInf(s[0] == '-')
	}
	base, mantissa, ok := floatSyntax(digits)
	if !ok {
		return nil
	}
	f, _, err := new(big.Float).SetPrec(extended).SetMode(big.ToNearestEven).Parse(s, base)
	if err != nil || overflows(f) {
		return nil
	}
	if f.Sign() == 0 {
		if strings.Trim(mantissa, "0.") != "" {
			return nil // too small for a big.Float, so for a long double
		}
	} else if f.MantExp(nil) < minExponent {
		return nil
	}
	return f
}

// overflows reports whether f is no finite long double.
func overflows(f *big.Float) bool { return f.IsInf() || f.MantExp(nil) > maxExponent }

// floatSyntax checks that s is a number without a sign as C writes it, decimal
// or hexadecimal, and returns its digits and the base that big.Float's Parse is
// to be told. Parse alone would take more: 0b11, 1_0, 1p3.
func floatSyntax(s string) (base int, mantissa string, ok bool) {
	base, set, exponent := 10, "0123456789", "eE"
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		base, set, exponent, s = 0, "0123456789abcdefABCDEF", "pP", s[2:]
	}
	mantissa = s
	if i := strings.IndexAny(s, exponent); i >= 0 {
		mantissa = s[:i]
		power := s[i+1:]
		if power != "" && (power[0] == '+' || power[0] == '-') {
			power = power[1:]
		}
		if power == "" || strings.Trim(power, "0123456789") != "" {
			return 0, "", false
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	ok = whole+fraction != "" && strings.Trim(whole+fraction, set) == ""
	return base, mantissa, ok
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

// integer reads a whole number, or answers that the argument is none. It
// matches getLongLongFromObjectOrReply.
func (c *Ctx) integer(arg []byte) (int64, bool) {
	n, ok := resp.ParseInt(arg)
	if !ok {
		c.Out.Error(resp.ErrNotInteger)
	}
	return n, ok
}

// integerIn reads a whole number from low to high. Otherwise it answers with
// refusal or, if that is empty, with what is wrong. It matches
// getRangeLongFromObjectOrReply.
func (c *Ctx) integerIn(arg []byte, low, high int64, refusal resp.Error) (int64, bool) {
	n, ok := resp.ParseInt(arg)
	switch {
	case ok && low <= n && n <= high:
		return n, true
	case refusal != "":
		c.Out.Error(refusal)
	case !ok:
		c.Out.Error(resp.ErrNotInteger)
	default:
		c.Out.Error(resp.ErrBetween(low, high))
	}
	return 0, false
}
