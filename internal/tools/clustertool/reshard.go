package clustertool

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"redoubt/slots"
)

// ReshardOptions say which slots Reshard moves. What is missing it asks for.
type ReshardOptions struct {
	From  string // ids or addresses of the sources with commas between, or "all"
	To    string // id or address of the target
	Slots int    // how many; 0 is not said
	Move  MoveOptions
}

// Reshard moves slots of the cluster of which addr is a member to one of its primaries,
// as redis-cli --cluster reshard does.
func (t *Tool) Reshard(addr string, o ReshardOptions) error {
	c, half, err := t.sane(addr, "resharding", true)
	defer c.close()
	if err != nil {
		return err
	}
	n, err := t.howManySlots(o.Slots)
	if err != nil {
		return err
	}
	target, err := t.primaryOf(c, o.To, "What is the receiving node ID? ")
	if err != nil {
		return err
	}
	sources, err := t.sources(c, o.From, target)
	if err != nil {
		return err
	}
	rest := n
	for _, j := range half {
		if j.to == target.id() && sources.byID(j.from) != nil {
			rest-- // it is one of those that the interrupted command was to move
		}
	}
	shares := sharesOf(sources, half)
	var plan []transfer
	if rest > 0 {
		if plan, err = planReshard(shares, target.id(), rest); err != nil {
			return t.fail("%v", err)
		}
	}
	t.line("")
	t.line("Ready to move %d slots.", n) // in the words of redis-cli
	t.line("  Source nodes:")
	for _, m := range sources {
		t.showNode(c, m)
	}
	t.line("  Destination node:")
	t.showNode(c, target)
	t.line("  Resharding plan:")
	if err := t.showPlan(c, plan); err != nil {
		return err
	}
	if ok, err := t.agreed("Do you want to proceed with the proposed reshard plan?"); !ok {
		return err
	}
	all := append(half, jobs(plan)...)
	done, err := t.move(c, all, o.Move)
	if err == nil {
		t.ok("%s moved to %s.", slotsHave(done), target.addr())
		return nil
	}
	if left := len(all) - done; left > 0 {
		t.line("To go on: redoubt cluster reshard %s --cluster-from %s --cluster-to %s --cluster-slots %d --cluster-yes", c[0].addr(),
			strings.Join(sources.ids(), ","), target.id(), left)
	}
	return err
}

// slotsHave is the subject of a sentence about slots that have been moved or fixed.
func slotsHave(n int) string {
	if n == 1 {
		return "1 slot has been"
	}
	return fmt.Sprintf("%d slots have been", n)
}

// sharesOf is primaries as a plan sees them, without slots that are on their way already.
func sharesOf(c cluster, half []job) []share {
	shares := make([]share, len(c))
	for i, m := range c {
		shares[i] = share{m.id(), m.view.self().slots, 1}
		for _, j := range half {
			if j.from == m.id() {
				shares[i].slots.Remove(j.slot)
			}
		}
	}
	return shares
}

// errNoAnswer ends a dialogue that nobody answers.
var errNoAnswer = errors.New("nothing was answered")

// unanswered prints that a flag is missing, where there is nobody to ask.
func (t *Tool) unanswered(flag string) error {
	t.line("")
	if t.stopping() {
		return ErrInterrupted
	}
	return t.fail("%v: %s says it without a question", errNoAnswer, flag)
}

func (t *Tool) howManySlots(n int) (int, error) {
	for n == 0 {
		answer, ok := t.ask(fmt.Sprintf("How many slots do you want to move (from 1 to %d)? ", slots.Count))
		if !ok {
			return 0, t.unanswered("--cluster-slots")
		}
		if v, err := strconv.Atoi(answer); err == nil && v >= 1 && v <= slots.Count {
			n = v
		}
	}
	return n, nil
}

// primaryOf finds a primary by the name that was given, or asked for.
func (t *Tool) primaryOf(c cluster, name, question string) (*member, error) {
	for name == "" {
		answer, ok := t.ask(question)
		if !ok {
			return nil, t.unanswered("--cluster-to")
		}
		name = answer
	}
	m, err := c.primaries().find(name)
	if err != nil {
		return nil, t.fail("The specified node (%s) is not known or not a master, please retry: %v", name, err)
	}
	return m, nil
}

// sources finds the primaries that give slots: those that were given, or asked for. All
// is all but the target.
func (t *Tool) sources(c cluster, from string, target *member) (cluster, error) {
	names := strings.FieldsFunc(from, func(r rune) bool { return r == ',' || r == ' ' })
	if len(names) == 0 {
		t.line("Please enter all the source node IDs.")
		t.line("  Type 'all' to use all the nodes as source nodes for the hash slots.")
		t.line("  Type 'done' once you entered all the source nodes IDs.")
	}
	for asked := len(names) == 0; asked; {
		answer, ok := t.ask(fmt.Sprintf("Source node #%d: ", len(names)+1))
		switch {
		case !ok:
			return nil, t.unanswered("--cluster-from")
		case answer == "done":
			asked = false
		case answer == "all":
			names, asked = []string{"all"}, false
		case answer != "":
			names = append(names, answer)
		}
	}
	var found cluster
	for _, name := range names {
		if name == "all" {
			found = nil
			for _, m := range c.primaries() {
				if m != target {
					found = append(found, m)
				}
			}
			break
		}
		m, err := t.primaryOf(c, name, "")
		switch {
		case err != nil:
			return nil, err
		case m == target:
			return nil, t.fail("It is not possible to use the target node as source node: %s", m.addr())
		case found.byID(m.id()) == nil:
			found = append(found, m)
		}
	}
	if len(found) == 0 {
		return nil, t.fail("No source nodes given, operation aborted.")
	}
	return found, nil
}
