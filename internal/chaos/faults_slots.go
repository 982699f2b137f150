package chaos

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"redoubt/internal/redistest"
	"redoubt/slots"
)

// moving is how long a move of a slot may take before what is left of it is for cluster fix.
const moving = 3 * time.Second

// moveSlot has a slot with keys go from its shard to another, step by step as tools do it, while
// whatever else happens. What is left of it is finished when all is mended.
func (n *nemesis) moveSlot(rnd *rand.Rand) (string, func()) {
	shards := n.c.shape.shards
	if shards == 1 || n.c.net != nil { // tools do not run in the namespaces
		return "nothing moves", nil
	}
	to := rnd.IntN(shards)
	target := n.leader(to)
	var sources []int
	for s := range shards {
		if s != to {
			sources = append(sources, n.leader(s))
		}
	}
	s := n.slots[rnd.IntN(len(n.slots))]
	done := make(chan string, 1)
	go func() { done <- n.c.move(s, sources, target) }()
	n.undone = append(n.undone, func() {
		n.note("  the move of slot %d: %s", s, <-done)
		if err := n.c.fix(); err != nil {
			n.c.t.Errorf("slots are left as they are: %v", err)
		}
	})
	return fmt.Sprintf("move slot %d to %d", s, target), nil
}

// move moves a slot from whichever of the sources has it, and says how far it came.
func (c *cluster) move(s slots.Slot, sources []int, target int) string {
	end := time.Now().Add(moving)
	to, err := c.ask(target, "CLUSTER", "MYID")
	if err != nil {
		return fmt.Sprintf("the target: %v", err)
	}
	source := -1
	for _, i := range sources {
		if reply, err := c.ask(i, "CLUSTER", "COUNTKEYSINSLOT", int(s)); err == nil && reply != int64(0) {
			source = i
		}
	}
	if source < 0 {
		return "nobody has keys"
	}
	from, err := c.ask(source, "CLUSTER", "MYID")
	if err != nil {
		return fmt.Sprintf("the source: %v", err)
	}
	if _, err := c.ask(target, "CLUSTER", "SETSLOT", int(s), "IMPORTING", from); err != nil {
		return fmt.Sprintf("IMPORTING: %v", err)
	}
	if _, err := c.ask(source, "CLUSTER", "SETSLOT", int(s), "MIGRATING", to); err != nil {
		return fmt.Sprintf("MIGRATING: %v", err)
	}
	host, port, _ := strings.Cut(c.node(target).Addr(), ":")
	for moved := 0; ; {
		keys, err := c.ask(source, "CLUSTER", "GETKEYSINSLOT", int(s), 10)
		if err != nil {
			return fmt.Sprintf("after %d keys: %v", moved, err)
		}
		list, _ := keys.([]any)
		if len(list) == 0 {
			break
		}
		migrate := append([]any{"MIGRATE", host, port, "", 0, 500, "REPLACE", "KEYS"}, list...)
		if _, err := c.ask(source, migrate...); err != nil || time.Now().After(end) {
			return fmt.Sprintf("after %d keys: %v", moved, err)
		}
		moved += len(list)
	}
	for _, i := range []int{target, source} {
		if _, err := c.ask(i, "CLUSTER", "SETSLOT", int(s), "NODE", to); err != nil {
			return fmt.Sprintf("NODE at %d: %v", i, err)
		}
	}
	return "done"
}

// fix finishes whatever moves there are, when all nodes are up.
func (c *cluster) fix() (err error) {
	tool := func(args ...string) error {
		args = append([]string{"cluster"}, append(args, "--timeout", "5s")...)
		out, err := exec.CommandContext(c.t.Context(), redistest.Binary(c.t), args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w\n%s", args, err, out)
		}
		return nil
	}
	for end := time.Now().Add(settle); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		at := c.node(0).Addr()
		if err = tool("check", at); err == nil {
			return nil
		}
		_ = tool("fix", at, "--cluster-yes", "--cluster-replace")
	}
	return err
}
