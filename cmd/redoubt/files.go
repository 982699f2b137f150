package main

import (
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"redoubt/internal/tools/filecheck"
)

// fileTool is a tool that has the command line of one of Redis's.
type fileTool func(in io.Reader, out, errs io.Writer, name string, args []string) (exit int)

func checkRDB(_ io.Reader, out, errs io.Writer, name string, args []string) int {
	return filecheck.RDB(out, errs, name, args)
}

func checkAOF(in io.Reader, out, _ io.Writer, name string, args []string) int {
	return filecheck.AOF(in, out, name, args)
}

// fileToolOf is the tool that a program name stands for, nil if it is none.
func fileToolOf(arg0 string) fileTool {
	switch filepath.Base(arg0) {
	case "redis-check-rdb", "valkey-check-rdb", "redoubt-check-rdb":
		return checkRDB
	case "redis-check-aof", "valkey-check-aof", "redoubt-check-aof":
		return checkAOF
	}
	return nil
}

// run runs the tool as the process that this is. It does not return if something is
// wrong: scripts look at the exit code and at what was printed.
func (t fileTool) run(name string, args []string) error {
	if t(os.Stdin, os.Stdout, os.Stderr, name, args) != 0 {
		return errSilent
	}
	return nil
}

func newCheckRDBCommand() *cobra.Command {
	return fileCommand(checkRDB, "check-rdb FILE", "Check an RDB file, as redis-check-rdb does",
		`Reads an RDB file (dump.rdb, a base) to its end and says whether it is sound.
A link named redis-check-rdb to the program is the same.`)
}

func newCheckAOFCommand() *cobra.Command {
	return fileCommand(checkAOF, "check-aof [--fix | --truncate-to-timestamp TIME] FILE", "Check or shorten append-only files of Redis, as redis-check-aof does",
		`Reads append-only files of Redis: all that a manifest names, or one file. With
--fix it shortens the last one by what cannot be read, after a question; with
--truncate-to-timestamp by what is later than a Unix time, if Redis has noted times.
A link named redis-check-aof to the program is the same.

The journal of this server is none of these; a start of the server checks it.`)
}

// fileCommand is a subcommand whose arguments are the tool's.
func fileCommand(tool fileTool, use, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
				return cmd.Help()
			}
			return tool.run(cmd.CommandPath(), args)
		},
	}
}
