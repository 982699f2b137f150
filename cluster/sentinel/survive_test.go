package sentinel

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Whatever instances and clients send, in whatever order, a Node goes on; and
// what it gives away keeps the rules of Effects.
func TestAnyEventIsSurvived(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { survive(t, seed) })
	}
}

// survivor is a driver without sense.
type survivor struct {
	r        *rand.Rand
	node     *Node
	now      time.Time
	requests []Request
	links    []LinkID
	closed   map[LinkID]bool
	version  uint64
}

func survive(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &survivor{r: r, now: epoch0, closed: make(map[LinkID]bool)}
	s.node = newNode(t, Settings{Port: 26379, ResolveHostnames: seed%2 == 0}, nil)
	for range 3000 {
		s.now = s.now.Add(time.Duration(r.Int64N(int64(400 * time.Millisecond))))
		fx := s.node.Step(s.now, s.event())
		for _, c := range fx.Connect {
			s.links = append(s.links, c.Link)
		}
		for _, id := range fx.Close {
			if s.closed[id] {
				t.Fatalf("connection %d is closed twice", id)
			}
			s.closed[id] = true
		}
		for _, req := range append(fx.Send, fx.SendAfterPersist...) {
			if req.Link == 0 || len(req.Commands) == 0 {
				t.Fatalf("an empty request: %+v", req)
			}
			s.requests = append(s.requests, req)
		}
		if fx.Persist != nil {
			if fx.Persist.Version <= s.version {
				t.Fatalf("version %d after %d", fx.Persist.Version, s.version)
			}
			s.version = fx.Persist.Version
		}
		if len(s.requests) > 50 {
			s.requests = s.requests[25:]
		}
		s.look(t)
	}
}

// look reads all views.
func (s *survivor) look(t *testing.T) {
	for _, m := range s.node.Masters(s.now) {
		s.node.Sentinels(s.now, m.Name)
		s.node.Replicas(s.now, m.Name)
		s.node.InfoCache(s.now, m.Name)
		if _, ok := s.node.MasterAddr(m.Name); !ok {
			t.Fatalf("master %s has no address", m.Name)
		}
	}
	if d := s.node.Deadline(); !d.IsZero() && d.After(s.now.Add(time.Hour)) {
		t.Fatalf("the next Tick is due at %v", d)
	}
}

func (s *survivor) event() Event {
	name := []string{"a", "b", "c"}[s.r.IntN(3)]
	switch s.r.IntN(16) {
	case 0:
		return Monitor{Name: name, Addr: s.addr(), Quorum: s.r.IntN(3)}
	case 1:
		if s.r.IntN(10) == 0 {
			return Remove{Name: name}
		}
		return Failover{Name: name, Coordinated: s.r.IntN(2) == 0}
	case 2:
		if s.r.IntN(10) == 0 {
			return Reset{Match: func(n string) bool { return n == name }}
		}
		return Persisted{Version: s.r.Uint64N(s.version + 1)}
	case 3:
		return IsMasterDown{Addr: s.addr(), Epoch: s.r.Uint64N(50), Candidate: s.id()}
	case 4, 5:
		return HelloReceived{Payload: fmt.Sprintf("%s,%d,%s,%d,%s,%s,%d,%d", s.addr().Host, 26379, s.id(),
			s.r.IntN(60), name, s.addr().Host, 6379, s.r.IntN(60))}
	case 6:
		return LinkDown{Link: s.link(), Refused: s.r.IntN(2) == 0, Reason: "x"}
	case 7, 8:
		return LinkUp{Link: s.link(), LocalIP: "10.0.1.1"}
	case 9, 10, 11, 12:
		if len(s.requests) > 0 {
			req := s.requests[s.r.IntN(len(s.requests))]
			return Replied{Link: req.Link, ID: req.ID, Reply: s.reply(0)}
		}
	case 13:
		return Resolved{Host: s.addr().Host, IP: "10.0.0.7"}
	case 14:
		options, _ := ParseOptions([]string{"down-after-milliseconds", "1000", "forget-after-milliseconds", "2000", "fast-down", "yes"})
		return Set{Name: name, Options: options}
	}
	return Tick{}
}

func (s *survivor) link() LinkID {
	if len(s.links) == 0 {
		return 0
	}
	return s.links[s.r.IntN(len(s.links))]
}

func (s *survivor) addr() Addr {
	return Addr{[]string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "host.example", "bad host", ""}[s.r.IntN(6)], 6379}
}

func (s *survivor) id() string { return strings.Repeat([]string{"a", "b", "c", "*"}[s.r.IntN(4)], 40) }

func (s *survivor) reply(depth int) Reply {
	r := Reply{Kind: ReplyKind(s.r.IntN(6)), Integer: s.r.Int64N(3) - 1}
	switch s.r.IntN(6) {
	case 0:
		r = Reply{Kind: ReplyStatus, Text: "PONG"}
	case 1:
		r.Text = "BUSY"
	case 2:
		r.Text = s.id()
	case 3, 4:
		role := []string{"role:master", "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up"}[s.r.IntN(2)]
		r = Reply{Kind: ReplyBulk, Text: role + "\r\nslave0:ip=" + s.addr().Host + ",port=6379\r\nrun_id:" + s.id() + "\r\nmaster_failover_state:x"}
	}
	for range s.r.IntN(4) {
		if depth < 2 {
			r.Array = append(r.Array, s.reply(depth+1))
		}
	}
	return r
}
