package admin

import (
	"sync"
	"sync/atomic"

	"redoubt/internal/acl"
)

// Audit is what clients were denied: ACL LOG and its counts for INFO. Any goroutine
// may use it.
type Audit struct {
	counts [acl.DeniedChannel + 1]atomic.Int64

	mu  sync.Mutex
	log acl.Log // guarded by mu
}

// Add counts e and puts it into the log, which then has at most size entries.
func (t *Audit) Add(e acl.Entry, size int64) {
	t.counts[e.Reason].Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log.Add(e, size)
}

// Denied is how often something was denied for this reason.
func (t *Audit) Denied(why acl.Reason) int64 { return t.counts[why].Load() }

func (t *Audit) resetCounts() {
	for i := range t.counts {
		t.counts[i].Store(0)
	}
}

// Newest is up to n entries.
func (t *Audit) Newest(n int) []acl.Entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.log.Newest(n)
}

func (t *Audit) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log.Reset()
}
