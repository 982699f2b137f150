package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"redoubt/internal/tools/check"
	"redoubt/internal/tools/client"
)

// newCheckCommand is "redoubt check": the consistency and load tool.
func newCheckCommand() *cobra.Command {
	var (
		acc       access
		cfg       check.Config
		timeout   time.Duration
		asJSON    bool
		sentinels string
		enter     struct{ user, pass string } // Sentinels
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Write and read all slots, and say which acknowledged writes are gone; exit 1 if any",
		Long: `Writes and reads all slots of a cluster with many clients and prints a line per
second. With --sentinel it does the same with a primary that Sentinels watch, and asks
them where it is; with --no-cluster with one node, or with what is behind a proxy.

  redoubt check --nodes 127.0.0.1:7000
  redoubt check --sentinel mymaster@127.0.0.1:26379,127.0.0.1:26380
  redoubt check --nodes 127.0.0.1:6380 --no-cluster

In the end it prints the longest outage of each shard and every
acknowledged write that is gone. Interrupt it to end it early: the keys are
still verified. Interrupt it twice to end it without that.

The exit code is 0 only if every key has been read in the end and no
acknowledged write is gone: a run that could verify nothing is no success.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.Client, err = acc.options(timeout); err != nil {
				return err
			}
			if sentinels != "" {
				if cfg.Master, cfg.Seeds, err = parseSentinels(sentinels); err != nil {
					return err
				}
				cfg.Sentinel = client.Options{User: enter.user, Pass: enter.pass, TLS: cfg.Client.TLS, Timeout: timeout}
			}
			cfg.Progress = cmd.OutOrStdout()
			if asJSON {
				cfg.Progress = cmd.ErrOrStderr()
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop) // from now on a second signal ends the process
			rep, err := check.Run(ctx, cfg)
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(cmd.OutOrStdout())
				enc.SetIndent("", "  ")
				if err := enc.Encode(rep); err != nil {
					return err
				}
			} else {
				fmt.Fprintln(cmd.OutOrStdout())
				rep.Print(cmd.OutOrStdout())
			}
			if !rep.Good() {
				return errSilent
			}
			return nil
		},
	}
	f := cmd.Flags()
	acc.register(f)
	f.StringSliceVar(&cfg.Seeds, "nodes", []string{"127.0.0.1:7000"}, "host:port of one or more nodes of the cluster")
	f.StringVar(&sentinels, "sentinel", "", "name@host:port[,host:port…]: what the Sentinels call the primary, and where one or more of them are")
	f.StringVar(&enter.user, "sentinel-user", "", "ACL user to authenticate as at Sentinels; needs --sentinel-pass")
	f.StringVar(&enter.pass, "sentinel-pass", "", "password of Sentinels")
	f.BoolVar(&cfg.NoCluster, "no-cluster", false, "--nodes is a node that is in no cluster, or a proxy")
	f.DurationVar(&cfg.Duration, "duration", time.Minute, "how long to write and read; 0: until interrupted")
	f.IntVar(&cfg.Clients, "clients", 12, "concurrent clients; at least one per shard is used")
	f.IntVar(&cfg.Keys, "keys", 16384, "keys, spread evenly over all slots")
	f.IntVar(&cfg.Rate, "rate", 2000, "commands per second of all clients together; 0: as fast as they go")
	f.DurationVar(&timeout, "timeout", time.Second, "how long a client waits for a connection or a reply")
	f.StringVar(&cfg.Prefix, "prefix", "redoubt-check", "prefix of the keys")
	f.BoolVar(&cfg.Cleanup, "cleanup", false, "delete the keys in the end")
	f.BoolVar(&asJSON, "json", false, "print the report as JSON; the progress goes to stderr")
	cmd.MarkFlagsMutuallyExclusive("nodes", "sentinel")
	cmd.MarkFlagsMutuallyExclusive("no-cluster", "sentinel")
	cmd.AddCommand(newVerdictCommand())
	return cmd
}

// parseSentinels reads NAME@HOST:PORT[,HOST:PORT…].
func parseSentinels(s string) (name string, addrs []string, err error) {
	name, list, ok := strings.Cut(s, "@")
	if !ok || name == "" {
		return "", nil, fmt.Errorf("--sentinel %q is not name@host:port[,host:port…]", s)
	}
	for _, addr := range strings.Split(list, ",") {
		host, port, err := client.SplitAddr(addr)
		if err != nil {
			return "", nil, fmt.Errorf("--sentinel %q: %w", s, err)
		}
		addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(port)))
	}
	return name, addrs, nil
}

// newVerdictCommand is "redoubt check verdict": was what a run lost within
// what the faults of the run allow?
func newVerdictCommand() *cobra.Command {
	var (
		file   string
		faults []string
		allow  check.Allowance
	)
	cmd := &cobra.Command{
		Use:   "verdict --report FILE --fault NODE@TIME …",
		Short: "Judge a report of check --json: are the losses explained by the faults? Exit 1 if not",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rep, err := readReport(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			for _, s := range faults {
				f, err := parseFault(s)
				if err != nil {
					return err
				}
				allow.Faults = append(allow.Faults, f)
			}
			v, err := allow.Judge(rep)
			if err != nil {
				return err
			}
			rep.PrintSummary(cmd.OutOrStdout())
			v.Print(cmd.OutOrStdout())
			if !v.Good() {
				return errSilent
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "report", "-", "the report; - is stdin")
	f.StringArrayVar(&faults, "fault", nil, "a node that failed, and when: 10.0.0.1:6379@2006-01-02T15:04:05.123Z (repeatable)")
	f.DurationVar(&allow.NodeTimeout, "node-timeout", 15*time.Second, "cluster-node-timeout of the nodes")
	f.DurationVar(&allow.Margin, "margin", time.Second, "slack before a fault and after fault + node-timeout")
	return cmd
}

func readReport(stdin io.Reader, file string) (*check.Report, error) {
	in := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	var rep check.Report
	if err := json.NewDecoder(in).Decode(&rep); err != nil {
		return nil, fmt.Errorf("report %s: %w", file, err)
	}
	return &rep, nil
}

// parseFault reads NODE@TIME.
func parseFault(s string) (check.Fault, error) {
	i := strings.LastIndexByte(s, '@')
	if i < 0 {
		return check.Fault{}, fmt.Errorf("fault %q is not NODE@TIME", s)
	}
	at, err := time.Parse(time.RFC3339Nano, s[i+1:])
	if err != nil {
		return check.Fault{}, fmt.Errorf("fault %q: %w", s, err)
	}
	return check.Fault{Node: s[:i], At: at}, nil
}
