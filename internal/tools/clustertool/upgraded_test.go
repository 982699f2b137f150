package clustertool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/internal/tools/clustertool"
	"redoubt/internal/tools/lab"
	"redoubt/internal/tools/toolstest"
)

// All nodes of a lab of real redis-server nodes are restarted; the first time one of
// them does not come back, and the second run does the rest.
func TestUpgradeOfALab(t *testing.T) {
	bin := toolstest.Server(t)
	port := toolstest.Ports(t, 6)
	l, err := lab.Create(t.TempDir(), lab.Config{Port: port, ServerBin: bin}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	defer l.Stop(io.Discard)
	if err := l.Up(io.Discard); err != nil {
		t.Fatal(err)
	}
	first := fmt.Sprintf("127.0.0.1:%d", port)
	runs := func() map[string]string {
		ids := map[string]string{}
		for i := range 6 {
			addr := fmt.Sprintf("127.0.0.1:%d", port+i)
			c, err := client.Dial(addr, client.Options{})
			if err != nil {
				t.Fatal(err)
			}
			info, err := c.Do("INFO", "server")
			if err != nil {
				t.Fatal(err)
			}
			ids[addr], _ = clustertool.InfoField(info.String(), "run_id")
			c.Close()
		}
		return ids
	}
	// Nodes tell their age in whole seconds: these are to be older than the upgrade by more.
	err = client.Wait(time.Minute, func() error {
		c, err := client.Dial(fmt.Sprintf("127.0.0.1:%d", port+5), client.Options{})
		if err != nil {
			return err
		}
		defer c.Close()
		info, err := c.Do("INFO", "server")
		if age, _ := clustertool.InfoField(info.String(), "uptime_in_seconds"); err == nil && (age == "" || age[0] < '3' && len(age) == 1) {
			err = fmt.Errorf("it is %q seconds old", age)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before := runs()
	upgrade := func(wait time.Duration, plan bool, o clustertool.UpgradeOptions) (string, error) {
		var out bytes.Buffer
		tool := &clustertool.Tool{Out: &out, Timeout: wait, Sure: true, Plan: plan}
		err := tool.Upgrade(first, o)
		return out.String(), err
	}
	restarts := 0
	restart := func(n clustertool.Node) error {
		restarts++
		return l.Restart(io.Discard, fmt.Sprint(n.Port))
	}
	out, err := upgrade(time.Minute, true, clustertool.UpgradeOptions{Restart: restart})
	if err != nil || restarts > 0 || !strings.Contains(out, "    restart 127.0.0.1:") || !strings.Contains(out, " hands over to its replica ") {
		t.Fatalf("a plan: %v, %d restarts, printed:\n%s", err, restarts, out)
	}

	// The second node is only said to be restarted.
	began := time.Now()
	out, err = upgrade(10*time.Second, false, clustertool.UpgradeOptions{Restart: func(n clustertool.Node) error {
		if restarts == 1 {
			return nil
		}
		return restart(n)
	}})
	if !errors.Is(err, clustertool.ErrFailed) || !strings.Contains(out, "was not restarted: it is still the same process") ||
		!strings.Contains(out, "give the same command again with --since ") {
		t.Fatalf("a node that does not come back: %v, printed:\n%s", err, out)
	}

	// An interrupt while a node restarts: it is waited for, and nothing more is done.
	var text bytes.Buffer
	stop := &clustertool.Interrupt{}
	tool := &clustertool.Tool{Out: &text, Timeout: time.Minute, Sure: true, Interrupt: stop}
	err = tool.Upgrade(first, clustertool.UpgradeOptions{Since: began.Truncate(time.Second), Restart: func(n clustertool.Node) error {
		stop.Ask()
		return restart(n)
	}})
	if !errors.Is(err, clustertool.ErrInterrupted) || restarts != 2 || !strings.Contains(text.String(), "Interrupted: 1 of ") {
		t.Fatalf("an interrupt: %v, %d restarts, printed:\n%s", err, restarts, text.String())
	}

	out, err = upgrade(time.Minute, false, clustertool.UpgradeOptions{Restart: restart, Since: began.Truncate(time.Second)})
	if err != nil || restarts != 6 {
		t.Fatalf("the rest: %v, %d restarts, printed:\n%s", err, restarts, out)
	}
	for addr, id := range runs() {
		if before[addr] == id {
			t.Errorf("%s was not restarted", addr)
		}
	}

	if err := l.Kill(io.Discard, "6"); err != nil {
		t.Fatal(err)
	}
	out, err = upgrade(time.Minute, false, clustertool.UpgradeOptions{Restart: restart})
	if !errors.Is(err, clustertool.ErrFailed) || restarts != 6 || !strings.Contains(out, "The cluster is not healthy") {
		t.Fatalf("a cluster that is not healthy: %v, printed:\n%s", err, out)
	}
}
