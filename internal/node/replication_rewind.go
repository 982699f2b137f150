package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/fault"
	"redoubt/internal/rewound"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
	"redoubt/storage/journal"
	"redoubt/storage/rdb"
)

// A node that was a primary and follows its successor may have taken writes that the
// successor never received. Redis throws all of its data away then. Here the journal can
// make any state since its oldest base, so the node goes back to the last byte that both
// have, and asks for the rest: a rewind. What it gives up is kept in a file. A replica that
// has more than the sibling which was promoted does the same.
//
// The steps, and what a crash after each of them leaves:
//
//  1. The primary's INFO says where the two have parted (replication.DecideRewind).
//  2. The base and the journal are read, as the data in memory are about to go. Then they
//     are loaded up to there, while clients wait. On disk nothing has changed.
//  3. The bytes behind it go to a file (package rewound). A restart does all of this
//     again, and finds the file.
//  4. The journal is cut (journal.Rewind, which has steps of its own). From here on a
//     restart loads what both have.
//
// A replica that has not yet the history of its primary is never elected (Standing).

// rewinds counts what was given up.
type rewinds struct {
	count, bytes, writes, refused int64
	file                          string // the last that was written
}

// Rewind implements psync.Rewinder: it is called once the primary has told where its stream
// is, before PSYNC. An error, as the node ends or follows another one, ends the session; if
// the node cannot go back it goes on as it is, to a full resync.
func (f *follower) Rewind(ctx context.Context, u replication.Upstream, again func() (replication.Upstream, bool)) (settled bool, err error) {
	p, known := f.Position()
	if !known {
		return true, nil
	}
	m := f.r.n.rewindMeans()
	fork, v := replication.DecideRewind(p.History, p.End, u, m)
	switch v {
	case replication.RewindNothing, replication.RewindUnrelated:
		return true, nil // PSYNC answers for it, and the log has the reason
	case replication.RewindNotYet:
		return false, nil
	case replication.RewindName:
		return true, f.rename(fork)
	}
	if done, err := f.dropUnchanged(fork, p); done || err != nil {
		return true, err
	}
	why := v.Explain(fork, p.End, m)
	if v == replication.RewindCut {
		if f.hopeless {
			return true, nil
		}
		// The load may take long, and the primary may have been replaced meanwhile.
		stands := func() bool {
			now, ok := again()
			other, v := replication.DecideRewind(p.History, p.End, now, m)
			return !ok || v == replication.RewindCut && other == fork
		}
		err := f.goBack(ctx, fork, p, stands)
		switch {
		case err == nil, ctx.Err() != nil, errors.Is(err, errCutOff), errors.Is(err, errMoved):
			return true, err
		case errors.Is(err, errUnkept) && f.keepsTrying():
			return true, err
		}
		f.hopeless, why = true, err.Error()
	}
	return true, f.refuse(fork, p, v, why)
}

var (
	// errMoved is why a rewind is given up for another one.
	errMoved = errors.New("node: the master has changed while this node was going back to it")
	// errUnkept says that what would be given up cannot be written to a file.
	errUnkept = errors.New("node: what the master does not have cannot be kept")
)

// keepPatience is for how long a node that cannot keep what it gives up tries again, before
// it goes on without: the disk may be full, which somebody will see to.
const keepPatience = 10 * time.Minute

// keepsTrying reports whether the node tries again to keep what it gives up.
func (f *follower) keepsTrying() bool {
	if f.unkept.IsZero() {
		f.unkept = time.Now()
		f.r.log.Warn(fmt.Sprintf("What the master does not have cannot be kept in a file. It is tried again for %v, and the node is not in step until then (rewind-files 0 goes on without).", keepPatience))
	}
	return time.Since(f.unkept) < keepPatience
}

// rewindMeans is what the node has to go back with.
func (n *Node) rewindMeans() replication.Means {
	m := replication.Means{Most: n.config.Current().RewindMaxBytes}
	m.Oldest, m.Journal = n.stream.Oldest()
	m.Oldest = max(m.Oldest, n.stream.First())
	return m
}

// rename goes on in the history that both know of, without having to give up anything.
func (f *follower) rename(fork replication.Fork) error {
	return f.inHistory(fork.ID, func(*storage.Tx) error { return nil })
}

