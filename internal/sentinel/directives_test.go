package sentinel

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/config"
)

// load reads a configuration file of these lines.
func load(t testing.TB, lines ...string) (*config.Config, *file, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sentinel.conf")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(config.Source{Args: []string{path}, Product: "test", Sentinel: true})
	if err != nil {
		return nil, nil, err
	}
	f, err := readFile(c, "test")
	return c, f, err
}

func mustLoad(t testing.TB, lines ...string) (*config.Config, *file) {
	t.Helper()
	c, f, err := load(t, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return c, f
}

const (
	someID  = "0ea40a1f9da7cb2abcc4ac47d82be9174b06fd8c"
	otherID = "1ea40a1f9da7cb2abcc4ac47d82be9174b06fd8c"
)

// Every directive, in an order in which none finds what it depends on before it.
func TestEveryDirectiveIsRead(t *testing.T) {
	c, f := mustLoad(t,
		`sentinel rename-command m CONFIG "the config"`,
		"SENTINEL known-slave m replica.example 7001",
		"sentinel known-replica m 127.0.0.1 7002",
		"sentinel known-sentinel m 127.0.0.2 26380 "+otherID,
		"sentinel known-sentinel m 127.0.0.3 26380",
		"sentinel config-epoch m 9",
		"sentinel leader-epoch m 11",
		"sentinel down-after-milliseconds m 5000",
		"sentinel failover-timeout m 60000",
		"sentinel parallel-syncs m 2",
		"sentinel notification-script m /bin/true",
		"sentinel client-reconfig-script m /bin/false",
		`sentinel auth-pass m "pass word"`,
		"sentinel auth-user m alice",
		"sentinel master-reboot-down-after-period m 7000",
		"sentinel fast-down m yes",
		"sentinel forget-after-milliseconds m 8000",
		"sentinel Monitor m db.example 7000 2",
		"sentinel myid "+someID,
		"sentinel current-epoch 10",
		"sentinel announce-ip 10.0.0.1",
		"sentinel announce-port 26000",
		"sentinel deny-scripts-reconfig no",
		"sentinel sentinel-user bob",
		"sentinel sentinel-pass secret",
		"sentinel resolve-hostnames yes",
		"sentinel announce-hostnames yes",
	)
	want := &core.State{MyID: someID, CurrentEpoch: 11, Masters: []*core.MasterState{{
		Name: "m", Addr: core.Addr{Host: "db.example", Port: 7000}, Quorum: 2, ConfigEpoch: 9, LeaderEpoch: 11,
		Replicas:  []core.Addr{{Host: "replica.example", Port: 7001}, {Host: "127.0.0.1", Port: 7002}},
		Sentinels: []core.KnownSentinel{{Addr: core.Addr{Host: "127.0.0.2", Port: 26380}, ID: otherID}},
		Options: core.Options{
			DownAfter: 5 * time.Second, FailoverTimeout: time.Minute, ParallelSyncs: 2,
			NotificationScript: "/bin/true", ClientReconfigScript: "/bin/false",
			AuthPass: "pass word", AuthUser: "alice", RebootDownAfter: 7 * time.Second,
			FastDown: true, ForgetAfter: 8 * time.Second,
			RenamedCommands: []core.RenamedCommand{{From: "CONFIG", To: "the config"}},
		},
	}}}
	if !reflect.DeepEqual(f.state, want) {
		t.Errorf("state %+v, master %+v", f.state, f.state.Masters[0])
	}
	settings := core.Settings{AnnounceIP: "10.0.0.1", AnnouncePort: 26000, ResolveHostnames: true, AnnounceHostnames: true,
		SentinelUser: "bob", SentinelPass: "secret", Timing: core.DefaultTiming()}
	if f.settings != settings || f.denyScripts {
		t.Errorf("settings %+v, deny %v", f.settings, f.denyScripts)
	}
	if cfg := c.Current(); cfg.Port != 26379 || cfg.ProtectedMode {
		t.Errorf("port %d, protected mode %v: not a Sentinel's defaults", cfg.Port, cfg.ProtectedMode)
	}
}

// What is refused, with the line and its text, in Redis's words.
func TestRefusedLines(t *testing.T) {
	const monitor = "sentinel monitor m 127.0.0.1 7000 2"
	for _, tc := range []struct{ line, want string }{
		{"sentinel nonsense 1", "Unrecognized sentinel configuration statement."},
		{"sentinel monitor n 127.0.0.1 7000", "Unrecognized sentinel configuration statement."},
		{"sentinel monitor n 127.0.0.1 7000 0", "Quorum must be 1 or greater."},
		{"sentinel monitor n 127.0.0.1 70000 1", "Invalid port number."},
		{"sentinel monitor n 127.0.0.1 -1 1", "Invalid port number."},
		{"sentinel monitor n db.example 7000 1", "Can't resolve instance hostname."},
		{"sentinel monitor m 127.0.0.1 7000 1", "Duplicate master name."},
		{"sentinel down-after-milliseconds n 1", "No such master with specified name."},
		{"sentinel down-after-milliseconds m 0", "negative or zero time parameter."},
		{"sentinel failover-timeout m x", "negative or zero time parameter."},
		{"sentinel master-reboot-down-after-period m -1", "negative time parameter."},
		{"sentinel notification-script m /nowhere", "Notification script seems non existing or non executable."},
		{"sentinel client-reconfig-script m nowhere", "Client reconfiguration script seems non existing or non executable."},
		{"sentinel myid 123", "Malformed Sentinel id in myid option."},
		{"sentinel current-epoch x", "value is not an integer or out of range"},
		{"sentinel resolve-hostnames maybe", "Please specify yes or no for the resolve-hostnames option."},
		{"sentinel announce-hostnames maybe", "Please specify yes or no for the announce-hostnames option."},
		{"sentinel deny-scripts-reconfig maybe", "Please specify yes or no for the deny-scripts-reconfig options."},
		{"sentinel fast-down m maybe", "Please specify yes or no for the fast-down option."},
		{"sentinel announce-port 65536", "Invalid port number."},
		{"unheard-of 1", "Bad directive or wrong number of arguments"},
	} {
		t.Run(tc.line, func(t *testing.T) {
			_, _, err := load(t, monitor, "# a comment", tc.line)
			var at *config.FileError
			if !errors.As(err, &at) || at.Reason != tc.want || at.Line.Number != 3 || at.Line.Text != tc.line || at.Line.Place.Line != 3 {
				t.Errorf("error %v", err)
			}
		})
	}
	for _, twice := range []struct{ line, want string }{
		{"sentinel known-replica m 127.0.0.1 7001", "Duplicate hostname and port for replica."},
		{"sentinel known-sentinel m 127.0.0.1 7001 " + otherID, "Duplicate runid for sentinel."},
		{"sentinel rename-command m config x", "Same command renamed multiple times with rename-command."},
	} {
		_, _, err := load(t, monitor, twice.line, twice.line)
		if err == nil || !strings.Contains(err.Error(), twice.want) {
			t.Errorf("%s twice: %v", twice.line, err)
		}
	}
}

// TestRewriteKeepsPlaces: what redis-sentinel 7.0.15 made of a file, after a
// failover from 7000 to 7010 and with a Sentinel found.
func TestRewriteKeepsPlaces(t *testing.T) {
	c, f := mustLoad(t,
		"# my comment",
		"port 33001",
		"sentinel monitor m 127.0.0.1 7000 2",
		"sentinel down-after-milliseconds m 5000",
		"",
		"sentinel auth-pass m secret",
		"# another",
		"sentinel known-slave m 127.0.0.1 7010",
		"dir /tmp",
		"sentinel deny-scripts-reconfig yes",
		"# Generated by CONFIG REWRITE",
		"protected-mode no",
		"latency-tracking-info-percentiles 50 99 99.9",
		"user default on nopass ~* &* +@all",
		"sentinel myid "+someID,
		"sentinel config-epoch m 0",
		"sentinel leader-epoch m 0",
		"sentinel current-epoch 0",
		"sentinel announce-port 5",
	)
	m := f.state.Masters[0]
	m.Addr, m.Replicas = core.Addr{Host: "127.0.0.1", Port: 7010}, []core.Addr{{Host: "127.0.0.1", Port: 7000}, {Host: "127.0.0.1", Port: 7011}}
	m.Sentinels = []core.KnownSentinel{{Addr: core.Addr{Host: "127.0.0.1", Port: 33002}, ID: otherID}}
	m.ConfigEpoch, m.LeaderEpoch, f.state.CurrentEpoch = 3, 3, 4
	f.settings.AnnouncePort = 0
	if err := c.RewriteSentinel(statements(f.settings, f.denyScripts, f.state)); err != nil {
		t.Fatal(err)
	}
	want := strings.Join([]string{
		"# my comment",
		"port 33001",
		"sentinel monitor m 127.0.0.1 7010 2",
		"sentinel down-after-milliseconds m 5000",
		"",
		"sentinel auth-pass m secret",
		"# another",
		"sentinel known-replica m 127.0.0.1 7000",
		`dir "/tmp"`,
		"sentinel deny-scripts-reconfig yes",
		"# Generated by CONFIG REWRITE",
		"protected-mode no",
		"latency-tracking-info-percentiles 50 99 99.9",
		"user default on nopass ~* &* +@all",
		"sentinel myid " + someID,
		"sentinel config-epoch m 3",
		"sentinel leader-epoch m 3",
		"sentinel current-epoch 4",
		"",
		"sentinel known-replica m 127.0.0.1 7011",
		"sentinel known-sentinel m 127.0.0.1 33002 " + otherID,
	}, "\n") + "\n"
	got, err := os.ReadFile(c.Path())
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("the file is\n%s\nwant\n%s", got, want)
	}
}

