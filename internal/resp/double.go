package resp

import (
	"math"
	"strconv"
)

// AppendDouble writes a floating point number with as few digits as tell it from
// all others, in the form of Redis 7.2 (d2string): whole numbers up to 2^62 in
// full, others without an exponent as long as that is about as short.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.Abs(f) <= 1<<62 && f == math.Trunc(f) && (f != 0 || !math.Signbit(f)):
		return strconv.AppendInt(dst, int64(f), 10)
	}
	if math.Signbit(f) {
		dst, f = append(dst, '-'), -f
	}
	if f == 0 {
		return append(dst, '0')
	}
	var buf [32]byte
	text := strconv.AppendFloat(buf[:0], f, 'e', -1, 64) // d.ddde±xx
	digits := text[:1]
	i := 1
	if text[1] == '.' {
		for i = 2; text[i] != 'e'; i++ {
		}
		text[1] = text[0] // the digits are one stretch
		digits = text[1:i]
	}
	exponent, _ := strconv.Atoi(string(text[i+1:]))
	return appendDigits(dst, digits, exponent)
}

// appendDigits writes the number d.ddd·10^exponent. The bounds between the forms
// are those of fpconv, which Redis 7.2 prints with.
func appendDigits(dst, digits []byte, exponent int) []byte {
	n := len(digits)
	zeros := exponent + 1 - n // behind the digits; negative: digits behind the point
	size := max(exponent, -exponent)
	switch {
	case zeros >= 0 && size < n+7:
		dst = append(dst, digits...)
		for range zeros {
			dst = append(dst, '0')
		}
		return dst
	case zeros < 0 && (zeros > -7 || size < 4):
		if exponent >= 0 {
			dst = append(dst, digits[:exponent+1]...)
			return append(append(dst, '.'), digits[exponent+1:]...)
		}
		dst = append(dst, "0."...)
		for range -exponent - 1 {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(dst, digits[0])
	if n > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	dst = append(dst, 'e')
	if exponent >= 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exponent), 10)
}
