package server

import (
	"math"
	"sync"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// ending is how a server stops.
type ending struct {
	once sync.Once
	done chan struct{}
}

func shutdownCommand(x *command.Ctx) {
	how, abort, err := shutdownOptions(x.Args[1:])
	if err != "" {
		x.Out.Error(err)
		return
	}
	if abort {
		x.Out.Error(resp.ErrNoShutdown)
		return
	}
	l := loopOf(x)
	failed := false
	l.everything(func(tx *storage.Tx) { failed = l.srv.prepareEnd(tx, how) != nil })
	if failed {
		x.Out.Error(resp.ErrShutdown)
		return
	}
	connOf(x).state |= stateClosing
	l.srv.End()
}

// shutdownOptions reads the words of SHUTDOWN.
func shutdownOptions(words [][]byte) (how config.Shutdown, abort bool, err resp.Error) {
	for _, w := range words {
		switch {
		case equalFold(w, "nosave"):
			how |= config.ShutdownNoSave
		case equalFold(w, "save"):
			how |= config.ShutdownSave
		case equalFold(w, "now"):
			how |= config.ShutdownNow
		case equalFold(w, "force"):
			how |= config.ShutdownForce
		case equalFold(w, "abort"):
			abort = true
		default:
			return 0, false, resp.ErrSyntax
		}
	}
	if abort && how != 0 || how&config.ShutdownSave != 0 && how&config.ShutdownNoSave != 0 {
		return 0, false, resp.ErrSyntax
	}
	return how, abort, ""
}

// Shutdown stops the server on SIGTERM, or on SIGINT if interrupt is set: with
// a snapshot if one is configured, unless shutdown-on-sigterm or
// shutdown-on-sigint says otherwise. The error says why it goes on instead.
func (s *Server) Shutdown(interrupt bool) error {
	how, name := s.config.Current().ShutdownOnSigterm, "SIGTERM"
	if interrupt {
		how, name = s.config.Current().ShutdownOnSigint, "SIGINT"
	}
	s.log.Warn("Received " + name + " scheduling shutdown...")
	var err error
	s.stopLoops(nil)
	s.keyspace.World(s.now(), func(tx *storage.Tx) { err = s.prepareEnd(tx, how) })
	s.resumeLoops(nil)
	if err == nil {
		s.End()
	}
	return err
}

// prepareEnd writes what has to be on disk before the server stops. If it
// succeeds no command runs any more. All loops are stopped and tx holds the
// world.
func (s *Server) prepareEnd(tx *storage.Tx, how config.Shutdown) error {
	s.log.Warn("User requested shutdown...")
	cfg := s.config.Current()
	save := how&config.ShutdownSave != 0 || len(cfg.Save) > 0 && how&config.ShutdownNoSave == 0
	if s.isLoading() {
		save = false // there is nothing whole to save, as in Redis
	}
	if s.persistence != nil && save {
		s.log.Info("Saving the final RDB snapshot before exiting.")
		if err := s.persistence.Save(tx); err != nil && how&config.ShutdownForce == 0 {
			s.log.Warn("Error trying to save the DB, can't exit: " + err.Error())
			return err
		}
	}
	s.beginPause(tx, pauseByShutdown, math.MaxInt64, true)
	return nil
}

// End stops the server: Run returns.
func (s *Server) End() { s.ending.once.Do(func() { close(s.ending.done) }) }