// inHistory runs change, and makes the shared history the node's, unless the follower is
// cut off. The node's replicas are sent away, and ask again.
func (f *follower) inHistory(id string, change func(tx *storage.Tx) error) (err error) {
	r := f.r
	r.n.keys.World(now(), func(tx *storage.Tx) {
		if err = f.admit(); err != nil {
			return
		}
		lift := r.primary.Bar()
		if err = change(tx); err != nil {
			lift()
			return
		}
		next := *r.state.Load()
		next.history = replication.NewHistory(id)
		err = r.publish(&next, lift)
	})
	return err
}

// dropUnchanged gives up the end of the stream if it changes no data, like dropQuiet: then
// there is nothing to load and to keep. done is false if it does, or might.
func (f *follower) dropUnchanged(fork replication.Fork, p psync.Position) (done bool, err error) {
	n := f.r.n
	if p.End-fork.At > maxQuietBytes || fork.At < n.stream.First() {
		return false, nil
	}
	end, err := n.survey(fork.At, p.End, io.Discard)
	if err != nil || end.writes > 0 && !fault.Is(fault.KeepTail) || end.selects {
		return false, nil // bytes that are no stream show again, when they are kept or replayed
	}
	base, _, ok := n.stream.RestartAt(fork.At)
	if !ok && n.stream.Enabled() {
		return false, nil
	}
	if current, _, _ := n.stream.Restart(); base != current && n.canReload(fork.At, p.End) != nil {
		return false, nil // an older one becomes the base again, and a restart has to read it
	}
	cut := func(tx *storage.Tx) error {
		err := n.persistence.replaced(fileSize(base), func() error {
			if n.stream.Enabled() {
				return n.stream.Rewind(fork.At, replication.NewHistory(fork.ID))
			}
			return n.stream.Cut(fork.At)
		})
		if err != nil && !errors.Is(err, journal.ErrHistoryNotSaved) {
			return err // otherwise it is cut, and inHistory saves the history
		}
		n.stream.SetSelectedDB(p.DB)
		tx.Rebase(fork.At)
		return nil
	}
	err = n.quorum.without(func() error { return f.inHistory(fork.ID, cut) })
	if errors.Is(err, errCutOff) {
		return false, err
	}
	if err != nil {
		f.r.log.Warn("The end of the stream, which changes no data, cannot be dropped", zap.Error(err))
		return false, nil
	}
	f.r.log.Info(fmt.Sprintf("The last %d bytes of the replication stream changed no data (PING, PUBLISH). "+
		"They are dropped, so that the master can go on from offset %d", p.End-fork.At, fork.At))
	return true, nil
}

// fileSize is how long a file is, 0 if there is none.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// canReload reads what a state at offset at is made of, and what is behind it up to end:
// what is in memory is given up only if it can be loaded again.
func (n *Node) canReload(at, end replication.Offset) error {
	base, from, ok := n.stream.RestartAt(at)
	if ok && base != "" {
		if err := checkBase(base); err != nil {
			return fmt.Errorf("the base cannot be read: %w", err)
		}
	}
	if _, err := n.survey(from, end, io.Discard); err != nil {
		return fmt.Errorf("the journal cannot be read: %w", err)
	}
	return nil
}

func checkBase(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = rdb.Check(bufio.NewReaderSize(file, 1<<20))
	return err
}

