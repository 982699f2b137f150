package psync

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/reason"
	"redoubt/replication"
)

const (
	fromReplicaBytes = 64 << 10 // a command from a replica; an ACK takes about 50
	unsent           = -1       // an offset of a feeder that is none yet
)

// feeder serves one replica. Its fields belong to the goroutine of serve,
// which alone writes to conn, except where noted; listen reads from conn, and
// watch looks at the replica once a second.
type feeder struct {
	primary   *Primary
	id        replication.ReplicaID
	conn      net.Conn
	handshake Handshake
	from      Stream // what it is sent of the stream
	log       *zap.Logger
	cancel    context.CancelCauseFunc // ends everything; the cause is what Serve returns

	state  State // guarded by primary.mu
	barred bool  // likewise: sent away by Bar

	told replication.Offset // of the snapshot that was announced, or unsent
	pin  Pin                // of a full resync, on the stream behind the snapshot; nil: none

	acked     chan struct{} // closed at the first acknowledgement, by listen
	timed     atomic.Bool   // silence of the replica counts from now on
	owed      atomic.Int64  // where the replica's snapshot is as of, once that has begun, or unsent
	sent      atomic.Int64  // offset of the last byte of the stream that was sent, or unsent
	writing   atomic.Int64  // since when a write is under way, in Unix nanoseconds; 0: none is
	softSince time.Time     // watch's: since when the replica is beyond the soft limit

	ahead ahead // others send in the feeder's place
}

// serve runs the feeder to its end.
func (f *feeder) serve(ctx context.Context) error {
	f.sent.Store(unsent)
	f.owed.Store(unsent)
	f.told = unsent
	var helpers sync.WaitGroup
	helpers.Go(func() { f.listen() })
	helpers.Go(func() { f.watch(ctx) })
	// Whoever ends the feeder, its reads and writes must end, too.
	closed := context.AfterFunc(ctx, func() { f.conn.Close() })
	defer closed()

	f.cancel(f.feed(ctx))
	f.conn.Close()
	helpers.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, errLeft) {
		return cause
	}
	return nil
}

// errLeft ends a feeder whose replica closed the connection in good order.
var errLeft = errors.New("psync: the replica has left")

// askLater is the answer to a replica that is to ask again; Redis's take it
// so, too (PSYNC_TRY_LATER).
const askLater = "-LOADING The primary has just started, ask again later\r\n"

var errLater = errors.New("psync: the replica is to keep its data for now")

// feed sends the replica what it asked for: part of the stream if it can go on
// from where it was, else a snapshot first.
func (f *feeder) feed(ctx context.Context) error {
	f.log.Info(fmt.Sprintf("Replica %s asks for synchronization", f.name()))
	if request := f.handshake.Request; request != nil {
		if granted, err := f.resume(ctx, *request); granted {
			return err
		}
	}
	f.primary.full.Add(1)
	return f.full(ctx)
}

// resume sends the stream from where the replica was, and reports whether that
// was possible.
func (f *feeder) resume(ctx context.Context, request replication.Request) (granted bool, err error) {
	stream := f.primary.cfg.Stream
	// The pin comes before the look at what is there, or a trim could come
	// between the two. An absurd offset pins nothing that exists.
	after := max(request.From-1, 0)
	pin := stream.Pin(after)
	defer pin.Release()
	history := f.primary.cfg.History()
	window := replication.Window{First: stream.First(), End: stream.End()}
	if v := replication.Decide(history, window, request); v != replication.Partial {
		if v == replication.FullAsked {
			f.log.Info(fmt.Sprintf("Full resync requested by replica %s", f.name()))
		} else {
			f.log.Info(fmt.Sprintf("Partial resynchronization of replica %s not accepted: %s", f.name(), v.Explain(history, window, request)))
			f.primary.refused.Add(1)
			if later := f.primary.cfg.Later; later != nil && later(v, request) {
				f.log.Info(fmt.Sprintf("Replica %s is to keep its data for now, and to ask again: it is not settled whether this node remains the master", f.name()))
				return true, errors.Join(errLater, f.write(ctx, []byte(askLater)))
			}
		}
		return false, nil
	}
	f.primary.partial.Add(1)
	answer := "+CONTINUE\r\n"
	if f.handshake.PSYNC2 {
		answer = "+CONTINUE " + history.ID + "\r\n"
	}
	if err := f.write(ctx, []byte(answer)); err != nil {
		return true, err
	}
	f.log.Info(fmt.Sprintf("Partial resynchronization request from %s accepted. Sending %d bytes of backlog starting from offset %d.",
		f.name(), window.End-after, after+1))
	f.online()
	return true, f.stream(ctx, after, pin)
}

