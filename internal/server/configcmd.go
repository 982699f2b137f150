package server

import (
	"errors"
	"fmt"
	"strings"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/resp"
	"redoubt/storage"
)

var configRows = []*command.Row{
	{Name: "config", Arity: -2, Doc: doc("2.0.0", "server", "Reads, changes and saves the settings."), Sub: []*command.Row{
		configRow("get", -3, "2.0.0", "Shows the settings whose names match.", configGet),
		stopping(configRow("set", -4, "2.0.0", "Changes settings of the running server.", configSet)),
		configRow("rewrite", 2, "2.8.0", "Writes the settings in force back to the configuration file.", configRewrite),
		stopping(configRow("resetstat", 2, "2.0.0", "Sets the counters of INFO to zero.", configResetStat)),
		serverRow("help", 2, command.Loading|command.Stale, "5.0.0", "Lists the sub-commands.", func(x *command.Ctx) {
			command.Help(x, "GET <pattern>", "    The settings whose names match, with their values.",
				"SET <directive> <value>", "    Change a setting.",
				"RESETSTAT", "    Set the counters of INFO to zero.",
				"REWRITE", "    Write the settings in force back to their file.")
		}),
	}},
}

func configRow(name string, arity int, since, summary string, run command.Handler) *command.Row {
	return serverRow(name, arity, command.Admin|command.NoScript|command.Loading|command.Stale, since, summary, run)
}

func configGet(x *command.Ctx) {
	var patterns []string
	for _, a := range x.Args[2:] {
		patterns = append(patterns, string(a))
	}
	pairs := serverOf(x).config.Get(patterns...)
	x.Out.Map(len(pairs))
	for _, p := range pairs {
		x.Out.BulkString(p.Name)
		x.Out.BulkString(p.Value)
	}
}

// configSet runs the hooks of the changed directives with all loops stopped,
// so they may change what belongs to loops.
func configSet(x *command.Ctx) {
	if len(x.Args)%2 != 0 {
		x.Out.Error(resp.ErrSyntax)
		return
	}
	var pairs []config.Pair
	for i := 2; i < len(x.Args); i += 2 {
		if config.Sensitive(string(x.Args[i])) {
			x.Caller.Redact(i + 1)
		}
		pairs = append(pairs, config.Pair{Name: string(x.Args[i]), Value: string(x.Args[i+1])})
	}
	l, c := loopOf(x), connOf(x)
	var err error
	memory, encodings := l.srv.config.Current().MaxMemory, l.srv.config.Current().Encodings
	l.allConns(func() {
		err = l.srv.config.Set(config.Caller{Local: c.loopback, Loading: l.srv.Loading()}, pairs...)
		if err == nil {
			l.srv.refreshConditions()
			l.cfg = l.srv.config.Current()
		}
	})
	if err == nil && l.srv.config.Current().MaxMemory != memory {
		l.everything(l.srv.followPolicy)
		if x.Tx == nil {
			l.makeRoom()
		} else {
			l.evicting = true // each eviction is a unit of its own: after the transaction
		}
	}
	if err == nil && l.srv.config.Current().Encodings != encodings {
		l.everything(l.srv.followEncodings)
	}
	switch {
	case errors.Is(err, config.ErrLoading):
		x.Out.Error(resp.ErrLoading)
	case err != nil:
		x.Out.Error(resp.Error(err.Error()))
	default:
		for _, p := range pairs {
			if lacks := l.srv.config.Lacking(p.Name); lacks != "" {
				l.srv.log.Warn("WARNING: " + p.Name + " has no effect in this version: " + lacks)
			}
		}
		x.Out.OK()
	}
}

// followPolicy makes the access bits of keys mean what maxmemory-policy asks
// for; tx holds the world.
func (s *Server) followPolicy(tx *storage.Tx) {
	m := s.config.Current().MaxMemory
	tx.UseLFU(s.LFU(), m.LFULogFactor, m.LFUDecayMin)
}

// followEncodings makes the limits of compact encodings those of the settings; tx
// holds the world.
func (s *Server) followEncodings(tx *storage.Tx) {
	e, l := s.config.Current().Encodings, tx.Limits()
	l.HashEntries, l.HashValue = e.HashEntries, e.HashValue
	l.ListSize = e.ListSize
	l.SetInts, l.SetEntries, l.SetValue = e.SetInts, e.SetEntries, e.SetValue
	l.ZSetEntries, l.ZSetValue = e.ZSetEntries, e.ZSetValue
	tx.SetLimits(l)
}

func configRewrite(x *command.Ctx) {
	s := serverOf(x)
	if err := s.config.Rewrite(false); err != nil {
		s.log.Warn("CONFIG REWRITE failed: " + strings.TrimPrefix(err.Error(), "ERR "))
		x.Out.Error(resp.Error(err.Error()))
		return
	}
	s.log.Info("CONFIG REWRITE executed with success.")
	x.Out.OK()
}

func configResetStat(x *command.Ctx) {
	l := loopOf(x)
	l.allConns(l.srv.admin.ResetStats)
	x.Out.OK()
}

// followSettings installs what CONFIG SET must change in the running server
// besides the settings themselves.
func (s *Server) followSettings() {
	s.config.OnChange(s.rebind, "port", "bind")
	s.config.OnChange(func(_, next *config.Settings) error {
		if room := clientRoom(); next.MaxClients > room {
			return fmt.Errorf("The operating system is not able to handle the specified number of clients, try with %d", room)
		}
		return nil
	}, "maxclients")
	s.config.OnChange(func(_, next *config.Settings) error {
		s.eachConn(func(c *conn) { c.parser.Limits.MaxBulk = next.MaxBulkBytes })
		return nil
	}, "proto-max-bulk-len")
}

// rebind listens on other addresses. All loops are stopped.
func (s *Server) rebind(was, next *config.Settings) error {
	if !s.listening {
		return nil
	}
	old := s.listeners
	for _, ln := range old {
		s.loops[0].poll.remove(ln.fd)
		ln.close()
	}
	fresh, err := listenTCP(next)
	if err == nil {
		s.listeners = fresh
	} else {
		s.log.Warn(err.Error())
		if s.listeners, err = listenTCP(was); err != nil {
			s.log.Warn("The node listens on no TCP address now: " + err.Error())
		}
		err = errors.New("Unable to listen on this port. Check server logs.")
		if next.Port == was.Port {
			err = errors.New("Failed to bind to specified addresses.")
		}
	}
	for _, ln := range s.listeners {
		_ = s.loops[0].poll.add(ln.fd, readable)
	}
	return err
}
