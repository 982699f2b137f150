package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"redoubt/internal/config"
	"redoubt/replication"
	"redoubt/storage"
	"redoubt/storage/rdb"
)

// loaded is what an RDB file told beside its keys.
type loaded struct {
	keys    int64
	expired int64 // keys left out because their time is past

	functions int // libraries
	id        string
	at        replication.Offset
	db        int
	placed    bool // id, at and db are known
	skipped   rdb.Skipped
}

// loadRule says what becomes of keys that are expired.
type loadRule struct {
	// dropExpired leaves them out, as a primary does with a file that nobody
	// else's data go on from. Where a stream begins behind the file, a replica may
	// have them: they are loaded, found expired, and their DEL is in the stream.
	dropExpired bool
	// merge loads over keys that are there (DEBUG RELOAD NOFLUSH).
	merge bool
	// libraries is where functions go; replace: in the place of those there with the
	// same names, which otherwise are an error (DEBUG RELOAD MERGE).
	libraries libraries
	replace   bool
}

// libraries are those of functions (server.Server). Units hold the world lock.
type libraries interface {
	// Libraries is the code of all of them.
	Libraries(tx *storage.Tx) []string
	// LoadLibrary adds one, in the place of that with its name if replace is set.
	LoadLibrary(tx *storage.Tx, code string, replace bool) error
	// DropLibraries leaves none.
	DropLibraries(tx *storage.Tx)
}

// loadBatch is how many keys are loaded in one unit. Between two of them the
// event loops get at the world lock, to tell clients that the node is loading.
const loadBatch = 10000

// units runs functions one after the other, each in a unit that holds the
// world lock and applies, so that nothing of it reaches the stream. An error
// ends the unit and is returned.
type units func(f func(tx *storage.Tx) error) error

// within is the units of somebody who has the world lock already.
func within(tx *storage.Tx) units {
	return func(f func(tx *storage.Tx) error) error { return f(tx) }
}

// load puts the keys of an RDB file into the databases. It gives up between two
// units when ctx ends.
func load(ctx context.Context, run units, keys *storage.Keyspace, in io.Reader, rule loadRule) (loaded, error) {
	r := rdb.NewReader(bufio.NewReaderSize(in, 1<<20))
	defer calmCollector()()
	var l loaded
	before := count(keys)
	for more := true; more; {
		if ctx.Err() != nil {
			return l, context.Cause(ctx)
		}
		err := run(func(tx *storage.Tx) (err error) {
			more, err = l.batch(tx, keys, r, rule)
			return err
		})
		if err != nil {
			return l, err
		}
	}
	if held := count(keys) - before; held != l.keys && !rule.merge {
		return l, fmt.Errorf("%w: of %d keys only %d are different", rdb.ErrCorrupt, l.keys, held)
	}
	l.id, l.at, l.placed = r.Aux().Replication()
	l.db = r.Aux().StreamDB()
	l.skipped = r.Skipped()
	return l, nil
}

// calm counts who is loading, and has the collector's setting from before.
var calm struct {
	sync.Mutex
	loads   int
	percent int
}

// loadingPercent is GOGC while a file is loaded.
const loadingPercent = 400

// calmCollector makes the garbage collector come less often until end is called.
// Nearly all that loading allocates stays, so that there is little to collect,
// and a collection for each doubling of the heap is a fifth of the time. A limit
// of memory (GOMEMLIMIT) is heeded as before.
func calmCollector() (end func()) {
	calm.Lock()
	defer calm.Unlock()
	if calm.loads++; calm.loads == 1 {
		calm.percent = debug.SetGCPercent(loadingPercent)
		if calm.percent < 0 || calm.percent > loadingPercent {
			debug.SetGCPercent(calm.percent) // somebody has chosen to collect even less
		}
	}
	return func() {
		calm.Lock()
		defer calm.Unlock()
		if calm.loads--; calm.loads == 0 {
			debug.SetGCPercent(calm.percent)
		}
	}
}

// batch loads the next keys; more is false at the end of the file.
func (l *loaded) batch(tx *storage.Tx, keys *storage.Keyspace, r *rdb.Reader, rule loadRule) (more bool, err error) {
	r.Library = func(code []byte) error {
		l.functions++
		if err := rule.libraries.LoadLibrary(tx, string(code), rule.replace); err != nil {
			return fmt.Errorf("a library of functions: %w", err)
		}
		return nil
	}
	for range loadBatch {
		e, err := r.Next() // the first time it reads what the file tells of itself
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if e.DB >= keys.Databases() {
			return false, fmt.Errorf("the file has keys in database %d and there are only %d databases", e.DB, keys.Databases())
		}
		if rule.dropExpired && e.ExpireAtMs != 0 && e.ExpireAtMs <= tx.Now() {
			if _, _, placed := r.Aux().Replication(); !placed {
				l.expired++
				continue
			}
		}
		tx.Select(e.DB)
		empty, err := r.Load(tx)
		if err != nil {
			return false, err
		}
		if empty {
			continue
		}
		if e.Idle >= 0 || e.Freq >= 0 {
			tx.SetAccess(e.Key, e.Idle, e.Freq)
		}
		l.keys++
	}
	return true, nil
}

// count is the number of keys in all databases.
func count(keys *storage.Keyspace) int64 {
	n := 0
	for db := range keys.Databases() {
		n += keys.Len(db)
	}
	return int64(n)
}

// loadFile is load of the file at path. A file that does not exist is an error
// that errors.Is finds as fs.ErrNotExist.
func loadFile(ctx context.Context, run units, keys *storage.Keyspace, path string, rule loadRule) (loaded, error) {
	f, err := os.Open(path)
	if err != nil {
		return loaded{}, err
	}
	defer f.Close()
	l, err := load(ctx, run, keys, f, rule)
	if err != nil {
		return l, fmt.Errorf("load %s: %w", path, err)
	}
	return l, nil
}

// refuseRedisFiles refuses a start over append-only files of Redis that would be
// loaded there: Redoubt does not read them, so the node would come up with an
// older dump or empty, and its replicas would follow it. Where there is a journal
// already, that one counts.
func refuseRedisFiles(c *config.Settings) error {
	dir := filepath.Join(c.Dir, c.AppendDirName)
	if _, err := os.Stat(filepath.Join(dir, "current")); !c.AppendOnly || err == nil {
		return nil
	}
	found := dir // of Redis 7 and later
	// The only error is that of a bad pattern.
	if manifests, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "*.manifest")); len(manifests) == 0 {
		found = filepath.Join(c.Dir, c.AppendFilename) // of Redis up to 6
		if _, err := os.Stat(found); err != nil {
			return nil
		}
	}
	return fmt.Errorf("%s: append-only files of Redis cannot be read yet, and without them this node would start with an older dump or empty. "+
		"To bring the data along, let redis-server write all of them to %s (redis-cli SAVE, then SHUTDOWN NOSAVE), move %s away and start again. "+
		"To start without what only they hold, move them away now", found, filepath.Join(c.Dir, c.DBFilename), found)
}

// escapeGlob makes a path a pattern that matches only itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}
