package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/admin"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/logging"
	"redoubt/internal/metrics"
	"redoubt/internal/pubsub"
	"redoubt/internal/reason"
	"redoubt/internal/resp"
	"redoubt/internal/tlsconf"
	"redoubt/replication"
	"redoubt/storage"
)

// Config is a server's parts. Settings, Keyspace and Stream are required; what
// else is nil is absent.
type Config struct {
	Settings *config.Config
	Keyspace *storage.Keyspace
	Stream   Stream

	Replication Replication
	Persistence Persistence
	Cluster     Cluster
	// Sentinel, if set, makes the server that of a Sentinel: it has no commands on
	// data, and Rows beside those about connections.
	Sentinel admin.Sentinel
	// Rows are further commands.
	Rows []*command.Row
	// Program adds to what is told to those who monitor; nil: nothing.
	Program Program
	// CachedTargets counts the connections that are kept for MIGRATE; nil: none.
	CachedTargets func() int

	// TLS holds the certificates and what belongs to them: the server loads them as its
	// settings say, and again when those or the files change. nil: nobody else needs them.
	TLS *tlsconf.Source
	// Ending is called when the server ends, and nothing will change that; nil: nobody
	// wants to know.
	Ending func()
	// Supervised is which service manager watches the process, for INFO; "": none.
	Supervised string

	Log *zap.Logger // nil: silent
	// RunID is the 40 hexadecimal digits by which INFO names this run.
	RunID string
}

