package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"redoubt/internal/version"
)

// newVersionCommand is "redoubt version". The server and the tools under Redis's names have
// --version as those of Redis have it.
func newVersionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "redoubt %s\ncompatible with Redis %s\nbuilt with %s for %s/%s\n",
				version.Build, version.Redis, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
