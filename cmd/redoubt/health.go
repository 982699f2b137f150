package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"redoubt/internal/tools/client"
)

// newHealthCommand is the health check of containers, whose image has no
// shell and no redis-cli. A node that demands a password or still loads its
// data is alive; one that does not answer in time is not.
func newHealthCommand() *cobra.Command {
	var (
		acc     access
		host    string
		port    int
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Exit 0 if a node answers PING, 1 if not",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			options, err := acc.options(timeout)
			if err != nil {
				return err
			}
			conn, err := client.Dial(net.JoinHostPort(host, strconv.Itoa(port)), options)
			if err != nil {
				return err
			}
			defer conn.Close()
			v, err := conn.Do("PING")
			if code := client.Code(err); code == "NOAUTH" || code == "LOADING" || code == "MASTERDOWN" {
				fmt.Fprintln(cmd.OutOrStdout(), code)
				return nil
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), v)
			return nil
		},
	}
	acc.register(cmd.Flags())
	cmd.Flags().StringVar(&host, "host", "127.0.0.1", "host of the node")
	cmd.Flags().IntVarP(&port, "port", "p", 6379, "port of the node")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long to wait for the answer")
	return cmd
}
