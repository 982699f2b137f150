package sentinel

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Node is the state of one Sentinel. Step is not safe for concurrent use: one
// goroutine owns a Node.
type Node struct {
	cfg  Settings
	rand *rand.Rand
	now  time.Time // of the current Step

	begun time.Time // when the Node was made
	fx    Effects   // of the current Step

	myID         string
	currentEpoch uint64
	announcedAll bool // +monitor was said of the masters in the file

	masters       []*master // by name
	byName        map[string]*master
	sentinelLinks map[string]*link // by the id of the Sentinel
	conns         map[LinkID]*conn
	resolved      map[string]string // host name in lower case to IP address

	lastLink    LinkID
	lastRequest RequestID

	queue    queue
	touched  []task
	deadline time.Time // as of the last Step

	tilt      bool
	tiltSince time.Time
	tilts     int
	judgeFrom time.Time // nobody is judged down before; see clock.go

	dirty   bool   // the State has changed in this Step
	version uint64 // of the last State given out
	durable uint64 // of the last State known to be on disk
	unshown []*master

	simFailure SimFailure
}

// New makes a Node.
func New(now time.Time, cfg Config) (*Node, error) {
	if cfg.Rand == nil {
		return nil, errors.New("sentinel: no source of randomness")
	}
	n := &Node{
		cfg:           cfg.Settings,
		rand:          cfg.Rand,
		now:           now,
		begun:         now,
		byName:        make(map[string]*master),
		sentinelLinks: make(map[string]*link),
		conns:         make(map[LinkID]*conn),
		resolved:      make(map[string]string),
	}
	n.cfg.Timing = n.cfg.Timing.orDefaults()
	if cfg.State != nil {
		if id := cfg.State.MyID; id != "" && !validID(id) {
			return nil, fmt.Errorf("sentinel: %q is not an id of 40 hexadecimal digits", id)
		}
		if err := n.load(cfg.State); err != nil {
			return nil, err
		}
	}
	if n.myID == "" {
		n.myID = n.inventID()
		n.save(nil)
	}
	n.deadline = now
	return n, nil
}

// inventID makes an id of 40 hexadecimal digits.
func (n *Node) inventID() string {
	id := make([]byte, idLen)
	for i := range id {
		id[i] = "0123456789abcdef"[n.rand.IntN(16)]
	}
	return string(id)
}

// Deadline is when the next Tick is needed; for a new Node that is at once, and
// zero if nothing is watched. A Tick that comes later than that by more than
// the TILT trigger tells the Node that it stood still.
func (n *Node) Deadline() time.Time { return n.deadline }

// Step takes one event in and gives its effects. Now must not go back: the
// driver passes a monotonic time.
func (n *Node) Step(now time.Time, ev Event) Effects {
	n.now = now
	n.checkClock()
	if !n.announcedAll {
		n.announceMasters()
	}
	n.dispatch(ev)
	n.runTouched()
	n.flush()
	n.setDeadline()
	fx := n.fx
	n.fx = Effects{}
	return fx
}

func (n *Node) dispatch(ev Event) {
	switch ev := ev.(type) {
	case Tick:
		n.touchDue()
	case LinkUp:
		n.linkUp(ev)
	case LinkDown:
		n.linkDown(ev)
	case Replied:
		n.replied(ev)
	case HelloReceived:
		n.helloReceived(ev)
	case Resolved:
		n.learnAddress(ev)
	case Persisted:
		n.persisted(ev.Version)
	case Configure:
		n.configure(ev.Settings)
	default:
		result := n.command(ev)
		n.fx.Result = &result
	}
}

// announceMasters says +monitor of each master in the configuration file.
// (sentinelIsRunning)
func (n *Node) announceMasters() {
	n.announcedAll = true
	n.log(LevelNotice, "Sentinel ID is %s", n.myID)
	for _, m := range n.masters {
		n.notify(LevelWarning, "+monitor", m, " quorum %d", m.quorum)
	}
}

// configure takes new settings. Connections to Sentinels are made again if the
// password for them is another.
func (n *Node) configure(s Settings) {
	before := n.cfg
	n.cfg = s
	n.cfg.Timing = s.Timing.orDefaults()
	if before.SentinelUser != s.SentinelUser || before.SentinelPass != s.SentinelPass {
		for _, m := range n.masters {
			for _, p := range m.peers {
				n.hangUp(p.link)
			}
		}
	}
	n.touchAll()
}

func (n *Node) touchAll() {
	for _, m := range n.masters {
		for _, w := range m.group() {
			n.touch(w)
			n.touch(w.inst().link)
		}
	}
}

// learnAddress takes what a name resolves to. Replicas are named by address.
func (n *Node) learnAddress(ev Resolved) {
	host := strings.ToLower(ev.Host)
	if n.resolved[host] == ev.IP {
		return
	}
	if ev.IP == "" {
		return // the old address is the best guess
	}
	n.resolved[host] = ev.IP
	for _, m := range n.masters {
		for _, r := range m.replicas {
			r.name = n.announced(r.addr).String()
		}
		slices.SortFunc(m.replicas, func(a, b *replica) int { return strings.Compare(a.name, b.name) })
	}
}

// since is how long ago t was.
func (n *Node) since(t time.Time) time.Duration { return n.now.Sub(t) }
