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

// maxRecent is how many of its latest writes a client reads again. What a
// failover loses are the latest, so this is what makes a loss show up at once
// rather than in the end.
const maxRecent = 128

// worker is one client: the only writer of its keys.
type worker struct {
	r       *runner
	session *client.Session
	keys    []*key
	recent  []*key // acknowledged lately; a ring whose oldest entry is at oldest
	oldest  int
	rnd     *rand.Rand
}

// run writes its keys in turns and reads those written lately until ctx ends;
// half of the commands are writes. It begins one command every pace, or none
// sooner than the last has ended.
func (w *worker) run(ctx context.Context, pace time.Duration) {
	next := time.Now()
	i := w.rnd.IntN(len(w.keys))
	for ctx.Err() == nil {
		var err error
		if len(w.recent) == 0 || w.rnd.IntN(2) == 0 {
			err = w.write(w.keys[i])
			i = (i + 1) % len(w.keys)
		} else {
			err = w.read(w.recent[w.rnd.IntN(len(w.recent))])
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
		w.r.writes[k.shard].failure()
		return err
	}
	now := time.Now()
	w.r.note(k.observe(v.String()))
	k.acknowledged(seq, now)
	w.r.wr.ok.Add(1)
	w.r.writes[k.shard].success(now)
	w.remember(k)
	return nil
}

// remember puts k among the recent keys.
func (w *worker) remember(k *key) {
	if len(w.recent) < maxRecent {
		w.recent = append(w.recent, k)
		return
	}
	w.recent[w.oldest] = k
	w.oldest = (w.oldest + 1) % maxRecent
}

func (w *worker) read(k *key) error {
	v, err := w.session.Do(k.slot, "GET", k.name)
	if err != nil {
		w.r.failed(&w.r.rd, err)
		w.r.reads[k.shard].failure()
		return err
	}
	w.r.note(k.observe(v.String()))
	w.r.rd.ok.Add(1)
	w.r.reads[k.shard].success(time.Now())
	return nil
}
