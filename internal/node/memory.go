package node

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"redoubt/storage"
)

const (
	// keepPeriod is how often the keeper looks, and trimMost how many bytes it
	// gives back each time: 640 MiB a second, by system calls that take a few
	// percent of one processor. trimBudget is of one call.
	keepPeriod = 100 * time.Millisecond
	trimMost   = 64 << 20
	trimBudget = 2 << 20
	// leastGo is what the Go heap may always use.
	leastGo = 128 << 20
)

// memoryKeeper is the goroutine that gives the memory of deleted keys back to
// the system, and tells the Go runtime how much of the machine is left to it: the
// runtime does not see the memory in which the keys are, and would not collect
// sooner on their account.
type memoryKeeper struct {
	keys    *storage.Keyspace
	machine int64 // bytes that the process may use; 0: the user has set the runtime's limit
	limit   int64 // the runtime's as it was set last
	stop    context.CancelFunc
	running sync.WaitGroup
}

func (k *memoryKeeper) start(keys *storage.Keyspace) {
	k.keys = keys
	if os.Getenv("GOMEMLIMIT") == "" {
		k.machine = machineBytes()
	}
	ctx, stop := context.WithCancel(context.Background())
	k.stop = stop
	k.running.Go(func() { k.run(ctx) })
}

// Close ends the goroutine.
func (k *memoryKeeper) Close() {
	if k.stop == nil {
		return // it was never started
	}
	k.stop()
	k.running.Wait()
}

func (k *memoryKeeper) run(ctx context.Context) {
	tick := time.NewTicker(keepPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for left := trimMost; left > 0 && k.keys.Trim(trimBudget); left -= trimBudget {
			if ctx.Err() != nil {
				return
			}
		}
		k.adjust(int64(k.keys.Memory().Committed))
	}
}

// adjust tells the Go runtime what committed bytes of keys leave to it. Each
// change stops the world for a moment, so small ones are left.
func (k *memoryKeeper) adjust(committed int64) {
	if k.machine == 0 {
		return
	}
	limit := goLimit(k.machine, committed)
	if change := limit - k.limit; k.limit != 0 && max(change, -change) < k.limit/8 {
		return
	}
	k.limit = limit
	debug.SetMemoryLimit(limit)
}

// goLimit is what a tenth less than the machine has beside committed bytes of keys.
func goLimit(machine, committed int64) int64 {
	return max(machine-machine/10-committed, leastGo)
}

// machineBytes is how much memory the process may use: that of the machine or
// the limit of its control group.
func machineBytes() int64 {
	least := int64(math.MaxInt64)
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		least = int64(si.Totalram) * int64(si.Unit)
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(path); err == nil {
			least = min(least, groupLimit(string(text)))
		}
	}
	return least
}

// groupLimit reads the limit of a control group; "max" is none.
func groupLimit(text string) int64 {
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 {
		return n
	}
	return math.MaxInt64
}
