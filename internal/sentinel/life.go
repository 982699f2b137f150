package sentinel

// alive reports whether the loop has come round since it was asked last, for one
// goroutine; the first time it only asks.
func (d *driver) alive() bool {
	return d.pulse.Alive(func(answer func()) bool {
		select {
		case d.inbox <- answer:
			return true
		default: // it is full, and that is no good sign
			return false
		}
	})
}

// Alive implements supervisor.Process: clients are served, and the masters are watched.
func (s *Sentinel) Alive() bool {
	served := s.server.Alive()
	return s.driver.alive() && served
}

// Advancing implements supervisor.Process: nothing that a Sentinel does takes long.
func (s *Sentinel) Advancing() bool { return false }

// Status implements supervisor.Process.
func (s *Sentinel) Status() string { return "Ready to accept connections" }
