// Package geo is positions on the Earth as Redis keeps them in sorted sets: the
// score of a member is a geohash of 52 bits.
//
// A geohash halves the world by longitude and latitude in turn, so that a square,
// a Cell, is all the hashes that begin alike: a range of scores. An area is
// searched in the cell of its centre and the eight around it, all of the size that
// the area needs.
//
// Results are stored and compared, and an area's edge decides who belongs to it.
// So everything is computed in the order of Redis's geohash.c and
// geohash_helper.c, products are rounded before they are added, and what C leaves
// to its library is rounded correctly (trig.go): the same on every machine.
package geo

import "math"

// The limits of coordinates, in degrees (EPSG:900913).
const (
	maxLongitude = 180
	maxLatitude  = 85.05112878
)

// maxStep is how often a score halves the world either way.
const maxStep = 26

// A Point is a position in degrees.
type Point struct{ Longitude, Latitude float64 }

// Valid reports whether a score can tell of the position: the poles are not.
func (p Point) Valid() bool {
	return p.Longitude >= -maxLongitude && p.Longitude <= maxLongitude && p.Latitude >= -maxLatitude && p.Latitude <= maxLatitude
}

// Score is the score of a valid position.
func (p Point) Score() uint64 { return cellOf(p, world, maxStep).bits }

// FromScore is the position of which a score tells, to about 0.6 m. A score that
// is none of Score's gives some position, too.
func FromScore(score float64) Point {
	a := Cell{toUint64(score), maxStep}.area()
	return Point{
		min(max((a.minLongitude+a.maxLongitude)/2, -maxLongitude), maxLongitude),
		min(max((a.minLatitude+a.maxLatitude)/2, -maxLatitude), maxLatitude),
	}
}

// toUint64 converts as C does on x86-64, where it does not say how: numbers below
// zero wrap around, and what does not fit is 0 or the highest bit alone.
func toUint64(f float64) uint64 {
	const half = 1 << 63
	switch {
	case f != f, f < -half:
		return half
	case f < half:
		return uint64(int64(f))
	case f < 2*half:
		return uint64(int64(f-half)) + half
	}
	return 0
}

// rectangle is a part of the world.
type rectangle struct{ minLongitude, maxLongitude, minLatitude, maxLatitude float64 }

// world is what scores divide; standardWorld is what other geohashes do.
var (
	world         = rectangle{-maxLongitude, maxLongitude, -maxLatitude, maxLatitude}
	standardWorld = rectangle{-maxLongitude, maxLongitude, -90, 90}
)

// A Cell is all positions whose hashes begin with the same bits.
type Cell struct {
	bits uint64 // two for each step: longitude, latitude
	step uint   // 1 to maxStep; 0 is no cell
}

// Scores are those of the cell's positions: from the first one to before the
// other.
func (c Cell) Scores() (from, before float64) {
	shift := 2 * (maxStep - c.step)
	return float64(c.bits << shift), float64((c.bits + 1) << shift)
}

// cellOf is the cell of a position, in a world.
func cellOf(p Point, w rectangle, step uint) Cell {
	latitude := (p.Latitude - w.minLatitude) / (w.maxLatitude - w.minLatitude)
	longitude := (p.Longitude - w.minLongitude) / (w.maxLongitude - w.minLongitude)
	size := float64(uint64(1) << step)
	return Cell{spread(uint32(latitude*size)) | spread(uint32(longitude*size))<<1, step}
}

// area is the part of the world that the cell covers. A corner beyond 32 bits
// wraps around, which only made-up scores have.
func (c Cell) area() rectangle {
	latitude, longitude := gather(c.bits), gather(c.bits>>1)
	size := float64(uint64(1) << c.step)
	height, width := world.maxLatitude-world.minLatitude, world.maxLongitude-world.minLongitude
	return rectangle{
		minLatitude:  world.minLatitude + float64(float64(latitude)/size*height),
		maxLatitude:  world.minLatitude + float64(float64(latitude+1)/size*height),
		minLongitude: world.minLongitude + float64(float64(longitude)/size*width),
		maxLongitude: world.minLongitude + float64(float64(longitude+1)/size*width),
	}
}

// spread puts a zero before each bit.
func spread(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// gather is every second bit, from the lowest on.
func gather(x uint64) uint32 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}

// neighbor is the cell one column to the east (1) or west (-1) and one row to the
// north or south; the world has no edge. A column or row that stays (0) is as it
// is, even if it is the one behind the last, in which the very edge lies.
func (c Cell) neighbor(east, north int) Cell {
	size := uint32(1)<<c.step - 1
	latitude, longitude := gather(c.bits), gather(c.bits>>1)
	if north != 0 {
		latitude = (latitude + uint32(north)) & size
	}
	if east != 0 {
		longitude = (longitude + uint32(east)) & size
	}
	return Cell{spread(latitude) | spread(longitude)<<1, c.step}
}

// Hash is the standard geohash of a position, of eleven characters. There are only
// bits for ten: the last is always the same, as in Redis.
func Hash(p Point) [11]byte {
	const alphabet = "0123456789bcdefghjkmnpqrstuvwxyz"
	bits := cellOf(p, standardWorld, maxStep).bits
	var h [11]byte
	for i := range 10 {
		h[i] = alphabet[bits>>(52-5*(i+1))&31]
	}
	h[10] = alphabet[0]
	return h
}

// earthRadius is the Earth's mean radius in meters, as Redis has it.
const earthRadius = 6372797.560856

// radian is a degree, rounded as C's M_PI/180 is.
var radian = float64(math.Pi) / float64(180)

// Distance is how far two positions are from each other on a sphere, in meters. It
// matches geohashGetDistance.
func Distance(a, b Point) float64 { return a.placed().distance(b) }

// placed is a point with what its distances to others have in common.
type placed struct {
	Point
	longitude, latitude, cosine float64 // in radians; of the latitude
}

func (p Point) placed() placed {
	latitude := p.Latitude * radian
	return placed{p, p.Longitude * radian, latitude, cosine(latitude)}
}

func (a *placed) distanceOfLatitudes(b Point) float64 {
	return earthRadius * math.Abs(b.Latitude*radian-a.latitude)
}

func (a placed) distance(b Point) float64 {
	v := sine((b.Longitude*radian - a.longitude) / 2)
	if v == 0 {
		return a.distanceOfLatitudes(b)
	}
	latitude := b.Latitude * radian
	u := sine((latitude - a.latitude) / 2)
	h := float64(u*u) + float64(a.cosine*cosine(latitude)*v*v)
	return 2 * earthRadius * arcsine(math.Sqrt(h))
}
