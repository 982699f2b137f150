package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// ending is how a server ends. A shutdown first holds writes back and waits
// until the replicas have all there is, or with FAILOVER until one of them has taken over,
// for shutdown-timeout at most; then it
// saves what has to be saved, and Run returns. Until then it can be aborted.
type ending struct {
	once sync.Once
	done chan struct{}
	tell func() // that Run is about to return

	saving atomic.Bool // the last snapshot is being written

	// until is when the wait for replicas ends, in Unix milliseconds; 0: no
	// shutdown waits. Like the rest it changes with all loops stopped and the
	// world locked.
	until   atomic.Int64
	how     config.Shutdown
	clients []command.Resume // that asked, and go on if it fails
	// awaits is what the wait is for. giveUp ends the handover, if that is it.
	awaits atomic.Int32
	giveUp context.CancelFunc

	// signalled says that a signal has begun a shutdown, which has not failed.
	signalled atomic.Bool
	// deferred is the shutdown of a signal that waits while DEBUG PAUSE-CRON is on, as
	// it is the housekeeping that sees signals in Redis.
	deferred atomic.Pointer[config.Shutdown]
}

// What a shutdown waits for.
const (
	awaitReplicas int32 = iota // until they have acknowledged all there is
	awaitHeir                  // until a replica has taken over
	awaitClients               // until clients have heard of that; the time alone ends it
)

const (
	// leastHandover is how long a handover may take at least: with shutdown-timeout 0, or
	// with NOW, nobody waits for replicas to catch up, but one that has may take over.
	leastHandover = time.Second
	// redirectTime is for how long the server sends clients to the new primary.
	redirectTime = 100 * time.Millisecond
)

// Shutdown ends the server on SIGTERM, or on SIGINT if interrupt is set: with
// a snapshot if one is configured, unless shutdown-on-sigterm or
// shutdown-on-sigint says otherwise. It returns when the shutdown has begun, and has
// saved if it does not wait for anybody; the error says why it goes on instead, and so does the log. A second
// signal meanwhile does nothing.
func (s *Server) Shutdown(interrupt bool) error {
	how, name := s.config.Current().ShutdownOnSigterm, "SIGTERM"
	if interrupt {
		how, name = s.config.Current().ShutdownOnSigint, "SIGINT"
	}
	s.log.Warn("Received " + name + " scheduling shutdown...")
	e := &s.ending
	if e.signalled.Swap(true) {
		return nil
	}
	if s.cronPaused.Load() {
		e.deferred.Store(&how)
		if s.cronPaused.Load() || e.deferred.Swap(nil) == nil {
			return nil // whoever ends the pause, goes on with it
		}
	}
	return s.endBySignal(how)
}

// endBySignal begins the shutdown of a signal.
func (s *Server) endBySignal(how config.Shutdown) error {
	s.debugs.hangUp(false) // whose clients may think for ever
	var err error
	s.Everything(func(tx *storage.Tx) { err = s.beginEnd(tx, how, nil) })
	return err
}

// Ending reports whether a signal has begun a shutdown that still may end the server.
func (s *Server) Ending() bool { return s.ending.signalled.Load() }

// PauseCron is DEBUG PAUSE-CRON: admin.Server.
func (s *Server) PauseCron(on bool) {
	s.cronPaused.Store(on)
	if on {
		return
	}
	if how := s.ending.deferred.Swap(nil); how != nil {
		s.Go(func() { _ = s.endBySignal(*how) })
	}
}

// BeginShutdown is SHUTDOWN: admin.Server.
func (s *Server) BeginShutdown(tx *storage.Tx, how config.Shutdown, client command.Resume) {
	_ = s.beginEnd(tx, how, client)
}

// AbortShutdown is SHUTDOWN ABORT: admin.Server.
func (s *Server) AbortShutdown(tx *storage.Tx) bool {
	deferred := s.ending.deferred.Swap(nil) != nil
	if s.ending.until.Load() == 0 && !deferred {
		return false
	}
	s.log.Warn("Shutdown manually aborted.")
	s.cancelEnd(tx)
	return true
}

