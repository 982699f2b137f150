package slots

import (
	"reflect"
	"testing"
)

func TestSlotOfKey(t *testing.T) {
	for _, c := range []struct {
		name, key string
		want      Slot
	}{
		{"the CRC check value of the specification", "123456789", 0x31c3 & (Count - 1)},
		{"a plain key", "foo", 12182},
		{"only the tag counts", "{user1000}.following", Of([]byte("user1000"))},
		{"an empty tag counts as no tag", "foo{}{bar}", 8363},
		{"the tag ends at the first closing brace", "foo{{bar}}zap", Of([]byte("{bar"))},
		{"only the first tag counts", "foo{bar}{zap}", Of([]byte("bar"))},
		{"an open brace alone is no tag", "foo{bar", Of([]byte("foo{bar"))},
		{"the empty key", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Of([]byte(c.key)); got != c.want {
				t.Errorf("Of(%q) = %d, want %d", c.key, got, c.want)
			}
		})
	}
}

func TestSetRangesAreMaximalAndAscending(t *testing.T) {
	var s Set
	s.AddRange(Range{0, 5460})
	s.Add(16383)
	s.Add(7000)
	s.Add(7001)
	want := []Range{{0, 5460}, {7000, 7001}, {16383, 16383}}
	if got := s.Ranges(); !reflect.DeepEqual(got, want) {
		t.Errorf("Ranges() = %v, want %v", got, want)
	}
	s.Remove(7000)
	if s.Has(7000) || !s.Has(7001) || s.Len() != 5463 {
		t.Errorf("after Remove: Has(7000)=%v Has(7001)=%v Len=%d", s.Has(7000), s.Has(7001), s.Len())
	}
	if s[0] != 0xff || s[Bytes-1] != 0x80 {
		t.Errorf("wire layout: first byte %#x, last %#x", s[0], s[Bytes-1])
	}
	if all := All(); all.Len() != Count || s.Empty() {
		t.Error("All() or Empty() is wrong")
	}
}

func TestSetsMeetAndAreJoined(t *testing.T) {
	var a, b Set
	a.AddRange(Range{0, 99})
	b.AddRange(Range{100, 16383})
	if a.Intersects(&b) || b.Intersects(&a) {
		t.Error("sets without a common slot intersect")
	}
	b.Add(63)
	if !a.Intersects(&b) || !b.Intersects(&a) {
		t.Error("sets with a common slot do not intersect")
	}
	a.AddSet(&b)
	if a.Len() != Count {
		t.Errorf("the union has %d slots", a.Len())
	}
}

func TestWithoutIsTheDifference(t *testing.T) {
	var a, b Set
	a.AddRange(Range{60, 200})
	a.Add(Count - 1)
	b.AddRange(Range{64, 127})
	b.Add(3)
	left := a.Without(&b)
	if got, want := left.Ranges(), []Range{{60, 63}, {128, 200}, {Count - 1, Count - 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
