package main

import (
	"errors"

	"github.com/spf13/cobra"
)

// newServerCommand is the place of the node itself.
func newServerCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "server",
		Short:              "Run a node",
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return errors.New("server is not built in this binary") },
	}
}
