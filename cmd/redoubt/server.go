package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"redoubt/internal/config"
	"redoubt/internal/logging"
	"redoubt/internal/node"
	"redoubt/internal/proctitle"
	"redoubt/internal/sentinel"
	"redoubt/internal/supervisor"
	"redoubt/internal/version"
)

// newServerCommand is the node itself. Its arguments are those of redis-server,
// so cobra must not look at them.
func newServerCommand(title *proctitle.Title) *cobra.Command {
	return &cobra.Command{
		Use:                "server [FILE] [--directive value ...]",
		Short:              "Run a node",
		Long:               serverHelp,
		DisableFlagParsing: true,
		ValidArgsFunction:  completeDirectives,
		RunE: func(_ *cobra.Command, args []string) error {
			return serve(title, args, slices.Contains(args, sentinelOption))
		},
	}
}

// newSentinelCommand is a Sentinel. Its arguments are those of redis-sentinel.
func newSentinelCommand(title *proctitle.Title) *cobra.Command {
	return &cobra.Command{
		Use:                "sentinel FILE [--directive value ...]",
		Short:              "Run a Sentinel: it monitors primaries and has replicas take over",
		Long:               sentinelHelp,
		DisableFlagParsing: true,
		ValidArgsFunction:  completeDirectives,
		RunE: func(_ *cobra.Command, args []string) error {
			return serve(title, args, true)
		},
	}
}

// sentinelOption makes a Sentinel of redis-server.
const sentinelOption = "--sentinel"

// product names the server in start-up messages and errors of the
// configuration, in the form scripts look for.
const product = "Redis " + version.Redis

// serve runs a node, or a Sentinel, until it ends.
func serve(title *proctitle.Title, args []string, asSentinel bool) error {
	if done, err := answer(os.Stdout, args, asSentinel); done {
		return err
	}
	// A terminal that closes, or a reader of the log that goes away, does not end
	// a node.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	starter := ownStarter()
	stdin, err := standardInput(args)
	if err != nil {
		return err
	}
	settings, err := config.Load(config.Source{Args: args, Stdin: bytes.NewReader(stdin), Product: product, Sentinel: asSentinel})
	if err == nil && asSentinel {
		err = sentinel.Check(settings, product)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return errSilent
	}
	c := settings.Current()
	out, err := openLog(c)
	if err != nil {
		return err
	}
	log := logging.New(starter.tee(out))
	followLog(log, settings)
	var manager *supervisor.Manager
	if starter == nil { // which else has looked
		manager = supervisor.Find(c.Supervised, log.Logger)
		defer manager.Close()
		if c.Daemonize && manager == nil {
			return detach(stdin)
		}
	}
	if err := os.Chdir(c.Dir); err != nil {
		return fmt.Errorf("can't chdir to '%s': %w", c.Dir, err)
	}
	showTitle(title, settings, modeOf(c, asSentinel))
	reportCrashes(log, out)
	announceStart(log, settings, args, asSentinel)
	p := &program{settings: settings, log: log, starter: starter, manager: manager, pid: ownPID(c, starter != nil)}
	run, name := p.runNode, "Redis"
	if asSentinel {
		run, name = p.runSentinel, "Sentinel"
	}
	err = run()
	p.pid.remove(log.Logger)
	if err != nil {
		log.Warn(err.Error()) // the last line, where scripts look for it
		return errSilent
	}
	log.Warn(name + " is now ready to exit, bye bye...")
	return nil
}

// program is what runs in the process, and who wants to hear of it.
type program struct {
	settings *config.Config
	log      *logging.Logger
	starter  *starter
	manager  *supervisor.Manager
	pid      *pidFile
}

// listening announces a program that takes connections. Only now it writes its pid file:
// one that cannot listen may have found another process that has its port, and its file.
func (p *program) listening(mode string) {
	announceServer(p.log, p.settings, mode)
	if err := p.pid.write(p.settings); err != nil {
		p.log.Warn("Failed to write PID file: " + err.Error())
	}
}

// ready tells who has started the process that it serves.
func (p *program) ready(of supervisor.Process) {
	p.starter.release(p.log)
	p.manager.Ready(of)
}

// runNode runs the node until it ends.
func (p *program) runNode() error {
	var n *node.Node
	n, err := node.New(node.Config{
		Settings: p.settings, Log: p.log.Logger, Role: p.log.SetReplica, Supervised: p.manager.Kind(),
		Listening: func() {
			p.listening(nodeMode(p.settings))
			p.starter.releaseSoon(p.log)
		},
		Ready:  func() { p.ready(n) },
		Ending: p.manager.Stopping,
	})
	if err != nil {
		announceServer(p.log, p.settings, nodeMode(p.settings)) // whoever waits for these lines goes on
		return err
	}
	p.manager.Watch(n)
	ctx, stop := notify(n)
	defer stop()
	return n.Run(ctx)
}

// runSentinel runs the Sentinel until it ends.
func (p *program) runSentinel() error {
	var s *sentinel.Sentinel
	s, err := sentinel.New(sentinel.Config{
		Settings: p.settings, Product: product, Log: p.log.Logger, Supervised: p.manager.Kind(),
		Listening: func() {
			p.listening("sentinel")
			p.ready(s)
		},
		Ending: p.manager.Stopping,
	})
	if err != nil {
		return err
	}
	p.manager.Watch(s)
	ctx, stop := notify(s)
	defer stop()
	return s.Run(ctx)
}

// nodeMode is the mode of a node by the words of INFO.
func nodeMode(settings *config.Config) string {
	if settings.Current().ClusterEnabled {
		return "cluster"
	}
	return "standalone"
}