// goBack takes the node back to the fork, if that still stands in the end. After an error it is what it was before, or
// empty if that could not be brought back.
func (f *follower) goBack(ctx context.Context, fork replication.Fork, p psync.Position, stands func() bool) error {
	r, n := f.r, f.r.n
	began := time.Now()
	r.log.Warn(fmt.Sprintf("The stream of this node and that of the master have parted at offset %d of %s. "+
		"The %d bytes behind it are only here. Going back, to resume from there", fork.At, fork.ID, p.End-fork.At))
	if err := n.canReload(fork.At, p.End); err != nil {
		return err
	}
	if free, ok := n.stream.DiskFree(); ok && n.config.Current().RewindFiles > 0 && free < int64(p.End-fork.At) {
		return fmt.Errorf("%w: %d bytes, and the disk has room for %d", errUnkept, p.End-fork.At, free)
	}
	var (
		base string
		from replication.Offset
		db   int
		kept keptEnd
		size int64
	)
	err := f.exchange(ctx, exchange{
		prepare: func() (err error) {
			base, from, err = n.persistence.rewindBase(fork.At)
			size = fileSize(base)
			return err
		},
		load: func(ctx context.Context) (err error) {
			n.persistence.expect(base, int64(fork.At-from))
			if _, db, err = n.loadJournal(ctx, base, from, fork.At); err != nil {
				return err
			}
			r.atStep("loaded")
			kept, err = n.keepEnd(fork, p.End, db)
			r.atStep("kept")
			if err == nil && !stands() {
				err = errMoved
			}
			return err
		},
		adopt: func(tx *storage.Tx) error {
			return n.quorum.without(func() error { return f.cutTo(tx, fork, db, size) })
		},
		what: "The node could not go back to where its stream and the master's have parted",
	})
	if err != nil {
		return err
	}
	r.countRewind(func(c *rewinds) {
		c.count++
		c.bytes += int64(p.End - fork.At)
		c.writes += kept.writes
		c.file = kept.file
	})
	r.log.Warn(fmt.Sprintf("Gone back to offset %d in %.3f seconds. Given up: %d bytes with %d writes that the master does not have. %s",
		fork.At, time.Since(began).Seconds(), p.End-fork.At, kept.writes, kept.where()))
	return nil
}

// cutTo makes the state as of the fork, which was loaded, the node's own; db is what is selected
// there, and size that of its base. The unit holds the world lock.
func (f *follower) cutTo(tx *storage.Tx, fork replication.Fork, db int, size int64) error {
	r, n := f.r, f.r.n
	next := *r.state.Load()
	next.history, next.known = replication.NewHistory(fork.ID), true
	next.standing.Keep()
	err := n.persistence.replaced(size, func() error { return n.stream.Rewind(fork.At, next.history) })
	if err != nil && !errors.Is(err, journal.ErrHistoryNotSaved) {
		return err
	}
	r.atStep("cut")
	n.stream.SetSelectedDB(db)
	tx.Rebase(fork.At)
	r.state.Store(&next)
	if err != nil {
		_ = r.publish(&next, func() {}) // logged, and tried again
	}
	return nil
}

// refuse says why all data have to be copied although the histories have a common part.
// What would be given up by that is kept all the same, as far as it is there; the error is
// that it is to be tried again.
func (f *follower) refuse(fork replication.Fork, p psync.Position, v replication.RewindVerdict, why string) error {
	if f.refused == p.End {
		return nil // it was said; the primary is asked again and again
	}
	r, n := f.r, f.r.n
	text := fmt.Sprintf("The stream of this node and that of the master have parted at offset %d of %s. "+
		"The node cannot go back there, and has to copy all data: %s.", fork.At, fork.ID, why)
	var kept keptEnd
	if v != replication.RewindOff && v != replication.RewindTooMuch {
		var err error
		kept, err = n.keepEnd(fork, p.End, n.onlyDB())
		if errors.Is(err, errUnkept) && f.keepsTrying() {
			return err
		}
		if err != nil {
			text += fmt.Sprintf(" The %d bytes behind it cannot be kept: %v", p.End-fork.At, err)
		} else {
			text += fmt.Sprintf(" Given up: %d bytes with %d writes that the master does not have. %s", p.End-fork.At, kept.writes, kept.where())
		}
	}
	r.countRewind(func(c *rewinds) {
		c.refused++
		if kept.file != "" {
			c.file = kept.file
		}
	})
	f.refused = p.End
	r.log.Warn(text)
	return nil
}

// onlyDB is the database that is selected wherever one looks, -1 if that depends.
func (n *Node) onlyDB() int {
	if n.keys.Databases() == 1 {
		return 0
	}
	return -1
}

func (r *replicator) countRewind(change func(*rewinds)) {
	next := *r.rewinds.Load()
	change(&next)
	r.rewinds.Store(&next) // the link's goroutine alone changes it
}

// keptEnd is what was found in the end of the stream, and where it is kept.
type keptEnd struct {
	survey
	file string // "": nowhere
}

func (k keptEnd) where() string {
	if k.file == "" {
		return "They are not kept (rewind-files 0)"
	}
	return `They are kept in ` + k.file + `; "redoubt journal show" prints them`
}