// ending is the line of the log about the end of a connection.
func (f *feeder) ending(err error) string {
	switch {
	case errors.Is(err, ErrTimeout):
		return fmt.Sprintf("Disconnecting timedout replica (%s): %s", f.phase(), f.name())
	case errors.Is(err, ErrDisconnected):
		return fmt.Sprintf("Replica %s is disconnected: the history of this node changes, and the replica has to ask again", f.name())
	case errors.Is(err, ErrLag):
		return fmt.Sprintf("Replica %s is disconnected: it is behind by more than client-output-buffer-limit allows", f.name())
	case errors.Is(err, ErrClosed):
		return fmt.Sprintf("Replica %s is disconnected: the server shuts down", f.name())
	}
	return fmt.Sprintf("Connection with replica %s lost: %s", f.name(), reason.Peer(err))
}

// phase is what a replica was getting, in the words of Redis's log.
func (f *feeder) phase() string {
	f.primary.mu.Lock()
	defer f.primary.mu.Unlock()
	if f.state == Online {
		return "streaming sync"
	}
	return "full sync"
}

// online begins to count the replica and its silence.
func (f *feeder) online() {
	f.setState(Online)
	f.count()
}

func (f *feeder) setState(s State) {
	p := f.primary
	p.mu.Lock()
	f.state = s
	if s == Online {
		p.acks.Online(f.id, time.Now())
	}
	p.mu.Unlock()
	if s == Online {
		p.came.Add(1)
		p.cfg.OnAck()
	}
}

// count lets the replica time out from now on.
func (f *feeder) count() {
	if f.handshake.Request == nil {
		return
	}
	f.timed.Store(true)
	// The listener may be reading without a deadline: it gets one.
	f.conn.SetReadDeadline(time.Now().Add(f.timeout()))
}

// stream copies the stream behind after to the replica until ctx ends.
//
// Under load it lets bytes come together for a moment before it sends them: a
// system call for each write of a client would cost the event loops a fifth of
// their throughput where cores are few (decision 0001). A write that comes alone
// is sent at once, since until then a failover would lose it.
func (f *feeder) stream(ctx context.Context, after replication.Offset, pin Pin) error {
	from := f.from
	buf := make([]byte, copyBytes)
	if f.ahead.sender, _ = f.conn.(Sender); f.ahead.sender != nil {
		f.ahead.wanted = make(chan struct{}, 1)
		defer f.primary.lend(f)()
	}
	var last time.Time // of a write
	for {
		f.sent.Store(int64(after))
		pin.Move(after)
		if f.yields(after) {
			var err error
			if after, err = f.yield(ctx, after, pin, buf); err != nil {
				return err
			}
			continue
		}
		if err := from.Wait(ctx, after); err != nil {
			return err
		}
		if from.End()-after < gatherBytes && time.Since(last) < gather {
			time.Sleep(gather)
		}
		n, err := from.ReadAt(buf, after)
		if err != nil {
			return fmt.Errorf("psync: read the stream after %d: %w", after, err)
		}
		if err := f.write(ctx, buf[:n]); err != nil {
			return err
		}
		last = time.Now()
		after += replication.Offset(n)
	}
}

