package main

import (
	"testing"

	"redoubt/internal/config"
)

// The variables of proc-title-template, as unit/other has them.
func TestTheTitleOfTheProcess(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     []string
		file     string
		want     string
		sentinel bool
	}{
		{"the default", []string{"--bind", "127.0.0.1 ::1", "--port", "7000"}, "", "./redis-server 127.0.0.1:7000", false},
		{"of a Sentinel", []string{"--port", "26379"}, "", "./redis-server *:26379 [sentinel]", true},
		{"of a cluster", []string{"--port", "7000", "--cluster-enabled", "yes"}, "", "./redis-server *:7000 [cluster]", false},
		{"without an address", []string{"--bind", "", "--port", "7000"}, "", "./redis-server *:7000", false},
		{"without a port", []string{"--port", "0", "--unixsocket", "/run/s"}, "", "./redis-server unixsocket:/run/s", false},
		{"all variables", []string{"--port", "7000", "--unixsocket", "s", "--proc-title-template", " {{{title}} {port} {tls-port} {unixsocket} {server-mode}{config-file} "},
			"/etc/c", "{./redis-server} 7000 0 s /etc/c", false},
		{"without a file", []string{"--proc-title-template", "{config-file}"}, "", "-", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings, err := config.Load(config.Source{Args: c.args})
			if err != nil {
				t.Fatal(err)
			}
			if got := procTitle(settings.Current(), modeOf(settings.Current(), c.sentinel), c.file, "./redis-server"); got != c.want {
				t.Errorf("the title is %q, want %q", got, c.want)
			}
		})
	}
}
