package sentinel

import (
	"math/rand/v2"
	"time"
)

// Config is what a Node starts with.
type Config struct {
	Settings Settings
	// State is what was loaded from the configuration file. If its MyID is empty
	// the Node invents one, and its first Step persists it.
	State *State
	// Rand is the only source of randomness. It must not be shared.
	Rand *rand.Rand
}

// Settings are the directives that hold for all masters. The driver keeps and
// writes them; Configure changes them while the Node runs.
type Settings struct {
	// Port is what a hello says unless AnnouncePort is set: the port, or the
	// tls-port if tls-replication is on.
	Port uint16
	// AnnounceIP and AnnouncePort are announce-ip and announce-port; empty and 0:
	// the address of the connection, and Port.
	AnnounceIP   string
	AnnouncePort uint16
	// ResolveHostnames is resolve-hostnames: whether an address may be a name.
	ResolveHostnames bool
	// AnnounceHostnames is announce-hostnames: whether names are shown, and sent,
	// in the place of the addresses that they resolve to.
	AnnounceHostnames bool
	// SentinelUser and SentinelPass are sentinel-user and sentinel-pass; without
	// SentinelPass, RequirePass (requirepass) is sent to other Sentinels.
	SentinelUser string
	SentinelPass string
	RequirePass  string
	// Timing has the periods; a zero value means the default of each.
	Timing Timing
}

// Timing are the periods that SENTINEL DEBUG shows and sets.
type Timing struct {
	InfoPeriod             time.Duration // 10 s
	PingPeriod             time.Duration // 1 s
	AskPeriod              time.Duration // 1 s
	PublishPeriod          time.Duration // 2 s
	DefaultDownAfter       time.Duration // 30 s, of masters monitored from now on
	DefaultFailoverTimeout time.Duration // 180 s, likewise
	TiltTrigger            time.Duration // 2 s
	TiltPeriod             time.Duration // 30 s
	ReplicaReconfTimeout   time.Duration // 10 s: slave-reconf-timeout
	MinLinkReconnectPeriod time.Duration // 15 s
	ElectionTimeout        time.Duration // 10 s
}

// DefaultTiming is that of redis-sentinel.
func DefaultTiming() Timing {
	return Timing{
		InfoPeriod:             10 * time.Second,
		PingPeriod:             time.Second,
		AskPeriod:              time.Second,
		PublishPeriod:          2 * time.Second,
		DefaultDownAfter:       30 * time.Second,
		DefaultFailoverTimeout: 180 * time.Second,
		TiltTrigger:            2 * time.Second,
		TiltPeriod:             30 * time.Second,
		ReplicaReconfTimeout:   10 * time.Second,
		MinLinkReconnectPeriod: 15 * time.Second,
		ElectionTimeout:        10 * time.Second,
	}
}

// orDefaults fills in what is zero.
func (t Timing) orDefaults() Timing {
	d := DefaultTiming()
	for _, f := range []struct{ value, fallback *time.Duration }{
		{&t.InfoPeriod, &d.InfoPeriod},
		{&t.PingPeriod, &d.PingPeriod},
		{&t.AskPeriod, &d.AskPeriod},
		{&t.PublishPeriod, &d.PublishPeriod},
		{&t.DefaultDownAfter, &d.DefaultDownAfter},
		{&t.DefaultFailoverTimeout, &d.DefaultFailoverTimeout},
		{&t.TiltTrigger, &d.TiltTrigger},
		{&t.TiltPeriod, &d.TiltPeriod},
		{&t.ReplicaReconfTimeout, &d.ReplicaReconfTimeout},
		{&t.MinLinkReconnectPeriod, &d.MinLinkReconnectPeriod},
		{&t.ElectionTimeout, &d.ElectionTimeout},
	} {
		if *f.value <= 0 {
			*f.value = *f.fallback
		}
	}
	return t
}
