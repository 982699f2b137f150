package client

import "time"

// Wait polls ready until it returns nil, and returns what it said last when
// limit has passed. The pause between polls is short against any failover.
func Wait(limit time.Duration, ready func() error) error {
	const pause = 50 * time.Millisecond
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
	}
}
