package main

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"redoubt/internal/config"
	"redoubt/internal/logging"
)

// levels are those of the directive loglevel.
var levels = map[config.LogLevel]zapcore.Level{
	config.LogDebug:   logging.Debug,
	config.LogVerbose: logging.Verbose,
	config.LogNotice:  logging.Notice,
	config.LogWarning: logging.Warning,
	config.LogNothing: logging.Nothing,
}

// followLog has the log follow its directives. It is called before anybody has the logger.
func followLog(log *logging.Logger, settings *config.Config) {
	set := func(_, next *config.Settings) error {
		log.SetLevel(levels[next.LogLevel])
		return nil
	}
	c := settings.Current()
	_ = set(nil, c)
	settings.OnChange(set, "loglevel")
	if !c.SyslogEnabled {
		return
	}
	if err := log.AddSyslog(c.SyslogIdent, c.SyslogFacility); err != nil {
		log.Warn("syslog-enabled is on, but syslog does not listen. It is tried again", zap.Error(err))
	}
}
