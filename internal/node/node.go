// Package node is one node of Redoubt: the event loops of package server with a
// keyspace, the stream and its journal, snapshots, replication and, in cluster
// mode, the driver of package cluster. Persistence and the replicator stand in
// files of this package, the driver and the mover in packages of their own; this
// file says in which order all of them begin and end.
//
// What runs where. Event loops execute commands. Goroutines of the node only
// move bytes and files, or decide: one orders snapshots (persistence.go), one
// owns the cluster's state machine (package driver), one belongs to each replica
// and one to the link to a primary (package psync). Where they must change data or
// the node's role they take the world lock, like an execution unit.
package node

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/aof"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/metrics"
	"redoubt/internal/node/driver"
	"redoubt/internal/node/mover"
	"redoubt/internal/reason"
	"redoubt/internal/server"
	"redoubt/internal/tlsconf"
	"redoubt/replication"
	"redoubt/replication/psync"
	"redoubt/storage"
	"redoubt/storage/journal"
	"redoubt/storage/rdb"
)

// Config is what a node starts with.
type Config struct {
	Settings *config.Config
	Log      *zap.Logger
	Role     func(replica bool) // told at each change of role; may be nil
	// Listening is called once connections are taken, before the data are loaded, Ready
	// once they are, and Ending once nothing can change any more that the node ends. They
	// may be nil.
	Listening func()
	Ready     func()
	Ending    func()
	// Supervised is which service manager watches the process; "": none.
	Supervised string
}

// Node is a node between New and the end of Run.
type Node struct {
	config  *config.Config
	log     *zap.Logger
	runID   string
	role    func(replica bool) // told at each change of role
	listens func()             // told once it does
	ready   func()             // told once it serves
	life    life

	lockMu      sync.Mutex
	lock        *dirLock // of the journal's directory; nil while the journal is off; guarded by lockMu once New is over
	dumpLock    *dirLock // of the dump; nil if the journal was on at the start
	stream      *journal.Stream
	recovered   *journal.Recovered
	changed     replication.Offset // where the last replay met the last unit that changes data
	adoption    adoption           // of append-only files of Redis
	keys        *storage.Keyspace
	persistence *persistence
	replicator  *replicator
	commits     *commits
	quorum      *quorum // nil without durability quorum
	mover       *mover.Mover
	cluster     *driver.Driver // nil outside cluster mode
	server      *server.Server
	watching    atomic.Pointer[server.Server] // the server, once there is one, for the journal's goroutine
	applier     *command.Applier              // of the replayed and the received stream
	besides     []*storage.Executor           // load files beside the applier's
	syncs       metrics.SharedTimes           // fsyncs of the journal
	memory      memoryKeeper
	oom         oomScore
	tls         *tlsconf.Source // loaded by the server
}

