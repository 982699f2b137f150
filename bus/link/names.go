package link

import (
	"sync"

	"redoubt/bus"
)

// names are the texts that messages repeat, for all links of an Endpoint: each hears of
// the same nodes.
type names struct {
	mu    sync.Mutex
	known bus.Names // guarded by mu
}

// of is bus.Decoder's Intern.
func (n *names) of(b []byte) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known.Of(b)
}