// beginEnd begins a shutdown, or joins the one that waits for replicas. client
// is nil or goes on with the connection that asked, if the shutdown fails; the
// error then says why. All loops are stopped and tx holds the world.
func (s *Server) beginEnd(tx *storage.Tx, how config.Shutdown, client command.Resume) error {
	e := &s.ending
	if client != nil {
		e.clients = append(e.clients, client)
	}
	if e.until.Load() != 0 {
		return nil
	}
	s.log.Warn("User requested shutdown...")
	e.how = how
	if s.beginHandover(tx) {
		return nil
	}
	timeout := s.endTimeout()
	if timeout == 0 || len(s.behind()) == 0 {
		return s.finishEnd(tx)
	}
	// The replicas are not asked: the question would be a part of the stream
	// that their answer does not count. They tell once a second.
	e.awaits.Store(awaitReplicas)
	e.until.Store(s.now() + timeout.Milliseconds())
	s.beginPause(tx, pauseByShutdown, math.MaxInt64, false)
	s.log.Info("Waiting for replicas before shutting down.")
	return nil
}

// endTimeout is how long the shutdown waits for replicas that lack something.
func (s *Server) endTimeout() time.Duration {
	if s.ending.how&config.ShutdownNow != 0 {
		return 0
	}
	return s.config.Current().ShutdownTimeout
}