// New makes a node's parts, without loading data or listening. The data
// directory must exist.
func New(c Config) (*Node, error) {
	id := make([]byte, 20)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	n := &Node{config: c.Settings, log: c.Log, runID: hex.EncodeToString(id), role: c.Role, listens: c.Listening, ready: c.Ready,
		oom: oomScore{path: "/proc/self/oom_score_adj"}, tls: new(tlsconf.Source)}
	if n.role == nil {
		n.role = func(bool) {}
	}
	if n.listens == nil {
		n.listens = func() {}
	}
	if n.ready == nil {
		n.ready = func() {}
	}
	cfg := c.Settings.Current()
	var err error
	if n.adoption, err = planAdoption(cfg); err != nil {
		return nil, err
	}
	if cfg.AppendOnly {
		if n.lock, err = lockDir(n.journalConfig(cfg).Dir); err != nil {
			return nil, err
		}
	} else {
		var warning error
		if n.dumpLock, warning, err = lockDump(cfg); err != nil {
			return nil, err
		}
		if warning != nil {
			n.log.Warn("Another process may replace the dump of this node: " + reason.Of(warning))
		}
	}
	if err := n.adoption.prepare(n.log); err != nil {
		return nil, errors.Join(err, n.lock.release(), n.dumpLock.release())
	}
	if n.stream, n.recovered, err = journal.Open(n.journalConfig(cfg)); err != nil {
		return nil, errors.Join(err, n.lock.release(), n.dumpLock.release())
	}
	databases := cfg.Databases
	if cfg.ClusterEnabled {
		databases = 1
	}
	n.keys = storage.New(storage.Config{Databases: databases, Stream: n.stream, Seed: uint64(time.Now().UnixNano())})
	n.commits = newCommits(n.stream, cfg.MinReplicasToAck)
	if cfg.Durability == config.DurabilityQuorum {
		n.quorum = newQuorum(n)
		n.commits.quorum = n.quorum
	}
	n.replicator = newReplicator(n)
	n.persistence = &persistence{
		config: c.Settings, keys: n.keys, stream: n.stream, log: c.Log,
		history: n.replicator.History,
		kick:    func() { n.server.Wake() },
		unused:  n.unused,

		beforeBase: func() { n.replicator.keepOlderBase(time.Now()) },
	}
	n.persistence.prepare()
	sc := server.Config{
		Settings: c.Settings, Keyspace: n.keys, Stream: n.commits,
		Replication: n.replicator, Persistence: n.persistence,
		Program: monitored{n},
		Log:     c.Log, RunID: n.runID, Supervised: c.Supervised,
		TLS: n.tls,
		Ending: func() {
			n.life.phase.Store(int32(ending))
			if c.Ending != nil {
				c.Ending()
			}
		},
	}
	n.mover = mover.New(mover.Parts{Keys: n.keys, Cluster: cfg.ClusterEnabled, TLS: n.busTLS})
	sc.Rows, sc.CachedTargets = n.mover.Rows(), n.mover.CachedTargets
	if cfg.ClusterEnabled {
		if n.cluster, err = newDriver(n); err != nil {
			return nil, errors.Join(err, n.closeStream())
		}
		sc.Cluster = n.cluster
		if n.quorum != nil {
			sc.Cluster = elected{n.cluster, n}
		}
	} else {
		sc.Rows = append(sc.Rows, server.WithoutCluster(n.cluster.Rows())...)
	}
	if n.server, err = server.New(sc); err != nil {
		return nil, errors.Join(err, n.closeStream())
	}
	n.persistence.libraries = n.server
	n.applier = command.NewApplier(n.server.Table(), n.keys.NewExecutor(), n.server)
	n.applier.Failed = func(args [][]byte, err string) {
		n.log.Warn(fmt.Sprintf("A command of the stream failed: '%s': %s", args[0], strings.TrimPrefix(err, "-")))
	}
	n.applier.Side = n.sideOf
	n.server.ServeReaders(n.applier)
	if !cfg.ClusterEnabled {
		n.server.ServeBeside(n.mover.Executor()) // in a cluster they are redirected when the slot has moved
	}
	n.server.CountApplied(n.applier.Runner())
	n.watching.Store(n.server)
	n.followSettings()
	if err := n.oom.follow(cfg, cfg.ReplicaOf.Host != ""); err != nil {
		n.log.Warn(reason.Of(err))
	}
	return n, nil
}

// followSettings makes CONFIG SET of the directives about the journal act.
func (n *Node) followSettings() {
	n.config.OnChange(func(old, next *config.Settings) error {
		n.stream.SetPolicy(policyOf(next))
		return nil
	}, "appendfsync")
	n.config.OnChange(func(old, next *config.Settings) error {
		if next.TLSReplication != old.TLSReplication {
			n.server.Go(func() {
				n.server.Everything(func(*storage.Tx) {}) // until the settings are in force
				n.replicator.relink()
			})
		}
		return nil
	}, "tls-replication")
	n.config.OnChange(func(old, next *config.Settings) error {
		if next.MinReplicasToAck != old.MinReplicasToAck {
			n.commits.setNeed(next.MinReplicasToAck)
		}
		return nil
	}, "min-replicas-to-ack")
	n.config.OnChange(func(_, next *config.Settings) error {
		n.replicator.primary.SetAhead(next.ReplSendBeforeReply)
		return nil
	}, "repl-send-before-reply")
	n.config.OnChange(func(old, next *config.Settings) error {
		n.stream.SetBacklogBytes(backlogBytes(next))
		return nil
	}, "repl-backlog-size")
	n.config.OnChange(func(old, next *config.Settings) error {
		select {
		case n.replicator.sentinels.wake <- struct{}{}:
		default:
		}
		return nil
	}, "sentinel-confirm-timeout")
	n.config.OnChange(func(old, next *config.Settings) error { return n.oom.follow(next, n.server.IsReplica()) },
		"oom-score-adj", "oom-score-adj-values")
	n.config.OnChange(func(old, next *config.Settings) error {
		switch {
		case next.AppendOnly == old.AppendOnly:
			return nil
		case !next.AppendOnly:
			return n.disableJournal()
		}
		return n.enableJournal()
	}, "appendonly")
}

