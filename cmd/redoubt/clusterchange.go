package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
	"redoubt/internal/tools/lab"
)

// change is the flags of every command that changes a cluster.
type change struct{ plan, sure bool }

func (c *change) register(f *pflag.FlagSet) {
	f.BoolVar(&c.plan, "plan", false, "say what would be done, and change nothing")
	f.BoolVar(&c.sure, "cluster-yes", false, "do not ask before changing anything")
}

// moving is the flags of every command that moves slots.
type moving struct {
	timeoutMs, pipeline int
	replace             bool
}

func (m *moving) register(f *pflag.FlagSet) {
	f.IntVar(&m.timeoutMs, "cluster-timeout", 60000, "timeout of MIGRATE in milliseconds")
	f.IntVar(&m.pipeline, "cluster-pipeline", 10, "keys that one MIGRATE moves")
	f.BoolVar(&m.replace, "cluster-replace", false, "replace keys that the target has with another value")
}

func (m *moving) options() (clustertool.MoveOptions, error) {
	if m.timeoutMs <= 0 || m.pipeline <= 0 {
		return clustertool.MoveOptions{}, errors.New("--cluster-timeout and --cluster-pipeline must be greater than 0")
	}
	return clustertool.MoveOptions{Pipeline: m.pipeline, Timeout: time.Duration(m.timeoutMs) * time.Millisecond, Replace: m.replace}, nil
}

// interrupted is the exit status of a command that was interrupted, as a shell has it.
const interrupted = exitStatus(130)

// reported turns errors of the tool that are printed already into exit statuses.
func reported(err error) error {
	switch {
	case errors.Is(err, clustertool.ErrInterrupted):
		return interrupted
	case errors.Is(err, clustertool.ErrFailed):
		return errSilent
	}
	return err
}

