package client

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/resp"

	"redoubt/slots"
)

// Shard is a primary, its replicas and its slots, as CLUSTER SLOTS told.
type Shard struct {
	Primary  string   // "host:port"
	Replicas []string // sorted
	Slots    slots.Set
}

// Cluster is what the tools know of a cluster: who serves which slot, and
// every node that was ever named, so that the cluster is found again when
// those first named are down. It is safe for concurrent use.
type Cluster struct {
	opts   Options
	source source

	mu        sync.Mutex // guards what follows; never held across I/O
	owner     [slots.Count]string
	known     []string // every address seen, in the order of asking
	refreshed time.Time
	busy      bool // a refresh is under way
}

// A source is where a Cluster has its knowledge from.
type source struct {
	// ask asks one of the known addresses. More addresses are known from then on.
	ask func(addr string) (shards []Shard, more []string, err error)
	// redirects: MOVED and ASK are followed.
	redirects bool
	// rotates: another address is asked first next time.
	rotates bool
	// confirms: a node must say that it is a primary before it is sent a command. In a
	// cluster the owner of a slot is; elsewhere nobody but the node itself knows.
	confirms bool
}

// NewCluster learns the cluster's slots from the first of seeds that
// answers. The error joins what each seed said.
func NewCluster(seeds []string, o Options) (*Cluster, error) {
	return newCluster(seeds, o, source{redirects: true, rotates: true, ask: func(addr string) ([]Shard, []string, error) {
		shards, err := askSlots(addr, o)
		var nodes []string
		for _, sh := range shards {
			nodes = append(append(nodes, sh.Primary), sh.Replicas...)
		}
		return shards, nodes, err
	}})
}

// NewSentinels has the primary of a name for a cluster of one shard, as the Sentinels say
// it. so are the options for Sentinels, o those for nodes.
func NewSentinels(name string, sentinels []string, so, o Options) (*Cluster, error) {
	return newCluster(sentinels, o, source{rotates: true, confirms: true, ask: func(addr string) ([]Shard, []string, error) {
		return askSentinel(addr, name, so)
	}})
}

// NewSingle has one address, the first of addrs that answers, for a cluster of one shard:
// a node that is in no cluster, or a proxy that leads to one.
func NewSingle(addrs []string, o Options) (*Cluster, error) {
	return newCluster(addrs, o, source{confirms: true, ask: func(addr string) ([]Shard, []string, error) {
		conn, err := Dial(addr, o)
		if err != nil {
			return nil, nil, err
		}
		conn.Close()
		return []Shard{{Primary: addr, Slots: slots.All()}}, nil, nil
	}})
}

func newCluster(seeds []string, o Options, from source) (*Cluster, error) {
	c := &Cluster{opts: o, source: from, known: slices.Clone(seeds)}
	if _, err := c.Refresh(); err != nil {
		return nil, err
	}
	return c, nil
}

// Owner is the address that served slot s when last heard of, or "".
func (c *Cluster) Owner(s slots.Slot) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owner[s]
}

// Refresh asks the known addresses in turn, in a cluster nodes for CLUSTER SLOTS, and
// believes the first that answers. Next time another one is asked first, and those that
// did not answer last: a node cut off from the others answers too, and must
// not be the only one that is believed.
func (c *Cluster) Refresh() ([]Shard, error) {
	c.mu.Lock()
	addrs := slices.Clone(c.known)
	c.mu.Unlock()
	var errs []error
	for i, addr := range addrs {
		shards, more, err := c.source.ask(addr)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", addr, err))
			continue
		}
		order := slices.Concat(addrs[i:], addrs[:i])
		if c.source.rotates {
			order = slices.Concat(addrs[i+1:], addrs[i:i+1], addrs[:i])
		}
		c.learn(shards, order, more)
		return shards, nil
	}
	if len(errs) == 0 {
		return nil, errors.New("no address of the cluster is given")
	}
	return nil, fmt.Errorf("no node of the cluster answers: %w", hinted(errors.Join(errs...)))
}

// refreshSoon refreshes unless somebody does so already or has just done so:
// when a node dies all sessions come here at once.
func (c *Cluster) refreshSoon() {
	const apart = 100 * time.Millisecond
	c.mu.Lock()
	if c.busy || time.Since(c.refreshed) < apart {
		c.mu.Unlock()
		return
	}
	c.busy = true
	c.mu.Unlock()
	// A failure is not reported: the command that brought us here has failed
	// already, and its successor will come back.
	c.Refresh()
	c.mu.Lock()
	c.busy, c.refreshed = false, time.Now()
	c.mu.Unlock()
}

// learn takes over the shards that a node told, and order as the order in
// which addresses are asked; known ones and more that are not in it are appended.
func (c *Cluster) learn(shards []Shard, order, more []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner = [slots.Count]string{}
	for _, sh := range shards {
		sh.Slots.Each(func(s slots.Slot) bool {
			c.owner[s] = sh.Primary
			return true
		})
	}
	for _, a := range append(slices.Clone(c.known), more...) {
		if !slices.Contains(order, a) {
			order = append(order, a)
		}
	}
	c.known = order
}