// roleChanged lets all parts see that the node has become a primary or a replica.
func (n *Node) roleChanged() {
	n.server.RoleChanged()
	if err := n.oom.follow(n.config.Current(), n.server.IsReplica()); err != nil {
		n.log.Warn(reason.Of(err))
	}
}

// enableJournal and disableJournal are CONFIG SET appendonly.
func (n *Node) enableJournal() error {
	if _, err := aof.Find(n.persistence.place()); err != nil {
		return err // the next start would be refused
	}
	if err := n.lockJournal(); err != nil {
		return err
	}
	// The state stands still: whoever calls this holds the world.
	s, standing := n.replicator.state.Load(), n.replicator.Standing()
	if err := n.stream.Enable(s.history, s.replica, standing.Fitness()); err != nil {
		return errors.Join(err, n.unlock())
	}
	n.persistence.askFirstBase()
	return nil
}

func (n *Node) lockJournal() (err error) {
	n.lockMu.Lock()
	defer n.lockMu.Unlock()
	if n.lock == nil {
		n.lock, err = lockDir(n.stream.Dir())
	}
	return err
}

// unused runs f with the journal's directory locked, while there is no journal.
func (n *Node) unused(f func() error) error {
	n.lockMu.Lock()
	defer n.lockMu.Unlock()
	if n.lock != nil {
		return errSwitchedOff
	}
	lock, err := lockDir(n.stream.Dir())
	if err != nil {
		return err
	}
	return errors.Join(f(), lock.release())
}

func (n *Node) disableJournal() error {
	n.persistence.giveUpBase()
	if err := n.stream.Disable(); err != nil {
		return err
	}
	return n.unlock()
}

// closeStream ends the stream and gives up its directory.
func (n *Node) closeStream() error {
	return errors.Join(n.stream.Close(), n.unlock(), n.dumpLock.release())
}

func (n *Node) unlock() error {
	n.lockMu.Lock()
	defer n.lockMu.Unlock()
	l := n.lock
	n.lock = nil
	return l.release()
}

func policy(f config.Fsync) journal.Policy {
	switch f {
	case config.FsyncAlways:
		return journal.Always
	case config.FsyncNo:
		return journal.No
	}
	return journal.EverySec
}

// policyOf is when the journal is to be synced. What a quorum shard agrees on is on the
// disks of its nodes, whatever appendfsync says: it asks for that.
func policyOf(c *config.Settings) journal.Policy {
	if c.Durability == config.DurabilityQuorum {
		return journal.OnDemand
	}
	return policy(c.AppendFsync)
}

// minBacklogBytes is the least backlog without a journal, as Redis's
// CONFIG_REPL_BACKLOG_MIN_SIZE.
const minBacklogBytes = 16 << 10

func backlogBytes(c *config.Settings) int { return max(int(c.ReplBacklogBytes), minBacklogBytes) }

func (n *Node) journalConfig(c *config.Settings) journal.Config {
	return journal.Config{
		Dir:          filepath.Join(c.Dir, c.AppendDirName),
		Enabled:      c.AppendOnly,
		Policy:       policyOf(c),
		BacklogBytes: backlogBytes(c),
		Log:          n.log,
		RefuseTorn:   !c.AOFLoadTruncated,
		Observed:     n.observeDisk,
	}
}

