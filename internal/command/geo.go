package command

import (
	"math"
	"strconv"

	"redoubt/internal/geo"
	"redoubt/internal/resp"
)

// Geo is the rows of the commands on positions, which are sorted sets whose scores
// package geo knows how to read; those that search are in GeoSearches.
var Geo = []*Row{
	{Name: "geoadd", Arity: -5, Flags: Write | DenyOOM, ACL: CatGeo, Keys: OneKey(KeyRW | KeyUpdate), Run: geoAdd,
		Doc: Doc{Summary: "Adds members with their positions, or gives them others.", Since: "3.2.0", Group: "geo", Complexity: "O(log(N)) for each member where N is the size of the sorted set",
			Args: []Arg{key("key"), oneOf("condition", word("NX"), word("XX")).optional().since("6.2.0"), word("CH").named("change").optional().since("6.2.0"),
				block("data", double("longitude"), double("latitude"), text("member")).multiple()},
			History: []Change{{"6.2.0", "The options `CH`, `NX` and `XX` came."}}}},
	{Name: "geodist", Arity: -4, Flags: ReadOnly, ACL: CatGeo, Keys: OneKey(KeyRO | KeyAccess), Run: geoDist,
		Doc: Doc{Summary: "Returns how far two members are from each other.", Since: "3.2.0", Group: "geo", Complexity: "O(1)",
			Args: []Arg{key("key"), text("member1"), text("member2"), geoUnit.optional()}}},
	{Name: "geohash", Arity: -2, Flags: ReadOnly, ACL: CatGeo, Keys: OneKey(KeyRO | KeyAccess), Run: geoHash,
		Doc: Doc{Summary: "Returns the positions of members as geohashes.", Since: "3.2.0", Group: "geo", Complexity: "O(1) for each member",
			Args: []Arg{key("key"), text("member").optional().multiple()}}},
	{Name: "geopos", Arity: -2, Flags: ReadOnly, ACL: CatGeo, Keys: OneKey(KeyRO | KeyAccess), Run: geoPos,
		Doc: Doc{Summary: "Returns the longitudes and latitudes of members.", Since: "3.2.0", Group: "geo", Complexity: "O(1) for each member",
			Args: []Arg{key("key"), text("member").optional().multiple()}}},
}

var geoUnit = oneOf("unit", word("m"), word("km"), word("ft"), word("mi"))

// unit reads a unit of length as meters, or answers that it is none. It matches
// extractUnitOrReply.
func (c *Ctx) unit(arg []byte) (meters float64, ok bool) {
	switch {
	case is(arg, "M"):
		return 1, true
	case is(arg, "KM"):
		return 1000, true
	case is(arg, "FT"):
		return 0.3048, true
	case is(arg, "MI"):
		return 1609.34, true
	}
	c.Out.Error(resp.ErrGeoUnit)
	return 0, false
}

// position reads a longitude and a latitude, or answers what is wrong with them.
func (c *Ctx) position(args [][]byte) (p geo.Point, ok bool) {
	if p.Longitude, ok = c.double(args[0], resp.ErrNotFloat); !ok {
		return p, false
	}
	if p.Latitude, ok = c.double(args[1], resp.ErrNotFloat); !ok {
		return p, false
	}
	if !p.Valid() {
		c.Out.Error(resp.ErrPosition(p.Longitude, p.Latitude))
		return p, false
	}
	return p, true
}

// geoAdd matches geoaddCommand: it is a ZADD, also in the stream.
func geoAdd(c *Ctx) {
	var o addOptions
	data := c.Args[2:]
	for len(data) > 0 {
		switch {
		case is(data[0], "NX"):
			o.nx = true
		case is(data[0], "XX"):
			o.xx = true
		case is(data[0], "CH"):
			o.changed = true
		default:
			c.addPositions(o, data)
			return
		}
		data = data[1:]
	}
	c.Out.Error(resp.ErrSyntax)
}

