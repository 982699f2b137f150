package journal

import (
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// gate is a file system whose writes to Pebble's log can be stopped.
type gate struct {
	mu      sync.Mutex
	cond    *sync.Cond
	closed  bool
	arrived chan struct{} // one token once a write waits
}

func newGate() *gate {
	g := &gate{arrived: make(chan struct{}, 1)}
	g.cond = sync.NewCond(&g.mu)
	return g
}

// shut stops writes from now on, and forgets that one waited before.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	select {
	case <-g.arrived:
	default:
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	g.cond.Broadcast()
}

func (g *gate) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		default:
			return nil
		}
		if !strings.HasSuffix(op.Path, ".log") {
			return nil
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		for g.closed {
			select {
			case g.arrived <- struct{}{}:
			default:
			}
			g.cond.Wait()
		}
		return nil
	}))
}