// observeDisk counts fsyncs of the journal, and notes its slow writes under Redis's names
// for them. An fsync that no reply waits for delays nobody.
func (n *Node) observeDisk(took time.Duration, sync bool) {
	if sync {
		n.syncs.Record(took)
	}
	s := n.watching.Load()
	switch {
	case s == nil: // there is no server yet
	case !sync:
		s.NoteLatency("aof-write", took)
	case n.stream.Policy() == journal.Always, n.quorum != nil:
		s.NoteLatency("aof-fsync-always", took)
	}
}

// Run loads the data, joins the cluster and serves until ctx ends or a client
// shuts the node down.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := n.server.Listen(); err != nil {
		return err
	}
	n.server.SetStarting()
	n.listens()
	served := make(chan error, 1)
	go func() { served <- n.server.Run(ctx) }()
	err := n.begin(ctx)
	if err == nil {
		n.server.SetLoading(false)
		n.log.Info("Ready to accept connections")
		n.life.phase.CompareAndSwap(int32(starting), int32(serving))
		n.ready()
		err = <-served
	} else {
		cancel()
		<-served
	}
	return errors.Join(err, n.end())
}

// begin is what happens between listening and serving.
func (n *Node) begin(ctx context.Context) error {
	began := time.Now()
	if n.cluster != nil {
		if err := n.cluster.Listen(); err != nil {
			return err
		}
	}
	n.memory.start(n.keys)
	l, err := n.restore()
	n.loader().Retire()
	if err != nil {
		return fmt.Errorf("load the data: %w", err)
	}
	from := "disk"
	if n.stream.Enabled() {
		from = "append only file"
	}
	n.log.Info(fmt.Sprintf("DB loaded from %s: %.3f seconds (%d keys)", from, time.Since(began).Seconds(), count(n.keys)))
	n.persistence.start(ctx, l)
	if err := n.replicator.start(ctx); err != nil {
		return err
	}
	if n.cluster != nil {
		if err := n.cluster.Start(ctx); err != nil {
			return err
		}
	}
	if n.quorum != nil {
		return n.quorum.start()
	}
	return nil
}

// end closes the parts in the reverse order.
func (n *Node) end() error {
	var ended error
	if n.quorum != nil {
		ended = n.quorum.Close()
	}
	if n.cluster != nil {
		n.cluster.Close()
	}
	n.mover.Close()
	n.replicator.Close()
	err := n.persistence.Close()
	n.memory.Close()
	return errors.Join(ended, err, n.closeStream())
}

// leastHang is for how long something must have hung at least, whatever the node
// timeout is: a loop looks as if it did between two of its looks at the clock.
const leastHang = time.Second

// facts is what the cluster's state machine must know of the node.
func (n *Node) facts() cluster.Facts {
	_, long := n.hang(time.Now())
	standing := n.replicator.Standing()
	offset, contact := standing.Offer(n.stream.End())
	return cluster.Facts{
		Replica:        standing.Replica(),
		Primary:        bus.NodeID(standing.Source().Primary),
		Offset:         int64(offset),
		PrimaryContact: contact,
		Outrun:         n.replicator.outrun.Load(),
		Replicated:     n.replicator.primary.Came() > 0,
		Elected:        n.quorum.elects(),
		// A primary whose disk or one of whose loops hangs leaves clients without an
		// answer and must be replaced.
		Unwell: long > max(n.config.Current().ClusterNodeTimeout, leastHang),
	}
}

// hang is what has been under way for longest, and for how long: a disk operation, or a
// command that holds a loop up. A full disk does not hang: it refuses. A script that takes
// long holds no loop up.
func (n *Node) hang(now time.Time) (what string, long time.Duration) {
	disk, loop := n.stream.Stalled(now), n.server.Hung()
	if disk > loop {
		return "a disk operation", disk
	}
	return "a command", loop
}

// hangs is hang in words.
func (n *Node) hangs() string {
	what, long := n.hang(time.Now())
	return what + " has taken " + long.Round(time.Millisecond).String() + " so far"
}

