package clustertool

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/slots"
)

// having is a primary with the slots of some ranges, such as "0-5460,7".
func having(id, text string, weight float64) share {
	var e entry
	for r := range strings.SplitSeq(text, ",") {
		if r != "" {
			if err := e.addSlots(r); err != nil {
				panic(err)
			}
		}
	}
	return share{id, e.slots, weight}
}

// written is a plan as text: "a→b 0-99" a line.
func written(plan []transfer) string {
	var lines []string
	for _, p := range plan {
		lines = append(lines, fmt.Sprintf("%s→%s %s", p.from, p.to, ranges(p.slots)))
	}
	return strings.Join(lines, "\n")
}

func TestPlanReshard(t *testing.T) {
	a, b, c := having("a", "0-5460", 1), having("b", "5461-10922", 1), having("c", "10923-16383", 1)
	for _, tc := range []struct {
		name    string
		sources []share
		n       int
		want    string
		fails   string
	}{
		{"one source gives its lowest slots", []share{a}, 100, "a→x 0-99", ""},
		{"three sources give alike", []share{a, b, c}, 150, "b→x 5461-5510\na→x 0-49\nc→x 10923-10972", ""},
		{"what cannot be divided comes from those with more slots", []share{a, b, c}, 2, "b→x 5461\na→x 0", ""},
		{"sources give in proportion to what they have", []share{having("a", "0-29", 1), having("b", "100-169", 1)}, 10, "b→x 100-106\na→x 0-2", ""},
		{"a source without slots gives none", []share{having("e", "", 1), a}, 1, "a→x 0", ""},
		{"slots that are scattered", []share{having("a", "1,3,5-7", 1)}, 4, "a→x 1,3,5-6", ""},
		{"all slots of the sources", []share{having("a", "1,3", 1), having("b", "9", 1)}, 3, "a→x 1,3\nb→x 9", ""},
		{"more than the sources have", []share{a}, 5462, "", "the source nodes have 5461 slots, which is fewer than 5462"},
		{"no slots", []share{a}, 0, "", "from 1 to 16384"},
		{"more slots than there are", []share{a}, 16385, "", "from 1 to 16384"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plan, err := planReshard(tc.sources, "x", tc.n)
			if got := written(plan); got != tc.want {
				t.Errorf("the plan is\n%s\nwant\n%s", got, tc.want)
			}
			if fails := fmt.Sprint(err); tc.fails == "" && err != nil || !strings.Contains(fails, tc.fails) {
				t.Errorf("error %v, want %q", err, tc.fails)
			}
			if err == nil && moved(plan) != tc.n {
				t.Errorf("%d slots are moved", moved(plan))
			}
		})
	}
}

func TestPlanRebalance(t *testing.T) {
	for _, tc := range []struct {
		name      string
		shares    []share
		threshold float64
		want      string
		fails     string
	}{
		{"what create made stays", []share{having("a", "0-5460", 1), having("b", "5461-10922", 1), having("c", "10923-16383", 1)}, 2, "", ""},
		{"what create made stays without a threshold too", []share{having("a", "0-5460", 1), having("b", "5461-10922", 1), having("c", "10923-16383", 1)}, 0, "", ""},
		{"less than the threshold", []share{having("a", "0-8272", 1), having("b", "8273-16383", 1)}, 2, "", ""},
		{"more than the threshold", []share{having("a", "0-8272", 1), having("b", "8273-16383", 1)}, 0.5, "a→b 0-80", ""},
		{"an empty primary is filled", []share{having("a", "0-8191", 1), having("b", "8192-16383", 1), having("c", "", 1)}, 2,
			"b→c 8192-10922\na→c 0-2729", ""},
		{"weight 0 empties a primary", []share{having("a", "0-99", 0), having("b", "100-8191", 1), having("c", "8192-16383", 1)}, 2, "a→b 0-99", ""},
		{"twice the weight", []share{having("a", "0-8191", 1), having("b", "8192-16383", 2)}, 2, "a→b 0-2730", ""},
		{"weights far from 1", []share{having("a", "0-8191", 0.001), having("b", "8192-16383", 0.002)}, 2, "a→b 0-2730", ""},
		{"one gives to several", []share{having("a", "0-16383", 1), having("b", "", 1), having("c", "", 1)}, 2,
			"a→b 0-5460\na→c 5461-10921", ""},
		{"no weight at all", []share{having("a", "0-16383", 0)}, 2, "", "nobody is left"},
		{"a negative weight", []share{having("a", "0-16383", -1)}, 2, "", "the weight of a must not be negative"},
		{"one primary alone", []share{having("a", "0-16383", 1)}, 2, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			plan, _, err := planRebalance(tc.shares, tc.threshold)
			if got := written(plan); got != tc.want {
				t.Errorf("the plan is\n%s\nwant\n%s", got, tc.want)
			}
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("error %v, want %q", err, tc.fails)
			}
			if err != nil {
				return
			}
			after := carriedOut(tc.shares, plan)
			if again, _, _ := planRebalance(after, 0); len(plan) > 0 && len(again) > 0 {
				t.Errorf("a second run would do\n%s", written(again))
			}
		})
	}
}

// carriedOut is what primaries have after a plan.
func carriedOut(shares []share, plan []transfer) []share {
	after := slices.Clone(shares)
	for _, p := range plan {
		for i := range after {
			if after[i].id == p.from {
				after[i].slots = after[i].slots.Without(&p.slots)
			}
			if after[i].id == p.to {
				p.slots.Each(func(s slots.Slot) bool { after[i].slots.Add(s); return true })
			}
		}
	}
	return after
}
