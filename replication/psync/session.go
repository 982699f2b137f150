package psync

import (
	"bufio"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"redoubt/replication"
)

// session is one connection of a Link to its primary, past dialling. It
// belongs to the Link's goroutine; only pulse runs beside it, and writes.
type session struct {
	link *Link
	cfg  *LinkConfig
	conn *timedConn
	in   *bufio.Reader

	streaming atomic.Bool // a pulse is an acknowledgement, before that a line end

	// Acknowledgements beside those once a second. Those up to owed are wanted as soon
	// as the stream is committed so far; told is the last that was sent.
	owed  atomic.Int64
	told  atomic.Int64
	until time.Time // for so long the primary wants them unasked; follow's

	quit    chan struct{}
	helpers sync.WaitGroup
}

func newSession(l *Link, conn *timedConn) *session {
	return &session{link: l, cfg: &l.cfg, conn: conn, in: bufio.NewReaderSize(conn, copyBytes), quit: make(chan struct{})}
}

func (s *session) stop() {
	close(s.quit)
	s.conn.Close()
	s.helpers.Wait()
}

// run shakes hands, synchronizes, and follows the stream until it breaks.
func (s *session) run(ctx context.Context) (up bool, err error) {
	s.link.setState(Greeting)
	if err := s.greet(); err != nil {
		return false, err
	}
	said, err := s.rewind(ctx)
	if err != nil {
		return false, err
	}
	position, known := s.cfg.Target.Position()
	answer, err := s.ask(position, known)
	if err != nil {
		return false, err
	}
	if answer.full && s.doubts(said, answer) {
		return false, unexpected("The master has changed since it told where its stream is. It is asked again before all data are copied")
	}
	s.link.doubts = 0
	if answer.full {
		s.explain(position, known, answer)
		position, err = s.synchronize(ctx, answer)
	} else {
		position, err = s.resume(position, answer)
	}
	if err != nil {
		return false, err
	}
	return true, s.follow(position)
}

// told is what the primary has said of its stream before PSYNC.
type told struct {
	history string // the id of its history; empty if it shares none, or was not asked
	settled bool   // see Rewinder
}

