package check

import (
	"context"
	"math/rand/v2"
	"time"

	"redoubt/internal/tools/client"
)

// backOff is the pause after an error that came without a wait of its own, so
// that a shard without a primary is asked often, but not in a hot loop.
const backOff = 10 * time.Millisecond

// worker is one client: the only writer of its keys.
type worker struct {
	r       *runner
	session *client.Session
	keys    []*key
	rnd     *rand.Rand
}

// run goes round its keys until ctx ends. Half of the commands are writes. It
// begins one command every pace, or none sooner than the last has ended.
func (w *worker) run(ctx context.Context, pace time.Duration) {
	next := time.Now()
	for i := w.rnd.IntN(len(w.keys)); ctx.Err() == nil; i = (i + 1) % len(w.keys) {
		var err error
		if k := w.keys[i]; w.rnd.IntN(2) == 0 {
			err = w.write(k)
		} else {
			err = w.read(k)
		}
		if err != nil && !client.Unknown(err) {
			sleep(ctx, backOff)
		}
		// Time lost in an outage is not made up for by a burst.
		next = next.Add(pace)
		if now := time.Now(); next.Before(now) {
			next = now
		} else {
			sleep(ctx, next.Sub(now))
		}
	}
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (w *worker) write(k *key) error {
	seq, value := k.issue()
	v, err := w.session.Do(k.slot, "SET", k.name, value, "GET")
	if err != nil {
		if client.Unknown(err) {
			k.unknown(seq)
		}
		w.r.failed(&w.r.wr, err)
		return err
	}
	now := time.Now()
	w.r.note(k.observe(v.String()))
	k.acknowledged(seq, now)
	w.r.wr.ok.Add(1)
	w.r.writes[k.shard].success(now)
	return nil
}

func (w *worker) read(k *key) error {
	v, err := w.session.Do(k.slot, "GET", k.name)
	if err != nil {
		w.r.failed(&w.r.rd, err)
		return err
	}
	w.r.note(k.observe(v.String()))
	w.r.rd.ok.Add(1)
	w.r.reads[k.shard].success(time.Now())
	return nil
}
