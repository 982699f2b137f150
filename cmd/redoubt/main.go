// Command redoubt is the server and all its tools in one binary: one
// cobra subcommand per file. Nothing is decided here: the subcommands turn flags into
// the options of a package and print its answer.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"redoubt/internal/proctitle"
	"redoubt/internal/version"
)

// errSilent makes the process exit with status 1 without a further message:
// what is wrong has been printed.
var errSilent = errors.New("the reason is printed")

func main() {
	title := proctitle.Own()
	profile()
	run := newRoot(title).Execute
	if serverName(os.Args[0]) {
		run = func() error { return serve(title, os.Args[1:], slices.Contains(os.Args, sentinelOption)) }
	}
	if sentinelName(os.Args[0]) {
		run = func() error { return serve(title, os.Args[1:], true) }
	}
	if tool := fileToolOf(os.Args[0]); tool != nil {
		run = func() error { return tool.run(os.Args[0], os.Args[1:]) }
	}
	if err := run(); err != nil {
		var status exitStatus
		if errors.As(err, &status) {
			os.Exit(int(status))
		}
		if !errors.Is(err, errSilent) {
			fmt.Fprintln(os.Stderr, "redoubt:", err)
		}
		os.Exit(1)
	}
}

// exitStatus is errSilent with a status of its own.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d; %v", int(s), errSilent) }

func newRoot(title *proctitle.Title) *cobra.Command {
	root := &cobra.Command{
		Use:           "redoubt",
		Short:         "A sharded, durable, in-memory datastore, compatible with Redis Cluster",
		Version:       version.Build,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newServerCommand(title), newSentinelCommand(title), newClusterCommand(), newCheckCommand(), newLabCommand(), newHealthCommand(),
		newCheckRDBCommand(), newCheckAOFCommand(), newJournalCommand(), newVersionCommand(), newCompletionCommand(root))
	return root
}
