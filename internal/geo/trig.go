package geo

import (
	"math"
	"math/big"
)

// Sine, cosine and arcsine, rounded correctly but once in some ten thousand times:
// of those libraries of C that Redis is linked with, each is right more often than
// not, so this is what most of them say. Numbers of twice the precision are sums
// high+low.

// steps divide a radian: tables have an entry for each.
const steps = 64

// exact is the sine and the cosine of an angle, in twice the precision.
type exact struct{ sine, sineLow, cosine, cosineLow float64 }

// quarter is those of the multiples of 1/steps from 0 to the quarter of a circle.
var quarter = func() (table [steps*11/7 + 2]exact) {
	for i := range table {
		x := new(big.Float).SetPrec(200).Quo(big.NewFloat(float64(i)).SetPrec(200), big.NewFloat(steps))
		s, c := series(x)
		table[i].sine, table[i].sineLow = split(s)
		table[i].cosine, table[i].cosineLow = split(c)
	}
	return table
}()

// series is sine and cosine by their power series.
func series(x *big.Float) (sine, cosine *big.Float) {
	sums := [2]*big.Float{new(big.Float).SetPrec(200), new(big.Float).SetPrec(200)}
	term := big.NewFloat(1).SetPrec(200)
	for n := range 50 {
		if n/2%2 == 0 {
			sums[n%2].Add(sums[n%2], term)
		} else {
			sums[n%2].Sub(sums[n%2], term)
		}
		term.Mul(term, x).Quo(term, big.NewFloat(float64(n+1)))
	}
	return sums[1], sums[0]
}

// split is a number as a sum of two.
func split(x *big.Float) (high, low float64) {
	high, _ = x.Float64()
	low, _ = new(big.Float).SetPrec(200).Sub(x, big.NewFloat(high)).Float64()
	return high, low
}

// piLow is what is missing in math.Pi as a float64.
const piLow = 1.2246467991473532e-16

// sine is the sine of an angle from -π to π.
func sine(x float64) float64 {
	high, low := sine2(math.Abs(x))
	return math.Copysign(high+low, x)
}

// sine2 is the sine of an angle from 0 to π, in more than the precision of one
// number.
func sine2(x float64) (high, low float64) {
	more := 0.0
	if x > math.Pi/2 {
		x, more = math.Pi-x, piLow
	}
	i := int(float64(x*steps) + 0.5)
	e, r := &quarter[i], x-float64(i)/steps
	s, c := near(r)
	return sum(e.sine, e.cosine, r, e.sineLow+(float64(e.cosineLow*r)+float64(e.cosine*(s+more)))+float64(e.sine*(c-float64(r*more))))
}

// cosine is the cosine of an angle. Beyond a quarter of a circle it only bounds an
// area, where the last digits are no matter.
func cosine(x float64) float64 {
	x = math.Abs(x)
	if !(x <= math.Pi/2) {
		return math.Cos(x)
	}
	i := int(float64(x*steps) + 0.5)
	e, r := &quarter[i], x-float64(i)/steps
	s, c := near(r)
	high, low := sum(e.cosine, -e.sine, r, e.cosineLow-(float64(e.sineLow*r)+float64(e.sine*s))+float64(e.cosine*c))
	return high + low
}

// near is sin r - r and cos r - 1 of a small angle.
func near(r float64) (s, c float64) {
	q := r * r
	s = r * q * (-1.0/6 + float64(q*(1.0/120-float64(q*(1.0/5040)))))
	c = q * (-1.0/2 + float64(q*(1.0/24-float64(q*(1.0/720)))))
	return s, c
}

// sum is a + b*r + low, where a is the greatest or nothing.
func sum(a, b, r, low float64) (float64, float64) {
	p := b * r
	low += math.FMA(b, r, -p)
	high := a + p
	back := high - a
	return high, low + ((a - (high - back)) + (p - back))
}

// arcsine is the arcsine of a number from 0 to 1. One above, as rounding may make
// it, is as in C no number.
func arcsine(y float64) float64 {
	if !(y <= 1) {
		return math.NaN()
	}
	x := math.Asin(y)
	if x > math.Pi/2-1.0/256 {
		// Near the far end the sine hardly changes; from there the way is long, and the
		// rest short.
		rest := math.Sqrt((1 - y) / 2)
		low := math.FMA(-rest, rest, (1-y)/2) / (2 * rest)
		if rest == 0 {
			low = 0
		}
		return math.Pi/2 - (float64(2*(arcsine(rest)+low)) - piLow/2)
	}
	high, low := sine2(x)
	return x + (y-high-low)/cosine(x)
}
