package clustertool

import (
	"strings"
	"testing"

	"redoubt/slots"
)

const (
	idA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func TestParseView(t *testing.T) {
	v, err := parseView(idA + " 10.0.0.1:7000@17000,host.example,tls-port=1 myself,master - 0 0 3 connected 0-5 7 [8->-" + idB + "] [9-<-" + idB + "]\n" +
		idB + " ::1:7001@17001 slave,fail? " + idA + " 0 1426238316232 2 disconnected\n")
	if err != nil {
		t.Fatal(err)
	}
	self := v.self()
	if self.id != idA || self.host != "10.0.0.1" || self.port != 7000 || self.busPort != 17000 || self.replica() || !self.connected {
		t.Errorf("myself: %+v", self)
	}
	if got := bracketed(self.slots); got != "[0-5],[7]" {
		t.Errorf("slots %s", got)
	}
	if self.migrating[8] != idB || self.importing[9] != idB {
		t.Errorf("open slots %v %v", self.migrating, self.importing)
	}
	b := v.byID(idB)
	if b.host != "::1" || b.port != 7001 || !b.replica() || b.primary != idA || !b.is("fail?") || b.is("fail") || b.connected {
		t.Errorf("the other: %+v", b)
	}
}

func TestParseViewRefuses(t *testing.T) {
	good := idA + " 10.0.0.1:7000@17000 myself,master - 0 0 3 connected"
	for _, tc := range []struct{ name, text string }{
		{"a reply without a line about the node itself", strings.Replace(good, "myself,", "", 1)},
		{"a line with too few fields", "a b c"},
		{"an address without a port", strings.Replace(good, ":7000", "", 1)},
		{"a port that is no number", strings.Replace(good, ":7000", ":x", 1)},
		{"a bus port that is no number", strings.Replace(good, "@17000", "@x", 1)},
		{"a slot beyond the last", good + " 16384"},
		{"a range that ends beyond the last slot", good + " 0-16384"},
		{"a slot that is no number", good + " x-y"},
		{"an open slot without a direction", good + " [5]"},
		{"an empty reply", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if v, err := parseView(tc.text); err == nil {
				t.Fatalf("accepted: %+v", v)
			}
		})
	}
}

// FuzzParseView looks for replies on which the parser panics, or accepts slots
// that do not exist.
func FuzzParseView(f *testing.F) {
	f.Add(idA + " 10.0.0.1:7000@17000,h myself,master - 0 0 3 connected 0-5 7 [8->-" + idB + "]\n")
	f.Add(idA + " :0@0 myself,noaddr,slave " + idB + " 0 0 0 disconnected [9-<-x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := parseView(text)
		if err != nil {
			return
		}
		self := v.self()
		for s := range self.migrating {
			if !s.Valid() {
				t.Fatalf("slot %d", s)
			}
		}
		if self.slots.Len() > slots.Count {
			t.Fatal("too many slots")
		}
	})
}

func TestDifferenceNamesTheNode(t *testing.T) {
	var low, high slots.Set
	low.AddRange(slots.Range{First: 0, Last: 99})
	high.AddRange(slots.Range{First: 100, Last: 16383})
	name := func(id string) string { return "node-" + id }
	mine := &view{entries: []entry{{id: "a", slots: low}, {id: "b", slots: high}, {id: "c"}}}
	for _, tc := range []struct {
		name string
		want map[string]slots.Set
		text string
	}{
		{"equal views do not differ", map[string]slots.Set{"a": low, "b": high}, ""},
		{"an owner that is expected and not seen", map[string]slots.Set{"a": low, "b": high, "d": low}, "it sees node-d with slots none where slots [0-99] are expected"},
		{"an owner that is seen and not expected", map[string]slots.Set{"b": high}, "it sees node-a with slots [0-99] where slots none are expected"},
		{"an owner with other slots", map[string]slots.Set{"a": high, "b": high}, "it sees node-a with slots [0-99] where slots [100-16383] are expected"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := mine.difference(tc.want, name); got != tc.text {
				t.Fatalf("got %q, want %q", got, tc.text)
			}
		})
	}
}
