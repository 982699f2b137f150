// Package sentinel is the Sentinel program: the core of package cluster/sentinel
// with real connections, a real clock and a configuration file.
//
// A Sentinel has two halves, each of which has its own goroutines. Clients are
// served by the event loops of package server, as those of a node are, with a table
// that has no commands on data. The other half is the driver: one goroutine owns the
// core and everything about the masters. Commands about those post a function to it
// and let the client wait; events that the driver makes go the other way, as
// messages of pub/sub.
//
// The configuration file is also what the Sentinel remembers: its id, its votes, and
// who is known. Whatever the core says must wait for the disk, waits for a rewrite of
// that file (saver). redis-sentinel can go on with a file of ours, and the other way
// round.
//
// What is not here: judging instances, elections and failovers are the core's
// (package cluster/sentinel), parsing and rewriting of files is package config's.
package sentinel

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/config"
	"redoubt/internal/server"
	"redoubt/storage"
)

// Config is what a Sentinel starts with.
type Config struct {
	// Settings were loaded with config.Source.Sentinel.
	Settings *config.Config
	// Product names the program in errors of the configuration file.
	Product string
	Log     *zap.Logger
	// Listening is called once connections are taken, and Ending once nothing can change
	// any more that the Sentinel ends; they may be nil.
	Listening func()
	Ending    func()
	// Supervised is which service manager watches the process; "": none.
	Supervised string
}

// Sentinel is a Sentinel between New and the end of Run.
type Sentinel struct {
	driver    *driver
	server    *server.Server
	log       *zap.Logger
	listening func()
}

// exitSimulated is the status of a process that ends because SENTINEL
// SIMULATE-FAILURE asked for it (sentinelSimFailureCrash).
const exitSimulated = 99

// Check refuses a configuration that a Sentinel cannot begin with: its file must be
// such that votes can be kept in it. product is as in Config.
func Check(settings *config.Config, product string) error {
	if err := checkFile(settings.Path()); err != nil {
		return err
	}
	_, err := readFile(settings, product)
	return err
}

// New makes a Sentinel that does not listen yet. It refuses what Check refuses.
func New(c Config) (*Sentinel, error) {
	if err := checkFile(c.Settings.Path()); err != nil {
		return nil, err
	}
	f, err := readFile(c.Settings, c.Product)
	if err != nil {
		return nil, err
	}
	cfg := c.Settings.Current()
	f.settings.Port = uint16(cfg.Port)
	f.settings.RequirePass = cfg.RequirePass
	seed, runID, err := randomness()
	if err != nil {
		return nil, err
	}
	node, err := core.New(time.Now(), core.Config{Settings: f.settings, State: f.state, Rand: seed})
	if err != nil {
		return nil, err
	}
	s := &Sentinel{driver: newDriver(c.Settings, f, node, c.Log), log: c.Log, listening: c.Listening}
	if s.listening == nil {
		s.listening = func() {}
	}
	s.server, err = server.New(server.Config{
		Settings: c.Settings, Keyspace: storage.New(storage.Config{Databases: 1, Stream: noStream{}}), Stream: noStream{},
		Sentinel: s, Program: s, Rows: s.rows(), Log: c.Log, RunID: runID, Ending: c.Ending, Supervised: c.Supervised,
	})
	if err != nil {
		return nil, err
	}
	s.driver.publish = func(channel, payload string) { s.server.Publish([]byte(channel), []byte(payload), false) }
	s.driver.exit = func() { os.Exit(exitSimulated) }
	return s, nil
}

// checkFile refuses a configuration file that is not there or cannot be written
// (sentinelCheckConfigFile).
func checkFile(path string) error {
	if path == "" {
		return errors.New("Sentinel needs config file on disk to save state. Exiting...")
	}
	const mayWrite = 2 // W_OK
	if err := syscall.Access(path, mayWrite); err != nil {
		return fmt.Errorf("Sentinel config file %s is not writable: %s. Exiting...", path, capital(err))
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("Sentinel config file %s is not a regular file. Exiting...", path)
	}
	return nil
}

// capital is the system's text of an error as strerror has it.
func capital(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// randomness is a source for the core, and the id of this run.
func randomness() (*rand.Rand, string, error) {
	var seed [16]byte
	id := make([]byte, idLength/2)
	if _, err := crand.Read(seed[:]); err != nil {
		return nil, "", err
	}
	if _, err := crand.Read(id); err != nil {
		return nil, "", err
	}
	a, b := binary.LittleEndian.Uint64(seed[:8]), binary.LittleEndian.Uint64(seed[8:])
	return rand.New(rand.NewPCG(a, b)), hex.EncodeToString(id), nil
}

// Run serves until ctx ends or a client shuts the Sentinel down.
func (s *Sentinel) Run(ctx context.Context) error {
	if err := s.driver.saveFirst(); err != nil {
		return err
	}
	if err := s.server.Listen(); err != nil {
		return err
	}
	s.listening()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	driven := make(chan struct{})
	go func() {
		defer close(driven)
		s.driver.run(ctx)
	}()
	err := s.server.Run(ctx)
	cancel()
	<-driven
	return err
}

// Shutdown ends the Sentinel as the signals SIGINT and SIGTERM do. It may be called by
// any goroutine. The log says why it does not.
func (s *Sentinel) Shutdown(interrupt bool) { _ = s.server.Shutdown(interrupt) }

// Ending reports whether a signal has begun a shutdown that still may end the Sentinel.
func (s *Sentinel) Ending() bool { return s.server.Ending() }

// Abandon is called before the process ends at once, at a second SIGINT. The file is
// written in one step, so there is nothing to tidy up.
func (s *Sentinel) Abandon() { s.log.Warn("You insist... exiting now.") }