// moved notes that addr serves slot s.
func (c *Cluster) moved(s slots.Slot, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner[s] = addr
	if !slices.Contains(c.known, addr) {
		c.known = append(c.known, addr)
	}
}

// askSlots asks one node for CLUSTER SLOTS.
func askSlots(addr string, o Options) ([]Shard, error) {
	conn, err := Dial(addr, o)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	v, err := conn.Do("CLUSTER", "SLOTS")
	if err != nil {
		return nil, err
	}
	shards, err := ParseSlots(v, addr)
	if err == nil && len(shards) == 0 {
		err = errors.New("the node knows no owner of any slot")
	}
	return shards, err
}

// hinted adds to the error of nodes that are in no cluster what would lead to them.
func hinted(err error) error {
	var re *ReplyError
	if errors.As(err, &re) && strings.Contains(re.Text, "cluster support disabled") {
		return fmt.Errorf("%w. A node that is in no cluster is reached with --no-cluster, or through its Sentinels with --sentinel", err)
	}
	return err
}

// askSentinel asks one Sentinel for the primary of a name, its replicas, and where the
// other Sentinels are.
func askSentinel(addr, name string, o Options) (shards []Shard, more []string, err error) {
	conn, err := Dial(addr, o)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	v, err := conn.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
	if err != nil {
		return nil, nil, err
	}
	at := v.Array()
	if len(at) != 2 {
		return nil, nil, fmt.Errorf("the Sentinel knows no master with the name %q", name)
	}
	sh := Shard{Primary: net.JoinHostPort(at[0].String(), at[1].String()), Slots: slots.All()}
	if sh.Replicas, err = askInstances(conn, "REPLICAS", name); err != nil {
		return nil, nil, err
	}
	if more, err = askInstances(conn, "SENTINELS", name); err != nil {
		return nil, nil, err
	}
	return []Shard{sh}, more, nil
}

// askInstances asks a Sentinel for a list of instances, and returns their addresses.
func askInstances(conn *Conn, list, name string) ([]string, error) {
	v, err := conn.Do("SENTINEL", list, name)
	if err != nil {
		return nil, err
	}
	var addrs []string
	for _, e := range v.Array() {
		f := e.Array()
		var host, port string
		for i := 0; i+1 < len(f); i += 2 {
			switch f[i].String() {
			case "ip":
				host = f[i+1].String()
			case "port":
				port = f[i+1].String()
			}
		}
		if host == "" || port == "" {
			return nil, fmt.Errorf("%w: SENTINEL %s has an instance without an address", ErrProtocol, list)
		}
		addrs = append(addrs, net.JoinHostPort(host, port))
	}
	slices.Sort(addrs)
	return addrs, nil
}

// ParseSlots reads a CLUSTER SLOTS reply. A node without an address is at
// the host of asked, "host:port", the node that replied. Shards come in the
// order of their first slots.
func ParseSlots(v resp.Value, asked string) ([]Shard, error) {
	host, _, err := net.SplitHostPort(asked)
	if err != nil {
		return nil, err
	}
	byPrimary := map[string]*Shard{}
	for _, e := range v.Array() {
		row := e.Array()
		if len(row) < 3 {
			return nil, fmt.Errorf("%w: CLUSTER SLOTS row of %d elements", ErrProtocol, len(row))
		}
		first, last := row[0].Integer(), row[1].Integer()
		if first < 0 || last >= slots.Count || first > last {
			return nil, fmt.Errorf("%w: CLUSTER SLOTS names slots %d to %d", ErrProtocol, first, last)
		}
		addrs := make([]string, 0, len(row)-2)
		for _, n := range row[2:] {
			addr, err := slotsAddr(n, host)
			if err != nil {
				return nil, err
			}
			addrs = append(addrs, addr)
		}
		sh := byPrimary[addrs[0]]
		if sh == nil {
			sh = &Shard{Primary: addrs[0], Replicas: addrs[1:]}
			slices.Sort(sh.Replicas)
			byPrimary[addrs[0]] = sh
		}
		sh.Slots.AddRange(slots.Range{First: slots.Slot(first), Last: slots.Slot(last)})
	}
	shards := make([]Shard, 0, len(byPrimary))
	for _, sh := range byPrimary {
		shards = append(shards, *sh)
	}
	slices.SortFunc(shards, func(a, b Shard) int {
		return int(a.Slots.Ranges()[0].First) - int(b.Slots.Ranges()[0].First)
	})
	return shards, nil
}

// slotsAddr is the address in one node of a CLUSTER SLOTS row. An empty or
// null host means the one that was asked; "?" is a host that the node does
// not know.
func slotsAddr(n resp.Value, askedHost string) (string, error) {
	f := n.Array()
	if len(f) < 2 {
		return "", fmt.Errorf("%w: CLUSTER SLOTS node of %d elements", ErrProtocol, len(f))
	}
	host, port := f[0].String(), f[1].Integer()
	if host == "" || host == "?" {
		host = askedHost
	}
	if port < 1 || port > 65535 {
		return "", fmt.Errorf("%w: CLUSTER SLOTS names port %d", ErrProtocol, port)
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}
