package main

import (
	"github.com/spf13/cobra"

	"redoubt/internal/tools/journaltool"
)

// shownBytes is how many bytes of an argument are printed unless --full is given.
const shownBytes = 64

func newJournalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journal",
		Short: "Show what is in a journal, or in what a deposed primary has given up",
	}
	var o journaltool.Options
	var full bool
	show := &cobra.Command{
		Use:   "show FILE | DIRECTORY",
		Short: "Print the commands, with their offsets",
		Long: `Prints the commands of a file that a deposed primary has kept (rewound-….aof), or
of the journal in a data directory, one per line: the number of the first byte in
the stream, the database in brackets, the command. Commands of one transaction or
script have one number. PING and the like are left out.

No node may be working with the journal; look at a copy otherwise. With --raw the
bytes are printed as they are, for "redis-cli --pipe" for example.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Width = shownBytes
			if full {
				o.Width = 0
			}
			return journaltool.Show(cmd.OutOrStdout(), args[0], o)
		},
	}
	show.Flags().Int64Var(&o.From, "from", 0, "number of the first byte in the stream that is wanted")
	show.Flags().Int64Var(&o.To, "to", 0, "number of the last one; 0 is the end")
	show.Flags().BoolVar(&o.Raw, "raw", false, "print the bytes of the stream")
	show.Flags().BoolVar(&full, "full", false, "print long arguments to their end")
	info := &cobra.Command{
		Use:   "info FILE | DIRECTORY",
		Short: "Print the history, the offsets and the number of commands",
		Args:  cobra.ExactArgs(1),
		RunE:  func(cmd *cobra.Command, args []string) error { return journaltool.Info(cmd.OutOrStdout(), args[0]) },
	}
	cmd.AddCommand(show, info)
	return cmd
}
