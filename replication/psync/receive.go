package psync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"redoubt/replication"
	"redoubt/storage/rdb"
)

// stagedName is the file of a snapshot until it is the Target's. A node has
// one Link, so there is one; what a crash left of it is overwritten.
const stagedName = "temp-replication.rdb"

// synchronize receives a snapshot into a file, checks it and only then lets
// the Target replace what it has.
func (s *session) synchronize(ctx context.Context, a answer) (Position, error) {
	s.link.setState(Sync)
	s.cfg.Log.Info(fmt.Sprintf("Full resync from master: %s:%d", a.id, a.at))
	defer func() {
		s.link.total.Store(0)
		s.link.arrived.Store(0)
	}()
	path := filepath.Join(s.cfg.Dir(), stagedName)
	// The Target has moved the file if it wanted to keep it.
	defer os.Remove(path)
	if err := s.stage(path); err != nil {
		return Position{}, fmt.Errorf("%w: %w", errReceive, err)
	}
	summary, err := check(path)
	if err != nil {
		return Position{}, fmt.Errorf("%w: the received snapshot: %w", errRefused, err)
	}
	full := Full{
		Path:    path,
		History: replication.NewHistory(a.id),
		At:      a.at,
		DB:      summary.Aux.StreamDB(),
		Keys:    summary.Keys,

		Databases: summary.Databases,
	}
	s.cfg.Log.Info(fmt.Sprintf("MASTER <-> REPLICA sync: Loading DB in memory (%d keys)", summary.Keys))
	if n := summary.Skipped.ModuleData; n > 0 {
		s.cfg.Log.Warn(fmt.Sprintf("The snapshot has data of modules (%d). This server has none, and leaves them out", n))
	}
	if err := s.cfg.Target.Replace(ctx, full); err != nil {
		return Position{}, fmt.Errorf("%w: load the snapshot: %w", errRefused, err)
	}
	s.cfg.Log.Info("MASTER <-> REPLICA sync: Finished with success")
	return Position{History: full.History, End: full.At, DB: full.DB}, nil
}

func check(path string) (rdb.Summary, error) {
	file, err := os.Open(path)
	if err != nil {
		return rdb.Summary{}, err
	}
	defer file.Close()
	return rdb.Check(file)
}

// stage receives the snapshot and has it on disk when it returns.
func (s *session) stage(path string) (err error) {
	header, err := s.reply()
	if err != nil {
		return err
	}
	header, ok := bytes.CutPrefix(header, []byte("$"))
	if !ok {
		if bytes.HasPrefix(header, []byte("-")) {
			return unexpected("MASTER aborted replication with an error: %s", header[1:])
		}
		return unexpected("Bad protocol from MASTER, the first byte is not '$' (we received '%s'), are you sure the host and port are right?", header)
	}
	receive := s.receiveMarked
	mark, marked := bytes.CutPrefix(header, []byte("EOF:"))
	mark = bytes.Clone(mark)
	if marked && len(mark) != markBytes {
		return unexpected("Bad protocol from MASTER: the mark of a snapshot has %d bytes", len(mark))
	}
	if !marked {
		size, err := strconv.ParseInt(string(header), 10, 64)
		if err != nil || size < 0 {
			return unexpected("Bad protocol from MASTER: a snapshot of %q bytes", header)
		}
		s.link.total.Store(size)
		receive = func(to io.Writer, _ []byte) error { return s.receiveSized(to, size) }
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if marked {
		s.cfg.Log.Info("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to disk")
	} else {
		s.cfg.Log.Info(fmt.Sprintf("MASTER <-> REPLICA sync: receiving %d bytes from master to disk", s.link.total.Load()))
	}
	if err := receive(stagedFile{file}, mark); err != nil {
		return err
	}
	// What follows may take long, so the primary is told that we live.
	s.helpers.Go(s.pulse)
	if err := file.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil
}

// stagedFile tells errors of this node's disk from those of the connection: a
// primary is not asked for snapshot after snapshot while there is no room.
type stagedFile struct{ *os.File }

func (f stagedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return n, err
}

func (s *session) receiveSized(to io.Writer, size int64) error {
	buf := make([]byte, copyBytes)
	for size > 0 {
		n, err := s.in.Read(buf[:min(size, int64(len(buf)))])
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return err
			}
			s.link.arrived.Add(int64(n))
			size -= int64(n)
		}
		if err != nil && size > 0 {
			return cutOff(err)
		}
	}
	return nil
}

// receiveMarked receives bytes until what has arrived ends with the mark. It
// looks only at the end of what a read brings: the primary sends nothing
// behind the mark before it has had an acknowledgement.
func (s *session) receiveMarked(to io.Writer, mark []byte) error {
	buf := make([]byte, copyBytes)
	held := 0 // bytes at the front of buf that may belong to the mark
	for {
		n, err := s.in.Read(buf[held:])
		s.link.arrived.Add(int64(n))
		have := buf[:held+n]
		if bytes.HasSuffix(have, mark) {
			_, err := to.Write(have[:len(have)-len(mark)])
			return err
		}
		if err != nil {
			return cutOff(err)
		}
		held = min(len(have), len(mark)-1)
		if _, err := to.Write(have[:len(have)-held]); err != nil {
			return err
		}
		copy(buf, have[len(have)-held:])
	}
}

// cutOff makes the end of a connection within a snapshot unmistakable.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
