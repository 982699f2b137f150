package clustertool

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// Health is how well a cluster is.
type Health int

// A cluster is degraded if it serves all slots, but would not survive what it should: a
// node is away, a primary has no replica, a slot is half moved.
const (
	Healthy Health = iota
	Degraded
	Down // some slots are not served, or nobody can say
)

// Status prints every node of the cluster of which addr is a member with its role, slots
// and replication, and then all that is wrong. Nodes that do not answer are shown as the
// others see them.
func (t *Tool) Status(addr string) (Health, error) {
	s, err := Survey([]string{addr}, t.Client)
	if err != nil {
		return Down, t.fail("%v", err)
	}
	w := tabwriter.NewWriter(t.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ADDRESS\tROLE\tSLOTS\tPRIMARY\tOFFSET\tLAG\tLINK\tUPTIME\tSTATE")
	for _, n := range s.nodes {
		row := n.row(s)
		for i, f := range row {
			if f == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	problems := s.Problems()
	health := Healthy
	for _, p := range problems {
		if health = max(health, p.Health); p.Health == Down {
			t.err("%s", p.Text)
		} else {
			t.warn("%s", p.Text)
		}
	}
	if health == Healthy {
		t.ok("%d nodes, all %d slots are served, every primary has a replica.", len(s.nodes), slots.Count)
	}
	return health, nil
}

// Problem is something that is wrong with a cluster.
type Problem struct {
	Health Health // what it makes of the cluster: Degraded or Down
	Text   string // a sentence without a full stop
}

// Picture is a cluster as all of its nodes that answer see it at one moment.
type Picture struct {
	nodes []*surveyed // primaries by their slots, each with its replicas behind it
	byID  map[string]*surveyed
}

// surveyed is a node of a Picture.
type surveyed struct {
	id, addr string
	seen     *entry // by whoever named it first
	// Of a node that has answered:
	view  *view
	ok    bool // cluster_state
	info  string
	asked time.Time // when it was asked for info
	err   error     // why there is no answer
}

func (n *surveyed) answers() bool { return n.view != nil }

// self is what the node says of itself, or else what another one says of it.
func (n *surveyed) self() *entry {
	if n.answers() {
		return n.view.self()
	}
	return n.seen
}

func (n *surveyed) field(name string) string {
	v, _ := InfoField(n.info, name)
	return v
}

func (n *surveyed) number(name string) int64 {
	v, _ := strconv.ParseInt(n.field(name), 10, 64)
	return v
}

// surveyTimeout bounds each exchange with a node: a stopped process must not hold up the
// others for long.
const surveyTimeout = 2 * time.Second

// Survey asks every node of the cluster to which one of addrs leads. Nodes that one of them
// knows are asked too.
func Survey(addrs []string, o client.Options) (*Picture, error) {
	if o.Timeout <= 0 || o.Timeout > surveyTimeout {
		o.Timeout = surveyTimeout
	}
	s := &Picture{byID: map[string]*surveyed{}}
	var errs []error
	for _, addr := range addrs {
		host, port, err := client.SplitAddr(addr)
		if err != nil {
			return nil, err
		}
		first := &surveyed{addr: net.JoinHostPort(host, strconv.Itoa(port))}
		if first.ask(o); first.answers() {
			s.add(first)
			break
		}
		errs = append(errs, fmt.Errorf("%s cannot be asked: %w", first.addr, plain(first.err)))
	}
	if len(s.nodes) == 0 {
		return nil, errors.Join(errs...)
	}
	// Replicas are asked after their primaries, so that one that keeps up has no lag.
	for asked := 0; asked < len(s.nodes); {
		known := s.nodes[asked:]
		asked = len(s.nodes)
		for _, replicas := range []bool{false, true} {
			var wg sync.WaitGroup
			for _, n := range known {
				if !n.answers() && n.seen.replica() == replicas {
					wg.Go(func() { n.ask(o) })
				}
			}
			wg.Wait()
		}
		for _, n := range known {
			s.learn(n)
		}
	}
	s.arrange()
	return s, nil
}

// ask asks the node for all that is to be known.
func (n *surveyed) ask(o client.Options) {
	if n.seen != nil && n.seen.is("noaddr") {
		n.err = errors.New("its address is not known")
		return
	}
	conn, err := client.Dial(n.addr, o)
	if err != nil {
		n.err = err
		return
	}
	defer conn.Close()
	m := &member{conn: conn}
	if n.err = m.load(); n.err != nil {
		return
	}
	if n.seen != nil && m.id() != n.id {
		n.err = fmt.Errorf("another node answers there: %s", m.id())
		return
	}
	ci, err := conn.Do("CLUSTER", "INFO")
	if err == nil {
		state, _ := InfoField(ci.String(), "cluster_state")
		n.ok = state == "ok"
		ci, err = conn.Do("INFO")
	}
	if err != nil {
		n.err = err
		return
	}
	n.info, n.view, n.id, n.asked = ci.String(), m.view, m.id(), time.Now()
}

func (s *Picture) add(n *surveyed) {
	s.byID[n.id] = n
	s.nodes = append(s.nodes, n)
}

// learn adds the nodes that n knows. One that n has at no host is where n is.
func (s *Picture) learn(n *surveyed) {
	if !n.answers() {
		return
	}
	host, _, _ := net.SplitHostPort(n.addr)
	for i := range n.view.entries {
		e := &n.view.entries[i]
		if e.is("handshake") || s.byID[e.id] != nil {
			continue
		}
		at := e.host
		if at == "" {
			at = host
		}
		s.add(&surveyed{id: e.id, addr: net.JoinHostPort(at, strconv.Itoa(e.port)), seen: e})
	}
}

// arrange orders the nodes: primaries by slots, those without slots last, and behind each
// its replicas.
func (s *Picture) arrange() {
	first := func(n *surveyed) int {
		if p := s.byID[n.self().primary]; p != nil {
			n = p
		}
		if set := n.self().slots; !set.Empty() {
			return int(set.Ranges()[0].First)
		}
		return slots.Count
	}
	slices.SortStableFunc(s.nodes, func(a, b *surveyed) int {
		if d := first(a) - first(b); d != 0 {
			return d
		}
		if a.self().replica() != b.self().replica() {
			if a.self().replica() {
				return 1
			}
			return -1
		}
		return strings.Compare(a.addr, b.addr)
	})
}

// row is the node's line in the table of Status; an empty field has no value.
func (n *surveyed) row(s *Picture) []string {
	self := n.self()
	role, slotsText, primary, offset, lag, link, uptime := "primary", ranges(self.slots), "", "", "", "", ""
	if self.replica() {
		role, primary = "replica", s.name(self.primary)
	}
	if n.answers() {
		offset = n.field("master_repl_offset")
		if self.replica() {
			offset, link = n.field("slave_repl_offset"), n.field("master_link_status")
			if n.field("master_sync_in_progress") == "1" {
				link = "sync"
			}
			if p := s.byID[self.primary]; p != nil && p.answers() && link == "up" {
				lag = strconv.FormatInt(max(0, p.number("master_repl_offset")-n.number("slave_repl_offset")), 10)
			}
		}
		uptime = (time.Duration(n.number("uptime_in_seconds")) * time.Second).String()
	}
	return []string{n.addr, role, slotsText, primary, offset, lag, link, uptime, s.state(n)}
}

// state is what a node is to those who look for it.
func (s *Picture) state(n *surveyed) string {
	switch {
	case !n.answers() && s.sayFailed(n) > 0:
		return "failed"
	case !n.answers():
		return "no answer"
	case s.sayFailed(n) > 0:
		return "suspected"
	case !n.ok:
		return "cluster down"
	}
	return "ok"
}

// sayFailed counts the nodes that hold n to have failed, or suspect it.
func (s *Picture) sayFailed(n *surveyed) (count int) {
	for _, o := range s.nodes {
		if o.answers() {
			if e := o.view.byID(n.id); e != nil && (e.is("fail") || e.is("fail?")) {
				count++
			}
		}
	}
	return count
}

func (s *Picture) answering() (count int) {
	for _, n := range s.nodes {
		if n.answers() {
			count++
		}
	}
	return count
}

func (s *Picture) name(id string) string {
	if n := s.byID[id]; n != nil {
		return n.addr
	}
	return id
}

// Problems lists what is wrong, the worst first.
func (s *Picture) Problems() []Problem {
	var all []Problem
	note := func(h Health, format string, a ...any) {
		all = append(all, Problem{h, fmt.Sprintf(format, a...)})
	}
	s.slotProblems(note)
	s.nodeProblems(note)
	s.replicaProblems(note)
	slices.SortStableFunc(all, func(a, b Problem) int { return int(b.Health) - int(a.Health) })
	return all
}

type noting func(h Health, format string, a ...any)

// slotProblems: slots that nobody serves, and nodes that stopped to.
func (s *Picture) slotProblems(note noting) {
	unserved := slots.All()
	primaries, answering := 0, 0
	for _, n := range s.nodes {
		self := n.self()
		if self.replica() || self.slots.Empty() {
			continue
		}
		primaries++
		if n.answers() {
			answering++
			unserved = unserved.Without(&self.slots)
		}
	}
	for _, n := range s.nodes {
		if self := n.self(); !n.answers() && !self.replica() {
			if both := common(&unserved, &self.slots); !both.Empty() {
				note(Down, "slots %s are not served: %s, which owns them, does not answer", ranges(both), n.addr)
				unserved = unserved.Without(&both)
			}
		}
	}
	if !unserved.Empty() {
		note(Down, "slots %s have no owner", ranges(unserved))
	}
	var down []string
	for _, n := range s.nodes {
		if n.answers() && !n.ok {
			down = append(down, n.addr)
		}
	}
	if len(down) > 0 {
		note(Down, "cluster_state:fail on %s", some(down))
	}
	if primaries > 0 && answering <= primaries/2 {
		note(Down, "%d of %d primaries answer: that is no majority, so no replica can take over", answering, primaries)
	}
	want := s.owners()
	for _, n := range s.nodes {
		if !n.answers() {
			continue
		}
		if d := n.view.difference(want, s.name); d != "" {
			note(Degraded, "%s disagrees about the slots: %s", n.addr, d)
		}
		for _, slot := range slices.Sorted(maps.Keys(n.view.self().migrating)) {
			note(Degraded, "slot %d is open: %s is migrating it to %s", slot, n.addr, s.name(n.view.self().migrating[slot]))
		}
		for _, slot := range slices.Sorted(maps.Keys(n.view.self().importing)) {
			note(Degraded, "slot %d is open: %s is importing it from %s", slot, n.addr, s.name(n.view.self().importing[slot]))
		}
	}
}

// owners is who owns which slots, by the owners' own words where they answer.
func (s *Picture) owners() map[string]slots.Set {
	m := map[string]slots.Set{}
	for _, n := range s.nodes {
		if self := n.self(); !self.replica() && !self.slots.Empty() {
			m[n.id] = self.slots
		}
	}
	return m
}

// nodeProblems: nodes that are away, and nodes that do not know another.
func (s *Picture) nodeProblems(note noting) {
	for _, n := range s.nodes {
		if failed := s.sayFailed(n); !n.answers() {
			note(Degraded, "%s does not answer (%v); %d of %d nodes say that it has failed", n.addr, plain(n.err), failed, s.answering())
		} else if failed > 0 {
			note(Degraded, "%d of %d nodes say that %s has failed, which answers here", failed, s.answering(), n.addr)
		}
		if !n.answers() {
			continue
		}
		var unknown []string
		for _, o := range s.nodes {
			if n.view.byID(o.id) == nil {
				unknown = append(unknown, o.addr)
			}
		}
		if len(unknown) > 0 {
			note(Degraded, "%s does not know %s", n.addr, some(unknown))
		}
	}
}

// replicaProblems: primaries without replicas, and replicas without a link.
func (s *Picture) replicaProblems(note noting) {
	working := map[string]int{}
	for _, n := range s.nodes {
		self := n.self()
		if !self.replica() || !n.answers() {
			continue
		}
		if n.field("master_link_status") == "up" {
			working[self.primary]++
			continue
		}
		note(Degraded, "replica %s has no link to its primary %s, for %d s", n.addr, s.name(self.primary), n.number("master_link_down_since_seconds"))
	}
	var lonely []string
	primaries := 0
	for _, n := range s.nodes {
		if self := n.self(); n.answers() && !self.replica() && !self.slots.Empty() {
			if primaries++; working[n.id] == 0 {
				lonely = append(lonely, n.addr)
			}
		}
	}
	switch {
	case len(lonely) == 0:
	case len(lonely) == primaries && primaries > 1:
		note(Degraded, "no primary has a working replica")
	case len(lonely) == 1:
		note(Degraded, "primary %s has no working replica", lonely[0])
	default:
		note(Degraded, "primaries %s have no working replica", some(lonely))
	}
}

// some lists addresses, the first few of many.
func some(addrs []string) string {
	const few = 5
	if len(addrs) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(addrs[:few], ", "), len(addrs)-few)
	}
	return strings.Join(addrs, ", ")
}

// plain is an error of a connection without the address, which is said already.
func plain(err error) error {
	var ne *client.NetError
	if errors.As(err, &ne) {
		err = ne.Err
	}
	var oe *net.OpError
	if !errors.As(err, &oe) {
		return err
	}
	if oe.Timeout() {
		return errors.New("no reply in time")
	}
	var call *os.SyscallError
	if errors.As(oe.Err, &call) {
		return call.Err
	}
	return oe.Err
}

// common is the slots of both sets.
func common(a, b *slots.Set) slots.Set {
	only := a.Without(b)
	return a.Without(&only)
}

// ranges writes a set as "0-5460,7".
func ranges(t slots.Set) string {
	var b strings.Builder
	for i, r := range t.Ranges() {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// Primaries is the nodes that are primaries, in the order of their slots.
func (s *Picture) Primaries() (found []Node) {
	for _, n := range s.nodes {
		if !n.self().replica() {
			host, port, _ := net.SplitHostPort(n.addr)
			number, _ := strconv.Atoi(port)
			found = append(found, Node{n.id, host, number})
		}
	}
	return found
}
