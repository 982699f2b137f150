package check

import (
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// report has two shards; the write of each loss was acknowledged at the given
// distance from noon.
func report(shard int, losses ...time.Duration) *Report {
	r := &Report{
		Writes: Tally{OK: 100},
		Shards: []ShardReport{
			{Number: 1, Primary: "10.0.0.1:6379", Replicas: []string{"10.0.0.4:6379"}},
			{Number: 2, Primary: "10.0.0.2:6379"},
		},
	}
	for _, d := range losses {
		r.Lost = append(r.Lost, LostWrite{Key: "k", Value: "v", AckedAt: noon.Add(d), Shard: shard})
	}
	return r
}

func TestVerdict(t *testing.T) {
	const nodeTimeout = 5 * time.Second
	cut := []Fault{{Node: "10.0.0.1", At: noon}}
	spoilt := func(f func(*Report)) *Report {
		r := report(1)
		f(r)
		return r
	}
	for _, tc := range []struct {
		name    string
		rep     *Report
		faults  []Fault
		excused int
		guilty  int
		verdict string
	}{
		{name: "nothing lost is good", rep: report(1), faults: cut, verdict: "good"},
		{name: "nothing lost without a fault is good", rep: report(1), verdict: "good"},
		{name: "a loss without a fault is guilty", rep: report(1, 0), guilty: 1, verdict: "guilty"},
		{name: "a loss a second before the cut is excused", rep: report(1, -time.Second), faults: cut, excused: 1, verdict: "good"},
		{name: "a loss earlier than that is guilty", rep: report(1, -time.Second-1), faults: cut, guilty: 1, verdict: "guilty"},
		{name: "a loss node-timeout and a second after the cut is excused", rep: report(1, nodeTimeout+time.Second), faults: cut, excused: 1, verdict: "good"},
		{name: "a loss later than that is guilty", rep: report(1, nodeTimeout+time.Second+1), faults: cut, guilty: 1, verdict: "guilty"},
		{name: "a loss in another shard is guilty", rep: report(2, 0), faults: cut, guilty: 1, verdict: "guilty"},
		{name: "a fault of a replica of the shard excuses too", rep: report(1, 0), faults: []Fault{{Node: "10.0.0.4:6379", At: noon}}, excused: 1, verdict: "good"},
		{name: "each loss may have a fault of its own", rep: report(1, 0, time.Minute), faults: append([]Fault{{Node: "10.0.0.1:6379", At: noon.Add(time.Minute)}}, cut...), excused: 2, verdict: "good"},
		{name: "a run that wrote nothing proves nothing", rep: spoilt(func(r *Report) { r.Writes.OK = 0 }), verdict: "none"},
		{name: "keys that could not be read prove nothing", rep: spoilt(func(r *Report) { r.Unverified = 1 }), verdict: "none"},
		{name: "values of somebody else prove nothing", rep: spoilt(func(r *Report) { r.Foreign = 1 }), verdict: "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &Allowance{Faults: tc.faults, NodeTimeout: nodeTimeout, Margin: time.Second}
			v, err := a.Judge(tc.rep)
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Excused) != tc.excused || len(v.Guilty) != tc.guilty || v.Good() != (tc.verdict == "good") {
				t.Errorf("%d excused, %d guilty, good %v", len(v.Excused), len(v.Guilty), v.Good())
			}
			var out strings.Builder
			v.Print(&out)
			if !strings.Contains(out.String(), "VERDICT: "+tc.verdict) {
				t.Errorf("printed:\n%s", out.String())
			}
			if n := strings.Count(out.String(), "\n"); n != tc.excused+tc.guilty+1 {
				t.Errorf("%d lines for %d losses", n, tc.excused+tc.guilty)
			}
		})
	}
}

func TestVerdictRefuses(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rep   *Report
		fault string
	}{
		{"a fault of a node that the run did not know", report(1), "10.0.0.9"},
		{"a fault of a node whose address only begins like a known one", report(1), "10.0.0"},
		{"a loss in a shard that is not in the report", report(3, 0), "10.0.0.1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := &Allowance{Faults: []Fault{{Node: tc.fault, At: noon}}}
			if v, err := a.Judge(tc.rep); err == nil {
				t.Fatalf("judged: %+v", v)
			}
		})
	}
}

func TestGapFindsTheLongest(t *testing.T) {
	at := func(ms int) time.Time { return noon.Add(time.Duration(ms) * time.Millisecond) }
	for _, tc := range []struct {
		name      string
		successes []int
		from, ms  int
	}{
		{"the longest gap lies between two successes", []int{10, 20, 520, 530, 990}, 20, 500},
		{"the first gap begins with the run", []int{700, 800, 900, 990}, 0, 700},
		{"a shard that does not come back is out until the end", []int{10, 20}, 20, 980},
		{"a shard that never answered was out all the time", nil, 0, 1000},
		{"successes out of order do not shorten a gap", []int{100, 90, 700, 95, 990}, 100, 600},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g := newGap(noon)
			for _, ms := range tc.successes {
				g.success(at(ms))
			}
			o := g.result(at(1000))
			if !o.From.Equal(at(tc.from)) || o.For != time.Duration(tc.ms)*time.Millisecond {
				t.Errorf("from %v for %v", o.From.Sub(noon), o.For)
			}
		})
	}
}

func TestMakeKeysAndDeal(t *testing.T) {
	shards := make([]client.Shard, 2)
	shards[0].Slots.AddRange(slots.Range{First: 0, Last: 99})
	shards[1].Slots.AddRange(slots.Range{First: 100, Last: slots.Count - 1})
	keys := makeKeys(slots.Count, "p", "r", shards)
	var covered slots.Set
	for _, k := range keys {
		if slots.Of([]byte(k.name)) != k.slot {
			t.Fatalf("%s is not in slot %d", k.name, k.slot)
		}
		if !shards[k.shard].Slots.Has(k.slot) {
			t.Fatalf("%s is not in shard %d", k.name, k.shard)
		}
		covered.Add(k.slot)
	}
	if covered != slots.All() {
		t.Fatal("a key a slot does not cover all slots")
	}
	for _, tc := range []struct{ clients, hands int }{{1, 2}, {2, 2}, {5, 5}, {1000, 600}} {
		hands := deal(keys, tc.clients, len(shards))
		total := 0
		for _, h := range hands {
			total += len(h)
			for _, k := range h {
				if k.shard != h[0].shard {
					t.Fatalf("a client of %d works in two shards", tc.clients)
				}
			}
			if len(h) == 0 {
				t.Fatal("a client has no keys")
			}
		}
		if len(hands) != tc.hands || total != len(keys) {
			t.Errorf("%d clients asked for: %d with %d keys", tc.clients, len(hands), total)
		}
	}
	if few := makeKeys(7, "p", "r", shards); len(few) != 7 {
		t.Errorf("%d keys, want 7", len(few))
	}
	var none []client.Shard
	if lone := makeKeys(7, "p", "r", none); len(lone) != 0 {
		t.Errorf("%d keys in slots that nobody owns", len(lone))
	}
}
