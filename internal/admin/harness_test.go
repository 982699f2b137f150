package admin_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"redoubt/internal/config"
	"redoubt/internal/redistest"
	"redoubt/internal/server"
	"redoubt/replication"
	"redoubt/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stream is a stream that keeps nothing and has committed all of it.
type stream struct{ end atomic.Int64 }

func (s *stream) Append(_, _ int, unit []byte) replication.Offset {
	return replication.Offset(s.end.Add(int64(len(unit))))
}
func (s *stream) Announce()                         {}
func (s *stream) End() replication.Offset           { return replication.Offset(s.end.Load()) }
func (s *stream) Committed() replication.Offset     { return s.End() }
func (s *stream) Shown() replication.Offset         { return s.End() }
func (s *stream) AwaitsReplicas() bool              { return false }
func (s *stream) Term() uint32                      { return 1 }
func (s *stream) GiveUp(replication.Offset)         {}
func (s *stream) Strict() bool                      { return false }
func (s *stream) Confirm() uint64                   { return 0 }
func (s *stream) Confirmed() uint64                 { return 0 }
func (s *stream) TryCommit()                        {}
func (s *stream) OnCommit(func(replication.Offset)) {}
func (s *stream) Room() bool                        { return true }
func (s *stream) OnRoom(f func(bool))               { f(true) }

// node is a server under test, with the commands of this package.
type node struct {
	*server.Server
	t testing.TB
}

// startNode starts a server on a free port, with the given directives besides.
func startNode(t testing.TB, directives ...string) *node {
	t.Helper()
	args := append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(redistest.Port(t)), "--dir", t.TempDir(),
		"--save", "", "--enable-debug-command", "yes"}, directives...)
	settings, err := config.Load(config.Source{Args: args, Product: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{}
	keys := storage.New(storage.Config{Databases: settings.Current().Databases, Stream: s})
	n := &node{t: t}
	if n.Server, err = server.New(server.Config{Settings: settings, Stream: s, Keyspace: keys}); err != nil {
		t.Fatal(err)
	}
	if err := n.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return n
}

// client is a connection to a server under test.
type client struct {
	*redistest.Client
	t testing.TB
}

func (n *node) dial() *client {
	n.t.Helper()
	c, err := redistest.Dial(n.Addr())
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(c.Close)
	return &client{c, n.t}
}

// do sends a command line of words and prints its reply on a line.
func (c *client) do(line string) string {
	c.t.Helper()
	var args []any
	for w := range strings.FieldsSeq(line) {
		args = append(args, w)
	}
	return c.call(args...)
}

// call is do with the words of the command.
func (c *client) call(args ...any) string {
	c.t.Helper()
	reply, err := c.Do(args...)
	var refusal redistest.Error
	switch {
	case errors.As(err, &refusal):
		return "error: " + string(refusal)
	case err != nil:
		c.t.Fatalf("%v: %v", args, err)
	case reply == nil:
		return "(nil)"
	}
	return fmt.Sprint(reply)
}

// want checks the reply of a command line.
func (c *client) want(line, reply string) {
	c.t.Helper()
	if got := c.do(line); got != reply {
		c.t.Errorf("%s: %q, want %q", line, got, reply)
	}
}
