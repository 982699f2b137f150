package chaos

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"redoubt/internal/chaos/history"
	"redoubt/internal/redistest"
)

// record is what all clients of an episode have asked and were told.
type record struct {
	began time.Time

	mu      sync.Mutex
	ops     history.History
	clients int
	strange map[string]int // errors that nobody expects
}

func (r *record) now() time.Duration { return time.Since(r.began) }

// newClient numbers a client.
func (r *record) newClient() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients++
	return r.clients
}

func (r *record) add(o history.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o.ID = len(r.ops)
	r.ops = append(r.ops, o)
}

func (r *record) wonder(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strange[text]++
}

// refusals begin the errors of commands of which nothing has been done.
var refusals = []string{"MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN ", "LOADING ", "MASTERDOWN ", "READONLY ", "EXECABORT ", "UNBLOCKED "}

// outcomeOf says what an error means for the operation.
func (r *record) outcomeOf(err error) history.Outcome {
	var refusal redistest.Error
	if !errors.As(err, &refusal) {
		return history.Unknown // the connection has ended, or the answer did not come
	}
	for _, begin := range refusals {
		if strings.HasPrefix(string(refusal), begin) {
			return history.Refused
		}
	}
	if !strings.HasPrefix(string(refusal), "UNCERTAIN ") {
		r.wonder(string(refusal))
	}
	return history.Unknown
}

// client has one operation at a time. After one whose outcome is unknown it goes on as
// another client, since that operation may still be under way.
type client struct {
	c      *cluster
	record *record
	rnd    *rand.Rand
	id     int
	conns  map[int]*redistest.Client // by node
	at     map[int]int               // the node to ask, by shard
	// pinned: it asks the nodes of at whatever they answer, and waits no longer than shortly.
	pinned bool
}

func newClient(c *cluster, r *record, rnd *rand.Rand) *client {
	return &client{c: c, record: r, rnd: rnd, id: r.newClient(), conns: map[int]*redistest.Client{}, at: map[int]int{}}
}

// newWatcher is a client that asks one node only.
func newWatcher(c *cluster, r *record, rnd *rand.Rand, node int) *client {
	w := newClient(c, r, rnd)
	w.at[node/perShard], w.pinned = node, true
	return w
}

// waits is how long it waits for an answer.
func (c *client) waits() time.Duration {
	if c.pinned {
		return shortly
	}
	return patience
}

func (c *client) close() {
	for i := range c.conns {
		c.hangUp(i)
	}
}

func (c *client) hangUp(i int) {
	if conn := c.conns[i]; conn != nil {
		conn.Close()
		delete(c.conns, i)
	}
}

// request is what is asked of a shard: it fills in the results of its steps.
type request struct {
	shard int
	steps []history.Step
	do    func(conn *redistest.Client, steps []history.Step) error
}

// connect is the node to ask, and a connection to it; nil if there is none.
func (c *client) connect(shard int) (i int, conn *redistest.Client) {
	i, ok := c.at[shard]
	if !ok {
		i = c.c.nodesOf(shard)[c.rnd.IntN(perShard)]
		c.at[shard] = i
	}
	if conn = c.conns[i]; conn != nil {
		return i, conn
	}
	conn, err := c.c.node(i).ConnectWithin(c.waits())
	if err != nil {
		c.look(shard)
		return i, nil
	}
	c.conns[i] = conn
	return i, conn
}

// look has the client look for another node to ask, unless it asks one only.
func (c *client) look(shard int) {
	if !c.pinned {
		delete(c.at, shard)
	}
}

// perform asks once, and records what comes of it. It reports whether it is done.
func (c *client) perform(q request) bool {
	i, conn := c.connect(q.shard)
	if conn == nil {
		return false
	}
	o := history.Op{Client: c.id, Steps: q.steps, Outcome: history.OK, Node: c.c.node(i).Addr(), Call: c.record.now()}
	err := q.do(conn, o.Steps)
	o.Return = c.record.now()
	if err != nil {
		o.Outcome, o.Told = c.record.outcomeOf(err), err.Error()
		c.failed(&o, q.shard, i)
	}
	c.record.add(o)
	return o.Outcome == history.OK
}

// failed says whom to ask next.
func (c *client) failed(o *history.Op, shard, node int) {
	c.look(shard)
	if f := strings.Fields(o.Told); len(f) == 3 && f[0] == "MOVED" && !c.pinned {
		if to := c.c.find(f[2]); to >= 0 {
			c.at[shard] = to
		}
	}
	if o.Outcome == history.Unknown {
		o.Return = history.Never
		c.id = c.record.newClient()
		c.hangUp(node)
	}
}

// insist asks until it is done, or for so long.
func (c *client) insist(q request, within time.Duration) bool {
	steps := q.steps
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		q.steps = append([]history.Step(nil), steps...)
		if c.perform(q) {
			return true
		}
	}
	return false
}
