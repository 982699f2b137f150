package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
	"redoubt/storage/journal"
	"redoubt/storage/rdb"
)

// transferTail is how much journal a replica is sent at most after an old base,
// as a multiple of the base's size, before a fresh base is worth making.
const (
	transferTail      = 1
	transferTailBytes = 64 << 20
)

// Base implements psync.Snapshots: a full resync is the newest base and the
// journal from its offset, so it costs no snapshot. A fresh one is
// made only if there is none, or the journal has outgrown it, or there is no
// journal, or the caller needs a current one.
func (p *persistence) Base(ctx context.Context, need psync.Need, began func(replication.Offset)) (*psync.Base, error) {
	if need.Empty {
		return p.emptyBase(need.Functions)
	}
	if need.Current {
		return p.freshBase(ctx, true, began)
	}
	if p.stream.Enabled() {
		if b := p.newestBase(); b != nil {
			return b, nil
		}
		if err := p.askBase().wait(ctx); err != nil {
			return nil, err
		}
		if b := p.newestBase(); b != nil {
			return b, nil
		}
	}
	diskless := !need.Sized && p.config.Current().ReplDisklessSync
	b, err := p.lastTransfer(), error(nil)
	switch {
	case b != nil:
	case diskless:
		b, err = p.growingBase(ctx, began)
	default:
		b, err = p.freshBase(ctx, false, began)
	}
	if err == nil && diskless {
		p.sending(b)
	}
	return b, err
}

// growingBase is a snapshot that can be read while it is written, by all who ask for one
// until it is complete. It ends with an error if it is given up.
func (p *persistence) growingBase(ctx context.Context, began func(replication.Offset)) (*psync.Base, error) {
	o := p.askTransfer(false)
	left := sync.OnceFunc(func() { p.leaveTransfer(o) })
	select {
	case at := <-o.begun:
		o.begun <- at // for those who wait for the same
		began(at)
		began = func(replication.Offset) {} // which is told once
		f, err := os.Open(o.temp)
		if err == nil {
			return &psync.Base{ReadCloser: &growing{File: f, of: o, left: left}, Size: -1, At: at}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			left()
			return nil, err
		}
	case <-o.done:
	case <-ctx.Done():
	}
	// It has ended already, and its file may have been removed.
	defer left()
	if err := o.wait(ctx); err != nil {
		return nil, err
	}
	if b := p.lastTransfer(); b != nil {
		return b, nil
	}
	return p.freshBase(ctx, false, began)
}

// growing is the file of a snapshot under way.
type growing struct {
	*os.File
	of   *order
	left func() // says once that nobody reads it any more
}

// growStep is how long a reader that is ahead of the snapshot waits for more.
const growStep = 5 * time.Millisecond

// Read reads what there is, and waits while there is nothing and more may come.
func (g *growing) Read(p []byte) (int, error) {
	for {
		ended := false
		select {
		case <-g.of.done: // before the look at the file: now that is all
			if g.of.err != nil {
				return 0, g.of.err
			}
			ended = true
		default:
		}
		n, err := g.File.Read(p)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) || ended {
			return n, err
		}
		select {
		case <-g.of.done:
		case <-time.After(growStep): // or it was closed
		}
	}
}

func (g *growing) Close() error {
	g.left()
	return g.File.Close()
}

// sending has INFO tell of a snapshot that is sent without a length as of one that is
// being made, until it is closed: in Redis it is being made all the time.
func (p *persistence) sending(b *psync.Base) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sends++; p.sends == 1 {
		p.sendsBegan = time.Now()
	}
	b.ReadCloser = &sentBase{b.ReadCloser, sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sends--
	})}
}

// sentBase tells that it is closed.
type sentBase struct {
	io.ReadCloser
	over func()
}

func (b *sentBase) Close() error {
	b.over()
	return b.ReadCloser.Close()
}

// freshBase waits for a snapshot. If it is to be current, the snapshot begins after the
// call; else it may be one that is being made for another replica, for which the stream
// behind it is kept. began is called with the offset of the first snapshot waited for.
// If that is gone when it should be opened, freshBase waits for another.
func (p *persistence) freshBase(ctx context.Context, current bool, began func(replication.Offset)) (*psync.Base, error) {
	for told := false; ; told = true {
		o := p.askTransfer(current)
		select {
		case at := <-o.begun:
			o.begun <- at // for those who wait for the same
			if !told {
				began(at)
			}
		case <-o.done:
		case <-ctx.Done():
		}
		if err := o.wait(ctx); err != nil {
			p.leaveTransfer(o)
			return nil, err
		}
		b, err := openBase(o.path, o.at)
		p.leaveTransfer(o)
		if !errors.Is(err, fs.ErrNotExist) {
			return b, err
		}
		// Somebody else's snapshot has just replaced it.
	}
}

