package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/config"
	"redoubt/internal/logging"
)

// detached is set in the environment of the process that daemonize yes leaves
// behind.
const detached = "REDOUBT_DETACHED"

// detach starts the same command again in a session of its own, and waits until that
// serves. A Go process cannot fork, so the server's process id is not this one's. stdin
// is what the server shall read of its standard input.
//
// Until the server serves, its standard error leads here, and has its log beside. If it
// ends instead, all of that is shown and the error says so: a port that is taken, a data
// directory that another server uses or that cannot be loaded.
func detach(stdin []byte) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), detached+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = w
	if len(stdin) > 0 {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return err
	}
	told, err := io.ReadAll(r)
	if err == nil && bytes.HasSuffix(told, []byte(released)) {
		return nil
	}
	os.Stderr.Write(told)
	if err := cmd.Wait(); err != nil && len(told) == 0 {
		return fmt.Errorf("the server has not started: %w", err)
	}
	return errSilent
}

// released is what a server that serves says last to its starter: a line cannot end so.
const released = "\x00"

// standardInput is what the server shall read there, where "-" among its arguments says so:
// with daemonize yes it is another process that reads it.
func standardInput(args []string) ([]byte, error) {
	if !slices.Contains(args, "-") {
		return nil, nil
	}
	return io.ReadAll(os.Stdin)
}

// starter is the process that waits in detach for this one to serve; nil: there is none.
type starter struct {
	mu   sync.Mutex
	gone bool // it waits no more
}

// ownStarter is the starter of this process. Its mark is removed from the environment:
// a server that a script of this one starts has another.
func ownStarter() *starter {
	if os.Getenv(detached) == "" {
		return nil
	}
	_ = os.Unsetenv(detached)
	return &starter{}
}

// tee has the starter see what goes to the log.
func (s *starter) tee(log io.Writer) io.Writer {
	if s == nil {
		return log
	}
	return teed{log, s}
}

type teed struct {
	io.Writer
	starter *starter
}

func (t teed) Write(p []byte) (int, error) {
	t.starter.hear(p)
	return t.Writer.Write(p)
}

func (s *starter) hear(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		_, _ = os.Stderr.Write(p) // it may have been killed
	}
}

// startPatience is for how long a starter waits while the data are loaded: a file that is
// not what it should be is found at once, as a rule.
const startPatience = time.Second

// releaseSoon lets the starter go after a while, if release has not.
func (s *starter) releaseSoon(log *logging.Logger) {
	if s != nil {
		time.AfterFunc(startPatience, func() { s.release(log) })
	}
}

// release lets the starter go.
func (s *starter) release(log *logging.Logger) {
	if s == nil {
		return
	}
	if err := s.letGo(); err != nil {
		log.Warn("The standard error of the daemon cannot be closed: " + err.Error())
	}
}

func (s *starter) letGo() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return nil
	}
	s.gone = true
	_, _ = os.Stderr.WriteString(released)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return syscall.Dup3(int(null.Fd()), int(os.Stderr.Fd()), 0)
}

// defaultPIDFile is the pid file of a daemon that has none in its configuration
// (CONFIG_DEFAULT_PID_FILE).
const defaultPIDFile = "/var/run/redis.pid"

// pidFile is the file that has the process id; "" if there is none.
type pidFile struct {
	path     string
	fallback bool // nobody has asked for it
	written  bool
}

// ownPID is the pid file that the configuration calls for.
func ownPID(c *config.Settings, daemon bool) *pidFile {
	switch {
	case c.PIDFile != "":
		path, err := filepath.Abs(c.PIDFile) // dir may be changed later
		if err != nil {
			path = c.PIDFile
		}
		return &pidFile{path: path}
	case daemon:
		return &pidFile{path: defaultPIDFile, fallback: true}
	}
	return &pidFile{}
}

// write writes the process id. That the default file cannot be written is no error:
// a user other than root cannot.
func (f *pidFile) write(settings *config.Config) error {
	if f.path == "" {
		return nil
	}
	err := os.WriteFile(f.path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644)
	f.written = err == nil
	switch {
	case !f.fallback:
		return err
	case err != nil:
		return nil
	}
	return settings.Record("pidfile", f.path) // as Redis, where CONFIG GET shows it
}

// remove removes the file, if it still is this process's.
func (f *pidFile) remove(log *zap.Logger) {
	if !f.written {
		return
	}
	text, err := os.ReadFile(f.path)
	if err != nil || strings.TrimSpace(string(text)) != strconv.Itoa(os.Getpid()) {
		return
	}
	if err := os.Remove(f.path); err == nil {
		log.Info("Removing the pid file.")
	}
}
