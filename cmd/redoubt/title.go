package main

import (
	"os"
	"strconv"

	"redoubt/internal/config"
	"redoubt/internal/proctitle"
)

// modeOf is the {server-mode} of the title.
func modeOf(c *config.Settings, asSentinel bool) string {
	switch {
	case asSentinel:
		return "[sentinel]"
	case c.ClusterEnabled:
		return "[cluster]"
	}
	return ""
}

// showTitle has ps show the title of proc-title-template, and follows its changes.
func showTitle(title *proctitle.Title, settings *config.Config, mode string) {
	set := func(_, next *config.Settings) error {
		if next.SetProcTitle {
			title.Set(procTitle(next, mode, settings.Path(), os.Args[0]))
		}
		return nil
	}
	_ = set(nil, settings.Current())
	settings.OnChange(set, "proc-title-template")
}

// procTitle is proc-title-template with its variables: mode is as modeOf has it, file the path of the
// configuration file, name what the program was started as. It matches redisSetProcTitle.
func procTitle(c *config.Settings, mode, file, name string) string {
	title, _ := config.ExpandTitle(c.ProcTitleTemplate, func(variable string) (string, bool) {
		switch variable {
		case "title":
			return name, true
		case "listen-addr":
			return listenAddr(c), true
		case "server-mode":
			return mode, true
		case "config-file":
			if file == "" {
				return "-", true
			}
			return file, true
		case "port":
			return strconv.Itoa(c.Port), true
		case "tls-port":
			return strconv.Itoa(c.TLSPort), true
		}
		return c.UnixSocket, true
	})
	return title
}

// listenAddr is where clients connect, as the title of the process says it.
func listenAddr(c *config.Settings) string {
	switch {
	case c.AnyPort() == 0:
		return "unixsocket:" + c.UnixSocket
	case len(c.Bind) == 0:
		return "*:" + strconv.Itoa(c.AnyPort())
	}
	return c.Bind[0] + ":" + strconv.Itoa(c.AnyPort())
}