// What a client says of itself or of a master must not become another line, nor be
// read as something else after a restart.
func TestRewriteRoundTrip(t *testing.T) {
	_, f := mustLoad(t, "sentinel monitor m 127.0.0.1 7000 1")
	evil := "x\nsentinel notification-script m /bin/sh\r\n\"'\\ #"
	o := &f.state.Masters[0].Options
	o.AuthPass, o.AuthUser, o.ParallelSyncs = evil, "a b", -1
	o.RenamedCommands = []core.RenamedCommand{{From: "CONFIG", To: evil}}
	o.DownAfter, o.FastDown, o.ForgetAfter, o.RebootDownAfter = time.Second, true, time.Hour, time.Minute
	f.state.MyID, f.state.CurrentEpoch = someID, 1<<63
	f.state.Masters[0].ConfigEpoch = 1 << 62
	f.state.Masters = append(f.state.Masters, &core.MasterState{Name: evil, Addr: core.Addr{Host: "::1", Port: 1}, Quorum: 3, Options: core.DefaultOptions()})
	f.settings = core.Settings{SentinelPass: evil, SentinelUser: "'", AnnounceIP: evil, AnnouncePort: 7, Timing: core.DefaultTiming()}
	c, _ := mustLoad(t, "")
	if err := c.RewriteSentinel(statements(f.settings, false, f.state)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(c.Path())
	if err != nil {
		t.Fatal(err)
	}
	_, again := mustLoad(t, string(text))
	if !reflect.DeepEqual(again.state, f.state) || again.settings != f.settings || again.denyScripts {
		t.Errorf("read again as %+v and %+v from\n%s", again.state, again.settings, text)
	}
}

// FuzzDirectives: no file brings the program down, and what is read is read again.
func FuzzDirectives(f *testing.F) {
	f.Add("sentinel monitor m 127.0.0.1 7000 2\nsentinel auth-pass m \"a b\"")
	f.Add("sentinel known-slave m 127.0.0.1 7010\nsentinel monitor m ::1 7000 2\nport 1")
	f.Add("sentinel rename-command m a b\nsentinel monitor \"m\\n\" h 7000 2\nsentinel resolve-hostnames yes")
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(strings.ToLower(text), "include") {
			t.Skip("reads other files")
		}
		c, first, err := load(t, text)
		if err != nil {
			return
		}
		if err := c.RewriteSentinel(statements(first.settings, first.denyScripts, first.state)); err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(c.Path())
		if err != nil {
			t.Fatal(err)
		}
		_, again, err := load(t, string(written))
		if first.state.MyID == "" {
			return // the program has one before it writes
		}
		if err != nil || !reflect.DeepEqual(again.state, first.state) {
			t.Errorf("%v: written as\n%s", err, written)
		}
	})
}
