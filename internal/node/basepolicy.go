package node

import "time"

// basePolicy says how far the journal may grow beyond its base until a new base
// is worth making. A base shortens the next restart and lets the journal below it
// go; it costs a walk over all keys and as many bytes of writing as it has.
type basePolicy struct {
	// percent and minBytes are auto-aof-rewrite-percentage and -min-size. With a
	// value of either that is not its default the rule is Redis's: so many percent
	// of the base, and no less than that many bytes. 0 percent: never.
	percent  int
	minBytes int64
	// replaySpeed is how many bytes of journal a restart replays in a second.
	replaySpeed int64
}

const (
	// replayBudget is how long a restart may replay the journal. The load of the
	// base comes before that.
	replayBudget = 5 * time.Second
	// baseShare is the least growth at which a new base is made, as a share of
	// the base: each byte appended so costs two of bases at most.
	baseShare = 2

	// Redis's defaults of auto-aof-rewrite-percentage and -min-size.
	defaultRewritePercent  = 100
	defaultRewriteMinBytes = 64 << 20

	// assumedReplaySpeed is the speed of small commands that make new keys, on a
	// slow machine: what holds until a replay was measured.
	assumedReplaySpeed = 40 << 20
	// measuredReplayBytes is the least that is measured.
	measuredReplayBytes = 16 << 20
)

// limit is the growth at which a new base is due, 0 if none ever is. free is what
// the disk has left, below 0 if unknown, and grown how far the journal has grown.
func (p basePolicy) limit(base, grown, free int64) int64 {
	switch {
	case p.percent == 0:
		return 0
	case p.percent != defaultRewritePercent || p.minBytes != defaultRewriteMinBytes:
		return max(p.minBytes, base*int64(p.percent)/100, 1)
	case free >= 0 && free < 2*(base+grown):
		// A new base may be as large as the old one and what came since. It is made
		// while there is room for it, since only then the journal can go.
		return defaultRewriteMinBytes
	}
	return max(p.replaySpeed*int64(replayBudget/time.Second), base/baseShare, defaultRewriteMinBytes)
}

// replayed notes how fast a replay was.
func (p *persistence) replayed(bytes int64, took time.Duration) {
	if bytes >= measuredReplayBytes && took > 0 {
		p.replaySpeed.Store(int64(float64(bytes) / took.Seconds()))
	}
}

// basePolicy is the policy of the present settings.
func (p *persistence) basePolicy() basePolicy {
	c := p.config.Current()
	speed := p.replaySpeed.Load()
	if speed == 0 {
		speed = assumedReplaySpeed
	}
	return basePolicy{percent: c.AutoAOFRewritePercentage, minBytes: c.AutoAOFRewriteMinBytes, replaySpeed: speed}
}

// baseLimit is the growth at which a new base is due now, and the growth.
func (p *persistence) baseLimit() (limit, grown int64) {
	free, ok := p.stream.DiskFree()
	if !ok {
		free = -1
	}
	grown = p.stream.SizeSinceBase()
	return p.basePolicy().limit(p.baseBytes.Load(), grown, free), grown
}
