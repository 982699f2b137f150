package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"

	"redoubt/internal/config"
)

func load(t *testing.T, args ...string) *config.Config {
	t.Helper()
	settings, err := config.Load(config.Source{Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// A script of a daemon may start a server, which is another daemon.
func TestTheMarkOfADaemonIsNotInherited(t *testing.T) {
	t.Setenv(detached, "1")
	if ownStarter() == nil {
		t.Error("the starter is not known")
	}
	if _, there := os.LookupEnv(detached); there {
		t.Error("children would take themselves for its daemon")
	}
	if ownStarter() != nil {
		t.Error("there is a starter without a mark")
	}
}

func TestWhichPIDFileThereIs(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, c := range []struct {
		name   string
		args   []string
		daemon bool
		want   string
	}{
		{"nobody asks", nil, false, ""},
		{"a daemon", nil, true, "/var/run/redis.pid"},
		{"a file, seen from dir", []string{"--pidfile", "n.pid"}, false, filepath.Join(dir, "n.pid")},
		{"a daemon with a file", []string{"--pidfile", "/tmp/n.pid"}, true, "/tmp/n.pid"},
	} {
		if got := ownPID(load(t, c.args...).Current(), c.daemon); got.path != c.want {
			t.Errorf("%s: %q, want %q", c.name, got.path, c.want)
		}
	}
}

func TestTheDefaultPIDFile(t *testing.T) {
	settings, log := load(t), zap.NewNop()
	f := &pidFile{path: filepath.Join(t.TempDir(), "none", "redis.pid"), fallback: true}
	if err := f.write(settings); err != nil || settings.Current().PIDFile != "" {
		t.Errorf("where it cannot be written: %v; CONFIG GET shows %q", err, settings.Current().PIDFile)
	}
	f.remove(log)
	f.path = filepath.Join(t.TempDir(), "redis.pid")
	if err := f.write(settings); err != nil || settings.Current().PIDFile != f.path {
		t.Errorf("%v; CONFIG GET shows %q", err, settings.Current().PIDFile)
	}
	text, err := os.ReadFile(f.path)
	if want := fmt.Sprintf("%d\n", os.Getpid()); err != nil || string(text) != want {
		t.Errorf("it has %q (%v), want %q", text, err, want)
	}
	f.remove(log)
	if _, err := os.Stat(f.path); err == nil {
		t.Error("it is not removed")
	}
}

// Several daemons may have the same file; the last one has its number there.
func TestAPIDFileOfAnotherStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n.pid")
	f := &pidFile{path: path}
	if err := f.write(load(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f.remove(zap.NewNop())
	if text, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(text)) != "1" {
		t.Errorf("it has %q, %v", text, err)
	}
	// One that was never written, because the start failed, is not removed either.
	(&pidFile{path: path}).remove(zap.NewNop())
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