// write sends p within the timeout. It does not once ctx has ended, even if
// the connection is still open: what was read of the node's state since then
// may belong to another history than the replica knows (see Primary.Bar).
func (f *feeder) write(ctx context.Context, p []byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	began := time.Now()
	f.conn.SetWriteDeadline(began.Add(f.timeout()))
	f.writing.Store(began.UnixNano())
	_, err := f.conn.Write(p)
	f.writing.Store(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	return err
}

func (f *feeder) timeout() time.Duration { return f.primary.cfg.Settings().Timeout }

// listen reads what the replica sends: acknowledgements and keep-alives.
func (f *feeder) listen() {
	commands := newCommandReader(f.conn, fromReplicaBytes)
	for {
		if f.timed.Load() {
			f.conn.SetReadDeadline(time.Now().Add(f.timeout()))
		}
		unit, err := commands.Next()
		if err != nil {
			f.cancel(f.reason(err))
			return
		}
		for _, c := range unit.Commands {
			if err := f.heed(c.Args); err != nil {
				f.cancel(err)
				return
			}
		}
	}
}

// heed takes a command of the replica.
func (f *feeder) heed(args [][]byte) error {
	if ack, synced, ok := parseAck(args); ok {
		f.ack(ack, synced)
		return nil
	}
	if f.handshake.Stray == nil {
		return nil
	}
	return f.handshake.Stray(args)
}

// reason names why nothing more can be read from the replica.
func (f *feeder) reason(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ErrTimeout
	}
	if f.handshake.RDBOnly || f.handshake.Request == nil {
		return errLeft
	}
	return err
}

func (f *feeder) ack(applied, synced replication.Offset) {
	p := f.primary
	p.mu.Lock()
	p.acks.Record(f.id, applied, synced, time.Now())
	p.mu.Unlock()
	select {
	case <-f.acked:
	default:
		close(f.acked)
	}
	p.cfg.OnAck()
}

var (
	nameAck  = []byte("ACK")
	nameFack = []byte("FACK")
)

// parseAck reads REPLCONF ACK applied [FACK synced].
func parseAck(args [][]byte) (applied, synced replication.Offset, ok bool) {
	if len(args) < 3 || !bytes.EqualFold(args[0], nameReplconf) || !bytes.EqualFold(args[1], nameAck) {
		return 0, 0, false
	}
	applied, ok = parseOffset(args[2])
	if ok && len(args) >= 5 && bytes.EqualFold(args[3], nameFack) {
		synced, ok = parseOffset(args[4])
	}
	return applied, synced, ok
}

func parseOffset(b []byte) (replication.Offset, bool) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	return replication.Offset(n), err == nil && n >= 0
}

// watch ends the feeder if the replica falls behind beyond the limit, or if it has not
// read for a timeout that was lowered meanwhile.
func (f *feeder) watch(ctx context.Context) {
	tick := time.NewTicker(second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if began := f.writing.Load(); began != 0 && now.UnixNano()-began > int64(f.timeout()) {
				f.cancel(ErrTimeout)
			}
			at := f.sent.Load()
			if at == unsent {
				at = f.owed.Load()
			}
			if at != unsent && f.beyond(now, int64(f.primary.cfg.Stream.End())-at) {
				f.cancel(ErrLag)
			}
		}
	}
}

// beyond reports whether a replica that is behind by so many bytes has
// exhausted its limit.
func (f *feeder) beyond(now time.Time, behind int64) bool {
	limit := f.primary.cfg.Settings().Limit
	if limit.HardBytes > 0 && behind > limit.HardBytes {
		return true
	}
	if limit.SoftBytes == 0 || behind <= limit.SoftBytes {
		f.softSince = time.Time{}
		return false
	}
	if f.softSince.IsZero() {
		f.softSince = now
	}
	return now.Sub(f.softSince) >= limit.SoftTime
}

// ip is where the replica is, as others are told.
func (f *feeder) ip() string {
	if f.handshake.IP != "" {
		return f.handshake.IP
	}
	host, _, err := net.SplitHostPort(f.conn.RemoteAddr().String())
	if err != nil {
		return f.conn.RemoteAddr().String()
	}
	return host
}

// name is how the log calls the replica, as replicationGetSlaveName does.
func (f *feeder) name() string {
	if f.handshake.ListeningPort == 0 {
		return fmt.Sprintf("client id #%d", f.id)
	}
	return net.JoinHostPort(f.ip(), strconv.Itoa(f.handshake.ListeningPort))
}
