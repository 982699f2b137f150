package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"redoubt/internal/tools/lab"
)

const defaultLabDir = "./lab"

// newLabCommand is "redoubt lab": a cluster on this machine to try things on.
func newLabCommand() *cobra.Command {
	var (
		dir      string
		timeout  time.Duration
		replicas int
		cfg      lab.Config
	)
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run a six-node cluster on this machine",
		Long: `Starts six nodes on the loopback interface, makes a cluster of them and says
what can be done with it. The nodes keep running when the command has ended. A lab
that exists already is started again, with its data.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("replicas") {
				cfg.Replicas = &replicas
			}
			l, err := lab.Create(dir, cfg, timeout)
			if err != nil {
				return err
			}
			defer l.Close()
			if err := l.Up(cmd.OutOrStdout()); err != nil {
				return err
			}
			if err := l.Status(cmd.OutOrStdout()); err != nil {
				return err
			}
			printInstructions(cmd.OutOrStdout(), l, dir)
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", defaultLabDir, "the lab's directory")
	cmd.PersistentFlags().DurationVar(&timeout, "timeout", 30*time.Second, "limit of each wait")
	f := cmd.Flags()
	f.IntVar(&cfg.Port, "port", 0, "port of the first node; the others follow (default 7000)")
	f.IntVar(&cfg.Nodes, "nodes", 0, "number of nodes (default 6)")
	f.IntVar(&replicas, "replicas", 1, "replicas of each primary")
	f.DurationVar(&cfg.NodeTimeout, "node-timeout", 0, "cluster-node-timeout of the nodes (default 5s)")
	f.StringVar(&cfg.ServerBin, "server-bin", "", "run this redis-server instead of our own: a path, or a name in $PATH")

	// on makes a subcommand of an operation on an existing lab.
	on := func(use, short string, args cobra.PositionalArgs, do func(l *lab.Lab, out io.Writer, args []string) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			l, err := lab.Open(dir, timeout)
			if err != nil {
				return err
			}
			defer l.Close()
			return do(l, cmd.OutOrStdout(), args)
		}}
	}
	cmd.AddCommand(
		on("status", "Print a table of the nodes", cobra.NoArgs, func(l *lab.Lab, out io.Writer, _ []string) error { return l.Status(out) }),
		on("kill N", "End node N with SIGKILL", cobra.ExactArgs(1), func(l *lab.Lab, out io.Writer, args []string) error { return l.Kill(out, args[0]) }),
		on("start N", "Start node N again", cobra.ExactArgs(1), func(l *lab.Lab, out io.Writer, args []string) error { return l.Start(out, args[0]) }),
		on("stop", "Stop all nodes; their data stay", cobra.NoArgs, func(l *lab.Lab, out io.Writer, _ []string) error { return l.Stop(out) }),
	)
	return cmd
}

// printInstructions says what to do with a lab that is up.
func printInstructions(out io.Writer, l *lab.Lab, dir string) {
	self, at := os.Args[0], ""
	if dir != defaultLabDir {
		at = " --dir " + dir
	}
	primaries := l.Nodes / (*l.Replicas + 1)
	fmt.Fprintf(out, "\nThe cluster is ready: %d primaries, %d replicas, in %s.\n\n", primaries, l.Nodes-primaries, l.Dir())
	for _, line := range []struct{ cmd, what string }{
		{fmt.Sprintf("redis-cli -c -p %d set k v", l.Port), "any node takes any key"},
		{fmt.Sprintf("redis-cli -c -p %d get k", l.Port+1), "and finds it"},
		{fmt.Sprintf("%s check --nodes 127.0.0.1:%d", self, l.Port), "write and read all slots; count what is lost"},
		{fmt.Sprintf("%s lab status%s", self, at), "who is what"},
		{fmt.Sprintf("%s lab kill 1%s", self, at), "kill -9; watch its replica take over"},
		{fmt.Sprintf("%s lab start 1%s", self, at), "it rejoins as a replica"},
		{fmt.Sprintf("%s lab stop%s", self, at), "all stop, the data stay"},
	} {
		fmt.Fprintf(out, "  %-44s %s\n", line.cmd, line.what)
	}
}
