package node

import (
	"math/rand/v2"
	"time"
)

// delaySlice is how long a delay sleeps at once: then it looks whether it was changed.
const delaySlice = 10 * time.Millisecond

// keyDelay is what happens before each key that is saved or loaded, nil if the delay is 0
// at the beginning: rdb-key-save-delay and key-load-delay (Redis's debugDelay). It ends
// early when stop is closed.
func keyDelay(micros func() int) func(stop <-chan struct{}) {
	if micros() == 0 {
		return nil
	}
	return func(stop <-chan struct{}) {
		for began := time.Now(); ; {
			n := micros()
			if n < 0 {
				// To sleep for less than a microsecond takes longer by far.
				n = oneIf(rand.IntN(-n) == 0)
			}
			left := time.Duration(n)*time.Microsecond - time.Since(began)
			if left <= 0 {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(min(left, delaySlice)):
			}
		}
	}
}