// beginHandover has a replica take over first, if that is asked for and the server is a
// primary of a cluster. Writes are held back until the end: they are answered by the
// redirection to the new primary, or not at all. All loops are stopped and tx holds the
// world.
func (s *Server) beginHandover(tx *storage.Tx) bool {
	e := &s.ending
	switch {
	case e.how&config.ShutdownFailover == 0:
		return false
	case s.cluster == nil:
		s.log.Warn("There is no cluster: the failover that was asked for with the shutdown is left out.")
		return false
	case s.replication == nil || s.Loading() || !s.cluster.Votes():
		return false // it has nothing to hand over
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.giveUp = cancel
	e.awaits.Store(awaitHeir)
	e.until.Store(s.now() + max(s.endTimeout(), leastHandover).Milliseconds())
	s.beginPause(tx, pauseByShutdown, math.MaxInt64, false)
	s.log.Info("A replica is to take over before shutting down.")
	s.replication.HandOver(ctx, func(over bool) {
		s.Everything(func(tx *storage.Tx) {
			if ctx.Err() == nil {
				s.handedOver(tx, over)
			}
		})
	})
	return true
}

// handedOver goes on with a shutdown when a replica has taken over, or when none will. All
// loops are stopped and tx holds the world.
func (s *Server) handedOver(tx *storage.Tx, over bool) {
	e := &s.ending
	s.endHandover()
	switch {
	case over:
		s.log.Info("A replica has taken over. Clients are sent to it.")
		e.awaits.Store(awaitClients)
		e.until.Store(min(e.until.Load(), s.now()+redirectTime.Milliseconds()))
		s.retryAll()
	case s.endTimeout() == 0 || len(s.behind()) == 0:
		_ = s.finishEnd(tx)
	default:
		e.awaits.Store(awaitReplicas)
		s.log.Info("Waiting for replicas before shutting down.")
	}
}

// endHandover has the handover that may be under way given up.
func (s *Server) endHandover() {
	if e := &s.ending; e.giveUp != nil {
		e.giveUp()
		e.giveUp = nil
	}
}

// behind names the replicas that have not acknowledged all there is.
func (s *Server) behind() []string {
	if s.replication == nil {
		return nil
	}
	names, _ := s.replication.Behind(s.stream.End())
	return names
}

// acknowledged looks whether a shutdown has waited for the acknowledgement that
// just came. Any goroutine may call it.
func (s *Server) acknowledged() {
	s.waiters.recheck()
	if l := s.loops[0]; s.ending.until.Load() != 0 {
		l.post(func() { s.continueEnd(l) })
	}
}

// continueEnd goes on with a shutdown that has waited for replicas, if they
// have caught up or the time is over. l is loop 0.
func (s *Server) continueEnd(l *loop) {
	over := func() bool {
		until := s.ending.until.Load()
		return until != 0 && (s.now() >= until || s.ending.awaits.Load() == awaitReplicas && len(s.behind()) == 0)
	}
	if over() {
		l.everything(func(tx *storage.Tx) {
			if over() {
				_ = s.finishEnd(tx)
			}
		})
	}
}

// cancelEnd goes on as if nobody had asked for a shutdown. All loops are
// stopped and tx holds the world.
func (s *Server) cancelEnd(tx *storage.Tx) {
	e := &s.ending
	for _, client := range e.clients {
		client(0, func(w *resp.Writer) { w.Error(resp.ErrShutdown) })
	}
	e.clients, e.how = nil, 0
	s.endHandover()
	e.awaits.Store(awaitReplicas)
	e.until.Store(0)
	e.signalled.Store(false)
	s.endPause(tx, pauseByShutdown)
}

// finishEnd writes what has to be on disk and ends the server; no command
// runs any more. If it fails the server goes on. All loops are stopped and tx
// holds the world.
func (s *Server) finishEnd(tx *storage.Tx) error {
	s.logReplicas()
	if s.ending.awaits.Load() == awaitHeir {
		s.log.Warn("No replica has taken over in time.")
	}
	s.endHandover()
	err := s.safeEnd(s.ending.how)
	if err == nil {
		err = s.firstBase(s.ending.how)
	}
	if err == nil {
		err = s.saveAtEnd(tx, s.ending.how)
	}
	if err != nil {
		s.log.Warn("Errors trying to shut down the server. Check the logs for more information.")
		s.cancelEnd(tx)
		return err
	}
	s.ending.until.Store(0)
	s.beginPause(tx, pauseByShutdown, math.MaxInt64, true)
	s.End()
	return nil
}

// logReplicas tells which replicas lack something at the end.
func (s *Server) logReplicas() {
	if s.replication == nil {
		return
	}
	names, all := s.replication.Behind(s.stream.End())
	for _, name := range names {
		s.log.Info("Lagging replica " + name + ".")
	}
	if all > 0 {
		s.log.Info(fmt.Sprintf("%d of %d replicas are in sync when shutting down.", all-len(names), all))
	}
}

// errUnsafe is why a shutdown is refused.
var errUnsafe = errors.New("server: it is a primary with slots, and the end was to be safe")

// safeEnd refuses the end of a primary with slots if it is to be safe, as in Valkey 9.
func (s *Server) safeEnd(how config.Shutdown) error {
	if how&config.ShutdownSafe == 0 || s.cluster == nil || !s.cluster.Votes() {
		return nil
	}
	if how&config.ShutdownForce != 0 {
		s.log.Warn("This is a master with slots. Exit anyway.")
		return nil
	}
	s.log.Warn("This is a master with slots: without it the cluster may go down, can't exit.")
	return errUnsafe
}

// errFirstBase is why a shutdown is refused.
var errFirstBase = errors.New("server: the journal has no base yet")

// firstBase refuses an end after which a restart would not find the data, because
// the journal that was switched on has no base yet.
func (s *Server) firstBase(how config.Shutdown) error {
	if s.persistence == nil || !s.persistence.AwaitsFirstBase() {
		return nil
	}
	if how&config.ShutdownForce != 0 {
		s.log.Warn("Writing initial AOF. Exit anyway.")
		return nil
	}
	s.log.Warn("Writing initial AOF, can't exit.")
	return errFirstBase
}

// saveAtEnd takes the last snapshot, if one is asked for or configured.
func (s *Server) saveAtEnd(tx *storage.Tx, how config.Shutdown) error {
	save := how&config.ShutdownSave != 0 || len(s.config.Current().Save) > 0 && how&config.ShutdownNoSave == 0
	if s.persistence == nil || !save || s.Loading() { // while loading there is nothing whole to save, as in Redis
		return nil
	}
	s.log.Info("Saving the final RDB snapshot before exiting.")
	s.ending.saving.Store(true)
	defer s.ending.saving.Store(false)
	err := s.persistence.SaveAtEnd(tx)
	if err != nil && how&config.ShutdownForce != 0 {
		s.log.Warn("Error trying to save the DB. Exit anyway", zap.Error(err))
		return nil
	}
	if err != nil {
		s.log.Warn("Error trying to save the DB, can't exit", zap.Error(err))
	}
	return err
}

// EndNow is SHUTDOWN NOSAVE while a script takes long: admin.Server.
func (s *Server) EndNow() {
	s.log.Warn("User requested shutdown... A script is running: nothing is saved.")
	s.End()
}

// End has Run return.
func (s *Server) End() { s.ending.once.Do(func() { close(s.ending.done) }) }
