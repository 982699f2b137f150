package command

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// distanceKey holds distances, whose last digit is that of a library of C.
const distanceKey = "geo:distances"

func TestRandomHistoriesOfPositions(t *testing.T) {
	randomHistories(t, 3000, (*twins).geoCommand, "GEOSEARCHSTORE "+distanceKey+" geo:none FROMLONLAT 0 0 BYRADIUS 1 m")
}

// Nearly all distances are those of Redis to the last bit, and no other is far off.
func TestStoredDistancesAreThoseOfRedis(t *testing.T) {
	redistest.Tool(t, "redis-server")
	h := newTwins(t, 1, 2)
	same, all := 0, 0
	for i := range 3000 {
		h.both([]string{"GEOADD", "geo:a", h.coordinate(180), h.coordinate(85), fmt.Sprint(i)})
	}
	for range 20 {
		h.both([]string{"GEOSEARCHSTORE", distanceKey, "geo:a", "FROMLONLAT", h.coordinate(180), h.coordinate(85), "BYRADIUS", "8000", "km", "STOREDIST"})
		ours, theirs := h.both([]string{"ZRANGE", distanceKey, "0", "-1", "WITHSCORES"})
		a, b := bulks(ours), bulks(theirs)
		if len(a) != len(b) {
			t.Fatalf("%d words, not %d", len(a), len(b))
		}
		for i := 2; i < len(a); i += 2 {
			x, _ := strconv.ParseFloat(a[i], 64)
			y, _ := strconv.ParseFloat(b[i], 64)
			if all++; x == y {
				same++
			} else if math.Abs(x-y) > 1e-14*y {
				t.Errorf("%s is at %s, not %s", a[i-1], a[i], b[i])
			}
		}
	}
	if t.Logf("%d of %d are the same", same, all); all < 5000 || same < all*97/100 {
		t.Errorf("only %d of %d are the same", same, all)
	}
}

// Which of several members at the same distance are among the first ones is what
// it is in Redis, as it decides what is stored.
func TestEqualDistancesAreInTheOrderOfRedis(t *testing.T) {
	redistest.Tool(t, "redis-server")
	h := newTwins(t, 2, 3)
	for i := range 250 {
		h.both([]string{"GEOADD", "geo:a", strconv.Itoa(h.rand.IntN(4)), strconv.Itoa(h.rand.IntN(3)), fmt.Sprint(i)})
	}
	for n := 1; n < 260; n += 1 + h.rand.IntN(8) {
		words := []string{"GEOSEARCH", "geo:a", "FROMLONLAT", "1", "1", "BYRADIUS", h.pick("1", "150", "300", "500"), "km", h.pick("ASC", "DESC"), "COUNT", strconv.Itoa(n)}
		ours, theirs := h.both(words)
		h.last = []string{strings.Join(words, " ")}
		h.compare(ours, theirs, false)
	}
}

// coordinate is one of a few places, or any; now and then at the edge of the world.
func (h *twins) coordinate(limit int) string {
	switch h.rand.IntN(12) {
	case 0:
		return h.pick("", "-") + strconv.Itoa(limit)
	case 1:
		return strconv.Itoa(h.rand.IntN(3))
	}
	return strconv.FormatFloat((h.rand.Float64()*2-1)*float64(limit), 'f', 1+h.rand.IntN(12), 64)
}

// near is a coordinate in a small part of the world.
func (h *twins) near(n int) string {
	return strconv.FormatFloat(float64(n)+h.rand.Float64(), 'f', 1+h.rand.IntN(3), 64)
}

func (h *twins) position() []string {
	switch h.rand.IntN(40) {
	case 0:
		return []string{h.pick("181", "x", "nan", "inf"), "1"}
	case 1:
		return []string{"1", h.pick("86", "-85.06", "", "-inf")}
	}
	if h.rand.IntN(2) == 0 {
		return []string{h.near(13), h.near(38)}
	}
	return []string{h.coordinate(180), h.coordinate(85)}
}

func (h *twins) geoKey() string {
	switch h.rand.IntN(60) {
	case 0:
		return "list:a"
	case 1:
		return "geo:none"
	case 2:
		return "geo:scores"
	}
	return "geo:" + h.pick("a", "b", "c")
}

