package driver

import (
	"sync"
	"time"

	"redoubt/cluster"
	"redoubt/replication"
	"redoubt/storage"
)

// changer is the goroutine that carries out role changes and pauses. Both wait
// for the world lock or for the event loops, that is for clients' commands,
// and run must not.
//
// What waits is not a queue but the newest of each: a role that was replaced
// before it began need not be taken, and everybody who waits for it is answered
// when a newer one has been.
type changer struct {
	d    *Driver
	wake chan struct{}

	mu     sync.Mutex // guards what follows
	role   *cluster.RoleChange
	flush  bool // the keys must go, on account of role or of one it replaced
	leave  bool // likewise: the group of the shard is to be left
	done   []func()
	paused *time.Time // the pause asked for; the zero time ends it
}

func (c *changer) init(d *Driver) { c.d, c.wake = d, make(chan struct{}, 1) }

// change asks for what a step wants of the node beside its cluster, a role for example, and
// has done called afterwards.
func (c *changer) change(fx *cluster.Effects, done func()) {
	c.mu.Lock()
	if fx.Role != nil {
		c.role = fx.Role
		c.flush = c.flush || fx.Role.Flush
	}
	c.leave = c.leave || fx.LeaveGroup
	c.done = append(c.done, done)
	c.mu.Unlock()
	c.wakeUp()
}

// pause asks for a pause of writes until a time, or for its end.
func (c *changer) pause(until time.Time) {
	c.mu.Lock()
	c.paused = &until
	c.mu.Unlock()
	c.wakeUp()
}

func (c *changer) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *changer) run() {
	for {
		select {
		case <-c.wake:
		case <-c.d.quit:
			return
		}
		c.mu.Lock()
		role, flush, leave, done, paused := c.role, c.flush, c.leave, c.done, c.paused
		c.role, c.flush, c.leave, c.done, c.paused = nil, false, false, nil, nil
		c.mu.Unlock()
		if leave && c.d.Quorum != nil {
			c.d.Quorum.Leave()
		}
		// The role first: clients that a pause has held back are to find it.
		if role != nil {
			c.become(role, flush)
		}
		for _, f := range done {
			f()
		}
		if paused != nil {
			c.hold(*paused)
		}
	}
}

func (c *changer) become(role *cluster.RoleChange, flush bool) {
	if role.Replica {
		c.d.Roles.BecomeReplica(role.Host, int(role.Port),
			replication.Source{Primary: string(role.Primary), Shard: role.Shard})
	} else {
		c.d.Roles.BecomePrimary()
	}
	if flush {
		c.d.Roles.Empty()
	}
}

// hold makes the stream stand still, expiry included, and tells the Node at
// which offset; or lets it go on.
func (c *changer) hold(until time.Time) {
	d := c.d
	now := time.Now().UnixMilli()
	if until.IsZero() {
		d.Keys.World(now, func(tx *storage.Tx) { tx.PauseExpiry(false) })
		d.Shell.Resume()
		return
	}
	d.Shell.Pause(until.UnixMilli())
	d.Keys.World(now, func(tx *storage.Tx) { tx.PauseExpiry(true) })
	offset := d.Facts().Offset
	d.post(func() { d.step(cluster.Paused{Offset: offset}, nil) })
}
