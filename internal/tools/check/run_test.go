package check_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/check"
	"redoubt/internal/tools/client"
	"redoubt/internal/tools/lab"
	"redoubt/internal/tools/toolstest"
)

// progress calls the next of its functions whenever a line has been printed:
// that is how the tests act in the middle of a run.
type progress struct {
	lines []string
	then  []func()
}

func (p *progress) Write(b []byte) (int, error) {
	p.lines = append(p.lines, strings.TrimSuffix(string(b), "\n"))
	if len(p.then) > 0 {
		f := p.then[0]
		p.then = p.then[1:]
		f()
	}
	return len(b), nil
}

// TestOnRealRedis runs the check on a cluster of real nodes three times: left
// alone, robbed of a shard's data, and with a primary killed.
// startLab runs six nodes until the test ends, and returns how they are reached.
func startLab(t *testing.T, cfg lab.Config) (l *lab.Lab, addr func(i int) string) {
	t.Helper()
	cfg.Port = toolstest.Ports(t, 6)
	l, err := lab.Create(t.TempDir(), cfg, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Stop(&bytes.Buffer{})
		l.Close()
	})
	if err := l.Up(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	return l, func(i int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(l.Port+i)) }
}

func TestOnRealRedis(t *testing.T) {
	bin := toolstest.Server(t)
	const nodeTimeout = 500 * time.Millisecond
	l, addr := startLab(t, lab.Config{ServerBin: bin, NodeTimeout: nodeTimeout})
	verify := time.Duration(0) // the default
	run := func(cleanup bool, then ...func(stop func())) (*check.Report, *progress) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		p := &progress{}
		for _, f := range then {
			p.then = append(p.then, func() { f(stop) })
		}
		rep, err := check.Run(ctx, check.Config{
			Seeds:    []string{addr(4)},
			Client:   client.Options{Timeout: 500 * time.Millisecond},
			Keys:     300,
			Rate:     3000,
			Progress: p,
			Cleanup:  cleanup,
			Verify:   verify,
		})
		if err != nil {
			t.Fatal(err)
		}
		return rep, p
	}

	t.Run("a cluster that is left alone loses nothing", func(t *testing.T) {
		rep, p := run(true, func(stop func()) { stop() })
		if !rep.Good() || rep.Writes.OK == 0 || rep.Reads.OK == 0 || rep.Keys != 300 || rep.Unacked+rep.Stale != 0 {
			t.Errorf("%+v", rep)
		}
		line := regexp.MustCompile(`^\d\d:\d\d:\d\d \d+s \| \d+ R \(0 err\) \| \d+ W \(0 err\) \| 0 lost \| 0 unacked$`)
		for i, got := range p.lines {
			if last := i == len(p.lines)-1; last && got != "reading all 300 keys, for 30s at most" || !last && !line.MatchString(got) {
				t.Errorf("line %q", got)
			}
		}
		if rep.VerifiedWrites != rep.Writes.OK || rep.VerifiedKeys == 0 {
			t.Errorf("%d writes to %d keys verified, of %d", rep.VerifiedWrites, rep.VerifiedKeys, rep.Writes.OK)
		}
		for i := range 3 {
			c, err := client.Dial(addr(i), client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if v, err := c.Do("DBSIZE"); err != nil || v.Integer() != 0 {
				t.Errorf("%v keys are left over on %s (%v)", v, addr(i), err)
			}
		}
	})

	t.Run("data that are taken away are missed", func(t *testing.T) {
		rep, _ := run(false, func(func()) {
			c, err := client.Dial(addr(1), client.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if _, err := c.Do("FLUSHALL"); err != nil {
				t.Error(err)
			}
		}, func(stop func()) { stop() })
		if rep.Good() || len(rep.Lost) == 0 {
			t.Fatalf("nothing is missed: %+v", rep)
		}
		for _, w := range rep.Lost {
			if s := rep.Shards[w.Shard-1]; s.Primary != addr(1) || w.AckedAt.Before(rep.Started) {
				t.Fatalf("%v is missed in the shard of %s", w, s.Primary)
			}
		}
	})

	t.Run("a failover costs one shard some time, and at most its last moments", func(t *testing.T) {
		var killed time.Time
		// The load goes on until the shard's replica has taken over.
		rep, p := run(false, func(func()) {
			killed = time.Now()
			if err := l.Kill(&bytes.Buffer{}, "1"); err != nil {
				t.Error(err)
			}
		}, func(stop func()) {
			go func() {
				defer stop()
				err := client.Wait(20*time.Second, func() error {
					c, err := client.NewCluster([]string{addr(1)}, client.Options{})
					if err != nil {
						return err
					}
					if c.Owner(0) == addr(0) {
						return fmt.Errorf("%s still owns slot 0", addr(0))
					}
					s := c.NewSession()
					defer s.Close()
					_, err = s.Do(0, "GET", "{5tu}") // any key: an answer is what counts
					if client.Code(err) == "CLUSTERDOWN" {
						return err
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}()
		})
		allow := check.Allowance{Faults: []check.Fault{{Node: addr(0), At: killed}}, NodeTimeout: nodeTimeout, Margin: time.Second}
		v, err := allow.Judge(rep)
		if err != nil || !v.Good() {
			t.Fatalf("%+v, %v; last line %s", v, err, p.lines[len(p.lines)-1])
		}
		if s := rep.Shards[0]; s.Primary != addr(0) || s.Writes.For < nodeTimeout || s.After == addr(0) || s.After == "" {
			t.Errorf("shard 1 was out for %v, and is at %s", s.Writes, s.After)
		}
		if want := " | shard 1 (" + addr(0) + ") down since "; !strings.Contains(strings.Join(p.lines, "\n"), want) {
			t.Errorf("no line says %q:\n%s", want, strings.Join(p.lines, "\n"))
		}
		if rep.Writes.Errors() == 0 || rep.Reads.Errors() == 0 || len(rep.ErrorCodes) == 0 {
			t.Errorf("a dead primary costs no errors: %+v", rep)
		}
		var out strings.Builder
		rep.Print(&out)
		if !strings.Contains(out.String(), "shard 1 ("+addr(0)+", slots 0-5460): longest outage: reads ") {
			t.Errorf("printed:\n%s", out.String())
		}
	})

	t.Run("a cluster that is gone in the end proves nothing", func(t *testing.T) {
		verify = 200 * time.Millisecond
		rep, _ := run(false, func(stop func()) {
			for i := range 6 {
				if err := l.Kill(&bytes.Buffer{}, fmt.Sprint(i+1)); err != nil {
					t.Error(err)
				}
			}
			stop()
		})
		if rep.Good() || rep.Writes.OK == 0 || rep.Unverified != rep.Keys {
			t.Errorf("%+v", rep)
		}
		var out strings.Builder
		rep.Print(&out)
		if want := "\nNOTHING COULD BE VERIFIED: none of the 300 keys could be read in the end\n"; !strings.HasSuffix(out.String(), want) {
			t.Errorf("printed:\n%s", out.String())
		}
	})
}

func TestRunRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  check.Config
	}{
		{"no seeds", check.Config{}},
		{"a negative rate", check.Config{Seeds: []string{"127.0.0.1:1"}, Rate: -1}},
		{"seeds of which none answers", check.Config{Seeds: []string{"127.0.0.1:1"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if rep, err := check.Run(t.Context(), tc.cfg); err == nil {
				t.Fatalf("reported: %+v", rep)
			}
		})
	}
}
