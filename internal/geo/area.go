package geo

import "math"

// An Area is a circle, or a box whose sides go north and east.
type Area struct {
	Center Point
	// Unit is the unit of the lengths below, in meters.
	Unit          float64
	Radius        float64
	Box           bool
	Width, Height float64

	placed placed // the center, once Cells was called
	judge  judge
}

// Contains reports whether a position is within the area, and how far it is from
// its center, in meters. Cells must have been called.
func (a *Area) Contains(p Point) (distance float64, ok bool) {
	if !a.Box {
		distance = a.placed.distance(p)
		return distance, !(distance > a.Radius*a.Unit)
	}
	if a.placed.distanceOfLatitudes(p) > a.Height*a.Unit/2 {
		return 0, false
	}
	across := Point{a.Center.Longitude, p.Latitude}
	if p.placed().distance(across) > a.Width*a.Unit/2 {
		return 0, false
	}
	return a.placed.distance(p), true
}

// bounds is a rectangle around the area. It matches geohashBoundingBox.
func (a *Area) bounds() rectangle {
	height, width := a.Radius, a.Radius
	if a.Box {
		height, width = a.Height/2, a.Width/2
	}
	height, width = height*a.Unit, width*a.Unit
	latitudes := height / earthRadius / radian
	pole := a.Center.Latitude + latitudes // the edge that has more degrees of longitude
	if a.Center.Latitude < 0 {
		pole = a.Center.Latitude - latitudes
	}
	longitudes := width / earthRadius / cosine(pole*radian) / radian
	return rectangle{
		a.Center.Longitude - longitudes, a.Center.Longitude + longitudes,
		a.Center.Latitude - latitudes, a.Center.Latitude + latitudes,
	}
}

// step is how small cells may be of which nine cover the area. It matches
// geohashEstimateStepsByRadius.
func (a *Area) step() uint {
	const mercator = 20037726.37 // half of the Earth's circumference, in meters
	radius := a.Radius
	if a.Box {
		w, h := a.Width/2, a.Height/2
		radius = math.Sqrt(float64(w*w) + float64(h*h))
	}
	radius *= a.Unit
	if radius == 0 {
		return maxStep
	}
	step := -1 // large enough for nearly all
	for ; radius < mercator; radius *= 2 {
		step++
	}
	// Towards the poles cells become narrow.
	switch latitude := math.Abs(a.Center.Latitude); {
	case latitude > 80:
		step -= 2
	case latitude > 66:
		step--
	}
	return uint(min(max(step, 1), maxStep))
}

// around is where the eight cells around one are, in the order in which they are
// searched.
var around = [...]struct{ east, north int }{{0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}}

// Cells appends the cells that the area lies in, in the order in which they are
// searched. It matches geohashCalculateAreasByShapeWGS84, and what
// membersOfAllNeighbors passes over: a cell that is the one before it, of a large
// area.
func (a *Area) Cells(dst []Cell) []Cell {
	a.placed = a.Center.placed()
	a.prepare()
	bounds := a.bounds()
	center := cellOf(a.Center, world, a.step())
	if center.step > 1 && !center.reaches(bounds) {
		center = cellOf(a.Center, world, center.step-1)
	}
	own := center.area()
	dst = append(dst, center)
	first := len(dst)
	for _, d := range around {
		// Where the cell of the center reaches beyond the area nobody needs to look.
		if center.step >= 2 &&
			(d.north < 0 && own.minLatitude < bounds.minLatitude || d.north > 0 && own.maxLatitude > bounds.maxLatitude ||
				d.east < 0 && own.minLongitude < bounds.minLongitude || d.east > 0 && own.maxLongitude > bounds.maxLongitude) {
			continue
		}
		if c := center.neighbor(d.east, d.north); len(dst) == first || c != dst[len(dst)-1] {
			dst = append(dst, c)
		}
	}
	return dst
}

// reaches reports whether the cells around this one go as far as the bounds.
func (c Cell) reaches(bounds rectangle) bool {
	return !(c.neighbor(0, 1).area().maxLatitude < bounds.maxLatitude) &&
		!(c.neighbor(0, -1).area().minLatitude > bounds.minLatitude) &&
		!(c.neighbor(1, 0).area().maxLongitude < bounds.maxLongitude) &&
		!(c.neighbor(-1, 0).area().minLongitude > bounds.minLongitude)
}