// leaveTransfer says that somebody does not wait for a snapshot any more. If nobody
// does it is given up, one that has not begun in any case. One that has is completed
// if the node saves by itself: Redis makes it the dump then, and here the next replica
// gets it. With a journal that gets the base, so the snapshot goes with the last who
// has it open.
func (p *persistence) leaveTransfer(o *order) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.waiting--; o.waiting > 0 {
		return
	}
	once := p.stream.Enabled()
	switch o {
	case p.transferring:
		if once || len(p.config.Current().Save) == 0 {
			p.drop[forTransfer](errUnwanted)
		}
	case p.sent:
		if once {
			p.sent = nil
			os.Remove(o.path)
		}
	}
}

// errUnwanted ends a snapshot that no replica waits for any more.
var errUnwanted = errors.New("node: the replicas that waited for the snapshot have gone")

// lastTransfer is the snapshot that replicas were given before, if the backlog
// still has what follows it. If that is more than the snapshot itself, a fresh one is
// less to send, and to hold in memory.
func (p *persistence) lastTransfer() *psync.Base {
	p.mu.Lock()
	o := p.sent
	p.mu.Unlock()
	if o == nil || p.stream.First() > o.at || p.stream.End()-o.at > transferTailBytes {
		return nil
	}
	b, err := openBase(o.path, o.at)
	if err != nil {
		return nil
	}
	if int64(p.stream.End()-o.at) > b.Size {
		b.Close()
		return nil
	}
	return b
}

// keepTransfer remembers a snapshot made for replicas and removes the one
// before; who is reading that has it open.
func (p *persistence) keepTransfer(o *order) {
	p.mu.Lock()
	before := p.sent
	p.sent = o
	p.mu.Unlock()
	if before != nil && before != o {
		os.Remove(before.path)
	}
}

// dropTransfer forgets it: the stream goes on in another history.
func (p *persistence) dropTransfer() { p.keepTransfer(nil) }

// newestBase is the journal's base, if the journal still holds all that follows
// and that is not too much.
func (p *persistence) newestBase() *psync.Base {
	path, at := p.stream.Base()
	tail := p.stream.SizeSinceBase()
	if path == "" || p.stream.First() > at || tail > max(transferTailBytes, transferTail*p.baseBytes.Load()) {
		return nil
	}
	b, err := openBase(path, at)
	if err != nil {
		return nil // a newer one has just replaced it
	}
	return b
}

func openBase(path string, at replication.Offset) (*psync.Base, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &psync.Base{ReadCloser: f, Size: info.Size(), At: at}, nil
}

// emptyBase is a file without keys, as of now.
func (p *persistence) emptyBase(functions bool) (*psync.Base, error) {
	var file bytes.Buffer
	var at replication.Offset
	var err error
	p.keys.World(time.Now().UnixMilli(), func(tx *storage.Tx) {
		h := p.header(tx, forTransfer)
		at = h.ReplOffset
		if !functions {
			h.Functions = nil
		}
		w := rdb.NewWriter(&file, p.format())
		if err = w.Header(h); err == nil {
			err = w.Finish()
		}
	})
	if err != nil {
		return nil, err
	}
	return &psync.Base{ReadCloser: io.NopCloser(&file), Size: int64(file.Len()), At: at}, nil
}

// backlog is the stream as feeders read it.
type backlog struct{ *journal.Stream }

// Pin makes a pin of the journal one of package psync.
func (b backlog) Pin(after replication.Offset) psync.Pin { return b.Stream.Pin(after) }

// committedBacklog is the stream as far as the node's shard has agreed on it, for
// replicas that are not of the shard's group.
type committedBacklog struct {
	backlog
	commits *commits
}

// End implements psync.Stream.
func (b committedBacklog) End() replication.Offset {
	return min(b.commits.Committed(), b.backlog.End())
}

// ReadAt implements psync.Stream.
func (b committedBacklog) ReadAt(p []byte, after replication.Offset) (int, error) {
	n, err := b.backlog.ReadAt(p, after)
	return max(min(n, int(b.End()-after)), 0), err
}

// Wait implements psync.Stream.
func (b committedBacklog) Wait(ctx context.Context, after replication.Offset) error {
	return b.commits.wait(ctx, func() bool { return b.End() > after })
}
