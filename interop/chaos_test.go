package interop

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"redoubt/internal/chaos"
	"redoubt/internal/netlab"
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
	seed := uint64(time.Now().Unix()) * 100
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d episodes from the seed %d on", episodes, seed)
	t.Logf("%v", chaos.Run(t, chaos.Config{Episodes: episodes, Seed: seed, Dir: chaosDir(), Say: t.Logf}))
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
