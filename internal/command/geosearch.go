package command

import (
	"cmp"
	"slices"

	"redoubt/internal/geo"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// GeoSearches is the rows of the commands that search for members in an area.
var GeoSearches = []*Row{
	{Name: "geosearch", Arity: -7, Flags: ReadOnly, ACL: CatGeo, Keys: OneKey(KeyRO | KeyAccess), Run: geoSearch,
		Doc: Doc{Summary: "Returns the members in a circle or a box.", Since: "6.2.0", Group: "geo", Complexity: areaComplexity,
			Args:    append([]Arg{key("key"), geoFrom, geoBy, geoOrder, geoCount.optional()}, geoWith...),
			History: upperUnits}},
	{Name: "geosearchstore", Arity: -8, Flags: Write | DenyOOM, ACL: CatGeo, Keys: []KeySpec{KeyAt(1, KeyOW|KeyUpdate), KeyAt(2, KeyRO|KeyAccess)}, Run: geoSearchStore,
		Doc: Doc{Summary: "Stores the members in a circle or a box.", Since: "6.2.0", Group: "geo", Complexity: areaComplexity,
			Args:    []Arg{key("destination"), key("source").spec(1), geoFrom, geoBy, geoOrder, geoCount.optional(), word("STOREDIST").optional()},
			History: upperUnits}},
	{Name: "georadius", Arity: -6, Flags: Write | DenyOOM | MovableKeys, ACL: CatGeo, Keys: geoStoreKeys(6), FindKeys: geoKeys(6), Run: geoRadius,
		Doc: Doc{Summary: "Returns or stores the members within a distance of a position.", Since: "3.2.0", Group: "geo", Complexity: circleComplexity,
			Args:       slices.Concat([]Arg{key("key"), double("longitude"), double("latitude")}, radiusArgs("6.2.0"), []Arg{geoStore}),
			History:    append([]Change{{"6.2.0", "`COUNT` takes the option `ANY`."}}, upperUnits...),
			Deprecated: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"}},
	{Name: "georadius_ro", Arity: -6, Flags: ReadOnly, ACL: CatGeo, Keys: OneKey(KeyRO | KeyAccess), Run: geoRadiusReadOnly,
		Doc: Doc{Summary: "Returns the members within a distance of a position.", Since: "3.2.10", Group: "geo", Complexity: circleComplexity,
			Args:       append([]Arg{key("key"), double("longitude"), double("latitude")}, radiusArgs("6.2.0")...),
			History:    []Change{{"6.2.0", "`COUNT` takes the option `ANY`."}},
			Deprecated: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` argument"}},
	{Name: "georadiusbymember", Arity: -5, Flags: Write | DenyOOM | MovableKeys, ACL: CatGeo, Keys: geoStoreKeys(5), FindKeys: geoKeys(5), Run: geoRadiusByMember,
		Doc: Doc{Summary: "Returns or stores the members within a distance of one.", Since: "3.2.0", Group: "geo", Complexity: circleComplexity,
			Args:       slices.Concat([]Arg{key("key"), text("member")}, radiusArgs(""), []Arg{geoStore}),
			History:    upperUnits,
			Deprecated: "6.2.0", ReplacedBy: "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments"}},
	{Name: "georadiusbymember_ro", Arity: -5, Flags: ReadOnly, ACL: CatGeo, Keys: OneKey(KeyRO | KeyAccess), Run: geoRadiusByMemberReadOnly,
		Doc: Doc{Summary: "Returns the members within a distance of one.", Since: "3.2.10", Group: "geo", Complexity: circleComplexity,
			Args:       append([]Arg{key("key"), text("member")}, radiusArgs("")...),
			Deprecated: "6.2.0", ReplacedBy: "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments"}},
}

const (
	areaComplexity   = "O(N+log(M)) where N is the number of members in the squares around the area and M that of those in it"
	circleComplexity = "O(N+log(M)) where N is the number of members in the squares around the circle and M that of all"
)

var (
	geoFrom = oneOf("from", text("member").after("FROMMEMBER"), block("fromlonlat", double("longitude"), double("latitude")).after("FROMLONLAT"))
	geoBy   = oneOf("by", block("circle", double("radius").after("BYRADIUS"), geoUnit),
		block("box", double("width").after("BYBOX"), double("height"), geoUnit))
	geoOrder   = oneOf("order", word("ASC"), word("DESC")).optional()
	geoCount   = block("count-block", integer("count").after("COUNT"), word("ANY").optional())
	geoWith    = []Arg{word("WITHCOORD").optional(), word("WITHDIST").optional(), word("WITHHASH").optional()}
	geoStore   = oneOf("store", key("storekey").spec(1).after("STORE"), key("storedistkey").spec(2).after("STOREDIST")).optional()
	upperUnits = []Change{{"7.0.0", "Units may be in capitals."}}
)

// radiusArgs is what GEORADIUS and its like have in common. ANY came with the
// named version.
func radiusArgs(anySince string) []Arg {
	count := block("count-block", integer("count").after("COUNT"), word("ANY").optional().since(anySince)).optional()
	return slices.Concat([]Arg{double("radius"), geoUnit}, geoWith, []Arg{count, geoOrder})
}

// geoStoreKeys is the key of GEORADIUS, and those behind its options from an
// argument on.
func geoStoreKeys(from int) []KeySpec {
	store := func(word string) KeySpec {
		return KeySpec{Flags: KeyOW | KeyUpdate, Begin: Begin{Index: from, Keyword: word}, Find: Find{Step: 1}}
	}
	return []KeySpec{KeyAt(1, KeyRO|KeyAccess), store("STORE"), store("STOREDIST")}
}

// geoKeys adds to what the specifications find the key that is stored to if the
// options stand more than once: the last one, as in georadiusGetKeys.
func geoKeys(from int) func(dst []int, args [][]byte) ([]int, bool) {
	specs := &Row{Keys: geoStoreKeys(from)}
	return func(dst []int, args [][]byte) (_ []int, ok bool) {
		if dst, ok = specs.AppendKeys(dst, args); !ok {
			return dst, false
		}
		store := 0
		for i := from; i+1 < len(args); i++ {
			if is(args[i], "STORE") || is(args[i], "STOREDIST") {
				i++
				store = i
			}
		}
		if store > 0 && !slices.Contains(dst, store) {
			dst = append(dst, store)
		}
		return dst, true
	}
}

// geoForm says which of the commands one is.
type geoForm struct {
	search   bool // GEOSEARCH and GEOSEARCHSTORE
	byMember bool
	store    bool // it may store, or does
}

func geoSearch(c *Ctx)         { geoQuery{form: geoForm{search: true}}.run(c, c.Args[1], c.Args[2:]) }
func geoRadius(c *Ctx)         { geoQuery{form: geoForm{store: true}}.run(c, c.Args[1], c.Args[2:]) }
func geoRadiusReadOnly(c *Ctx) { geoQuery{}.run(c, c.Args[1], c.Args[2:]) }
func geoRadiusByMemberReadOnly(c *Ctx) {
	geoQuery{form: geoForm{byMember: true}}.run(c, c.Args[1], c.Args[2:])
}

func geoRadiusByMember(c *Ctx) {
	geoQuery{form: geoForm{byMember: true, store: true}}.run(c, c.Args[1], c.Args[2:])
}

func geoSearchStore(c *Ctx) {
	geoQuery{form: geoForm{search: true, store: true}, dest: c.Args[1], stores: true}.run(c, c.Args[2], c.Args[3:])
}

// geoQuery is one search.
type geoQuery struct {
	form geoForm
	area geo.Area
	// What GEOSEARCH has been told of its area.
	fromMember, fromPosition, byRadius, byBox bool

	withDist, withHash, withCoord bool
	order                         int8 // 1 ascending, -1 descending, 0 as found
	count                         int64
	any                           bool
	dest                          []byte
	stores, distances             bool // it stores, and distances in place of hashes
}

// run matches georadiusGeneric: first the key is looked at, then the arguments
// behind it.
func (q geoQuery) run(c *Ctx, key []byte, args [][]byte) {
	z, found, ok := c.zset(key)
	if !ok {
		return
	}
	if !q.form.search {
		if args, ok = q.parseCircle(c, &z, found, args); !ok {
			return
		}
	}
	if !q.parse(c, &z, found, args) {
		return
	}
	if q.count > 0 && q.order == 0 && !q.any {
		q.order = 1 // the nearest ones
	}
	var points []geoPoint
	if found {
		points = q.search(c, &z)
	}
	if q.stores {
		q.storeResult(c, points)
	} else {
		q.reply(c, points)
	}
}

// parseCircle reads the area of GEORADIUS and its like. Without a key there is no
// member around which it could be, and the arguments only have to be there.
func (q *geoQuery) parseCircle(c *Ctx, z *storage.ZSet, found bool, args [][]byte) (rest [][]byte, ok bool) {
	from := 2
	switch {
	case !q.form.byMember:
		if q.area.Center, ok = c.position(args); !ok {
			return nil, false
		}
	case !found:
		return args[3:], true
	default:
		from = 1
		if ok = q.centerAt(c, z, args[0]); !ok {
			return nil, false
		}
	}
	return args[from+2:], q.circle(c, args[from:])
}

// centerAt makes a member the center of the area.
func (q *geoQuery) centerAt(c *Ctx, z *storage.ZSet, member []byte) bool {
	score, ok := z.Score(member)
	if !ok {
		c.Out.Error(resp.ErrGeoMember)
		return false
	}
	q.area.Center = geo.FromScore(score)
	return true
}

// circle reads a radius and its unit.
func (q *geoQuery) circle(c *Ctx, args [][]byte) (ok bool) {
	a := &q.area
	if a.Radius, ok = c.double(args[0], resp.ErrGeoRadius); !ok {
		return false
	}
	if a.Radius < 0 {
		c.Out.Error(resp.ErrGeoRadiusNegative)
		return false
	}
	a.Unit, ok = c.unit(args[1])
	return ok
}

// box reads a width, a height and their unit.
func (q *geoQuery) box(c *Ctx, args [][]byte) (ok bool) {
	a := &q.area
	a.Box = true
	if a.Width, ok = c.double(args[0], resp.ErrGeoWidth); !ok {
		return false
	}
	if a.Height, ok = c.double(args[1], resp.ErrGeoHeight); !ok {
		return false
	}
	if a.Width < 0 || a.Height < 0 {
		c.Out.Error(resp.ErrGeoBoxNegative)
		return false
	}
	a.Unit, ok = c.unit(args[2])
	return ok
}

// parse reads the options, or answers what is wrong with them.
func (q *geoQuery) parse(c *Ctx, z *storage.ZSet, found bool, args [][]byte) (ok bool) {
	for len(args) > 0 {
		used := q.flag(args[0])
		if used == 0 {
			if used, ok = q.option(c, z, found, args); !ok {
				return false
			}
		}
		args = args[used:]
	}
	switch {
	case q.stores && (q.withDist || q.withHash || q.withCoord):
		what := "STORE option in GEORADIUS"
		if q.form.search {
			what = "GEOSEARCHSTORE"
		}
		c.Out.Error(resp.ErrGeoStore(what))
	case q.form.search && !q.fromMember && !q.fromPosition:
		c.Out.Error(resp.ErrGeoFrom(c.Args[0]))
	case q.form.search && !q.byRadius && !q.byBox:
		c.Out.Error(resp.ErrGeoBy(c.Args[0]))
	case q.any && q.count == 0:
		c.Out.Error(resp.ErrGeoAny)
	default:
		return true
	}
	return false
}

// flag reads an option of one word; it returns 0 if the word is none.
func (q *geoQuery) flag(a []byte) (used int) {
	switch {
	case is(a, "WITHDIST"):
		q.withDist = true
	case is(a, "WITHHASH"):
		q.withHash = true
	case is(a, "WITHCOORD"):
		q.withCoord = true
	case is(a, "ANY"):
		q.any = true
	case is(a, "ASC"):
		q.order = 1
	case is(a, "DESC"):
		q.order = -1
	case is(a, "STOREDIST") && q.form.search && q.form.store:
		q.distances = true
	default:
		return 0
	}
	return 1
}

// option reads an option with operands.
func (q *geoQuery) option(c *Ctx, z *storage.ZSet, found bool, args [][]byte) (used int, ok bool) {
	a, operands := args[0], args[1:]
	n := len(operands)
	radius := q.form.store && !q.form.search
	switch {
	case is(a, "COUNT") && n > 0:
		if q.count, ok = c.integer(operands[0]); ok && q.count <= 0 {
			c.Out.Error(resp.ErrGeoCount)
			ok = false
		}
		return 2, ok
	case radius && (is(a, "STORE") || is(a, "STOREDIST")) && n > 0:
		q.dest, q.stores, q.distances = operands[0], true, len(a) > len("STORE")
		return 2, true
	case q.form.search && is(a, "FROMMEMBER") && n > 0 && !q.fromPosition:
		q.fromMember = true
		return 2, !found || q.centerAt(c, z, operands[0])
	case q.form.search && is(a, "FROMLONLAT") && n > 1 && !q.fromMember:
		q.fromPosition = true
		q.area.Center, ok = c.position(operands)
		return 3, ok
	case q.form.search && is(a, "BYRADIUS") && n > 1 && !q.byBox:
		q.byRadius = true
		return 3, q.circle(c, operands)
	case q.form.search && is(a, "BYBOX") && n > 2 && !q.byRadius:
		q.byBox = true
		return 4, q.box(c, operands)
	}
	c.Out.Error(resp.ErrSyntax)
	return 0, false
}

// geoPoint is a member in the area.
type geoPoint struct {
	member          []byte
	score, distance float64 // in meters, and where it is, unless nobody asks
	at              geo.Point
}

// geoPointsKept is for how many points a call leaves memory to the next ones.
const geoPointsKept = 1024

// search returns the members in the area, as many as asked for and in the order
// asked for. They are valid during the call.
func (q *geoQuery) search(c *Ctx, z *storage.ZSet) []geoPoint {
	var room [9]geo.Cell
	points := c.points[:0]
	members := c.members[:0] // of points; those that it has moved away from stay as they are
	exact := q.order != 0 || q.withDist || q.withCoord || q.distances
	enough := func() bool { return q.any && int64(len(points)) >= q.count }
	for _, cell := range q.area.Cells(room[:0]) {
		from, before := cell.Scores()
		z.AscendFrom(from, func(member []byte, score float64) bool {
			if score >= before {
				return false
			}
			p := geoPoint{score: score}
			verdict := q.area.Judge(score)
			if verdict != geo.Outside && (exact || verdict == geo.Unsure) {
				p.at = geo.FromScore(score)
				var ok bool
				if p.distance, ok = q.area.Contains(p.at); !ok {
					verdict = geo.Outside
				}
			}
			if verdict != geo.Outside {
				start := len(members)
				members = append(members, member...)
				p.member = members[start:len(members):len(members)]
				points = append(points, p)
			}
			return !enough()
		})
		if enough() {
			break
		}
	}
	if cap(points) <= geoPointsKept && cap(members) <= roomKept {
		c.points, c.members = points, members
	}
	n := len(points)
	if q.count > 0 {
		n = int(min(q.count, int64(n)))
	}
	if q.order != 0 {
		nearer := func(a, b *geoPoint) int { return int(q.order) * cmp.Compare(a.distance, b.distance) }
		if n == len(points) {
			slices.SortStableFunc(points, func(a, b geoPoint) int { return nearer(&a, &b) })
		} else {
			sortFirst(points, nearer, n)
		}
	}
	return points[:n]
}

func (q *geoQuery) reply(c *Ctx, points []geoPoint) {
	c.Out.Array(len(points))
	fields := 1 + int(bit(q.withDist)+bit(q.withHash)+bit(q.withCoord))
	for i := range points {
		p := &points[i]
		if fields > 1 {
			c.Out.Array(fields)
		}
		c.Out.Bulk(p.member)
		if q.withDist {
			c.replyDistance(p.distance / q.area.Unit)
		}
		if q.withHash {
			c.Out.Int(int64(p.score))
		}
		if q.withCoord {
			c.replyPosition(p.at)
		}
	}
}

// storeResult puts the members in the place of whatever the key holds: with their
// hashes or with their distances as scores. Each is a change, as in Redis.
func (q *geoQuery) storeResult(c *Ctx, points []geoPoint) {
	result := make([]scored, len(points))
	for i, p := range points {
		result[i] = scored{p.member, p.score}
		if q.distances {
			result[i].score = p.distance / q.area.Unit
		}
	}
	event := "georadiusstore"
	if q.form.search {
		event = "geosearchstore"
	}
	existed := c.storeScored(q.dest, result, event)
	c.Tx.CountAs(max(len(points), 1))
	if q.distances && len(result) > 0 {
		q.propagateDistances(c, result, existed)
	}
}

// distanceBatch is how many distances one ZADD of the effects has.
const distanceBatch = 1024

// propagateDistances makes the distances that were stored the effect. Redis
// propagates the search, but the last digit of what that finds is the doing of the
// replica's C library.
func (q *geoQuery) propagateDistances(c *Ctx, stored []scored, existed bool) {
	if existed {
		c.Tx.Effect(c.serverDel(), q.dest)
	}
	for batch := range slices.Chunk(stored, distanceBatch) {
		effect := [][]byte{nameZAdd, q.dest}
		for _, s := range batch {
			effect = append(effect, resp.AppendDouble(nil, s.score), s.member)
		}
		c.Tx.Effect(effect...)
	}
}