func (h *twins) geoMember() string { return "m" + strconv.Itoa(h.rand.IntN(200)) }

func (h *twins) geoUnit() string {
	if h.rand.IntN(60) == 0 {
		return h.pick("x", "")
	}
	return h.pick("m", "KM", "km", "ft", "mi")
}

func (h *twins) length() string {
	if h.rand.IntN(60) == 0 {
		return h.pick("-1", "x", "inf", "0")
	}
	return h.pick("1", "50", "100.5", "1000", "4000", "20000", "300000")
}

func (h *twins) geoOptions() (words []string) {
	words = append(words, h.sometimes(h.pick("ASC", "desc"))...)
	if h.rand.IntN(2) == 0 {
		words = append(words, "COUNT", strconv.Itoa(h.rand.IntN(20)))
		words = append(words, h.sometimes("ANY")...)
	}
	return append(words, h.sometimes("any")...)
}

func (h *twins) geoWith() (words []string) {
	for _, w := range []string{"WITHCOORD", "withdist", "WITHHASH"} {
		words = append(words, h.sometimes(w)...)
	}
	return words
}

func (h *twins) geoArea() (words []string) {
	if h.rand.IntN(2) == 0 {
		words = append(words, "FROMMEMBER", h.geoMember())
	} else {
		words = append(append(words, "FROMLONLAT"), h.position()...)
	}
	if h.rand.IntN(2) == 0 {
		words = append(words, "BYRADIUS", h.length(), h.geoUnit())
	} else {
		words = append(words, "BYBOX", h.length(), h.length(), h.geoUnit())
	}
	if h.rand.IntN(20) == 0 {
		words = slices.Delete(words, 0, 2)
	}
	return words
}

func (h *twins) geoCommand(line liner) []string {
	key := h.geoKey()
	switch h.rand.IntN(20) {
	case 0, 1, 2, 3, 4, 5:
		words := line("GEOADD", []string{key}, h.sometimes(h.pick("NX", "xx")), h.sometimes("CH"))
		for range 1 + h.rand.IntN(8) {
			words = append(append(words, h.position()...), h.geoMember())
		}
		return words
	case 6:
		return line("GEODIST", []string{key, h.geoMember(), h.geoMember()}, h.sometimes(h.geoUnit()), h.sometimes("x"))
	case 7:
		return line(h.pick("GEOHASH", "GEOPOS"), []string{key, h.geoMember(), h.geoMember()})
	case 8:
		// Scores that are no hashes.
		score := h.pick("-1", "1.5", "4503599627370496", "9007199254740991", "1e300", "-inf", "18446744073709551615", "9223372036854775808", "123456789")
		return line("ZADD", []string{"geo:scores", score, h.geoMember()})
	case 9:
		return line("ZREM", []string{key, h.geoMember()})
	case 10:
		words := line("GEOSEARCHSTORE", []string{"geo:stored", key}, h.geoArea(), h.geoOptions(), h.sometimes(h.geoWith()...))
		if h.rand.IntN(3) == 0 {
			words = append(words, "STOREDIST")
			words[1] = distanceKey
		}
		return words
	case 11:
		words := line(h.pick("GEORADIUS", "GEORADIUS_RO"), []string{key}, h.position(), []string{h.length(), h.geoUnit()}, h.geoOptions(), h.geoWith())
		return append(words, h.geoStore()...)
	case 12:
		words := line(h.pick("GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"), []string{key, h.geoMember(), h.length(), h.geoUnit()}, h.geoOptions(), h.geoWith())
		return append(words, h.geoStore()...)
	case 13:
		return line("ZRANGE", []string{"geo:stored", "0", "-1", "WITHSCORES"})
	case 14:
		return strings.Fields("COMMAND GETKEYS GEORADIUS " + key + " 1 1 1 m STORE geo:x STOREDIST geo:y")
	}
	return line("GEOSEARCH", []string{key}, h.geoArea(), h.geoOptions(), h.geoWith())
}

func (h *twins) geoStore() []string {
	switch h.rand.IntN(8) {
	case 0:
		return []string{"STORE", "geo:stored"}
	case 1:
		return []string{"STOREDIST", distanceKey}
	case 2:
		return []string{"STORE", distanceKey, "STOREDIST", distanceKey}
	}
	return nil
}
