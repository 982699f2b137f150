package main

import (
	"strings"

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

// tellOfDirectives names the directives that do not do what whoever has set them may
// expect.
func tellOfDirectives(log *logging.Logger, settings *config.Config, asSentinel bool) {
	for _, line := range settings.Unused() {
		log.Info(line)
	}
	if foreign := settings.Foreign(); asSentinel && len(foreign) > 0 {
		log.Warn("A Sentinel keeps no data and does not look at these directives: " + strings.Join(foreign, ", "))
	}
	for _, line := range settings.Warnings() {
		log.Warn("WARNING: " + line)
	}
}
