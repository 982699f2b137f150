package psync

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"redoubt/replication"
)

const (
	markBytes    = 40 // of the mark that ends a transfer of unknown length
	baseAttempts = 3  // a base may be trimmed away before it is pinned
)

// full sends a snapshot, and then the stream from where it was taken.
func (f *feeder) full(ctx context.Context) error {
	defer f.release()
	base, err := f.pinnedBase(ctx)
	if err != nil {
		return err
	}
	defer base.Close()
	// The snapshot may still be made, so the end must reach a Read that waits, too.
	stop := context.AfterFunc(ctx, func() { base.Close() })
	defer stop()
	if f.from != f.primary.cfg.Stream && base.At > 0 {
		if err := f.from.Wait(ctx, base.At-1); err != nil { // what it shows must not be lost either
			return err
		}
	}
	if base.Size >= 0 { // else it may still be made, and the replica waits for that, as in Redis
		f.setState(SendBulk)
	}
	if err := f.announce(ctx, base.At); err != nil {
		return err
	}
	marked := f.marked(base)
	if err := f.transfer(ctx, base, marked); err != nil {
		return err
	}
	base.Close()
	f.setState(SendBulk)
	f.count()
	if f.handshake.RDBOnly {
		f.log.Info(fmt.Sprintf("RDB transfer to replica %s completed, rdb only mode", f.name()))
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if marked {
		// Behind the mark the replica must find nothing until it has loaded
		// the snapshot, which its first acknowledgement tells.
		select {
		case <-f.acked:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	f.online()
	f.log.Info(fmt.Sprintf("Synchronization with replica %s succeeded", f.name()))
	return f.stream(ctx, base.At, f.pin)
}

// owe says that the replica is to get the stream behind at: from now on it can be
// behind.
func (f *feeder) owe(at replication.Offset) {
	f.hold(at)
	if f.pin != nil {
		f.owed.Store(int64(at))
	}
}

// hold pins the stream behind at, and behind nothing else any more. Who only wants
// the snapshot, a backup, has no need of the stream: it may take as long as it likes.
func (f *feeder) hold(at replication.Offset) {
	if f.handshake.RDBOnly {
		return
	}
	pin := f.primary.cfg.Stream.Pin(at) // before the other goes: what both hold stays
	f.release()
	f.pin = pin
}

// release gives up the pin of hold.
func (f *feeder) release() {
	if f.pin != nil {
		f.pin.Release()
		f.pin = nil
	}
}

// announce tells the replica, if it speaks PSYNC and was not told before, as of which
// offset its snapshot is going to be. From then on it gets line ends until the snapshot
// comes, and so knows that the primary is there.
func (f *feeder) announce(ctx context.Context, at replication.Offset) error {
	switch told := f.told; {
	case f.handshake.Request == nil || told == at:
		return nil
	case told != unsent:
		return errors.New("psync: the snapshot is not the one that was announced")
	}
	f.told = at
	return f.write(ctx, fmt.Appendf(nil, "+FULLRESYNC %s %d\r\n", f.primary.cfg.History().ID, at))
}

// pinnedBase returns a snapshot, with a pin on the stream behind it if that is to be
// sent as well.
func (f *feeder) pinnedBase(ctx context.Context) (*Base, error) {
	stream := f.primary.cfg.Stream
	for range baseAttempts {
		// A snapshot may take long, and what follows it must not be trimmed meanwhile.
		f.hold(stream.End())
		base, err := f.awaitBase(ctx)
		if err != nil {
			return nil, err
		}
		f.owe(base.At)
		if f.handshake.RDBOnly || stream.First() <= base.At {
			return base, nil
		}
		f.log.Warn(fmt.Sprintf("The journal behind the snapshot for replica %s, from offset %d on, was trimmed before it could be sent; another one is made", f.name(), base.At+1))
		base.Close()
	}
	return nil, errors.New("psync: every snapshot was outdated before it could be sent")
}

// awaitBase asks for a snapshot and keeps the replica from timing out
// meanwhile: it gets a line end a second.
func (f *feeder) awaitBase(ctx context.Context) (*Base, error) {
	type result struct {
		base *Base
		err  error
	}
	need := Need{
		Sized: !f.handshake.EOF,
		Empty: f.handshake.Filtered, Functions: f.handshake.Filtered && f.handshake.Functions,
		Current: f.handshake.RDBOnly || f.handshake.Request == nil,
	}
	done := make(chan result, 1)
	began := make(chan replication.Offset, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		base, err := f.primary.cfg.Snapshots.Base(ctx, need, func(at replication.Offset) { began <- at })
		done <- result{base, err}
	}()
	tick := time.NewTicker(second)
	defer tick.Stop()
	var failed error
	for {
		select {
		case r := <-done:
			if r.err != nil {
				return nil, errors.Join(failed, fmt.Errorf("psync: take a snapshot: %w", r.err))
			}
			if failed != nil {
				r.base.Close()
				return nil, failed
			}
			return r.base, nil
		case at := <-began:
			// It may have begun earlier, for another replica. That may go, and its pin.
			f.owe(at)
			if failed == nil {
				failed = f.announce(ctx, at)
			}
		case <-tick.C:
			if failed == nil {
				failed = f.write(ctx, []byte("\n"))
			}
		}
		if failed != nil {
			cancel()
		}
	}
}

// marked reports whether the transfer ends with a mark, not after a length.
func (f *feeder) marked(base *Base) bool {
	return f.handshake.EOF && (base.Size < 0 || f.primary.cfg.Settings().Diskless)
}

// transfer sends the snapshot in one of its two forms: with its length in front
// ("$123"), or of unknown length with a mark behind it ("$EOF:").
func (f *feeder) transfer(ctx context.Context, base *Base, marked bool) error {
	if !marked {
		if base.Size < 0 {
			return errors.New("psync: a snapshot of unknown length for a replica that needs one")
		}
		if err := f.write(ctx, fmt.Appendf(nil, "$%d\r\n", base.Size)); err != nil {
			return err
		}
		n, err := f.copy(ctx, io.LimitReader(base, base.Size))
		if err == nil && n < base.Size {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	over := f.primary.sends(f)
	err := f.transferMarked(ctx, base)
	over(err)
	return err
}

func (f *feeder) transferMarked(ctx context.Context, base *Base) error {
	mark, err := newMark()
	if err != nil {
		return err
	}
	if err := f.write(ctx, fmt.Appendf(nil, "$EOF:%s\r\n", mark)); err != nil {
		return err
	}
	if _, err := f.copy(ctx, base); err != nil {
		return err
	}
	return f.write(ctx, mark)
}

func newMark() ([]byte, error) {
	var random [markBytes / 2]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	return hex.AppendEncode(nil, random[:]), nil
}

// copy sends all that from delivers.
func (f *feeder) copy(ctx context.Context, from io.Reader) (int64, error) {
	buf := make([]byte, copyBytes)
	var sent int64
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if err := f.write(ctx, buf[:n]); err != nil {
				return sent, err
			}
			sent += int64(n)
		}
		if errors.Is(err, io.EOF) {
			return sent, nil
		}
		if err != nil {
			return sent, fmt.Errorf("psync: read the snapshot: %w", err)
		}
	}
}