func (c *Ctx) addPositions(o addOptions, data [][]byte) {
	if len(data)%3 != 0 || o.nx && o.xx {
		c.Out.Error(resp.ErrSyntax)
		return
	}
	var fewHashes [8]uint64
	var fewScores [8]float64
	hashes, scores := fewHashes[:0], fewScores[:0]
	for at := data; len(at) > 0; at = at[3:] {
		p, ok := c.position(at)
		if !ok {
			return
		}
		hashes = append(hashes, p.Score())
		scores = append(scores, float64(p.Score()))
	}
	c.addScored(o, scores, data[2:], 3)
	if c.Tx.Dirty() == 0 {
		return
	}
	effect := append([][]byte{nameZAdd}, c.Args[1:len(c.Args)-len(data)]...)
	for i, hash := range hashes {
		// At the edge of the world it has more bits than a score.
		effect = append(effect, strconv.AppendUint(nil, hash, 10), data[3*i+2])
	}
	c.Tx.Effect(effect...)
}

var nameZAdd = []byte("ZADD")

// geoDist matches geodistCommand.
func geoDist(c *Ctx) {
	meters, ok := 1.0, true
	switch n := len(c.Args); {
	case n > 5:
		c.Out.Error(resp.ErrSyntax)
		return
	case n == 5:
		if meters, ok = c.unit(c.Args[4]); !ok {
			return
		}
	}
	z, _, ok := c.zset(c.Args[1])
	if !ok {
		return
	}
	a, found := z.Score(c.Args[2])
	b, both := z.Score(c.Args[3])
	if !found || !both {
		c.Out.Null()
		return
	}
	c.replyDistance(geo.Distance(geo.FromScore(a), geo.FromScore(b)) / meters)
}

// replyDistance writes a distance with four digits behind the point. It matches
// addReplyDoubleDistance.
func (c *Ctx) replyDistance(d float64) {
	scaled := int64(math.MinInt64) // what llrint makes of no number
	if d == d {
		scaled = int64(math.RoundToEven(d * 10_000))
	}
	var buf [32]byte
	b := buf[:0]
	n := uint64(scaled)
	if scaled < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendUint(b, n/10_000, 10)
	b = append(b, '.')
	for unit := uint64(1000); unit > 0; unit /= 10 {
		b = append(b, '0'+byte(n/unit%10))
	}
	c.Out.Bulk(b)
}

// replyPosition writes a longitude and a latitude. It matches
// addReplyHumanLongDouble.
func (c *Ctx) replyPosition(p geo.Point) {
	c.Out.Array(2)
	c.replyCoordinate(p.Longitude)
	c.replyCoordinate(p.Latitude)
}

func (c *Ctx) replyCoordinate(f float64) {
	var buf [48]byte
	b := strconv.AppendFloat(buf[:0], f, 'f', 17, 64)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	if string(b) == "-0" {
		b = b[1:]
	}
	if c.Out.Proto() == resp.Proto3 {
		c.Out.Raw([]byte{','})
		c.Out.Raw(b)
		c.Out.Raw([]byte("\r\n"))
		return
	}
	c.Out.Bulk(b)
}

func geoHash(c *Ctx) {
	c.eachPosition(func(p geo.Point, found bool) {
		if !found {
			c.Out.Null()
			return
		}
		h := geo.Hash(p)
		c.Out.Bulk(h[:])
	})
}

func geoPos(c *Ctx) {
	c.eachPosition(func(p geo.Point, found bool) {
		if found {
			c.replyPosition(p)
		} else {
			c.Out.NullArray()
		}
	})
}

// eachPosition answers with an array, which reply fills with the positions of the
// members that the command names.
func (c *Ctx) eachPosition(reply func(p geo.Point, found bool)) {
	z, _, ok := c.zset(c.Args[1])
	if !ok {
		return
	}
	members := c.Args[2:]
	c.Out.Array(len(members))
	for _, m := range members {
		score, found := z.Score(m)
		reply(geo.FromScore(score), found)
	}
}