func (c *Config) validate() error {
	if c.Settings == nil || c.Keyspace == nil || c.Stream == nil {
		return errors.New("server: Settings, Keyspace and Stream are required")
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Ending == nil {
		c.Ending = func() {}
	}
	return nil
}

// Server is a node's shell. New makes it, Run serves until its context ends or
// a client says SHUTDOWN.
type Server struct {
	config      *config.Config
	keyspace    *storage.Keyspace
	stream      Stream
	replication Replication
	persistence Persistence
	cluster     Cluster
	log         *zap.Logger

	table  *command.Table
	pubsub *pubsub.Registry

	started  time.Time
	loops    []*loop
	minLoops int
	active   atomic.Int32 // loops that connections are spread over
	spread   spread       // decides about active; loop 0's

	addr         string      // of the first listener; set by Listen
	listening    bool        // Listen was called
	listeners    []*listener // changed with all loops stopped
	acceptErrors logging.Seldom
	tls          *tlsconf.Source
	shakes       chan struct{} // tokens of those who compute for handshakes
	unixListener net.Listener
	goroutines   sync.WaitGroup
	stopMu       sync.Mutex // serialises stopLoops

	exceeded       exceeded
	clientEviction sync.Mutex  // serialises evictClients
	overClients    atomic.Bool // clients take too much, and none of them may be evicted

	conds   atomic.Uint32 // condition
	condsMu sync.Mutex    // serialises refreshConditions
	pause   pause

	pauseMu      sync.Mutex
	pauseChanged chan struct{} // guarded by pauseMu; closed when a pause begins or ends

	loading atomic.Int32 // how many are loading
	// handsOver: a failover has begun during the pause in force, or its own. Writes wait for
	// the end of that even if the node has become a replica meanwhile: who is refused before
	// anybody knows the new primary would ask in vain.
	handsOver atomic.Bool
	patience  atomic.Int64 // until when requests wait for that, as a time since the start

	nextID   atomic.Uint64
	clients  atomic.Int64
	accepted atomic.Int64
	rejected atomic.Int64

	activeExpire atomic.Bool  // DEBUG SET-ACTIVE-EXPIRE
	cronPaused   atomic.Bool  // DEBUG PAUSE-CRON
	watching     atomic.Int64 // connections that watch keys
	admin        *admin.Commands
	monitors     monitors
	waiters      waiters
	tracking     tracking
	parked       parkedConns
	replicas     replicaConns
	debugs       debugSessions
	startMemory  int64 // in use when the server was made
	users        users
	uncertain    atomic.Int64 // writes that were answered with UNCERTAIN
	strayErrors  atomic.Int64 // errors that commands of replicas would have been answered with
	forBus       atomic.Int64 // bytes that units have published and the bus has not yet
	ending       ending
	pulse        pulse
	applied      applied
	slotUse      slotUse

	program    Program
	metrics    *metrics.Server
	metricsTLS atomic.Bool   // metrics-tls, as the last CONFIG SET has it
	settings   *metrics.Page // of settingsOf; see settingsPage
	settingsOf *config.Settings

	scripts     *scripts
	functions   *functions
	streamHost  *scriptHost
	long        longRuns
	pauseEnded  bool              // and nothing has followed from that yet; loop 0's
	endsScripts atomic.Bool       // no script runs any more
	allScripts  atomic.Bool       // scripts may call every command: AllowInScripts
	anyChecksum atomic.Bool       // DEBUG SET-SKIP-CHECKSUM-VALIDATION
	visitor     *storage.Executor // of tryStopWorld
	watchNow    chan struct{}     // holds a token when watchScripts has something to look at
	ended       chan struct{}     // closed when the server has ended

	shakeFailures shakeFailures
	undoTLS       *tlsChange    // changed with all loops stopped
	nextRefresh   time.Duration // of the files of TLS; loop 0's
	refreshing    atomic.Bool
}

// New makes a server that does not listen yet.
func New(c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	cfg := c.Settings.Current()
	s := &Server{
		config: c.Settings, keyspace: c.Keyspace, stream: c.Stream,
		replication: c.Replication, persistence: c.Persistence, cluster: c.Cluster,
		log:     c.Log,
		pubsub:  pubsub.New(),
		started: time.Now(),
	}
	s.admin = admin.New(admin.Config{
		Settings: c.Settings, Keyspace: c.Keyspace, Stream: c.Stream, PubSub: s.pubsub, Server: s,
		Replication: c.Replication, Persistence: c.Persistence, Cluster: c.Cluster, Sentinel: c.Sentinel, CachedTargets: c.CachedTargets,
		Log: c.Log, RunID: c.RunID, Started: s.started, Supervised: c.Supervised,
	})
	if s.tls = c.TLS; s.tls == nil {
		s.tls = new(tlsconf.Source)
	}
	if err := s.loadTLS(); err != nil {
		return nil, err
	}
	s.shakes = make(chan struct{}, max(1, runtime.NumCPU()/2))
	s.ending.done, s.ending.tell = make(chan struct{}), c.Ending
	s.pauseChanged = make(chan struct{})
	s.scripts, s.functions, s.streamHost = newScripts(), newFunctions(), s.newScriptHost(nil)
	s.visitor = s.keyspace.NewExecutor()
	s.visitor.MayGiveUp()
	s.debugs.limits = defaultDebugLimits
	s.watchNow, s.ended = make(chan struct{}, 1), make(chan struct{})
	s.activeExpire.Store(true)
	if err := s.buildTable(c.Rows); err != nil {
		return nil, err
	}
	if err := s.initUsers(); err != nil {
		return nil, err
	}
	s.minLoops = 1
	most := max(1, min(runtime.GOMAXPROCS(0), 8))
	if cfg.EventLoops > 0 {
		s.minLoops, most = cfg.EventLoops, cfg.EventLoops
	}
	// A loop that does not block keeps its processor; the journal, the feeders
	// and the collector need one beside them.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), most+1))
	s.active.Store(int32(s.minLoops))
	for id := range most {
		l, err := newLoop(s, id)
		if err != nil {
			return nil, err
		}
		s.loops = append(s.loops, l)
	}
	s.stream.OnCommit(func(replication.Offset) {
		for _, l := range s.loops {
			l.committed()
		}
	})
	s.stream.OnRoom(func(room bool) {
		if s.setCondition(condFull, !room); room {
			s.retryAll()
		}
	})
	if s.persistence != nil {
		s.persistence.OnRoom(func(room bool) {
			if s.setCondition(condKept, !room); room {
				s.retryAll()
			}
		})
	}
	if s.replication != nil {
		s.replication.OnAck(s.acknowledged)
	}
	s.waiters.srv = s
	s.keyspace.SetAudience(s)
	heap := admin.ReadGoMemory()
	s.startMemory = heap.Objects + heap.Stacks
	if err := s.initMetrics(c.Program); err != nil {
		return nil, err
	}
	s.admin.StartMemory = s.startMemory
	s.followSettings()
	s.keyspace.World(s.now(), func(tx *storage.Tx) {
		s.followPolicy(tx)
		s.followEncodings(tx)
		s.followEvents(tx)
		s.followDefrag()
	})
	s.refreshConditions()
	return s, nil
}

// buildTable puts the commands of data and of the node together.
func (s *Server) buildTable(rows []*command.Row) error {
	groups := [][]*command.Row{
		command.Strings, command.Counters, command.Ranges, command.Bits, command.BitFields, command.HyperLogLogs, command.Geo, command.GeoSearches, command.Keys, command.Expiry,
		command.Iteration, command.Serialization,
		command.Streams, command.StreamGroups, command.StreamReads, command.StreamClaims, command.StreamInfo,
		command.Lists, command.ListMoves, command.Hashes, command.HashExpiry, command.Sets, command.SetOperations,
		command.ZSets, command.ZPops, command.ZRanges, command.ZSetOperations, command.Waits, command.Sorting,
		transactionRows, s.scriptRows(), s.admin.Rows(), command.Introspection, replicationRows, clusterRows,
		rows,
	}
	if s.cluster != nil {
		groups = append(groups, s.cluster.Rows())
	}
	if s.admin.Sentinel != nil {
		groups = [][]*command.Row{s.admin.SentinelRows(), command.Introspection, rows}
	}
	t := command.NewTable(groups...)
	for _, line := range s.config.Lines("rename-command") {
		known, err := t.Rename(line.Args[0], line.Args[1])
		if err != nil {
			return fmt.Errorf("server: %s, at line %d: %w", line.Text, line.Number, err)
		}
		if !known {
			// Perhaps one of Redis that is not built: nobody can call it anyway.
			s.log.Warn("No such command in rename-command: " + line.Args[0])
		}
	}
	s.table = t
	return nil
}

// Addr is the first TCP address that Listen opened, "" without TCP.
func (s *Server) Addr() string { return s.addr }

// Listen opens the sockets. Run serves them.
func (s *Server) Listen() error {
	if err := s.listen(); err != nil {
		return err
	}
	return s.listenMetrics()
}

// listen opens the sockets for clients.
func (s *Server) listen() error {
	cfg := s.config.Current()
	var err error
	s.listening = true
	s.fitMaxClients(clientRoom())
	var failed place
	if s.listeners, failed, err = listenAll(cfg, nil); err != nil {
		s.log.Warn(reason.Of(err))
		return fmt.Errorf("Failed listening on port %d (%s), aborting.", failed.port, failed.kind())
	}
	if len(s.listeners) == 0 && cfg.UnixSocket == "" {
		return errors.New("Configured to not listen anywhere, exiting.")
	}
	if len(s.listeners) > 0 {
		s.addr = s.listeners[0].addr
	}
	for _, ln := range s.listeners {
		if err := s.loops[0].poll.add(ln.fd, readable); err != nil {
			return err
		}
	}
	if cfg.UnixSocket != "" {
		return s.listenUnix(cfg)
	}
	return nil
}

// Run serves until ctx ends or a client shuts the server down. Everything it
// started has ended when it returns.
func (s *Server) Run(ctx context.Context) error {
	for _, l := range s.loops {
		s.goroutines.Go(l.run)
	}
	s.goroutines.Go(s.watchScripts)
	select {
	case <-ctx.Done():
	case <-s.ending.done:
	}
	s.ending.tell()
	s.stopServing()
	return nil
}

// stopServing closes all sockets and ends the loops.
func (s *Server) stopServing() {
	s.metrics.Close()
	s.debugs.hangUp(true)
	s.stopScripts()
	s.stopLoops(nil)
	for _, ln := range s.listeners {
		s.loops[0].poll.remove(ln.fd)
		ln.close()
	}
	s.listeners = nil
	if s.unixListener != nil {
		s.unixListener.Close()
		_ = os.Remove(s.config.Current().UnixSocket)
	}
	for _, l := range s.loops {
		l.quit.Store(true)
		l.poll.wake()
	}
	s.resumeLoops(nil)
	close(s.ended)
	s.goroutines.Wait()
}

// dropAll closes the loop's connections after a last try to write what they
// were promised.
func (l *loop) dropAll() {
	l.welcome()
	l.release()
	l.writeReady()
	for _, c := range l.conns {
		if c != nil {
			l.drop(c)
		}
	}
	for c := range l.other {
		l.drop(c)
	}
}

// Wake makes every loop take a turn, so that it looks at what has changed (a
// snapshot to walk). Any goroutine may call it.
func (s *Server) Wake() {
	for _, l := range s.loops {
		l.post(func() {})
	}
}

// AllowInScripts is DEBUG SET-DISABLE-DENY-SCRIPTS: admin.Server.
func (s *Server) AllowInScripts(on bool) { s.allScripts.Store(on) }

// TakeAnyChecksum is DEBUG SET-SKIP-CHECKSUM-VALIDATION: admin.Server. RESTORE asks
// AnyChecksum.
func (s *Server) TakeAnyChecksum(on bool) { s.anyChecksum.Store(on) }

// AnyChecksum reports whether payloads of DUMP are taken whatever their checksum.
func (s *Server) AnyChecksum() bool { return s.anyChecksum.Load() }

// DamagedPayload logs what was wrong with the value of a RESTORE.
func (s *Server) DamagedPayload(err error) {
	s.log.Warn("RESTORE", zap.Error(err))
}

// SetActiveExpire is DEBUG SET-ACTIVE-EXPIRE: admin.Server.
func (s *Server) SetActiveExpire(on bool) { s.activeExpire.Store(on) }

// Go runs f in a goroutine that ends before Run returns: admin.Server.
func (s *Server) Go(f func()) { s.goroutines.Go(f) }

// now is the wall clock in Unix milliseconds.
func (s *Server) now() int64 { return time.Now().UnixMilli() }

// IsReplica reports whether the node follows a primary: admin.Server.
func (s *Server) IsReplica() bool {
	return s.is(condReplica)
}

// diskError is why writes are refused on account of the disk, "" if they are
// not.
func (s *Server) diskError() resp.Error {
	if s.persistence == nil {
		return ""
	}
	return s.persistence.Failing()
}

// Loading reports whether data are being loaded: admin.Server.
func (s *Server) Loading() bool { return s.loading.Load() > 0 }

// setCondition changes the server's share of what gates look at.
func (s *Server) setCondition(c condition, on bool) {
	for {
		old := s.conds.Load()
		next := old &^ uint32(c)
		if on {
			next = old | uint32(c)
		}
		if s.conds.CompareAndSwap(old, next) {
			return
		}
	}
}

// is reports whether one of the conditions holds for the server.
func (s *Server) is(c condition) bool { return condition(s.conds.Load())&c != 0 }

// RoleChanged tells the shell that the node became a primary or a replica, or
// that its link came up or broke. Replication calls it after each change; for a
// role in the unit that changes it, so that no gate sees the old one afterwards.
func (s *Server) RoleChanged() { s.refreshConditions() }

// SetLoading says that data are being loaded, or no longer; commands that need
// them get LOADING meanwhile. Calls come in pairs and may overlap: a replica's
// link can begin to load while the node's start is about to end.
func (s *Server) SetLoading(on bool) {
	if on {
		s.loading.Add(1)
	} else {
		s.loading.Add(-1)
	}
	s.refreshConditions()
	if !on {
		s.retryAll()
	}
}

// SetReplacing is SetLoading(true) for data that take the place of others. Requests
// wait at first, and get LOADING if it takes long: a replica that gets a small
// snapshot is late for its clients and has no errors for them, like redis-server,
// which serves nobody while it loads the first 2 MB.
//
// It waits for the end of scripts that take long, since nobody could end them any more,
// and of requests that the gates have let through: those would see what has been
// loaded by then. The caller is as that of Everything.
func (s *Server) SetReplacing() {
	s.Everything(func(*storage.Tx) { s.SetStarting() })
}

// SetStarting is SetLoading(true) for what a node loads before it has served anybody.
// Here, too, requests wait at first: whoever starts a node and connects as soon as it
// listens gets answers, unless it has much to load.
func (s *Server) SetStarting() {
	s.patience.Store(int64(time.Since(s.started) + loadPatience)) // the wall clock may step
	s.SetLoading(true)
}

// loadPatience is for how long requests wait for a load.
const loadPatience = 200 * time.Millisecond

// refreshConditions takes the conditions that follow from settings and other
// parts afresh. One caller at a time, so that none undoes with what it read
// before a change what another read after it.
func (s *Server) refreshConditions() {
	s.condsMu.Lock()
	defer s.condsMu.Unlock()
	cfg := s.config.Current()
	replica, unconfirmed := false, false
	if s.replication != nil {
		host, _ := s.replication.Primary()
		replica, unconfirmed = host != "", !s.replication.Confirmed()
	}
	s.setCondition(condPassword, !s.users.fallback.open())
	s.setCondition(condCluster, s.cluster != nil)
	if replica && !s.IsReplica() || unconfirmed && !s.is(condUnconfirmed) {
		defer s.unblockAll(resp.ErrUnblockedByRole)
	}
	s.setCondition(condReplica, replica)
	s.setCondition(condUnconfirmed, unconfirmed)
	s.setCondition(condStale, replica && !cfg.ReplicaServeStaleData && !s.replication.LinkUp())
	s.setCondition(condFewReplicas, cfg.MinReplicasToWrite > 0 && cfg.MinReplicasMaxLag > 0 || cfg.MinReplicasToAck > 0)
	s.setCondition(condMemory, cfg.MaxMemory.Bytes > 0)
	s.setCondition(condLoading, s.Loading())
	s.setCondition(condDisk, s.diskError() != "")
}

// Keyspace, Table, ClusterEnabled, Now, LFU and MaxBulk are what handlers of
// data know of the node: command.Host.
func (s *Server) Keyspace() *storage.Keyspace { return s.keyspace }

// Table is all commands of the node.
func (s *Server) Table() *command.Table { return s.table }

// ClusterEnabled reports whether keys belong to slots of nodes.
func (s *Server) ClusterEnabled() bool { return s.config.Current().ClusterEnabled }

// Now is the wall clock in Unix milliseconds.
func (s *Server) Now() int64 { return s.now() }

// LFU reports whether the eviction policy counts frequencies.
func (s *Server) LFU() bool {
	return strings.HasSuffix(s.config.Current().MaxMemory.Policy, "-lfu")
}

// SharedIntegers reports whether Redis would share small integers with these
// settings (MAXMEMORY_FLAG_NO_SHARED_INTEGERS).
func (s *Server) SharedIntegers() bool {
	m := &s.config.Current().MaxMemory
	return m.Bytes == 0 || !strings.HasSuffix(m.Policy, "-lru") && !strings.HasSuffix(m.Policy, "-lfu")
}

// MaxBulk is the longest string in bytes.
func (s *Server) MaxBulk() int64 { return s.config.Current().MaxBulkBytes }

// HLLSparseMax is the setting hll-sparse-max-bytes, for handlers.
func (s *Server) HLLSparseMax() int { return s.config.Current().HLLSparseMax }

// LazyServerDel reports whether replicas are asked to free in the background
// what the server deletes by itself.
func (s *Server) LazyServerDel() bool { return s.config.Current().LazyServerDel }
