package check_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/check"
	"redoubt/internal/tools/client"
	"redoubt/internal/tools/lab"
	"redoubt/internal/tools/toolstest"
)

// forward is a proxy that leads every connection to addr.
func forward(t *testing.T, addr string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", addr)
			if err != nil {
				in.Close()
				continue
			}
			go func() { io.Copy(in, out); in.Close() }()
			go func() { io.Copy(out, in); out.Close() }()
		}
	}()
	return l.Addr().String()
}

// TestOutsideOfACluster runs the check on a primary that Sentinels watch: through them,
// while it is killed, and through a proxy.
func TestOutsideOfACluster(t *testing.T) {
	bin := toolstest.Server(t)
	// A node that is slow for a moment must not be replaced.
	const downAfter = 5 * time.Second
	l, addr := startLab(t, lab.Config{ServerBin: bin, NodeTimeout: downAfter, Sentinel: true})
	base := check.Config{Client: client.Options{Timeout: 500 * time.Millisecond}, Keys: 300, Rate: 1000}
	sentinels := base
	sentinels.Master, sentinels.Seeds = lab.Master, []string{addr(3)}
	// primary asks a Sentinel that the runs are not told of.
	primary := func() string {
		c, err := client.NewSentinels(lab.Master, []string{addr(4)}, client.Options{}, client.Options{})
		if err != nil {
			t.Error(err)
			return ""
		}
		return c.Owner(0)
	}

	t.Run("the Sentinels are asked where the primary has gone", func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		var killed time.Time
		p := &progress{then: []func(){func() {
			killed = time.Now()
			if err := l.Kill(&bytes.Buffer{}, "1"); err != nil {
				t.Error(err)
			}
		}, func() {
			go func() {
				defer stop()
				err := client.Wait(time.Minute, func() error {
					c, err := client.NewSentinels(lab.Master, []string{addr(4)}, client.Options{}, client.Options{})
					if err != nil {
						return err
					}
					s := c.NewSession()
					defer s.Close()
					_, err = s.Do(0, "SET", "probe", "1")
					if err == nil && c.Owner(0) == addr(0) {
						err = errors.New("the killed primary takes writes")
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}()
		}}}
		cfg := sentinels
		cfg.Progress = p
		rep, err := check.Run(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		allow := check.Allowance{Faults: []check.Fault{{Node: addr(0), At: killed}}, NodeTimeout: downAfter, Margin: time.Second}
		if v, err := allow.Judge(rep); err != nil || !v.Good() {
			t.Errorf("%+v, %v\n%s", v, err, strings.Join(p.lines, "\n"))
		}
		if len(rep.Shards) != 1 || rep.Shards[0].Primary != addr(0) || rep.Shards[0].After != primary() || rep.Writes.Errors() == 0 || rep.VerifiedWrites == 0 {
			t.Errorf("%+v", rep)
		}
		var out strings.Builder
		rep.Print(&out)
		if want := lab.Master + " (" + addr(0) + "): longest outage: reads "; !strings.Contains(out.String(), want) || !strings.Contains(out.String(), "; now at "+primary()+"\n") {
			t.Errorf("printed:\n%s\nwant %q", out.String(), want)
		}
	})

	// From now on nobody takes over any more.
	for i := 3; i < 6; i++ {
		c, err := client.Dial(addr(i), client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do("SENTINEL", "SET", lab.Master, "down-after-milliseconds", "3600000"); err != nil {
			t.Fatal(err)
		}
		c.Close()
	}

	t.Run("a proxy is taken for a node", func(t *testing.T) {
		cfg := base
		cfg.NoCluster, cfg.Duration, cfg.Seeds = true, time.Second, []string{"127.0.0.1:1", forward(t, primary())}
		rep, err := check.Run(t.Context(), cfg)
		if err != nil || !rep.Good() || rep.VerifiedWrites == 0 {
			t.Errorf("%+v, %v", rep, err)
		}
	})

	t.Run("a replica is not taken for the primary", func(t *testing.T) {
		replica := addr(1)
		if replica == primary() {
			replica = addr(2)
		}
		cfg := base
		cfg.NoCluster, cfg.Duration, cfg.Verify, cfg.Seeds = true, 200*time.Millisecond, time.Millisecond, []string{replica}
		rep, err := check.Run(t.Context(), cfg)
		if err != nil || rep.Good() || rep.Writes.OK+rep.Reads.OK != 0 || rep.ErrorCodes["the node is a replica now"] == 0 {
			t.Errorf("%+v, %v", rep, err)
		}
	})

	t.Run("a node that is in no cluster says what is missing", func(t *testing.T) {
		cfg := base
		cfg.Seeds = []string{primary()}
		if _, err := check.Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "reached with --no-cluster") {
			t.Errorf("error %v", err)
		}
	})

	t.Run("a name that the Sentinels do not know", func(t *testing.T) {
		cfg := sentinels
		cfg.Master = "another"
		if _, err := check.Run(t.Context(), cfg); err == nil {
			t.Error("no error")
		}
	})
}

// Slots that nobody has in the beginning are named, and nothing is claimed of them.
func TestSlotsWithoutAnOwnerAreNamed(t *testing.T) {
	bin := toolstest.Server(t)
	addr := net.JoinHostPort("127.0.0.1", fmt.Sprint(toolstest.Ports(t, 1)))
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(bin, "--port", port, "--bind", "127.0.0.1", "--dir", t.TempDir(), "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	err := client.Wait(time.Minute, func() error {
		c, err := client.Dial(addr, client.Options{})
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := c.Do("CLUSTER", "ADDSLOTSRANGE", "0", "99", "200", "16383"); err != nil && !strings.Contains(err.Error(), "already busy") {
			return err
		}
		ci, err := c.Do("CLUSTER", "INFO")
		if err == nil && !strings.Contains(ci.String(), "cluster_state:ok") {
			err = errors.New(ci.String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &progress{}
	rep, err := check.Run(t.Context(), check.Config{Seeds: []string{addr}, Duration: 500 * time.Millisecond, Progress: p})
	if err != nil {
		t.Fatal(err)
	}
	if want := "WARNING: slots 100-199 have no owner and are left out"; p.lines[0] != want || rep.Untested != "100-199" || rep.Keys != 16384-100 {
		t.Errorf("%d keys, untested %q, first line %q, want %q", rep.Keys, rep.Untested, p.lines[0], want)
	}
}