// rewind has the node look at what the primary tells of its stream, if the node has one
// itself.
func (s *session) rewind(ctx context.Context) (said told, err error) {
	if s.cfg.Rewinder == nil {
		return said, nil
	}
	p, known := s.cfg.Target.Position()
	if !known || p.End == 0 {
		return said, nil
	}
	u, ok, err := s.upstream()
	if err != nil || !ok {
		return said, err
	}
	if _, shared := replication.ForkOf(p.History, p.End, u); shared {
		said.history = u.History.ID
	}
	said.settled, err = s.cfg.Rewinder.Rewind(ctx, u, func() (replication.Upstream, bool) {
		u, ok, err := s.upstream()
		return u, ok && err == nil
	})
	if err != nil {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return said, err
}

// mostDoubts is how many full resyncs in a row are not taken.
const mostDoubts = 3

// doubts reports whether a full resync is not to be taken yet, since the primary has changed
// after the node had looked at what it said: it has become a primary, or has settled. What
// the node has beyond it would go without being kept. The next session asks again.
func (s *session) doubts(said told, a answer) bool {
	if said.history == "" || said.settled && strings.EqualFold(said.history, a.id) {
		return false
	}
	s.link.doubts++
	return s.link.doubts <= mostDoubts
}

// explain says in the log why all data are sent, as far as this side can tell.
func (s *session) explain(p Position, known bool, a answer) {
	switch {
	case !known || p.End == 0:
		s.cfg.Log.Info("Partial resynchronization not possible (no cached master): this node has no data that a master could add to.")
	case a.at < p.End:
		s.cfg.Log.Warn(fmt.Sprintf("The master has not accepted a partial resynchronization from offset %d of %s: its own data end at offset %d. "+
			"What this node has taken beyond what the master received is given up with its data.", p.End+1, p.History.ID, a.at))
	default:
		s.cfg.Log.Info(fmt.Sprintf("The master has not accepted a partial resynchronization from offset %d of %s: it does not have what follows, or has another history. "+
			"Its log has the reason.", p.End+1, p.History.ID))
	}
}

// resume goes on from where the node is.
func (s *session) resume(p Position, a answer) (Position, error) {
	if a.id != "" {
		p.History = p.History.Continue(a.id, p.End)
	}
	if err := s.cfg.Target.Continue(p.History); err != nil {
		return p, fmt.Errorf("%w: %w", errRefused, err)
	}
	s.cfg.Log.Info("Successful partial resynchronization with master.")
	s.cfg.Log.Info(fmt.Sprintf("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization from offset %d of %s.", p.End+1, p.History.ID))
	s.helpers.Go(s.pulse)
	return p, nil
}

// follow hands the stream behind p to the Target, unit by unit.
func (s *session) follow(p Position) error {
	s.link.offset.Store(int64(p.End))
	s.link.received.Store(int64(p.End))
	s.streaming.Store(true)
	s.link.setState(Connected)
	s.link.outage.over(time.Now())
	// A primary that sent a marked transfer sends nothing before this.
	if err := s.ack(); err != nil {
		return err
	}
	units := NewReader(streamSource{s}, p.DB, s.cfg.MaxUnitBytes)
	for {
		u, err := units.Next()
		if err != nil {
			return err
		}
		// The answer to GETACK does not count GETACK itself (Redis's replconfCommand).
		if u.GetAck {
			if err := s.answer(u); err != nil {
				return err
			}
		}
		if err := s.cfg.Target.Apply(u); err != nil {
			return fmt.Errorf("%w: apply the stream after %d: %w", errRefused, s.link.offset.Load(), err)
		}
		s.link.offset.Add(int64(len(u.Raw)))
		if len(u.Ahead) == 0 && !s.until.IsZero() {
			if err := s.prompt(); err != nil {
				return err
			}
		}
	}
}

// answer answers GETACK.
func (s *session) answer(u *Unit) error {
	if u.Prompt > 0 {
		s.until = time.Now().Add(u.Prompt)
	}
	s.owed.Store(s.link.offset.Load())
	return s.ack()
}

// prompt acknowledges unasked, now that all that has arrived is applied.
func (s *session) prompt() error {
	if time.Now().After(s.until) {
		s.until = time.Time{}
		return nil
	}
	s.owed.Store(s.link.offset.Load())
	if s.committed() <= s.told.Load() {
		return nil // Committed will tell
	}
	return s.ack()
}

// committed is what the node may acknowledge: what it has applied, once that is as
// durable as its own appendfsync promises.
func (s *session) committed() int64 {
	return min(s.link.offset.Load(), int64(s.cfg.Target.Committed()))
}

// kicked acknowledges what was waited for and has been committed by now. It is of the
// goroutine of pulse.
func (s *session) kicked() error {
	if told := s.told.Load(); !s.streaming.Load() || told >= s.owed.Load() || s.committed() <= told {
		return nil
	}
	return s.ack()
}

// streamSource counts the bytes of the stream that have been received.
type streamSource struct{ s *session }

func (r streamSource) Read(p []byte) (int, error) {
	n, err := r.s.in.Read(p)
	r.s.link.received.Add(int64(n))
	return n, err
}

// ack tells the primary how far the node is.
func (s *session) ack() error {
	at := s.committed()
	s.told.Store(at)
	args := []string{"REPLCONF", "ACK", strconv.FormatInt(at, 10)}
	if synced, ok := s.cfg.Target.Synced(); ok {
		args = append(args, "FACK", strconv.FormatInt(int64(synced), 10))
	}
	_, err := s.conn.Write(appendCommand(nil, args...))
	return err
}

// pulse tells the primary once a second that the node lives: with a line end
// while a snapshot is being checked and loaded, then with an acknowledgement.
func (s *session) pulse() {
	tick := time.NewTicker(second)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-s.link.kick:
			if s.kicked() != nil {
				s.conn.Close()
				return
			}
			continue
		case <-tick.C:
		}
		if s.beat() != nil {
			// The reader finds out for itself, and says why.
			s.conn.Close()
			return
		}
	}
}

func (s *session) beat() error {
	if s.streaming.Load() {
		return s.ack()
	}
	_, err := s.conn.Write([]byte("\n"))
	return err
}

// appendCommand writes a command as RESP to dst.
func appendCommand(dst []byte, args ...string) []byte {
	dst = fmt.Appendf(dst, "*%d\r\n", len(args))
	for _, a := range args {
		dst = fmt.Appendf(dst, "$%d\r\n%s\r\n", len(a), a)
	}
	return dst
}

// answer is that to PSYNC.
type answer struct {
	full bool
	id   string             // may be empty in a partial resync
	at   replication.Offset // of a full one
}
