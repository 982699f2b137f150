package geo

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// exactly is what sine, cosine and arcsine are to be: correctly rounded.
func exactSine(x float64) float64 {
	s, _ := series(new(big.Float).SetPrec(200).SetFloat64(x))
	f, _ := s.Float64()
	return f
}

func exactCosine(x float64) float64 {
	_, c := series(new(big.Float).SetPrec(200).SetFloat64(x))
	f, _ := c.Float64()
	return f
}

// exactArcsine is found by Newton's method.
func exactArcsine(y float64) float64 {
	x := new(big.Float).SetPrec(200).SetFloat64(math.Asin(y))
	target := new(big.Float).SetPrec(200).SetFloat64(y)
	for range 4 {
		s, c := series(x)
		x.Add(x, s.Quo(s.Sub(target, s), c))
	}
	f, _ := x.Float64()
	return f
}

func TestFunctionsAreRoundedCorrectly(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	wrong := map[string]int{}
	const samples = 1500
	for i := range samples {
		angle := (r.Float64()*2 - 1) * math.Pi
		if i%2 == 0 {
			angle *= math.Pow(2, -float64(r.IntN(40)))
		}
		half := angle / 2
		y := r.Float64()
		switch i % 4 {
		case 0:
			y *= math.Pow(2, -float64(r.IntN(40)))
		case 1:
			y = 1 - y*math.Pow(2, -float64(5+r.IntN(40)))
		}
		for name, v := range map[string][2]float64{
			"sine": {sine(angle), exactSine(angle)}, "cosine": {cosine(half), exactCosine(half)}, "arcsine": {arcsine(y), exactArcsine(y)},
		} {
			if v[0] != v[1] {
				wrong[name]++
				if math.Abs(v[0]-v[1]) > 2.3e-16*math.Abs(v[1]) {
					t.Errorf("%s of %v, %v, %v: %v, not %v", name, angle, half, y, v[0], v[1])
				}
			}
		}
	}
	for name, n := range wrong {
		if n > 5 {
			t.Errorf("%s is wrong in the last digit %d times in %d", name, n, samples)
		}
	}
	for x, want := range map[float64]float64{0: 0, math.Pi: 1.2246467991473532e-16, math.Pi / 2: 1, -math.Pi / 2: -1} {
		if got := sine(x); got != want {
			t.Errorf("the sine of %v is %v", x, got)
		}
	}
	if arcsine(0) != 0 || arcsine(1) != math.Pi/2 || !math.IsNaN(arcsine(math.Nextafter(1, 2))) {
		t.Errorf("the arcsines of 0 and 1 are %v and %v", arcsine(0), arcsine(1))
	}
}

func BenchmarkDistance(b *testing.B) {
	center, at := Point{15, 37}.placed(), Point{13.361389, 38.115556}
	b.Run("distance", func(b *testing.B) {
		for b.Loop() {
			center.distance(at)
		}
	})
	x := 0.3
	b.Run("sine", func(b *testing.B) {
		for b.Loop() {
			x = 0.3 + sine(x)*1e-9
		}
	})
	b.Run("Go's sine", func(b *testing.B) {
		for b.Loop() {
			x = 0.3 + math.Sin(x)*1e-9
		}
	})
	b.Run("arcsine", func(b *testing.B) {
		for b.Loop() {
			x = 0.3 + arcsine(x)*1e-9
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			FromScore(3479099956230698)
		}
	})
}

func Example() {
	fmt.Printf("%.4f\n", Distance(Point{13.361389338970184, 38.1155563954963}, Point{15.087267458438873, 37.50266842333162}))
	// Output: 166274.1516
}
