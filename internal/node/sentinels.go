package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"redoubt/cluster/vouch"
	"redoubt/internal/config"
	"redoubt/storage"
)

// sentinels is what the node knows of the Sentinels that watch it. After a restart
// a primary takes no writes until most of them have said that it is still the primary,
// and one that runs takes none any more when it is told of a newer configuration with
// another primary. To clients it is a read-only node then; the keyspace is a replica's,
// so that nothing expires, and the stream stands still. It is the primary in all else:
// INFO says so, because Sentinels act on that.
//
// Sentinels call; the node does not ask them. So it needs no way to them, and no
// password of theirs. What they say are messages of PUBLISH that no subscriber gets.
type sentinels struct {
	r     *replicator
	words chan vouch.Word
	wake  chan struct{} // sentinel-confirm-timeout was changed

	mu    sync.Mutex
	watch *vouch.Watch // guarded by mu
	since time.Time    // guarded by mu; when the node began to wait

	// Of run's goroutine; before that, of start.
	saved     []vouch.Record
	savedPath string
}

// maxWords is how many words may wait to be heard. What is beyond is dropped; it will
// be said again.
const maxWords = 64

func newSentinels(r *replicator) *sentinels {
	return &sentinels{r: r, words: make(chan vouch.Word, maxWords), wake: make(chan struct{}, 1), watch: vouch.NewWatch(nil)}
}

// Confirmed reports whether the node takes writes as far as its Sentinels are
// concerned: server.Replication.
func (r *replicator) Confirmed() bool { return !r.state.Load().unconfirmed }

// Vouched takes a message that may be the word of a Sentinel: server.Replication.
func (r *replicator) Vouched(message []byte) bool {
	word, ok := vouch.Parse(string(message))
	if ok {
		select {
		case r.sentinels.words <- word:
		default:
		}
	}
	return ok
}

// load reads whom the node remembers, and reports whether it has to wait for them
// before it takes writes.
func (c *sentinels) load() (wait bool, err error) {
	cfg := c.r.n.config.Current()
	if cfg.ClusterEnabled {
		return false, nil
	}
	path := c.path(cfg)
	records, err := readRecords(path)
	if err != nil {
		return false, fmt.Errorf("read which Sentinels watch this node (remove the file to take writes without them): %w", err)
	}
	c.saved, c.savedPath = records, path
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watch, c.since = vouch.NewWatch(records), time.Now()
	wait = c.watch.Ask() && cfg.SentinelConfirmTimeout != 0 && cfg.ReplicaOf.Host == ""
	if !wait {
		c.watch.Settle()
	}
	return wait, nil
}

// path is where the memory is kept: beside what a restart loads, since nodes may share a
// directory, but not that.
func (c *sentinels) path(cfg *config.Settings) string {
	if c.r.n.stream.Enabled() {
		return filepath.Join(c.r.n.stream.Dir(), "sentinels")
	}
	return filepath.Join(cfg.Dir, cfg.DBFilename+".sentinels")
}

func readRecords(path string) ([]vouch.Record, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var records []vouch.Record
	s := bufio.NewScanner(f)
	for s.Scan() {
		name, number, _ := strings.Cut(s.Text(), " ")
		voters, err := strconv.Atoi(number)
		if err != nil || voters < 1 || name == "" {
			return nil, fmt.Errorf("%s: %q is not a name and a number of Sentinels", path, s.Text())
		}
		records = append(records, vouch.Record{Master: name, Voters: voters})
	}
	return records, s.Err()
}

// save writes the memory to disk if it has changed, or has another place.
func (c *sentinels) save() {
	path := c.path(c.r.n.config.Current())
	c.mu.Lock()
	records := c.watch.Records()
	c.mu.Unlock()
	if path == c.savedPath && fmt.Sprint(records) == fmt.Sprint(c.saved) {
		return
	}
	err := writeFile(filepath.Dir(path), filepath.Base(path), func(w io.Writer) error {
		var text strings.Builder
		for _, r := range records {
			fmt.Fprintf(&text, "%s %d\n", r.Master, r.Voters)
		}
		_, err := io.WriteString(w, text.String())
		return err
	})
	if err != nil {
		c.r.log.Warn("Which Sentinels watch this node cannot be saved: after a restart it would not wait for their word", zap.Error(err))
		return // they say it again, and then it is tried again
	}
	c.saved, c.savedPath = records, path
}

// promoted says that a command has made the node a primary, whoever gave it. The unit
// holds the world lock.
func (c *sentinels) promoted(tx *storage.Tx) {
	c.mu.Lock()
	c.watch.Promote()
	c.mu.Unlock()
	if c.r.state.Load().unconfirmed {
		c.set(tx, true)
		c.r.log.Warn("The node takes writes without the word of its Sentinels: REPLICAOF NO ONE")
	}
}

// set has a primary take writes, or not. The unit holds the world lock.
func (c *sentinels) set(tx *storage.Tx, confirmed bool) {
	next := *c.r.state.Load()
	next.unconfirmed = !confirmed
	if confirmed {
		c.mu.Lock()
		c.watch.Settle()
		c.mu.Unlock()
		tx.SetRole(storage.RolePrimary)
	} else {
		tx.SetRole(storage.RoleReplica)
	}
	c.r.state.Store(&next)
	c.r.n.roleChanged()
}

// run hears what Sentinels say until ctx ends, and does what follows from that.
func (c *sentinels) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case word := <-c.words:
			c.mu.Lock()
			c.watch.Hear(time.Now(), word)
			c.mu.Unlock()
			c.save()
		case <-c.wake:
		case <-timer.C:
		}
		if why, confirmed, ok := c.decide(time.Now()); ok {
			c.r.n.server.Everything(func(tx *storage.Tx) {
				if s := c.r.state.Load(); !s.replica && s.unconfirmed == confirmed {
					c.set(tx, confirmed)
					c.r.log.Warn(why)
				}
			})
			c.save()
		}
		if !c.r.Confirmed() {
			timer.Reset(confirmPeriod)
		}
	}
}

// confirmPeriod is how often a node that waits looks at its time.
const confirmPeriod = 100 * time.Millisecond

// decide reports whether the node is to begin taking writes, or to end it, and why.
func (c *sentinels) decide(now time.Time) (why string, confirmed, ok bool) {
	limit := c.r.n.config.Current().SentinelConfirmTimeout
	s := c.r.state.Load()
	if s.replica {
		return "", false, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	state := c.watch.State(now)
	waited := now.Sub(c.since)
	switch {
	case !s.unconfirmed:
		word, replaced := c.watch.Newer(now)
		if !replaced || limit == 0 {
			return "", false, false
		}
		c.since = now
		return fmt.Sprintf("Sentinel %s has another primary of %s in configuration %d: this one takes no more writes",
			word.Sentinel, word.Master, word.ConfigEpoch), false, true
	case limit == 0:
		return "The node takes writes without the word of its Sentinels: sentinel-confirm-timeout is 0", true, true
	case state == vouch.Confirmed:
		n, of, master := c.watch.Count(now)
		return fmt.Sprintf("%d of %d Sentinels of %s say that this is the primary: it takes writes after %d ms",
			n, of, master, waited.Milliseconds()), true, true
	case state == vouch.Waiting && limit > 0 && waited >= time.Duration(limit)*time.Second:
		n, of, master := c.watch.Count(now)
		c.watch.Forget(now)
		return fmt.Sprintf("Only %d of %d Sentinels of %s have said within %d s (sentinel-confirm-timeout) that this is the primary; "+
			"none has another one: it takes writes", n, of, master, limit), true, true
	}
	return "", false, false
}
