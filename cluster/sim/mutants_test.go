package sim

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var (
	mutants = flag.Bool("mutants", false, "see each law fail: build the simulator with faults in package cluster, and run the seeds that find them")
	hunt    = flag.String("hunt", "", "look for the first seed, from -hunt-from on, that breaks a rule in these words")
	from    = flag.Uint64("hunt-from", 0, "where to begin")
)

// huntSeeds is within how many seeds a fault has to be found.
const huntSeeds = 300

// huntMembers is how large clusters are at most in a hunt: the small ones are quick, and
// have as much to fear.
const huntMembers = 12

// edit replaces what stands in a file of package cluster once.
type edit struct{ file, old, new string }

// mutant is a fault that some law has to find: what guards against it is taken out of
// package cluster, or out of what the simulator does in the place of a server.
type mutant struct {
	name  string
	edits []edit
	// broken are words of the rule that breaks, and seed is the first that does.
	broken string
	seed   uint64
}

var allMutants = []mutant{
	{"a voter votes twice in an epoch", []edit{
		{"vote.go", "if n.lastVoteEpoch >= n.currentEpoch {", "if false {"},
	}, "votes for member", 56},
	{"a vote leaves before it is on disk", []edit{
		{"vote.go", "n.sendAfterPersist(back,", "n.send(back,"},
	}, "votes in epoch", 3},
	{"a claim is shown before it is on disk", []edit{
		{"message.go", "if n.claimPending() {\n\t\treturn n.messageAs", "if false {\n\t\treturn n.messageAs"},
	}, "claims epoch", 3},
	{"one vote is enough", []edit{
		{"election.go", "if len(e.voters) >= n.quorum() {", "if len(e.voters) > 0 {"},
	}, "has elected member", 189},
	{"a primary needs no lease, and is replaced", []edit{
		{"lease.go", "return n.answeredInTime(p)\n", "return true\n"},
	}, "both take writes", 90},
	{"a primary needs no lease", []edit{
		{"lease.go", "return n.answeredInTime(p)\n", "return true\n"},
	}, "has met no majority", 29},
	{"nobody asks for the answers that a lease needs", []edit{
		{"lease.go", "return n.now.Sub(p.vouched) > n.cfg.NodeTimeout/3 ||", "return"},
	}, "refuses requests, although nothing is broken", 23},
	{"nodes are suspected too soon", []edit{
		{"tick.go", "if waiting && silent > timeout &&", "if waiting && silent > timeout/12 &&"},
	}, "is FAIL, although nothing is broken", 8},
	{"FAIL is never taken back", []edit{
		{"failure.go", "if p.votes() && (n.now.Sub", "if p.votes() && (true || n.now.Sub"},
	}, "although all slots have owners", 21},
	{"a pause does not end with the attempt", []edit{
		{"manual.go", "n.fx.Pause = &Pause{Until: n.now.Add(2 *", "n.fx.Pause = &Pause{Until: n.now.Add(20 *"},
		{"manual.go", "\t\tn.fx.Pause = &Pause{}\n", ""},
	}, "has its writes paused", 54},
	{"refused connections are not suspicious", []edit{
		{"refused.go", "if !n.cfg.FastFail || r.count < 2 ||", "if true ||"},
	}, "are served after the loss", 106},
	{"replicas do not mind who has more data", []edit{
		{"election.go", "if p.offset > n.offset() ||", "if"},
	}, "is elected at offset", 34},
	{"data of another shard are as good", []edit{
		{"node.go", "return n.facts.Primary == primary", "return true || n.facts.Primary == primary"},
		{"election.go", "if n.contact().IsZero() {\n\t\treturn true", "if n.contact().IsZero() {\n\t\treturn false"},
	}, "is elected in the place of", 7},
	{"a manual failover does not wait for the last writes", []edit{
		{"manual.go", " || m.primaryOffset != n.offset() {", " {"},
	}, "which has not all of its writes", 72},
	{"old claims count", []edit{
		{"claim.go", "if !n.table.free(s) && n.table.owner[s].configEpoch >= epoch {", "if false {"},
	}, "deletes the keys", 140},
	{"a primary that has lost data serves at once", []edit{
		{"giveway.go", "best := n.replicaAhead()", "best := (*peer)(nil)"},
	}, "serves again with less data", 8},
	{"a primary acknowledges what its replicas have not got", []edit{
		{"sim/ledger.go", "for _, m := range p.shard {", "for _, m := range p.shard[:0] {"},
	}, "although all of its shard had it", 17},
}

// mutate gives the files of package cluster that the edits make, as an overlay for the
// go command.
func (m *mutant) mutate(t *testing.T) (overlay string) {
	t.Helper()
	dir := t.TempDir()
	text := make(map[string]string)
	for _, e := range m.edits {
		path, err := filepath.Abs(filepath.Join("..", e.file))
		if err != nil {
			t.Fatal(err)
		}
		if text[path] == "" {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[path] = string(b)
		}
		if strings.Count(text[path], e.old) != 1 {
			t.Fatalf("%s does not have this once, so the mutant has to be written anew: %q", e.file, e.old)
		}
		text[path] = strings.Replace(text[path], e.old, e.new, 1)
	}
	replace := make(map[string]string)
	for path, s := range text {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(s), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	overlay = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// TestMutants sees that each law fails when what it watches over is taken out. Without
// -mutants it only sees that the faults can still be put in.
func TestMutants(t *testing.T) {
	for i := range allMutants {
		m := &allMutants[i]
		t.Run(m.name, func(t *testing.T) {
			overlay := m.mutate(t)
			if !*mutants {
				return
			}
			t.Parallel()
			binary := filepath.Join(t.TempDir(), "mutant")
			if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", overlay, "-o", binary, ".").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			out, err := exec.Command(binary, "-test.run", "^TestHunt$", "-test.v", "-hunt", m.broken, "-hunt-from", fmt.Sprint(m.seed)).CombinedOutput()
			if err != nil {
				t.Fatalf("no law finds it: %v\n%s", err, out)
			}
			if want := fmt.Sprintf("seed %d breaks it", m.seed); !strings.Contains(string(out), want) {
				t.Errorf("not with seed %d any more, but:\n%s", m.seed, out)
			}
		})
	}
}

// TestHunt is what a mutant runs.
func TestHunt(t *testing.T) {
	if *hunt == "" {
		t.Skip("it is run by TestMutants, with -mutants")
	}
	for seed := *from; seed < *from+huntSeeds; seed++ {
		c := NewChaos(seed)
		if len(c.World.Members) > huntMembers {
			continue
		}
		if err := c.Run(); err != nil && strings.Contains(err.Error(), *hunt) {
			t.Logf("seed %d breaks it: %v", seed, err)
			return
		}
	}
	t.Fatalf("none of %d seeds says %q", huntSeeds, *hunt)
}