// answer serves the command lines of redis-server that start no node.
func answer(out io.Writer, args []string, asSentinel bool) (done bool, err error) {
	if len(args) == 0 {
		return false, nil
	}
	switch alone := len(args) == 1; {
	case alone && (args[0] == "-v" || args[0] == "--version"):
		fmt.Fprintf(out, "Redis server v=%s sha=00000000:0 malloc=go bits=64 build=%s\n", version.Redis, version.Build)
	case alone && asSentinel && (args[0] == "-h" || args[0] == "--help"):
		fmt.Fprint(out, sentinelHelp)
	case alone && (args[0] == "-h" || args[0] == "--help"):
		fmt.Fprint(out, serverHelp+serverUsage)
	case alone && args[0] == "--check-system":
		fmt.Fprintln(out, "There is nothing to check: this server does not fork.")
	case args[0] == "--test-memory":
		return true, errors.New("there is no test of the memory in this program; memtester is one")
	default:
		return false, nil
	}
	return true, nil
}

const serverHelp = `Run a node. The arguments are those of redis-server: a configuration file (redis.conf),
then directives with two dashes. All directives are in docs/config.md.

  redoubt server --port 7000 --dir /var/lib/redoubt --appendonly yes
  redoubt server redis.conf --port 7001
  echo 'maxclients 100' | redoubt server redis.conf -

A link named redis-server, valkey-server or redoubt-server to the program is the same
without the word "server".
`

const sentinelHelp = `Run a Sentinel. The arguments are those of redis-sentinel: a configuration file
(sentinel.conf), which the Sentinel rewrites with what it must remember, then directives with
two dashes. docs/sentinel.md tells more.

  redoubt sentinel sentinel.conf
  redoubt sentinel sentinel.conf --port 26380

A link named redis-sentinel, valkey-sentinel or redoubt-sentinel to the program is the same
without the word "sentinel", and so is "redoubt server sentinel.conf --sentinel".
`

const serverUsage = `
Usage:
  redoubt server [FILE] [--directive value ...] [-]
  redoubt server -v | --version
  redoubt server -h | --help
  redoubt server --check-system
`

// announceStart and announceServer print the lines that scripts and test suites
// wait for, in Redis's words. As in Redis a client can connect once the line with the
// process id is there.
func announceStart(log *logging.Logger, settings *config.Config, args []string, asSentinel bool) {
	log.Warn("oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo")
	log.Warn(fmt.Sprintf("Redis version=%s, bits=64, commit=00000000, modified=0, pid=%d, just started", version.Redis, os.Getpid()))
	if len(args) == 0 {
		log.Warn("Warning: no config file specified, using the default config. In order to specify a config file use redis-server /path/to/redis.conf")
	} else {
		log.Warn("Configuration loaded")
	}
	if asSentinel {
		log.SetSentinel()
	} else {
		log.SetReplica(settings.Current().ReplicaOf.Host != "")
	}
}

func announceServer(log *logging.Logger, settings *config.Config, mode string) {
	c := settings.Current()
	log.Info(fmt.Sprintf("Running mode=%s, port=%d.", mode, c.Port))
	log.Info(fmt.Sprintf("Redoubt %s, Port: %d, PID: %d", version.Build, c.Port, os.Getpid()))
	if unused := settings.Unused(); len(unused) > 0 {
		log.Info("These directives are known but have no meaning in this version: " + strings.Join(unused, ", "))
	}
	for _, line := range settings.Warnings() {
		log.Warn("WARNING: " + line)
	}
	log.Warn("Server initialized")
}

// An ender is what signals end: a node or a Sentinel.
type ender interface {
	Shutdown(interrupt bool)
	Ending() bool
	Abandon()
}

// notify ends it on SIGINT and SIGTERM, as configured. A SIGINT while that
// is under way ends the process at once, as with Redis; after a shutdown that has failed
// or was aborted it is a first one again.
func notify(n ender) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for {
			select {
			case s := <-signals:
				interrupt := s == syscall.SIGINT
				if interrupt && n.Ending() {
					n.Abandon()
					os.Exit(1)
				}
				go n.Shutdown(interrupt) // which may save for long, and hears the next signal
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// openLog opens the log: the name of a log file starts at dir, as in Redis, wherever
// the process was started.
func openLog(c *config.Settings) (log io.Writer, err error) {
	if c.LogFile == "" {
		return os.Stdout, nil
	}
	path := c.LogFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	f, err := logging.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("can't open the log file: %w", err)
	}
	return f, nil
}

func followLog(log *logging.Logger, settings *config.Config) {
	set := func(_, next *config.Settings) error {
		switch next.LogLevel {
		case config.LogDebug, config.LogVerbose:
			log.SetLevel(zap.DebugLevel)
		case config.LogNotice:
			log.SetLevel(zap.InfoLevel)
		default:
			log.SetLevel(zap.WarnLevel)
		}
		return nil
	}
	_ = set(nil, settings.Current())
	settings.OnChange(set, "loglevel")
}

// serverName reports whether the program was started under Redis's name, when
// it takes redis-server's command line.
func serverName(arg0 string) bool {
	switch filepath.Base(arg0) {
	case "redis-server", "valkey-server", "redoubt-server":
		return true
	}
	return false
}

// sentinelName is serverName for redis-sentinel.
func sentinelName(arg0 string) bool {
	switch filepath.Base(arg0) {
	case "redis-sentinel", "valkey-sentinel", "redoubt-sentinel":
		return true
	}
	return false
}
