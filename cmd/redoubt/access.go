package main

import (
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"redoubt/internal/tools/client"
)

// access is the flags with which every tool enters a node. The names are
// redis-cli's.
type access struct{ user, pass string }

func (a *access) register(f *pflag.FlagSet) {
	f.StringVar(&a.user, "user", "", "ACL user to authenticate as; needs --pass")
	f.StringVarP(&a.pass, "pass", "a", "", "password (default: the environment variable REDISCLI_AUTH)")
}

// options turns the flags into the client's options.
func (a *access) options(timeout time.Duration) client.Options {
	pass := a.pass
	if pass == "" {
		pass = os.Getenv("REDISCLI_AUTH")
	}
	return client.Options{User: a.user, Pass: pass, Timeout: timeout}
}

// coloured reports whether messages to stdout should be coloured: redis-cli's
// rule, and only on a terminal.
func coloured(cmd *cobra.Command) bool {
	f, ok := cmd.OutOrStdout().(*os.File)
	if !ok || !strings.Contains(os.Getenv("TERM"), "xterm") {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
