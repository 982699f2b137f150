package driver

import (
	"crypto/tls"
	"errors"
	"sync"
	"time"

	"redoubt/bus/link"
	"redoubt/internal/config"
	"redoubt/internal/tlsconf"
)

// linkTLS is what the links are encrypted with by the settings; nil: they are plain.
// The certificates are looked up link by link, so that new ones hold from the next on.
// Both ends show one, whatever tls-auth-clients says of clients, as in Redis.
func (d *Driver) linkTLS(c *config.Settings) *link.TLS {
	if !c.TLSCluster {
		return nil
	}
	of := func(which func(*tlsconf.Set) *tls.Config) func() *tls.Config {
		return func() *tls.Config {
			if set := d.TLS.Set(); set != nil {
				return which(set)
			}
			return nil // no link, rather than a plain one
		}
	}
	return &link.TLS{
		Client: of(func(s *tlsconf.Set) *tls.Config { return s.Client }),
		Server: of(func(s *tlsconf.Set) *tls.Config { return s.Mutual }),
	}
}

// refusal says why a link ended in its TLS handshake, "" if that was not why.
func refusal(err error) string {
	if errors.Is(err, link.ErrHandshakes) {
		return "too many TLS handshakes at once, the oldest gave way"
	}
	var failed *link.HandshakeError
	if !errors.As(err, &failed) {
		return ""
	}
	return tlsconf.Explain(failed.Err)
}

// turnedAway tells the log that a link was not accepted, by nobody knows which node.
func (d *Driver) turnedAway(ip, why string) {
	if d.strangers.tell(ip, why, time.Now()) {
		d.Log.Warn("A cluster link from " + ip + " was refused: " + why)
	}
}

// strangers bounds what the log is told of links that were refused. Nodes dial again ten
// times a second, and anybody can make connections.
type strangers struct {
	mu   sync.Mutex
	told map[[2]string]time.Time // address and reason
}

const (
	// strangerPeriod is how long the same reason is not told again of an address, and
	// maxStrangers how many are told within it.
	strangerPeriod = time.Minute
	maxStrangers   = 32
)

// tell reports whether the log is to be told.
func (s *strangers) tell(ip, why string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{ip, why}
	if _, known := s.told[key]; known || len(s.told) >= maxStrangers {
		for k, at := range s.told {
			if now.Sub(at) >= strangerPeriod {
				delete(s.told, k)
			}
		}
	}
	if _, known := s.told[key]; known || len(s.told) >= maxStrangers {
		return false
	}
	if s.told == nil {
		s.told = make(map[[2]string]time.Time)
	}
	s.told[key] = now
	return true
}
