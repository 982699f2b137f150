package interop

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/chaos"
	"redoubt/internal/fault"
	"redoubt/internal/netlab"
	"redoubt/internal/redistest"
)

// TestChaos disturbs clusters with durability quorum, and judges what their clients were
// told. $CHAOS says for how many episodes, $CHAOS_SEED which is the first, and $CHAOS_DIR
// where those that fail leave what is known of them.
func TestChaos(t *testing.T) {
	oursOnly(t)
	text, asked := os.LookupEnv("CHAOS")
	if !asked {
		t.Skip("$CHAOS is not set")
	}
	episodes, err := strconv.Atoi(text)
	if err != nil || episodes < 1 {
		t.Fatalf("$CHAOS is %q, want a number of episodes", text)
	}
	seed := chaosSeed(t)
	t.Logf("%d episodes from the seed %d on", episodes, seed)
	t.Logf("%v", chaos.Run(t, chaos.Config{Episodes: episodes, Seed: seed, Dir: chaosDir(), Say: t.Logf}))
}

// TestChaosFindsFaults takes for $REDOUBT_BIN a binary with the build tag faulty. Each
// fault has to be found within $CHAOS_FAULTS episodes; $CHAOS_FAULT names one of them.
func TestChaosFindsFaults(t *testing.T) {
	oursOnly(t)
	text, asked := os.LookupEnv("CHAOS_FAULTS")
	if !asked {
		t.Skip("$CHAOS_FAULTS is not set")
	}
	episodes, err := strconv.Atoi(text)
	if err != nil || episodes < 1 {
		t.Fatalf("$CHAOS_FAULTS is %q, want a number of episodes", text)
	}
	for _, name := range fault.All {
		if one := os.Getenv("CHAOS_FAULT"); one != "" && one != string(name) {
			continue
		}
		t.Run(string(name), func(t *testing.T) {
			t.Setenv("REDOUBT_FAULT", string(name))
			total := chaos.Run(t, chaos.Config{Episodes: episodes, Seed: chaosSeed(t), Dir: chaosDir(), Say: t.Logf, Seek: true})
			if len(total.Found) == 0 {
				t.Fatalf("%s: not found in %d episodes", name, total.Episodes)
			}
			t.Logf("%s: found in the episode number %d, by: %s", name, total.Episodes, strings.Join(total.Found, ", "))
		})
	}
}

// What is in the binary that is released has no faults to be switched on.
func TestTheBinaryHasNoFaults(t *testing.T) {
	oursOnly(t)
	program, err := os.ReadFile(redistest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append([]fault.Name{"REDOUBT_FAULT"}, fault.All...) {
		if bytes.Contains(program, []byte(name)) {
			t.Errorf("it has %s", name)
		}
	}
}

// chaosSeed is $CHAOS_SEED, or one that depends on the time.
func chaosSeed(t *testing.T) uint64 {
	t.Helper()
	text := os.Getenv("CHAOS_SEED")
	if text == "" {
		return uint64(time.Now().Unix()) * 100
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// TestAFewEpisodesOfChaos is what of it has its place among other tests: a shard on
// 127.0.0.1, and two on a network that fails where there is one.
func TestAFewEpisodesOfChaos(t *testing.T) {
	oursOnly(t)
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	seeds := []uint64{1}
	if netlab.Lacking() == "" {
		seeds = append(seeds, 11)
	}
	for _, seed := range seeds {
		t.Logf("%v", chaos.Run(t, chaos.Config{Episodes: 3, Seed: seed, Dir: chaosDir(), Say: t.Logf}))
	}
}

func chaosDir() string {
	if dir := os.Getenv("CHAOS_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "redoubt-chaos")
}
