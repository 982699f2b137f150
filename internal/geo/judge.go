package geo

import "math"

// Most members that a search comes across are far outside of the area or well
// within it. Judge tells them without a sine: between bounds on both sides of the
// haversine that hold by a margin above every error of rounding. The rest is for
// Contains.

// Verdict says where a position is.
type Verdict uint8

// The verdicts.
const (
	Unsure Verdict = iota
	Inside
	Outside
)

// margin is by how much, relatively and in meters, a bound must hold.
const (
	margin       = 1e-9
	marginMeters = 1e-3
)

// judge is what Judge compares with.
type judge struct {
	latitude, longitude, cosine float64 // of the center, in radians
	far                         float64 // a haversine outside
	near                        float64 // a haversine inside; -1: none is so for sure
}

func (a *Area) prepare() {
	j := &a.judge
	j.latitude, j.longitude, j.cosine = a.placed.latitude, a.placed.longitude, a.placed.cosine
	radius, inner := a.Radius*a.Unit, a.Radius*a.Unit
	if a.Box {
		radius, inner = (a.Width+a.Height)/2*a.Unit, -1 // nobody within the box is farther
	}
	far := (radius*(1+margin) + marginMeters) / (2 * earthRadius)
	j.far = far * far // not less than its sine squared
	j.near = -1
	if inner = inner*(1-margin) - marginMeters; inner > 0 && inner < earthRadius {
		s := math.Sin(inner / (2 * earthRadius))
		j.near = s * s * (1 - margin)
	}
}

// Judge tells whether the position of a score is within the area, if that is
// plain. Cells must have been called.
func (a *Area) Judge(score float64) Verdict {
	if !(score >= 0 && score < 1<<52) {
		return Unsure
	}
	const (
		columns = 1 << maxStep
		width   = 2 * maxLongitude * math.Pi / 180 / columns
		height  = 2 * maxLatitude * math.Pi / 180 / columns
		south   = -maxLatitude * math.Pi / 180
	)
	j, bits := &a.judge, uint64(score)
	y := math.Abs(south + (float64(gather(bits))+0.5)*height - j.latitude)
	x := math.Abs((float64(gather(bits>>1))+0.5)*width - math.Pi - j.longitude)
	if x > math.Pi {
		x = 2*math.Pi - x // the other way round
	}
	if x > 1 || y > 1 {
		return Unsure
	}
	// z-z³/6 <= sin z <= z, and the cosine changes by less than the angle.
	x2, y2 := x*x/4, y*y/4
	xLow, yLow := 1-x2/6, 1-y2/6
	if y2*yLow*yLow+j.cosine*max(j.cosine-y, 0)*x2*xLow*xLow > j.far {
		return Outside
	}
	if y2+j.cosine*min(j.cosine+y, 1)*x2 < j.near {
		return Inside
	}
	return Unsure
}
