package node

import (
	"strings"
	"testing"
	"time"
)

func TestWhenANewBaseIsDue(t *testing.T) {
	const mib, gib = 1 << 20, 1 << 30
	byDefault := basePolicy{percent: 100, minBytes: 64 * mib, replaySpeed: 100 * mib}
	for _, c := range []struct {
		name              string
		policy            basePolicy
		base, grown, free int64
		want              int64
	}{
		{"a small base: five seconds of replay", byDefault, 80 * mib, 200 * mib, 100 * gib, 500 * mib},
		{"no base yet", byDefault, 0, 0, 100 * gib, 500 * mib},
		{"a replay that was very slow", basePolicy{100, 64 * mib, mib}, 10 * mib, 0, 100 * gib, 64 * mib},
		{"a large base: half of it", byDefault, 10 * gib, gib, 100 * gib, 5 * gib},
		{"the room for a new base is about to go", byDefault, 10 * gib, gib, 20 * gib, 64 * mib},
		{"the disk cannot be asked", byDefault, 10 * gib, gib, -1, 5 * gib},
		{"a percentage of somebody's own", basePolicy{50, 64 * mib, mib}, gib, gib, 0, 512 * mib},
		{"a least size of somebody's own", basePolicy{100, 1 * mib, mib}, 0, gib, 0, mib},
		{"neither of the two", basePolicy{1, 0, mib}, 0, gib, 0, 1},
		{"never", basePolicy{0, 64 * mib, mib}, gib, 100 * gib, 0, 0},
	} {
		if got := c.policy.limit(c.base, c.grown, c.free); got != c.want {
			t.Errorf("%s: %d MiB, want %d", c.name, got/mib, c.want/mib)
		}
	}
}

func TestTheBasePolicyKnowsHowFastAReplayWas(t *testing.T) {
	n, _ := startNode(t, t.TempDir(), "--save", "")
	p := n.persistence
	p.replayed(100, time.Nanosecond) // too little to tell
	if got := p.basePolicy().replaySpeed; got != assumedReplaySpeed {
		t.Errorf("before a replay was measured: %d", got)
	}
	p.replayed(2*measuredReplayBytes, 500*time.Millisecond)
	if got := p.basePolicy().replaySpeed; got != 4*measuredReplayBytes {
		t.Errorf("%d bytes in half a second are %d a second", 2*measuredReplayBytes, got)
	}
	set(n, n.keys.NewExecutor(), "k", "v")
	for _, line := range []string{"\r\njournal_base_limit_bytes:335544320\r\n", "\r\njournal_replay_bytes_per_sec:67108864\r\n", "\r\njournal_write_amplification:"} {
		if !strings.Contains(p.Info(), line) {
			t.Errorf("INFO persistence lacks %q: %s", line, p.Info())
		}
	}
}
