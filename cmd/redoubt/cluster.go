package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
)

// newClusterCommand is "redoubt cluster": what redis-cli --cluster does, with its flags,
// and a status, failover and upgrade of our own.
func newClusterCommand() *cobra.Command {
	var (
		acc  access
		wait time.Duration
	)
	cluster := &cobra.Command{
		Use:   "cluster",
		Short: "Make, inspect and change clusters, as redis-cli --cluster does",
		Long: `Makes, inspects and changes clusters of our own nodes and of Redis, with the flags of
redis-cli --cluster.

What changes a cluster prints its plan first; with --plan that is all. An interrupt (Ctrl-C)
is obeyed where nothing is half done; a second one at once. What is left to do is printed,
and the same command does it.

The exit status is 0 if what was asked for is done, or there was nothing to do; 1 if it was
refused or has failed, with the reason in the last lines; 130 if it was interrupted. status
has statuses of its own.`,
		Args: notBuilt,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	acc.register(cluster.PersistentFlags())
	cluster.PersistentFlags().DurationVar(&wait, "timeout", time.Minute, "limit of each wait for the cluster")
	newTool := func(cmd *cobra.Command) (*clustertool.Tool, error) {
		options, err := acc.options(client.DefaultTimeout)
		return &clustertool.Tool{
			Out:     cmd.OutOrStdout(),
			In:      cmd.InOrStdin(),
			Client:  options,
			Timeout: wait,
			Colour:  coloured(cmd),
			Live:    terminal(cmd),
		}, err
	}
	// run prepares a tool and keeps quiet about failures it has reported.
	run := func(f func(t *clustertool.Tool, args []string) error) func(*cobra.Command, []string) error {
		return func(cmd *cobra.Command, args []string) error {
			t, err := newTool(cmd)
			if err != nil {
				return err
			}
			return reported(f(t, args))
		}
	}

	var (
		replicas     int
		ifNone       bool
		durability   string
		createChange change
	)
	create := &cobra.Command{
		Use:   "create host1:port1 … hostN:portN",
		Short: "Make a cluster of empty nodes",
		Args:  cobra.MinimumNArgs(1),
		RunE: run(func(t *clustertool.Tool, args []string) error {
			if replicas < 0 {
				return errors.New("--cluster-replicas must not be negative")
			}
			if durability != "async" && durability != "quorum" {
				return fmt.Errorf("--durability %s: it must be async or quorum", durability)
			}
			t.Plan, t.Sure, t.Quorum = createChange.plan, createChange.sure, durability == "quorum"
			if ifNone {
				if !t.Sure || t.Plan {
					return errors.New("--if-none needs --cluster-yes, and no --plan: it does not ask")
				}
				return t.Ensure(args, replicas)
			}
			return t.Create(args, replicas)
		}),
	}
	create.Flags().IntVar(&replicas, "cluster-replicas", 0, "replicas of each primary")
	create.Flags().StringVar(&durability, "durability", "async", "quorum: refuse nodes that are not started with durability quorum")
	create.Flags().BoolVar(&ifNone, "if-none", false, "if the first node is in a cluster already, check that one and make none")
	createChange.register(create.Flags())

	status := &cobra.Command{
		Use:   "status host:port | host port",
		Short: "Print every node with its role, slots and lag, and all that is wrong",
		Long: `Asks every node of a cluster, and prints its role, slots, primary, replication offset,
lag in bytes, link and uptime; nodes that do not answer appear as the others see them.
Below stands what is wrong.

The exit status is 0 if the cluster is healthy; 1 if it serves all slots, but something is
wrong: a node is away, a primary has no replica, a slot is open, nodes disagree; 2 if some
slots are not served, or no node could be asked.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, err := newTool(cmd)
			if err != nil {
				return err
			}
			if health, _ := t.Status(joined(args)); health != clustertool.Healthy {
				return exitStatus(health)
			}
			return nil
		},
	}

	var searchOwners bool
	check := &cobra.Command{
		Use:   "check host:port | host port",
		Short: "Check that the nodes agree and every slot is covered; exit 1 if not",
		Args:  cobra.RangeArgs(1, 2),
		RunE: run(func(t *clustertool.Tool, args []string) error {
			return t.Check(joined(args), searchOwners)
		}),
	}
	check.Flags().BoolVar(&searchOwners, "cluster-search-multiple-owners", false, "look for slots with keys on several primaries")

	info := &cobra.Command{
		Use:   "info host:port | host port",
		Short: "Print the primaries with their keys, slots and replicas",
		Args:  cobra.RangeArgs(1, 2),
		RunE: run(func(t *clustertool.Tool, args []string) error {
			return t.Info(joined(args))
		}),
	}

	var onlyPrimaries, onlyReplicas bool
	call := &cobra.Command{
		Use:   "call host:port command [arg …]",
		Short: "Send a command to every node and print the replies",
		Args:  cobra.MinimumNArgs(2),
		RunE: run(func(t *clustertool.Tool, args []string) error {
			which := clustertool.AllNodes
			switch {
			case onlyPrimaries:
				which = clustertool.OnlyPrimaries
			case onlyReplicas:
				which = clustertool.OnlyReplicas
			}
			return t.Call(args[0], which, args[1:])
		}),
	}
	call.Flags().BoolVar(&onlyPrimaries, "cluster-only-masters", false, "call primaries only")
	call.Flags().BoolVar(&onlyReplicas, "cluster-only-replicas", false, "call replicas only")
	call.MarkFlagsMutuallyExclusive("cluster-only-masters", "cluster-only-replicas")

	cluster.AddCommand(create, status, check, info, call)
	cluster.AddCommand(newClusterChanges(&acc, newTool)...)
	for _, cmd := range cluster.Commands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions // addresses, which nobody knows yet
	}
	return cluster
}

// notBuilt refuses a name that is no subcommand. Of those of redis-cli it says what does
// the same.
func notBuilt(cmd *cobra.Command, args []string) error {
	err := cobra.NoArgs(cmd, args)
	if err == nil {
		return nil
	}
	switch args[0] {
	case "set-timeout", "import", "backup":
		return fmt.Errorf("%w. It is not built here; redis-cli --cluster %s works on these nodes", err, args[0])
	}
	return err
}

// joined makes "host:port" of one argument or two.
func joined(args []string) string {
	if len(args) == 2 {
		return args[0] + ":" + args[1]
	}
	return args[0]
}