// keepEnd keeps the stream behind the fork in a file in dir. db is what is selected at the
// fork, -1 if nobody knows.
func (n *Node) keepEnd(fork replication.Fork, end replication.Offset, db int) (kept keptEnd, err error) {
	c := n.config.Current()
	if c.RewindFiles == 0 {
		kept.survey, err = n.survey(fork.At, end, io.Discard)
		return kept, err
	}
	h := rewound.Header{ID: strings.ToLower(fork.ID), First: fork.At + 1, Last: end, At: time.UnixMilli(now()), DB: db}
	if kept.file = rewound.Find(c.Dir, h); kept.file != "" {
		kept.survey, err = n.survey(fork.At, end, io.Discard)
		return kept, err
	}
	w, err := rewound.Create(c.Dir, h)
	if err != nil {
		return kept, fmt.Errorf("%w: %w", errUnkept, err)
	}
	out := &notingWriter{Writer: w}
	if kept.survey, err = n.survey(fork.At, end, out); err != nil {
		w.Abort()
		if out.err != nil {
			err = fmt.Errorf("%w: %w", errUnkept, out.err)
		}
		return kept, err
	}
	file, err := w.Commit()
	if err != nil {
		return kept, fmt.Errorf("%w: %w", errUnkept, err)
	}
	kept.file = file
	removed, err := rewound.Prune(c.Dir, c.RewindFiles, kept.file)
	if err != nil {
		n.log.Warn("Old files of what was given up cannot be removed", zap.Error(err))
	}
	for _, path := range removed {
		n.log.Info("Removed " + path + ", as there are newer ones (rewind-files)")
	}
	return kept, nil
}

// notingWriter remembers that a write has failed.
type notingWriter struct {
	io.Writer
	err error
}

func (w *notingWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}

// survey is what a part of the stream consists of.
type survey struct {
	writes  int64 // commands that change data
	selects bool  // it has a SELECT
}

// survey reads the stream from an offset to another, both of which are ends of units, and
// copies it to out.
func (n *Node) survey(after, end replication.Offset, out io.Writer) (s survey, err error) {
	const untold = -1
	in := io.TeeReader(&streamPart{n.stream.ReadAt, after, end}, out)
	reader := psync.NewReader(in, untold, maxReplayUnit)
	for {
		u, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return s, nil
		}
		if err != nil {
			return s, err
		}
		s.selects = s.selects || u.DB != untold
		for i := range u.Commands {
			if !n.quiet(u.Commands[i : i+1]) {
				s.writes++
			}
		}
	}
}

// rewindBase returns the base from which a state at offset at can be made, and sees to it
// that it stays: a base that is being made does not take its place any more. The unit
// holds the world lock.
func (p *persistence) rewindBase(at replication.Offset) (base string, from replication.Offset, err error) {
	p.settle.Lock()
	defer p.settle.Unlock()
	p.epoch++
	base, from, ok := p.stream.RestartAt(at)
	if !ok {
		return "", 0, fmt.Errorf("the base as of an offset up to %d has been replaced by a newer one", at)
	}
	return base, from, nil
}

// keepOlderBase says which state the journal must still be able to make: that at the lowest
// offset which a replica of this node has acknowledged, as that replica may be its
// successor. A primary that is replaced goes on needing it until it is in step again.
func (r *replicator) keepOlderBase(at time.Time) {
	n, s := r.n, r.state.Load()
	if s.replica && !r.LinkUp() {
		return
	}
	lowest, known := r.primary.Confirmed("")
	most := replication.Offset(n.config.Current().RewindMaxBytes)
	oldest, _ := n.stream.Oldest()
	switch {
	case known && n.stream.End()-lowest <= most && r.roomForBases():
		n.stream.KeepBase(lowest)
	case known, at.Sub(r.began) > awaitReplicas, n.stream.End()-oldest > most:
		n.stream.KeepBase(noBase)
	}
}

const (
	// noBase is the offset for which no older base is needed.
	noBase = replication.Offset(1<<63 - 1)
	// awaitReplicas is for how long a node keeps, after its start, what replicas that have
	// not come yet may call for.
	awaitReplicas = 10 * time.Minute
)

// roomForBases reports whether the disk has room for two more bases: then an older one
// does not stand in the way of the next.
func (r *replicator) roomForBases() bool {
	free, ok := r.n.stream.DiskFree()
	return !ok || free > 2*r.n.persistence.baseBytes.Load()
}
