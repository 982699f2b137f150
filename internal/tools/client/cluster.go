package client

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
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
	opts Options

	mu        sync.Mutex // guards what follows; never held across I/O
	owner     [slots.Count]string
	known     []string // every address seen, in the order of asking
	refreshed time.Time
	busy      bool // a refresh is under way
}

// NewCluster learns the cluster's slots from the first of seeds that
// answers. The error joins what each seed said.
func NewCluster(seeds []string, o Options) (*Cluster, error) {
	c := &Cluster{opts: o, known: slices.Clone(seeds)}
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

// Refresh asks the known nodes in turn for CLUSTER SLOTS and believes the
// first that answers. Next time another one is asked first, and those that
// did not answer last: a node cut off from the others answers too, and must
// not be the only one that is believed.
func (c *Cluster) Refresh() ([]Shard, error) {
	c.mu.Lock()
	addrs := slices.Clone(c.known)
	c.mu.Unlock()
	var errs []error
	for i, addr := range addrs {
		shards, err := askSlots(addr, c.opts)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", addr, err))
			continue
		}
		c.learn(shards, slices.Concat(addrs[i+1:], addrs[i:i+1], addrs[:i]))
		return shards, nil
	}
	if len(errs) == 0 {
		return nil, errors.New("no address of the cluster is given")
	}
	return nil, fmt.Errorf("no node of the cluster answers: %w", errors.Join(errs...))
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
// which nodes are asked; nodes that are not in it are appended.
func (c *Cluster) learn(shards []Shard, order []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owner = [slots.Count]string{}
	named := c.known
	for _, sh := range shards {
		sh.Slots.Each(func(s slots.Slot) bool {
			c.owner[s] = sh.Primary
			return true
		})
		named = append(append(named, sh.Primary), sh.Replicas...)
	}
	for _, a := range named {
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
