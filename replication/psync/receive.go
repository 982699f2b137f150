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
// the Target replace what it has; or it lets the Target load what arrives.
func (s *session) synchronize(ctx context.Context, a answer) (Position, error) {
	s.link.setState(Sync)
	s.cfg.Log.Info(fmt.Sprintf("Full resync from master: %s:%d", a.id, a.at))
	defer func() {
		s.link.total.Store(0)
		s.link.arrived.Store(0)
	}()
	full := Full{
		Path:    filepath.Join(s.cfg.Dir(), stagedName),
		History: replication.NewHistory(a.id),
		At:      a.at,
	}
	// The Target has moved the file if it wanted to keep it.
	defer os.Remove(full.Path)
	t, err := s.transfer()
	if err != nil {
		return Position{}, fmt.Errorf("%w: %w", errReceive, err)
	}
	if s.cfg.Target.Direct() {
		err = s.loadArriving(ctx, t, &full)
	} else {
		err = s.loadReceived(ctx, t, &full)
	}
	if err != nil {
		return Position{}, err
	}
	s.cfg.Log.Info("MASTER <-> REPLICA sync: Finished with success")
	return Position{History: full.History, End: full.At, DB: full.DB}, nil
}

const loadingInMemory = "MASTER <-> REPLICA sync: Loading DB in memory"

// loadReceived has the Target load a snapshot that was received as a whole.
func (s *session) loadReceived(ctx context.Context, t transfer, full *Full) error {
	s.cfg.Log.Info("MASTER <-> REPLICA sync: receiving " + t.String() + " to disk")
	if err := s.stage(t, full.Path, nil); err != nil {
		return fmt.Errorf("%w: %w", errReceive, err)
	}
	summary, err := check(full.Path)
	if err != nil {
		return fmt.Errorf("%w: the received snapshot: %w", errRefused, err)
	}
	full.DB, full.Keys, full.Databases = summary.Aux.StreamDB(), summary.Keys, summary.Databases
	s.cfg.Log.Info(fmt.Sprintf("%s (%d keys)", loadingInMemory, summary.Keys))
	if n := summary.Skipped.ModuleData; n > 0 {
		s.cfg.Log.Warn(fmt.Sprintf("The snapshot has data of modules (%d). This server has none, and leaves them out", n))
	}
	if err := s.cfg.Target.Replace(ctx, *full); err != nil {
		return fmt.Errorf("%w: load the snapshot: %w", errRefused, err)
	}
	return nil
}

// loadArriving has the Target load a snapshot while it arrives. The file is written all
// the same, since it is what a restart loads.
func (s *session) loadArriving(ctx context.Context, t transfer, full *Full) error {
	s.cfg.Log.Info("MASTER <-> REPLICA sync: receiving " + t.String() + " to disk and to the parser")
	s.cfg.Log.Info(loadingInMemory)
	from, to := io.Pipe()
	staged := make(chan struct{})
	go func() {
		defer close(staged)
		to.CloseWithError(s.stage(t, full.Path, to)) // with nil: the end of the snapshot
	}()
	in := &arriving{from: from}
	full.In = in
	err := s.cfg.Target.Replace(ctx, *full)
	if err != nil {
		// Nobody reads any more, so the transfer must end where it is.
		from.CloseWithError(err)
		s.conn.Close()
	}
	<-staged
	switch {
	case in.broken != nil:
		return fmt.Errorf("%w: %w", errReceive, in.broken)
	case err != nil:
		return fmt.Errorf("%w: load the snapshot: %w", errRefused, err)
	}
	at, _ := s.cfg.Target.Position() // it was told by the snapshot
	full.DB = at.DB
	return nil
}

// arriving is a snapshot that is being received, and remembers if it broke off. The
// reader's goroutine owns it.
type arriving struct {
	from   io.Reader
	broken error
}

func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		a.broken = err
	}
	return n, err
}

func check(path string) (rdb.Summary, error) {
	file, err := os.Open(path)
	if err != nil {
		return rdb.Summary{}, err
	}
	defer file.Close()
	return rdb.Check(file)
}

// transfer is one of the two forms of a snapshot on its way: of size bytes, or with a mark
// behind it.
type transfer struct {
	size int64
	mark []byte // nil: there is none
}

// String says in the words of Redis's log what is received.
func (t transfer) String() string {
	if t.mark != nil {
		return "streamed RDB from master with EOF"
	}
	return fmt.Sprintf("%d bytes from master", t.size)
}

// transfer reads how the snapshot is going to come.
func (s *session) transfer() (t transfer, err error) {
	header, err := s.reply()
	if err != nil {
		return t, err
	}
	header, ok := bytes.CutPrefix(header, []byte("$"))
	if !ok {
		if bytes.HasPrefix(header, []byte("-")) {
			return t, unexpected("MASTER aborted replication with an error: %s", header[1:])
		}
		return t, unexpected("Bad protocol from MASTER, the first byte is not '$' (we received '%s'), are you sure the host and port are right?", header)
	}
	if mark, marked := bytes.CutPrefix(header, []byte("EOF:")); marked {
		if len(mark) != markBytes {
			return t, unexpected("Bad protocol from MASTER: the mark of a snapshot has %d bytes", len(mark))
		}
		return transfer{mark: bytes.Clone(mark)}, nil
	}
	if t.size, err = strconv.ParseInt(string(header), 10, 64); err != nil || t.size < 0 {
		return t, unexpected("Bad protocol from MASTER: a snapshot of %q bytes", header)
	}
	s.link.total.Store(t.size)
	return t, nil
}

// stage receives the snapshot and has it on disk when it returns. A copy goes to the
// reader of also, if there is one.
func (s *session) stage(t transfer, path string, also io.Writer) (err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var to io.Writer = stagedFile{file}
	if also != nil {
		to = io.MultiWriter(to, also)
	}
	if t.mark != nil {
		err = s.receiveMarked(to, t.mark)
	} else {
		err = s.receiveSized(to, t.size)
	}
	if err != nil {
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
