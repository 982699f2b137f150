package geo

import (
	"math"
	"math/rand/v2"
	"testing"
)

func randomPoint(r *rand.Rand) Point {
	return Point{(r.Float64()*2 - 1) * maxLongitude, (r.Float64()*2 - 1) * maxLatitude}
}

func TestAScoreTellsThePosition(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 10_000 {
		p := randomPoint(r)
		got := FromScore(float64(p.Score()))
		if d := Distance(p, got); d > 0.6 || !got.Valid() {
			t.Fatalf("%v is read as %v, %v m off", p, got, d)
		}
		if again := got.Score(); again != p.Score() {
			t.Fatalf("%v has the score %d, then %d", p, p.Score(), again)
		}
	}
}

// A sorted set may hold any score: each is some position.
func TestAnyScoreIsAPosition(t *testing.T) {
	for _, score := range []float64{0, -1, 1.5, math.Inf(1), math.Inf(-1), math.NaN(), 1 << 52, 1 << 53, 1 << 63, 1 << 64, -(1 << 63), -1e300, 1e300, math.MaxUint64} {
		if p := FromScore(score); !p.Valid() {
			t.Errorf("%v is %v", score, p)
		}
	}
}

// The cells have all positions of the area, each once.
func TestCellsCoverTheArea(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	missed := 0
	for range 3000 {
		a := Area{Center: randomPoint(r), Unit: 1000, Radius: math.Pow(10, r.Float64()*4-1)}
		a.Center.Latitude *= 0.7 // towards the poles nine cells do not cover all, in Redis neither
		if r.IntN(2) == 0 {
			a.Box, a.Width, a.Height = true, a.Radius, a.Radius*r.Float64()
		}
		cells := a.Cells(nil)
		for range 30 {
			spread := a.Radius / 111
			p := Point{a.Center.Longitude + (r.Float64()*2-1)*spread, a.Center.Latitude + (r.Float64()*2-1)*spread}
			if _, ok := a.Contains(p); !ok || !p.Valid() {
				continue
			}
			in := 0
			for _, c := range cells {
				if from, before := c.Scores(); float64(p.Score()) >= from && float64(p.Score()) < before {
					in++
				}
			}
			if in > 1 {
				t.Fatalf("%v is in %d cells of %+v", p, in, a)
			}
			missed += 1 - in
		}
	}
	if missed > 0 {
		t.Errorf("%d positions are in no cell", missed)
	}
}

// A judge is never wrong, and often sure.
func TestJudge(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	unsure, all := 0, 0
	for range 4000 {
		a := Area{Center: randomPoint(r), Unit: 1, Radius: math.Pow(10, r.Float64()*9-2)}
		if r.IntN(3) == 0 {
			a.Box, a.Width, a.Height = true, a.Radius*r.Float64()*2, a.Radius*r.Float64()*2
		}
		a.Cells(nil)
		for range 30 {
			spread := a.Radius / 111_000 * math.Pow(2, r.Float64()*4-2)
			p := Point{a.Center.Longitude + (r.Float64()*2-1)*spread, a.Center.Latitude + (r.Float64()*2-1)*spread}
			if r.IntN(3) == 0 || !p.Valid() {
				p = randomPoint(r)
			}
			score := float64(p.Score())
			_, inside := a.Contains(FromScore(score))
			switch verdict := a.Judge(score); {
			case verdict == Inside && !inside, verdict == Outside && inside:
				t.Fatalf("%v of %+v: verdict %d, inside %v", p, a, verdict, inside)
			case verdict == Unsure:
				unsure++
			}
			all++
		}
	}
	if unsure > all/2 { // of boxes nobody is inside for sure, and large areas are left to Contains
		t.Errorf("%d of %d verdicts are none", unsure, all)
	}
	for _, score := range []float64{-1, 1 << 52, math.Inf(1), math.NaN()} {
		if (&Area{}).Judge(score) != Unsure {
			t.Errorf("%v is judged", score)
		}
	}
}

func TestHash(t *testing.T) {
	for want, p := range map[string]Point{"sqc8b49rny0": {13.361389, 38.115556}, "sqdtr74hyu0": {15.087269, 37.502669}, "s0000000000": {0, 0}} {
		if got := Hash(FromScore(float64(p.Score()))); string(got[:]) != want {
			t.Errorf("%v is %s, not %s", p, got, want)
		}
	}
}

func TestToUint64(t *testing.T) {
	for f, want := range map[float64]uint64{
		3.9: 3, -1: math.MaxUint64, 1 << 63: 1 << 63, 1.5 * (1 << 63): 3 << 62, 1 << 64: 0, math.Inf(1): 0, math.Inf(-1): 1 << 63, -1e30: 1 << 63,
	} {
		if got := toUint64(f); got != want {
			t.Errorf("%v is %d, not %d", f, got, want)
		}
	}
}
