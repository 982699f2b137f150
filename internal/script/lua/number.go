package lua

import (
	"math"
	"strconv"
	"strings"
)

// FormatNumber prints a number as C's "%.14g", which is how Lua 5.1 does.
func FormatNumber(f float64) string {
	var buf [32]byte
	return string(AppendNumber(buf[:0], f, 14))
}

// AppendNumber appends a number as C's "%.<precision>g" prints it.
func AppendNumber(dst []byte, f float64, precision int) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1e14 && precision >= 14 && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		if math.Signbit(f) {
			return append(dst, "-nan"...)
		}
		return append(dst, "nan"...)
	}
	return appendG(dst, f, precision, false)
}

// appendG is the conversion %g of C for a finite number; alternate is its flag
// '#', which keeps trailing zeros.
func appendG(dst []byte, f float64, precision int, alternate bool) []byte {
	if precision == 0 {
		precision = 1
	}
	var buf [32]byte
	e := strconv.AppendFloat(buf[:0], f, 'e', precision-1, 64)
	at := len(e) - 1
	for e[at] != 'e' {
		at--
	}
	exponent, _ := strconv.Atoi(string(e[at+1:]))
	if exponent < -4 || exponent >= precision {
		mantissa := e[:at]
		if !alternate {
			mantissa = trimZeros(mantissa)
		}
		dst = append(dst, mantissa...)
		return append(dst, e[at:]...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', precision-1-exponent, 64)
	if !alternate {
		dst = dst[:start+len(trimZeros(dst[start:]))]
	}
	return dst
}

// trimZeros cuts zeros behind a decimal point, and the point.
func trimZeros(b []byte) []byte {
	for i, c := range b {
		if c != '.' {
			continue
		}
		end := len(b)
		for b[end-1] == '0' {
			end--
		}
		if end-1 == i {
			end--
		}
		return b[:end]
	}
	return b
}

// parseNumber reads a numeral as strtod and Lua's hexadecimal integers do, with
// spaces around it.
func parseNumber(s string) (float64, bool) {
	s = strings.Trim(s, " \t\n\v\f\r")
	// Most are short decimal integers.
	if n := len(s); n > 0 && n < 16 {
		v, i := uint64(0), 0
		for ; i < n && s[i]-'0' <= 9; i++ {
			v = v*10 + uint64(s[i]-'0')
		}
		if i == n {
			return float64(v), true
		}
	}
	if s == "" || strings.IndexByte(s, '_') >= 0 {
		return 0, false
	}
	body, negative := s, false
	switch s[0] {
	case '-':
		body, negative = s[1:], true
	case '+':
		body = s[1:]
	}
	if body == "" || body[0] == '-' || body[0] == '+' {
		return 0, false
	}
	var f float64
	if len(body) > 2 && body[0] == '0' && (body[1] == 'x' || body[1] == 'X') {
		var ok bool
		if f, ok = parseHex(body); !ok {
			return 0, false
		}
	} else {
		var ok bool
		if f, ok = parseDecimal(body); !ok {
			return 0, false
		}
	}
	if negative {
		f = -f
	}
	return f, true
}

// parseHex reads 0x…, with a fraction and a binary exponent as C99's strtod.
func parseHex(s string) (float64, bool) {
	if strings.IndexByte(s, 'p') < 0 && strings.IndexByte(s, 'P') < 0 {
		s += "p0"
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil || math.IsInf(f, 0)
}

// parseDecimal reads what strtod reads without a sign: digits with a fraction and
// an exponent, infinity, NaN.
func parseDecimal(s string) (float64, bool) {
	switch s[0] {
	case 'i', 'I', 'n', 'N':
		switch strings.ToLower(s) {
		case "inf", "infinity":
			return math.Inf(1), true
		case "nan":
			return math.NaN(), true
		}
		return 0, false
	}
	if s[0] != '.' && (s[0] < '0' || s[0] > '9') {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil || math.IsInf(f, 0)
}