// restore fills the keyspace with what is on disk: docs/durability.md has the
// table of cases. It leaves the stream at the offset the data are as of.
func (n *Node) restore() (loaded, error) {
	cfg := n.config.Current()
	dump := ""
	if cfg.DBFilename != "" { // without a name there is no dump, and what has no path is not there
		dump = filepath.Join(cfg.Dir, cfg.DBFilename)
	}
	if n.recovered.Found {
		return n.restoreJournal()
	}
	if n.adoption.files != nil {
		return n.adoptFiles()
	}
	if err := n.refuseEmptyStart(dump); err != nil {
		return loaded{}, err
	}
	n.persistence.expect(dump, 0)
	l, err := n.loadDump(dump)
	if errors.Is(err, fs.ErrNotExist) {
		return loaded{}, nil
	}
	if err != nil {
		if errors.Is(err, rdb.ErrCorrupt) {
			n.log.Warn("Internal error in RDB reading", zap.Error(err))
		}
		return l, fmt.Errorf("Terminating server after rdb file reading failure. %w", err)
	}
	n.log.Info("The data are those of " + dump)
	if l.skipped != (rdb.Skipped{}) {
		n.log.Warn(fmt.Sprintf("The dump has data of modules (%d). This server has none: the next save will lack them", l.skipped.ModuleData))
	}
	return l, n.adopt(dump, l)
}

// refuseEmptyStart: a journal that is switched off, without a dump, would look
// like lost data.
func (n *Node) refuseEmptyStart(dump string) error {
	cfg := n.config.Current()
	current := filepath.Join(cfg.Dir, cfg.AppendDirName, "current")
	if n.stream.Enabled() {
		return nil
	}
	if _, err := os.Stat(current); err != nil {
		return nil
	}
	if _, err := os.Stat(dump); err == nil {
		n.log.Warn("appendonly is off: the journal in " + filepath.Dir(current) + " is not read, only the dump " + dump)
		return nil
	}
	return fmt.Errorf("there is a journal in %s, but appendonly is off and there is no %s: start with appendonly yes, or move the journal away", filepath.Dir(current), cfg.DBFilename)
}

// loadDump loads a file that is no part of the journal. Where it is to become
// the journal's first base, expired keys are loaded as well: a replay of the
// journal begins with them, and would go other ways than the commands that did
// not find them. Each gets its DEL in the stream.
func (n *Node) loadDump(path string) (loaded, error) {
	drop := n.config.Current().ReplicaOf.Host == "" && n.cluster == nil && !n.stream.Enabled()
	return n.loadFile(context.Background(), path, 0, loadRule{dropExpired: drop, libraries: n.server})
}

// adopt goes on from a file that is no part of the journal. With a journal it
// becomes its first base; a link in another name keeps the file itself.
func (n *Node) adopt(path string, l loaded) error {
	h := replication.NewHistory(replication.NoID)
	at := replication.Offset(0)
	if l.placed {
		h, at = replication.NewHistory(l.id), l.at
	}
	base := ""
	if n.stream.Enabled() {
		base = filepath.Join(n.stream.Dir(), "temp-dump.rdb")
		if err := copyFile(path, base); err != nil {
			return err
		}
	}
	if err := n.stream.NewGeneration(base, at, h, false); err != nil {
		return err
	}
	n.stream.SetSelectedDB(l.db)
	n.recovered.History, n.recovered.End = h, at
	return nil
}

// restoreJournal loads what a restart found in the journal.
func (n *Node) restoreJournal() (loaded, error) {
	r := n.recovered
	n.persistence.expect(r.Base, int64(r.End-r.BaseOffset))
	l, last, err := n.loadJournal(context.Background(), r.Base, r.BaseOffset, n.stream.End())
	if err != nil {
		return l, err
	}
	n.stream.SetSelectedDB(last)
	if r.Torn != "" {
		n.log.Warn(fmt.Sprintf("The journal did not end cleanly (%s). It ends with its last whole command now, at offset %d; what was written behind that is gone", r.Torn, r.End))
	}
	if replayed := int64(r.End - r.BaseOffset); replayed > 0 {
		n.log.Info(fmt.Sprintf("The journal was replayed behind its base: %d bytes, up to offset %d", replayed, r.End))
	}
	return l, nil
}

