package server

import (
	"fmt"
	"time"

	"redoubt/internal/config"
	"redoubt/internal/tlsconf"
)

// loadTLS loads what the settings say of TLS, if anything uses it.
func (s *Server) loadTLS() error {
	cfg := s.config.Current()
	switch {
	case cfg.IdleTLS():
		s.log.Warn("tls-cert-file is set, but nothing uses TLS: tls-port is 0, and tls-replication, tls-cluster and metrics-tls are no")
		return nil
	case !cfg.UsesTLS():
		return nil
	}
	if err := s.tls.Load(cfg.TLSOptions()); err != nil {
		return fmt.Errorf("Failed to configure TLS: %w", err)
	}
	s.warnOfTLS()
	return nil
}

func (s *Server) warnOfTLS() {
	for _, line := range s.tls.Set().Warnings {
		s.log.Warn(line)
	}
}

// reloadTLS follows a CONFIG SET of directives of TLS: their hook. All loops are stopped.
func (s *Server) reloadTLS(was, next *config.Settings) error {
	before := s.tls.Set()
	switch undo := s.undoTLS; {
	case undo != nil && undo.next == was && undo.was == next:
		s.tls.Restore(undo.set) // as it was, and not as the files are now
	case !next.UsesTLS():
		s.tls.Restore(nil)
	default:
		if err := s.tls.Load(next.TLSOptions()); err != nil {
			s.log.Warn("Unable to update TLS configuration: " + err.Error())
			return fmt.Errorf("Unable to update TLS configuration: %w", err)
		}
		s.warnOfTLS()
	}
	if next.TLSPort != was.TLSPort {
		if err := s.rebind(was, next); err != nil {
			s.tls.Restore(before)
			return err
		}
	}
	s.undoTLS = &tlsChange{was, next, before}
	return nil
}

// tlsChange is what the last CONFIG SET did, which is undone if another directive of the
// same CONFIG SET fails.
type tlsChange struct {
	was, next *config.Settings
	set       *tlsconf.Set
}

// refreshTLS looks whether files of TLS have changed, every so often. Loop 0 calls it
// with its housekeeping.
func (s *Server) refreshTLS(l *loop) {
	every := l.cfg.TLSReload
	if every == 0 || s.tls.Set() == nil || l.mono < s.nextRefresh || s.refreshing.Swap(true) {
		return
	}
	s.nextRefresh = l.mono + every
	s.goroutines.Go(func() { // a loop reads no files
		defer s.refreshing.Store(false)
		began := time.Now()
		switch changed, err := s.tls.Refresh(); {
		case err != nil:
			s.log.Warn("A file of TLS has changed and cannot be used, the old ones stay in force: " + err.Error())
		case changed:
			s.log.Info(fmt.Sprintf("Files of TLS have changed: new connections use them (read in %v)", time.Since(began).Round(time.Millisecond)))
			s.warnOfTLS()
		}
	})
}
