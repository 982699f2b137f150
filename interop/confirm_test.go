package interop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// unconfirmed begins what a write gets from a primary that waits for its Sentinels.
const unconfirmed = "READONLY You can't write against a primary that its Sentinels have not confirmed."

// untilRemembered waits until a node has on disk how many Sentinels vouch for it.
func untilRemembered(t *testing.T, s *redistest.Server, sentinels int) {
	t.Helper()
	redistest.Until(t, settle, fmt.Sprintf("port %d remembers its Sentinels", s.Port), func() error {
		text, err := os.ReadFile(filepath.Join(s.Dir, "appendonlydir", "sentinels"))
		if want := fmt.Sprintf("m %d\n", sentinels); string(text) != want {
			return fmt.Errorf("the file has %q, %v", text, err)
		}
		return nil
	})
}

// A primary that was replaced while it was away takes no write when it comes back: what
// its clients write in the belief that it is still the primary would be lost.
func TestAReplacedPrimaryTakesNoWriteWhenItReturns(t *testing.T) {
	t.Parallel()
	const ours = redistest.Redoubt
	w := startWatched(t, 2, ours, ours, ours)
	old := w.primary
	untilRemembered(t, old, 3)
	old.Do("SET", "k", "before")
	for _, r := range w.replicas {
		untilLinked(t, r, old) // or the write is lost with its primary
	}
	old.Kill()
	heir := w.untilSwitched(t, old.Addr())

	// The first write is sent before the node is up, and the last one when it is a
	// replica.
	old.Launch()
	taken, refused, role := 0, 0, ""
	redistest.Until(t, settle, "the old primary has become a replica", func() error {
		c, err := redistest.Dial(old.Addr())
		if err != nil {
			return err
		}
		defer c.Close()
		for {
			switch _, err := c.Do("SET", "k", "after"); {
			case err == nil:
				taken++
			case strings.HasPrefix(err.Error(), unconfirmed):
				refused++
			case strings.HasPrefix(err.Error(), "READONLY"):
				role = "replica"
				return nil
			default:
				return err
			}
		}
	})
	if taken > 0 || refused == 0 || role == "" {
		t.Errorf("it took %d writes and refused %d; its log:\n%s", taken, refused, old.Log())
	}
	untilLinked(t, old, heir)
	if got := old.Do("GET", "k"); got != "before" {
		t.Errorf("k is %v", got)
	}
	if full := heir.Info("sync_full"); full != "0" {
		t.Errorf("the new primary has sent %s snapshots: the old one went on in a history of its own", full)
	}
}

// The others of its commands work, and so does it when its Sentinels have spoken.
func TestARestartedPrimaryIsConfirmed(t *testing.T) {
	t.Parallel()
	const ours = redistest.Redoubt
	w := startWatched(t, 2, ours, ours, ours)
	for _, s := range w.sentinels {
		s.Do("SENTINEL", "SET", "m", "down-after-milliseconds", "300000")
	}
	p := w.primary
	untilRemembered(t, p, 3)
	p.Do("SET", "k", "v")
	// Without the Sentinels nobody can say anything.
	for _, s := range w.sentinels {
		s.Pause()
	}
	p.Kill()
	p.Restart()
	refusals(t, p)
	if got := p.Info("sentinel_confirmed"); got != "0" {
		t.Errorf("sentinel_confirmed is %q", got)
	}
	// One of three is not enough.
	w.sentinels[0].Resume()
	redistest.Until(t, settle, "the first Sentinel has said its word", func() error {
		if !strings.Contains(w.sentinels[0].Log(), "waits for its Sentinels") {
			return errors.New("its log does not have it")
		}
		return nil
	})
	refusals(t, p)
	w.sentinels[1].Resume()
	untilWritten(t, p, "k", settle)
	if got := p.Info("sentinel_confirmed"); got != "1" {
		t.Errorf("sentinel_confirmed is %q", got)
	}
	wantText(t, p.Log(), "2 of 3 Sentinels of m say that this is the primary")
	for _, s := range w.sentinels[:2] {
		if got := address(s); got != p.Addr() {
			t.Errorf("a Sentinel has the primary %s", got)
		}
	}
	w.sentinels[2].Resume()
}