// loadJournal loads a base ("" for none) and replays the journal after it, up to offset
// to. It returns the database that is selected there.
func (n *Node) loadJournal(ctx context.Context, base string, from, to replication.Offset) (l loaded, db int, err error) {
	if base != "" {
		if l, err = n.loadFile(ctx, base, from, loadRule{libraries: n.server}); err != nil {
			return l, 0, err
		}
		db = max(l.db, 0)
	}
	began := time.Now()
	db, err = n.replay(ctx, from, to, db)
	n.persistence.replayed(int64(to-from), time.Since(began))
	return l, db, err
}

// replay applies the journal from an offset to another, where a unit has to end, and
// returns the database that is selected there. Messages that were published are not published again,
// and INFO does not count the commands, as in Redis.
func (n *Node) replay(ctx context.Context, from, to replication.Offset, db int) (int, error) {
	side := n.applier.Side
	n.applier.Side, n.applier.Uncounted = nil, true
	defer func() { n.applier.Side, n.applier.Uncounted = side, false }()
	appliers := command.NewAppliers(n.applier, n.besideExecutors())
	var effects []command.Effect
	source := &unitReader{}
	reader := psync.NewReader(source, db, maxReplayUnit)
	delay := n.loadDelay()
	n.changed = from
	err := n.stream.ReplayTo(from, to, func(unit []byte, end replication.Offset) error {
		source.unit = unit
		place := end - replication.Offset(len(unit))
		n.persistence.effort.done.Add(int64(len(unit)))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at := now()
		for {
			u, err := reader.Next()
			if err != nil {
				if errors.Is(err, errUnitEnd) && !reader.Partial() {
					return nil
				}
				if errors.Is(err, errUnitEnd) {
					err = errCutUnit
				}
				return fmt.Errorf("replay of the journal at offset %d: %w", end, err)
			}
			effects = effects[:0]
			for _, c := range u.Commands {
				effects = append(effects, command.Effect(c))
			}
			db = u.DB
			if place += replication.Offset(len(u.Raw)); !n.quiet(u.Commands) {
				n.changed = place
			}
			if len(effects) == 0 {
				continue
			}
			if delay != nil {
				for range effects {
					delay(ctx.Done())
				}
			}
			if err := appliers.Apply(at, effects, end); err != nil {
				return fmt.Errorf("replay of the journal at offset %d: %w", end, err)
			}
		}
	})
	if failed := appliers.Close(); err == nil && failed != nil {
		err = fmt.Errorf("replay of the journal: %w", failed)
	}
	return db, err
}

// maxReplayUnit bounds one unit of the journal, in bytes.
const maxReplayUnit = 1 << 40

// errUnitEnd is the end of one record of the journal for the reader of streams,
// which then goes on with the next.
var errUnitEnd = errors.New("node: end of the unit")

// errCutUnit says that a record of the journal ends within a unit, which those
// that this server writes do not.
var errCutUnit = errors.New("node: a unit of the journal is cut off")

// unitReader gives one reader of a stream record after record.
type unitReader struct{ unit []byte }

func (r *unitReader) Read(p []byte) (int, error) {
	if len(r.unit) == 0 {
		return 0, errUnitEnd
	}
	n := copy(p, r.unit)
	r.unit = r.unit[n:]
	return n, nil
}

// unitsAt applies data as of an offset.
func (n *Node) unitsAt(at replication.Offset) units {
	return func(f func(tx *storage.Tx) error) error {
		e := n.loader()
		defer e.End()
		return f(e.BeginApplyWorld(time.Now().UnixMilli(), at))
	}
}

// loader is the executor of what is not a client's: loading and replay.
func (n *Node) loader() *storage.Executor { return n.applier.Executor() }

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = out.ReadFrom(in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// Ending reports whether a signal has begun a shutdown that still may end the node.
func (n *Node) Ending() bool { return n.server.Ending() }

// Abandon tidies up before the process ends at once, in the middle of a shutdown: it
// removes the snapshots that are being written. It matches what sigShutdownHandler does
// at a second SIGINT.
func (n *Node) Abandon() {
	n.log.Warn("You insist... exiting now.")
	removeTemps(n.config.Current().Dir)
	removeTemps(n.stream.Dir())
}

// Shutdown ends the node as SIGTERM does, or SIGINT if interrupt is set. The log says
// why it does not.
func (n *Node) Shutdown(interrupt bool) { _ = n.server.Shutdown(interrupt) }