// heed tells the tool of interrupts, until stop is called. The third ends the process.
func heed(t *clustertool.Tool) (stop func()) {
	t.Interrupt = &clustertool.Interrupt{}
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for range signals {
			if t.Interrupt.Ask() > 2 {
				os.Exit(int(interrupted))
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// toolMaker makes the tool of a command from its flags.
type toolMaker func(*cobra.Command) (*clustertool.Tool, error)

// newClusterChanges is the commands that change a cluster which exists.
func newClusterChanges(acc *access, newTool toolMaker) []*cobra.Command {
	// add makes a command with the flags that all have.
	add := func(use, short, long string, args cobra.PositionalArgs, do func(t *clustertool.Tool, args []string) error) *cobra.Command {
		var c change
		cmd := &cobra.Command{Use: use, Short: short, Long: long, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
			t, err := newTool(cmd)
			if err != nil {
				return err
			}
			t.Plan, t.Sure = c.plan, c.sure
			defer heed(t)()
			return reported(do(t, args))
		}}
		c.register(cmd.Flags())
		return cmd
	}
	return []*cobra.Command{
		newAddNode(acc, add), newDelNode(add), newReshard(acc, add), newRebalance(add), newFix(add), newFailover(add), newUpgrade(add),
	}
}

type adder func(use, short, long string, args cobra.PositionalArgs, do func(t *clustertool.Tool, args []string) error) *cobra.Command

func newAddNode(acc *access, add adder) *cobra.Command {
	var o clustertool.AddNodeOptions
	var slave bool
	cmd := add("add-node new_host:new_port existing_host:existing_port", "Add an empty node to a cluster, as a primary without slots or as a replica",
		`Adds an empty node to a cluster: as a primary without slots, with the functions of the
cluster, or as a replica. It returns when every node knows the new one, and a replica has
its link to the primary.`,
		cobra.RangeArgs(2, 3), func(t *clustertool.Tool, args []string) error {
			o.Replica = o.Replica || slave
			if o.Primary != "" && !o.Replica {
				return errors.New("--cluster-master-id needs --cluster-replica")
			}
			return t.AddNode(args[0], joined(args[1:]), o)
		})
	cmd.Flags().BoolVar(&o.Replica, "cluster-replica", false, "make it a replica")
	cmd.Flags().BoolVar(&slave, "cluster-slave", false, "the same, in the words of redis-cli")
	cmd.Flags().StringVar(&o.Primary, "cluster-master-id", "", "id or address of its primary (default: the one with the fewest replicas)")
	completeWith(cmd, "cluster-master-id", acc, 1)
	return cmd
}

func newDelNode(add adder) *cobra.Command {
	return add("del-node host:port node_id", "Remove a node without slots from a cluster",
		`Has all nodes forget a node, which is named by its id, the beginning of it, or its address,
and resets it. Its replicas get other primaries. A node that does not answer is forgotten
too. A node with slots is refused: move them away with reshard, or rebalance with a weight
of 0.`,
		cobra.RangeArgs(2, 3), func(t *clustertool.Tool, args []string) error {
			return t.DelNode(joined(args[:len(args)-1]), args[len(args)-1])
		})
}

func newReshard(acc *access, add adder) *cobra.Command {
	var o clustertool.ReshardOptions
	var m moving
	cmd := add("reshard host:port | host port", "Move slots with their keys to another primary, while clients go on",
		`Moves slots with their keys from some primaries to another one, while clients go on. It
asks for what no flag says. Slots that an interrupted command has left half moved are
finished first. An interrupt ends it after the slot that is on its way.`,
		cobra.RangeArgs(1, 2), func(t *clustertool.Tool, args []string) (err error) {
			if o.Slots < 0 {
				return errors.New("--cluster-slots must not be negative")
			}
			if o.Move, err = m.options(); err != nil {
				return err
			}
			return t.Reshard(joined(args), o)
		})
	cmd.Flags().StringVar(&o.From, "cluster-from", "", "ids or addresses of the primaries that give slots, with commas between, or all")
	cmd.Flags().StringVar(&o.To, "cluster-to", "", "id or address of the primary that takes them")
	cmd.Flags().IntVar(&o.Slots, "cluster-slots", 0, "how many slots")
	m.register(cmd.Flags())
	completeWith(cmd, "cluster-from", acc, 0)
	completeWith(cmd, "cluster-to", acc, 0)
	return cmd
}

func newRebalance(add adder) *cobra.Command {
	var o clustertool.RebalanceOptions
	var m moving
	var simulate bool
	cmd := add("rebalance host:port | host port", "Move slots until every primary has its part",
		`Moves slots until every primary has its part of them by weight, while clients go on. As
with redis-cli it does not ask. If it is interrupted, the same command goes on.`,
		cobra.MinimumNArgs(1), func(t *clustertool.Tool, args []string) (err error) {
			// redis-cli's --cluster-weight takes all arguments that follow and have a "=".
			var addr []string
			for _, a := range args {
				if strings.Contains(a, "=") {
					o.Weights = append(o.Weights, a)
				} else {
					addr = append(addr, a)
				}
			}
			if len(addr) < 1 || len(addr) > 2 {
				return errors.New("a cluster is named by host:port, or host and port")
			}
			if o.Threshold < 0 {
				return errors.New("--cluster-threshold must not be negative")
			}
			if o.Move, err = m.options(); err != nil {
				return err
			}
			t.Plan = t.Plan || simulate
			return t.Rebalance(joined(addr), o)
		})
	cmd.Flags().StringSliceVar(&o.Weights, "cluster-weight", nil, "node=weight, by id, beginning of an id or address; several with commas or blanks between; 1 if not named")
	cmd.Flags().BoolVar(&o.UseEmpty, "cluster-use-empty-masters", false, "give slots to primaries that have none, too")
	cmd.Flags().Float64Var(&o.Threshold, "cluster-threshold", clustertool.DefaultThreshold, "percent by which a primary may be off before anything is moved")
	cmd.Flags().BoolVar(&simulate, "cluster-simulate", false, "the same as --plan, in the words of redis-cli")
	m.register(cmd.Flags())
	return cmd
}

func newFix(add adder) *cobra.Command {
	var o clustertool.FixOptions
	var m moving
	cmd := add("fix host:port | host port", "Close open slots, and find owners for slots without one",
		`Mends slots: moves that were interrupted are finished, marks that lead nowhere are taken
away, keys are brought to the owner of their slot, slots that nobody owns get an owner, and
of several owners the one with most keys remains. It prints what it would do and asks.`,
		cobra.RangeArgs(1, 2), func(t *clustertool.Tool, args []string) (err error) {
			if o.Move, err = m.options(); err != nil {
				return err
			}
			return t.Fix(joined(args), o)
		})
	cmd.Flags().BoolVar(&o.SearchOwners, "cluster-search-multiple-owners", false, "look at all slots for keys that are not at the owner")
	cmd.Flags().BoolVar(&o.WithUnreachable, "cluster-fix-with-unreachable-masters", false, "give slots of primaries that do not answer to others; what these had is lost")
	m.register(cmd.Flags())
	return cmd
}

func newFailover(add adder) *cobra.Command {
	var force, takeover bool
	cmd := add("failover host:port | host port", "Make a replica the primary of its shard",
		`Makes the replica at that address the primary of its shard, waits until all nodes agree,
and prints how long that took. The primary hands over: no write is lost. With --force it is
not asked, and the other primaries elect the replica; with --takeover nobody is asked.`,
		cobra.RangeArgs(1, 2), func(t *clustertool.Tool, args []string) error {
			mode := clustertool.HandOver
			switch {
			case force:
				mode = clustertool.Force
			case takeover:
				mode = clustertool.TakeOver
			}
			return t.Failover(joined(args), mode)
		})
	cmd.Flags().BoolVar(&force, "force", false, "without the primary: when it is down")
	cmd.Flags().BoolVar(&takeover, "takeover", false, "without the other primaries: when most of them are down")
	cmd.MarkFlagsMutuallyExclusive("force", "takeover")
	return cmd
}

func newUpgrade(add adder) *cobra.Command {
	var template, dir, since string
	cmd := add("upgrade host:port | host port", "Restart all nodes, one after the other, while clients go on",
		`Restarts all nodes of a healthy cluster, one after the other: first the replicas; then each
primary hands over to a replica and is restarted. After each step it waits until the node
is back and the cluster is healthy. It stops at the first node that does not come back, and
says how to go on.

A node is restarted by a command for a shell, in which {host}, {port}, {addr} and {id} stand
for the node's:

  redoubt cluster upgrade 10.0.0.1:7000 --restart 'ssh {host} systemctl restart redoubt@{port}'

The nodes of a lab are restarted with --lab DIR.`,
		cobra.RangeArgs(1, 2), func(t *clustertool.Tool, args []string) error {
			o := clustertool.UpgradeOptions{}
			if since != "" {
				at, err := time.Parse(time.RFC3339, since)
				if err != nil {
					return fmt.Errorf("--since: %w", err)
				}
				o.Since = at
			}
			switch {
			case template != "":
				o.Restart = func(n clustertool.Node) error { return restartBy(t.Out, template, n, t.Timeout) }
			case dir != "":
				o.Restart = func(n clustertool.Node) error { return restartInLab(t.Out, dir, n, t.Timeout) }
			default:
				return errors.New("--restart COMMAND or --lab DIR says how a node is restarted")
			}
			return t.Upgrade(joined(args), o)
		})
	cmd.Flags().StringVar(&template, "restart", "", "command that restarts a node: 'ssh {host} systemctl restart redoubt@{port}'")
	cmd.Flags().StringVar(&dir, "lab", "", "the nodes are those of the lab in this directory")
	cmd.Flags().StringVar(&since, "since", "", "leave nodes alone that were started after this time (as in 2006-01-02T15:04:05Z)")
	cmd.MarkFlagsMutuallyExclusive("restart", "lab")
	_ = cmd.MarkFlagDirname("lab")
	return cmd
}

// restartBy runs the user's command for a node, at most as long as limit. It has a
// process group of its own: an interrupt of the tool does not reach it.
func restartBy(out io.Writer, template string, n clustertool.Node, limit time.Duration) error {
	line, err := clustertool.CommandFor(template, n)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "+ %s\n", line)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", line)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a node that the command leaves behind may keep its output open
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("the command did not end within %v", limit)
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	return err
}

// restartInLab restarts a node of a lab.
func restartInLab(out io.Writer, dir string, n clustertool.Node, limit time.Duration) error {
	l, err := lab.Open(dir, limit)
	if err != nil {
		return err
	}
	defer l.Close()
	return l.Restart(out, fmt.Sprint(n.Port))
}

// completeWith completes a flag by the ids of the primaries of the cluster that an
// argument names.
func completeWith(cmd *cobra.Command, flag string, acc *access, argument int) {
	_ = cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) <= argument {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		options, err := acc.options(time.Second)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// Of a list with commas the last word is completed.
		begun := word[:strings.LastIndexByte(word, ',')+1]
		var found []cobra.Completion
		for _, n := range primariesAt(args[argument], options) {
			found = append(found, cobra.CompletionWithDesc(begun+n.ID, n.Addr()))
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	})
}

func primariesAt(addr string, o client.Options) []clustertool.Node {
	s, err := clustertool.Survey([]string{addr}, o)
	if err != nil {
		return nil
	}
	return s.Primaries()
}
