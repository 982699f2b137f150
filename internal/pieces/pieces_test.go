package pieces

import (
	"bytes"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

func pattern(n, from int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((from + i) * 31 >> 3)
	}
	return b
}

func TestCopyAndAppendAreTheBuiltInOnes(t *testing.T) {
	for _, n := range []int{0, 1, size - 1, size, size + 1, 3*size + 7} {
		src := pattern(n, 5)
		for _, room := range []int{0, 1, n - 1, n, n + 3, 2 * size} {
			room = max(room, 0)
			got, want := make([]byte, room), make([]byte, room)
			if a, b := Copy(got, src), copy(want, src); a != b || !bytes.Equal(got, want) {
				t.Errorf("Copy of %d bytes to %d: %d, not %d", n, room, a, b)
			}
		}
		for _, has := range []int{0, 1, size, 2*size + 1} {
			for _, more := range []int{0, n, 2 * n} {
				dst := make([]byte, has, has+more)
				copy(dst, pattern(has, 0))
				want := append(bytes.Clone(dst), src...)
				if got := Append(dst, src); !bytes.Equal(got, want) {
					t.Errorf("Append of %d bytes to %d with room for %d differs", n, has, more)
				}
			}
		}
	}
}

// The world can be stopped, and goes on, several times while one copy is under way, which
// no copy in one piece allows.
func TestOthersRunDuringACopy(t *testing.T) {
	src, dst := make([]byte, 256<<20), make([]byte, 256<<20)
	var copying, done atomic.Bool
	var copies atomic.Int64
	go func() {
		for !done.Load() {
			copying.Store(true)
			Copy(dst, src)
			copying.Store(false)
			copies.Add(1)
		}
	}()
	defer done.Store(true)
	var stats runtime.MemStats
	most := 0
	for deadline := time.Now().Add(time.Minute); most < 5 && time.Now().Before(deadline); {
		during, stops := copies.Load(), 0
		for copying.Load() && copies.Load() == during {
			runtime.ReadMemStats(&stats) // it stops the world
			if copying.Load() && copies.Load() == during {
				stops++
			}
		}
		most = max(most, stops)
		runtime.Gosched()
	}
	if most < 5 {
		t.Errorf("the world was stopped %d times during one copy", most)
	}
}
