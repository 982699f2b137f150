package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"redoubt/internal/config"
	"redoubt/internal/reason"
	"redoubt/storage"
)

// followSettings installs what CONFIG SET must change in the running server
// besides the settings themselves.
func (s *Server) followSettings() {
	s.config.OnChange(s.rebind, "port", "bind")
	s.config.OnChange(s.reloadTLS, config.TLSDirectives()...)
	s.config.OnChange(func(_, next *config.Settings) error {
		if room := clientRoom(); next.MaxClients > room {
			return fmt.Errorf("The operating system is not able to handle the specified number of clients, try with %d", room)
		}
		return nil
	}, "maxclients")
	s.config.OnChange(func(_, next *config.Settings) error {
		s.eachConn(func(c *conn) { c.parser.Limits.MaxBulk = next.MaxBulkBytes })
		return nil
	}, "proto-max-bulk-len")
	s.config.OnChange(func(_, next *config.Settings) error {
		s.setDefaultPassword(next.RequirePass)
		s.usersChanged()
		return nil
	}, "requirepass")
	s.config.OnChange(func(_, next *config.Settings) error {
		s.table.TrackLatency(next.LatencyTracking)
		return nil
	}, "latency-tracking")
	s.table.TrackLatency(s.config.Current().LatencyTracking)
	s.config.OnChange(func(_, next *config.Settings) error {
		s.table.CountSlots(next.ClusterSlotStats && s.cluster != nil)
		return nil
	}, "cluster-slot-stats-enabled")
	s.table.CountSlots(s.config.Current().ClusterSlotStats && s.cluster != nil)
	s.config.OnChange(func(_, _ *config.Settings) error {
		select {
		case s.watchNow <- struct{}{}:
		default:
		}
		return nil
	}, "busy-reply-threshold")
}

// Configure is CONFIG SET: admin.Operator. The hooks of the changed directives run
// with all loops stopped, so they may change what belongs to loops.
func (c *conn) Configure(pairs ...config.Pair) error {
	l := c.home.Load()
	s := l.srv
	before := s.config.Current()
	var err error
	l.allConns(func() {
		err = s.config.Set(config.Caller{Local: c.loopback, Loading: s.Loading()}, pairs...)
		if err == nil {
			s.refreshConditions()
			l.cfg = s.config.Current()
			if limit := clientLimit(&l.cfg.MaxMemory); limit > 0 && l.runner.Ctx.Tx == nil {
				l.evictClients(limit, c) // a closed connection ends its watches: not in a transaction
			}
		}
	})
	if err != nil {
		return err
	}
	if s.config.Current().MaxMemory != before.MaxMemory {
		l.surely(s.followPolicy)
		if l.runner.Ctx.Tx == nil {
			l.makeRoom()
		} else {
			l.evicting = true // each eviction is a unit of its own: after the transaction
		}
	}
	s.followDefrag()
	if s.config.Current().Encodings != before.Encodings {
		l.surely(s.followEncodings)
	}
	if s.config.Current().KeyspaceEvents != before.KeyspaceEvents {
		l.surely(s.followEvents)
	}
	return nil
}

// followPolicy makes the access bits of keys mean what maxmemory-policy asks
// for; tx holds the world.
func (s *Server) followPolicy(tx *storage.Tx) {
	m := s.config.Current().MaxMemory
	tx.UseLFU(s.LFU(), m.LFULogFactor, m.LFUDecayMin)
}

// followDefrag makes the policy of compactions that of the settings.
func (s *Server) followDefrag() {
	d := s.config.Current().Defrag
	s.keyspace.SetCompaction(storage.CompactionPolicy{Off: !d.Active, LostPercent: d.LostPercent, IgnoreBytes: d.IgnoreBytes})
}

// followEncodings makes the limits of compact encodings those of the settings; tx
// holds the world.
func (s *Server) followEncodings(tx *storage.Tx) {
	e, l := s.config.Current().Encodings, tx.Limits()
	l.HashEntries, l.HashValue = e.HashEntries, e.HashValue
	l.ListSize = e.ListSize
	l.SetInts, l.SetEntries, l.SetValue = e.SetInts, e.SetEntries, e.SetValue
	l.ZSetEntries, l.ZSetValue = e.ZSetEntries, e.ZSetValue
	l.NodeBytes, l.NodeItems = e.NodeBytes, e.NodeItems
	tx.SetLimits(l)
}

// rebind listens on other addresses: those that stay are not touched. All loops are
// stopped.
func (s *Server) rebind(was, next *config.Settings) error {
	if !s.listening {
		return nil
	}
	fresh, _, err := s.relisten(next)
	if err == nil {
		s.listeners = fresh
		return nil
	}
	s.log.Warn(reason.Of(err))
	var again error
	if s.listeners, _, again = s.relisten(was); again != nil {
		s.log.Warn("The node listens on no TCP address now", zap.Error(again))
	}
	if next.Port == was.Port && next.TLSPort == was.TLSPort {
		return errors.New("Failed to bind to specified addresses.")
	}
	return errors.New("Unable to listen on this port. Check server logs.")
}

// relisten closes the listeners for which there is no place in cfg, and opens those that
// are missing.
func (s *Server) relisten(cfg *config.Settings) ([]*listener, place, error) {
	wanted := places(cfg)
	kept := map[place]*listener{}
	for _, ln := range s.listeners {
		if slices.Contains(wanted, ln.place) {
			kept[ln.place] = ln
			continue
		}
		s.loops[0].poll.remove(ln.fd)
		ln.close()
	}
	all, failed, err := listenAll(cfg, kept)
	if err != nil {
		s.listeners = slices.Collect(maps.Values(kept))
		return nil, failed, err
	}
	for _, ln := range all {
		if kept[ln.place] == nil {
			_ = s.loops[0].poll.add(ln.fd, readable)
		}
	}
	return all, place{}, nil
}
