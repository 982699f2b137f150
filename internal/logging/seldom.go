package logging

import (
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Seldom keeps something that fails again and again from filling the log: it passes the
// first line on, and then one a minute, with the number of those in between. The zero
// value is ready. Any goroutine may use it.
type Seldom struct {
	mu     sync.Mutex
	last   time.Time // of the last line
	missed int       // since then
	now    func() time.Time
}

// seldomPeriod is the least time between two lines.
const seldomPeriod = time.Minute

// Warn logs a warning, or counts it.
func (s *Seldom) Warn(log *zap.Logger, message string, fields ...zap.Field) {
	s.mu.Lock()
	now := time.Now()
	if s.now != nil {
		now = s.now()
	}
	if !s.last.IsZero() && now.Sub(s.last) < seldomPeriod {
		s.missed++
		s.mu.Unlock()
		return
	}
	if s.missed > 0 {
		message = fmt.Sprintf("%s (and %d times since the last such line)", message, s.missed)
	}
	s.last, s.missed = now, 0
	s.mu.Unlock()
	log.Warn(message, fields...)
}
