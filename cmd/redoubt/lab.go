package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"redoubt/internal/tools/lab"
)

// newLabCommand is "redoubt lab": a cluster on this machine to try things on.
func newLabCommand() *cobra.Command {
	var (
		dir      string
		timeout  time.Duration
		replicas int
		quorum   string
		cfg      lab.Config
	)
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Run a six-node cluster, or a primary under Sentinels, on this machine",
		Long: `Starts six nodes on the loopback interface, makes a cluster of them and says
what can be done with it. With --sentinel they are a primary, two replicas and three
Sentinels. The nodes keep running when the command has ended. A lab that exists already
is started again, with its data.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Zero leaves a choice open, so that it cannot be chosen.
			for name, value := range map[string]int64{"port": int64(cfg.Port), "nodes": int64(cfg.Nodes), "node-timeout": int64(cfg.NodeTimeout)} {
				if cmd.Flags().Changed(name) && value <= 0 {
					return fmt.Errorf("--%s %s: it must be greater than 0", name, cmd.Flags().Lookup(name).Value)
				}
			}
			switch quorum {
			case "async":
			case "quorum":
				cfg.Quorum = true
			default:
				return fmt.Errorf("--durability %s: it must be async or quorum", quorum)
			}
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
			return printInstructions(cmd.OutOrStdout(), l, dir)
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", lab.DefaultDir, "the lab's directory")
	cmd.PersistentFlags().DurationVar(&timeout, "timeout", 30*time.Second, "limit of each wait")
	f := cmd.Flags()
	f.BoolVar(&cfg.Sentinel, "sentinel", false, "a primary, its replicas and three Sentinels instead of a cluster")
	f.BoolVar(&cfg.TLS, "tls", false, "all ports with TLS, under a certificate that is made in the lab's directory")
	f.StringVar(&quorum, "durability", "async", "quorum: three shards of three nodes that lose no acknowledged write")
	f.IntVar(&cfg.Port, "port", 0, "port of the first node; the others follow (default 7000)")
	f.IntVar(&cfg.Nodes, "nodes", 0, "number of all nodes, Sentinels too (default 6)")
	f.IntVar(&replicas, "replicas", 1, "replicas of each primary; with --sentinel 2, unless set")
	f.DurationVar(&cfg.NodeTimeout, "node-timeout", 0, "cluster-node-timeout of the nodes, down-after-milliseconds of the Sentinels (default 5s)")
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
	kill := on("kill N", "End node N with SIGKILL", cobra.ExactArgs(1), func(l *lab.Lab, out io.Writer, args []string) error { return l.Kill(out, args[0]) })
	start := on("start N", "Start node N again", cobra.ExactArgs(1), func(l *lab.Lab, out io.Writer, args []string) error { return l.Start(out, args[0]) })
	kill.ValidArgsFunction = labNodes(&dir, true)
	restart := on("restart N", "Ask node N to shut down, and start it again", cobra.ExactArgs(1), func(l *lab.Lab, out io.Writer, args []string) error { return l.Restart(out, args[0]) })
	stop := on("stop [N]", "Stop all nodes, or node N, which hands over first if it is a primary; the data stay", cobra.MaximumNArgs(1), func(l *lab.Lab, out io.Writer, args []string) error {
		if len(args) > 0 {
			return l.StopNode(out, args[0])
		}
		return l.Stop(out)
	})
	stop.ValidArgsFunction = labNodes(&dir, true)
	start.ValidArgsFunction = labNodes(&dir, false)
	restart.ValidArgsFunction = labNodes(&dir, true)
	status := &cobra.Command{Use: "status", Short: "Print a table of the nodes, and what is wrong with them", Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		l, err := lab.Look(dir)
		if err != nil {
			return err
		}
		return l.Status(cmd.OutOrStdout())
	}}
	cmd.AddCommand(status, kill, start, restart,
		stop,
		on("remove", "Stop all nodes and delete the lab with its data", cobra.NoArgs, func(l *lab.Lab, out io.Writer, _ []string) error { return l.Remove(out) }),
	)
	return cmd
}

// labNodes completes the number of a node that runs, or of one that does not.
func labNodes(dir *string, running bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		l, err := lab.Look(*dir)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var found []cobra.Completion
		for _, n := range l.Numbers(running) {
			found = append(found, cobra.CompletionWithDesc(fmt.Sprint(n.Number), n.Addr))
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// printInstructions says what to do with a lab that is up.
func printInstructions(out io.Writer, l *lab.Lab, dir string) error {
	type line struct{ cmd, what string }
	self, at := os.Args[0], ""
	if dir != lab.DefaultDir {
		at = " --dir " + dir
	}
	primary, err := l.Primary()
	if err != nil {
		return err
	}
	primaries, replicas, sentinels := l.Roles()
	what, comesBack := "cluster", "it rejoins as a replica"
	lines := []line{
		{fmt.Sprintf("redis-cli %s-c -p %d set k v", l.Access(), l.Port), "any node takes any key"},
		{fmt.Sprintf("redis-cli %s-c -p %d get k", l.Access(), l.Port+1), "and finds it"},
		{fmt.Sprintf("%s check %s--nodes 127.0.0.1:%d", self, l.Access(), l.Port), "write and read all slots; count what is lost"},
	}
	if l.Sentinel {
		what, comesBack = "lab", "the Sentinels make it a replica"
		_, port, _ := net.SplitHostPort(primary.Addr)
		sentinel := l.Port + l.Nodes - sentinels
		lines = []line{
			{fmt.Sprintf("redis-cli %s-p %d sentinel get-master-addr-by-name %s", l.Access(), sentinel, lab.Master), "a Sentinel says where the primary is"},
			{fmt.Sprintf("redis-cli %s-p %s set k v", l.Access(), port), "the primary takes writes"},
			{fmt.Sprintf("%s check %s--sentinel %s@127.0.0.1:%d", self, l.Access(), lab.Master, sentinel), "write and read there; count what is lost"},
		}
	}
	fmt.Fprintf(out, "\nThe %s is ready: %s, in %s.\n\n", what, composition(primaries, replicas, sentinels), l.Dir())
	lines = append(lines,
		line{fmt.Sprintf("%s lab status%s", self, at), "who is what"},
		line{fmt.Sprintf("%s lab kill %d%s", self, primary.Number, at), "kill -9; watch a replica take over"},
		line{fmt.Sprintf("%s lab start %d%s", self, primary.Number, at), comesBack},
		line{fmt.Sprintf("%s lab stop%s", self, at), "all stop, the data stay"},
		line{fmt.Sprintf("%s lab remove%s", self, at), "all is deleted"},
	)
	width := 0
	for _, l := range lines {
		width = max(width, len(l.cmd))
	}
	for _, l := range lines {
		fmt.Fprintf(out, "  %-*s  %s\n", width, l.cmd, l.what)
	}
	return nil
}

// composition says of what a lab consists: "3 primaries, 3 replicas".
func composition(primaries, replicas, sentinels int) string {
	count := func(n int, one, many string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %s", n, many)
	}
	text := count(primaries, "primary", "primaries") + ", " + count(replicas, "replica", "replicas")
	if sentinels > 0 {
		text += ", " + count(sentinels, "Sentinel", "Sentinels")
	}
	return text
}