// refusals tries what a primary that waits refuses, and what it does.
func refusals(t *testing.T, s *redistest.Server) {
	t.Helper()
	c := s.Client()
	for _, line := range []string{
		"SET k x", "DEL k", "EXPIRE k 1", "FLUSHALL", "EVAL return(redis.call('set',KEYS[1],'x')) 1 k", "LPUSH l x", "BLPOP l 0",
	} {
		var args []any
		for word := range strings.FieldsSeq(line) {
			args = append(args, word)
		}
		if got, err := c.Do(args...); err == nil || !strings.Contains(err.Error(), "READONLY") {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
	for _, words := range [][]any{{"MULTI"}, {"GET", "k"}, {"EXEC"}} {
		if _, err := c.Do(words...); err != nil {
			t.Errorf("%v: %v", words, err)
		}
	}
	if role := s.Info("role"); role != "master" {
		t.Errorf("role is %q", role)
	}
}

// Whoever runs the node has the last word: by the time that it waits, and by REPLICAOF
// NO ONE.
func TestAPrimaryWithoutItsSentinelsIsWaitedForNoLongerThanAsked(t *testing.T) {
	t.Parallel()
	const ours = redistest.Redoubt
	p := start(t, ours, "--sentinel-confirm-timeout", "-1")
	s := redistest.StartSentinel(t, ours, fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 1", p.Port))
	untilRemembered(t, p, 1)
	s.Terminate()
	for _, how := range [][]any{{"REPLICAOF", "NO", "ONE"}, {"CONFIG", "SET", "sentinel-confirm-timeout", "1"}} {
		p.Kill()
		p.Restart()
		refusals(t, p)
		p.Do(how...)
		untilWritten(t, p, "k", settle)
	}
	// Nobody has come within the time: nobody is waited for again.
	untilForgotten(t, p)
	p.Kill()
	p.Restart()
	if got := p.Do("SET", "k", "v"); got != "OK" {
		t.Errorf("after its Sentinels were forgotten SET gets %v", got)
	}
}

func untilForgotten(t *testing.T, s *redistest.Server) {
	t.Helper()
	redistest.Until(t, settle, "the Sentinels are forgotten", func() error {
		text, err := os.ReadFile(filepath.Join(s.Dir, "appendonlydir", "sentinels"))
		if len(text) > 0 || err != nil {
			return fmt.Errorf("the file has %q, %v", text, err)
		}
		return nil
	})
}

// A primary whose Sentinels are those of Redis, or that never had any, takes writes at
// once, as redis-server does.
func TestAPrimaryOfRealSentinelsDoesNotWait(t *testing.T) {
	t.Parallel()
	w := startWatched(t, 2, redistest.Redis, redistest.Redis, redistest.Redoubt)
	p := w.primary
	redistest.Until(t, settle, "our Sentinel has vouched for the primary", func() error {
		// It says its word again each ten seconds, and at first it does not know the others.
		text, err := os.ReadFile(filepath.Join(p.Dir, "appendonlydir", "sentinels"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) || len(text) > 0 {
			return fmt.Errorf("the file has %q, %v", text, err)
		}
		return nil
	})
	began := time.Now()
	p.Kill()
	p.Restart()
	if got := p.Do("SET", "k", "v"); got != "OK" {
		t.Errorf("SET gets %v, %v after the restart began", got, time.Since(began))
	}
}

// A primary that runs, and was cut off while it was replaced, takes no more writes when
// it learns of that, and not only when a Sentinel has made it a replica.
func TestAReplacedPrimaryEndsTakingWrites(t *testing.T) {
	t.Parallel()
	const ours = redistest.Redoubt
	w := startWatched(t, 2, ours, ours, ours)
	old := w.primary
	untilRemembered(t, old, 3)
	old.Pause()
	heir := w.untilSwitched(t, old.Addr())
	old.Resume()
	redistest.Until(t, settle, "the old primary has been told", func() error {
		switch _, err := old.Client().Do("SET", "k", "v"); {
		case err == nil:
			return errors.New("it takes writes")
		case !strings.HasPrefix(err.Error(), "READONLY"):
			return err
		}
		return nil
	})
	untilLinked(t, old, heir)
	wantText(t, old.Log(), "this one takes no more writes")
}
