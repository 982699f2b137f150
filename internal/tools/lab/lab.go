package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"redoubt/internal/tools/client"
)

// DefaultDir is where a lab is unless somebody says otherwise.
const DefaultDir = "./lab"

// Lab is an opened lab. It belongs to one goroutine.
type Lab struct {
	record
	dir     string // absolute
	given   string // dir as it was given
	timeout time.Duration
	lock    *os.File // nil if it was opened to look only
	nodes   []*node
	client  client.Options // for connections to its nodes
}

// Create opens the lab in dir, which it makes if it is not there. A lab that
// was started once keeps its shape: cfg may repeat it or leave it open, and is refused
// otherwise. timeout bounds each wait.
func Create(dir string, cfg Config, timeout time.Duration) (*Lab, error) {
	// Before anything is made: a node's directory fixes the lab's shape.
	if err := cfg.findServer(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, configFile)); errors.Is(err, os.ErrNotExist) {
		whole := cfg.orDefaults()
		if err := whole.validate(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l, err := lock(dir, timeout)
	if err != nil {
		return nil, err
	}
	if err := l.shape(cfg); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// shape settles what the lab consists of, and writes it down.
func (l *Lab) shape(cfg Config) error {
	err := l.read()
	switch {
	case errors.Is(err, os.ErrNotExist):
		cfg = cfg.orDefaults()
	case err != nil:
		return err
	default:
		if !l.begun() && (cfg.Sentinel != l.Sentinel || cfg.TLS != l.TLS || cfg.Quorum != l.Quorum) {
			cfg = cfg.orDefaults() // numbers of the other kind mean nothing here
			break
		}
		cfg = cfg.or(l.Config)
		if l.begun() && (cfg.Sentinel != l.Sentinel || cfg.TLS != l.TLS || cfg.Quorum != l.Quorum || cfg.Port != l.Port || cfg.Nodes != l.Nodes || *cfg.Replicas != *l.Replicas || cfg.ServerBin != l.ServerBin) {
			return fmt.Errorf("the lab in %s is another one (%v): remove it with its data (%s), or choose another directory",
				l.dir, &l.Config, l.hint("remove"))
		}
	}
	if err := cfg.validate(); err != nil {
		return err
	}
	l.setConfig(cfg)
	if cfg.TLS {
		if err := credentialsIn(l.dir).make(); err != nil {
			return fmt.Errorf("the certificates of the lab cannot be made: %w", err)
		}
	}
	if err := l.enter(); err != nil {
		return err
	}
	return l.write()
}

// begun reports whether a node has ever been started: one that found its port
// in use leaves a lab of which nothing is worth keeping.
func (l *Lab) begun() bool {
	return slices.ContainsFunc(l.nodes, func(n *node) bool {
		_, err := os.Stat(n.dir)
		return err == nil
	})
}

// Open opens the lab that is in dir.
func Open(dir string, timeout time.Duration) (*Lab, error) {
	return open(dir, timeout, lock)
}

// Look opens the lab that is in dir for Status only, while another command may be at
// work in it.
func Look(dir string) (*Lab, error) {
	return open(dir, 0, at)
}

func open(dir string, timeout time.Duration, how func(string, time.Duration) (*Lab, error)) (*Lab, error) {
	if _, err := os.Stat(filepath.Join(dir, configFile)); err != nil {
		return nil, fmt.Errorf("there is no lab in %s: %w", dir, err)
	}
	l, err := how(dir, timeout)
	if err != nil {
		return nil, err
	}
	if err := l.read(); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// at is a lab in dir of which nothing is known yet.
func at(dir string, timeout time.Duration) (*Lab, error) {
	abs, err := filepath.Abs(dir)
	return &Lab{dir: abs, given: dir, timeout: timeout}, err
}

// lock takes the directory for this process, until Close or its end.
func lock(dir string, timeout time.Duration) (*Lab, error) {
	l, err := at(dir, timeout)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(l.lockFile(), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another command is at work in the lab %s: %w", dir, err)
	}
	// Lab remove may have taken the file away between the two steps; then the lock is
	// that of a lab which is no more.
	held, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Stat(l.lockFile()); err == nil && !os.SameFile(held, there) {
			err = errors.New("it has just been removed")
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("the lab %s: %w", dir, err)
	}
	l.lock = f
	return l, nil
}

func (l *Lab) lockFile() string { return filepath.Join(l.dir, "lock") }

// hint is a command line about this lab, for people.
func (l *Lab) hint(words string) string {
	if words != "" {
		words = " " + words
	}
	if filepath.Clean(l.given) == filepath.Clean(DefaultDir) {
		return "redoubt lab" + words
	}
	return "redoubt lab" + words + " --dir " + l.given
}

// Close lets another command at the lab. The nodes run on.
func (l *Lab) Close() {
	if l.lock != nil {
		l.lock.Close()
	}
}

// Dir is the lab's directory.
func (l *Lab) Dir() string { return l.dir }

func (l *Lab) read() error {
	b, err := os.ReadFile(filepath.Join(l.dir, configFile))
	if err != nil {
		return err
	}
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	if err := r.validate(); err != nil {
		return fmt.Errorf("%s: %w", configFile, err)
	}
	l.setConfig(r.Config)
	l.Made = r.Made
	return l.enter()
}

func (l *Lab) setConfig(cfg Config) {
	l.Config = cfg
	l.nodes = nil
	data := cfg.Nodes - cfg.sentinels()
	for i := range cfg.Nodes {
		port := cfg.Port + i
		n := &node{number: i + 1, port: port, dir: filepath.Join(l.dir, strconv.Itoa(port)), kind: member}
		if cfg.Sentinel && i < data {
			n.kind = watched
		} else if cfg.Sentinel {
			n.kind = sentinel
		}
		l.nodes = append(l.nodes, n)
	}
}

func (l *Lab) write() error {
	b, err := json.MarshalIndent(l.record, "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(l.dir, configFile), append(b, '\n'))
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, b []byte) error {
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
