package driver

// Alive reports whether run has come round since it was asked last, for one goroutine; the
// first time it only asks. Before Start there is nothing that could hang.
func (d *Driver) Alive() bool {
	if !d.joined.Load() {
		return true
	}
	return d.pulse.Alive(func(answer func()) bool {
		select {
		case d.inbox <- answer:
			return true
		default: // it is full, and that is no good sign
			return false
		}
	})
}
