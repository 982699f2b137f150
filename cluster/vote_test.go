package cluster

import (
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

// "Masters only vote a single time for a given epoch, and refuse to vote for
// older epochs … if the slave's master is not in FAIL state … " (Redis Cluster
// specification, "Replica election and promotion").
func TestVote(t *testing.T) {
	for _, c := range []struct {
		name    string
		me      string
		prepare func(*lab)
		request func(*bus.Message)
		refusal string // empty: the vote is granted
	}{
		{name: "a primary votes for a replica of a failed primary", me: "c"},
		{name: "a replica has no vote", me: "y", refusal: "silent"},
		{
			name: "a primary without slots has no vote", me: "c",
			prepare: func(l *lab) { l.n.unbindAll(l.n.myself) },
			refusal: "silent",
		},
		{
			name: "an old epoch gets no vote", me: "c",
			request: func(m *bus.Message) { m.CurrentEpoch = 2 },
			refusal: "reqEpoch (2) < curEpoch(3)",
		},
		{
			name: "one vote an epoch", me: "c",
			prepare: func(l *lab) { l.n.lastVoteEpoch = 4 },
			refusal: "already voted for epoch 4",
		},
		{
			name: "a working primary is not replaced", me: "c",
			prepare: func(l *lab) { l.peer("a").flags &^= bus.FlagFail },
			refusal: "its master is up",
		},
		{
			name: "a working primary is replaced if it agreed itself", me: "c",
			prepare: func(l *lab) { l.peer("a").flags &^= bus.FlagFail },
			request: func(m *bus.Message) { m.MsgFlags |= bus.MsgForceAck },
		},
		{
			name: "a primary is no candidate", me: "c",
			prepare: func(l *lab) { l.n.makePrimary(l.peer("x")) },
			refusal: "it is a master node",
		},
		{
			name: "a replica of nobody is no candidate", me: "c",
			prepare: func(l *lab) { l.n.leavePrimary(l.peer("x")) },
			refusal: "I don't know its master",
		},
		{
			name: "one of this product has its vote again", me: "c",
			prepare: func(l *lab) {
				l.redoubt = "x"
				l.peer("a").votedTime, l.peer("a").votedFor = l.now.Add(-time.Millisecond), id("x")
			},
		},
		{
			name: "another of this product waits until the first has won or not", me: "c",
			prepare: func(l *lab) {
				l.redoubt = "x"
				l.peer("a").votedTime, l.peer("a").votedFor = l.now.Add(-candidatePause+time.Millisecond), id("y")
			},
			refusal: "can't vote about this master before 1 milliseconds",
		},
		{
			name: "but not longer", me: "c",
			prepare: func(l *lab) {
				l.redoubt = "x"
				l.peer("a").votedTime, l.peer("a").votedFor = l.now.Add(-candidatePause), id("y")
			},
		},
		{
			name: "a second vote about one primary has to wait", me: "c",
			prepare: func(l *lab) { l.peer("a").votedTime = l.now.Add(-time.Second) },
			refusal: "can't vote about this master before 1000 milliseconds",
		},
		{
			name: "a claim on a slot that has moved on is outdated", me: "c",
			prepare: func(l *lab) { l.n.rebind(7, l.peer("b")) },
			refusal: "slot 7 epoch (2) > reqEpoch (1)",
		},
		{
			name: "a slot that its owner gave up is no obstacle", me: "c",
			prepare: func(l *lab) {
				l.n.rebind(7, l.peer("b"))
				l.n.table.unclaimed.Add(7)
			},
		},
		{
			name: "a vote that cannot be delivered is kept", me: "c",
			prepare: func(l *lab) {
				l.n.closeLink(l.peer("x").out)
				l.in[id("x")] = l.in[id("z")] // it has lost its own, too: the message was the last on it
				l.n.links[l.in[id("x")]].peer, l.peer("x").in = l.peer("x"), nil
			},
			refusal: "I have no link to it",
		},
		{
			name: "a vote goes back on the link of the request, if there is no other", me: "c",
			prepare: func(l *lab) { l.n.closeLink(l.peer("x").out) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, c.me, threeShards())
			l.persistent = false
			l.peer("a").flags |= bus.FlagFail
			var claimed slots.Set
			claimed.AddRange(slots.Range{First: 0, Last: 5460})
			if c.prepare != nil {
				c.prepare(l)
			}
			fx := l.send(bus.TypeAuthRequest, "x", func(m *bus.Message) {
				m.CurrentEpoch, m.ConfigEpoch, m.Slots = 4, 1, claimed
				if c.request != nil {
					c.request(m)
				}
			})
			if l.sent(fx.Send, bus.TypeAuthAck)[id("x")] != nil {
				t.Error("a vote leaves before it is on disk")
			}
			ack := l.sent(fx.SendAfterPersist, bus.TypeAuthAck)[id("x")]
			if c.refusal != "" {
				if ack != nil || l.n.lastVoteEpoch == 4 && c.refusal != "already voted for epoch 4" {
					t.Error("the vote was granted")
				}
				if c.refusal != "silent" && !l.noted(c.refusal) {
					t.Errorf("notes %v, want %q", fx.Notes, c.refusal)
				}
				return
			}
			if ack == nil || ack.CurrentEpoch != 4 {
				t.Fatalf("the answer is %+v, want a vote in epoch 4; notes %v", ack, fx.Notes)
			}
			if fx.Persist == nil || fx.Persist.LastVoteEpoch != 4 {
				t.Errorf("the vote is not saved: %+v", fx.Persist)
			}
		})
	}
}

func TestVoteSurvivesARestart(t *testing.T) {
	l := newLab(t, "c", threeShards())
	l.peer("b").flags |= bus.FlagFail
	request := func(m *bus.Message) { m.CurrentEpoch = 4 }
	saved := l.send(bus.TypeAuthRequest, "y", request).Persist
	if saved == nil {
		t.Fatal("no vote for y")
	}
	state, err := ParseState(saved.Append(nil), false)
	if err != nil {
		t.Fatal(err)
	}
	again := newLabOf(t, state)
	again.connect()
	fx := again.send(bus.TypeAuthRequest, "z", request)
	if len(again.sent(fx.SendAfterPersist, bus.TypeAuthAck)) > 0 || !again.noted("already voted for epoch 4") {
		t.Errorf("it votes again in the same epoch: %v", fx.Notes)
	}
}
