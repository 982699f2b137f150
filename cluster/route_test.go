package cluster

import (
	"testing"

	"redoubt/slots"
)

func TestRoute(t *testing.T) {
	const (
		mine      = slots.Slot(0)
		migrating = slots.Slot(1)
		others    = slots.Slot(6000)
		importing = slots.Slot(6001)
		nobodys   = slots.Slot(12000)
	)
	for _, c := range []struct {
		name  string
		me    string // default a
		down  bool
		allow func(*Settings)
		query Query
		want  Verdict
	}{
		{name: "my slot", query: Query{Slot: mine}, want: Run},
		{name: "another's slot", query: Query{Slot: others}, want: Moved},
		{name: "nobody's slot", query: Query{Slot: nobodys}, want: Unassigned},
		{name: "an unassigned slot counts before keys of several slots", query: Query{Slot: nobodys, CrossSlot: true}, want: Unassigned},
		{name: "keys of several slots", query: Query{Slot: others, CrossSlot: true}, want: CrossSlot},
		{name: "keys of several slots count before a cluster that is down", down: true, query: Query{Slot: mine, CrossSlot: true}, want: CrossSlot},

		{name: "a slot on its way out", query: Query{Slot: migrating}, want: RunIfPresent},
		{name: "ASKING means nothing for a slot on its way out", query: Query{Slot: migrating, Asking: true}, want: RunIfPresent},
		{name: "MIGRATE on a slot on its way out", query: Query{Slot: migrating, Migrate: true}, want: Run},
		{name: "a shard channel of a slot on its way out", query: Query{Slot: migrating, ShardPubSub: true}, want: Run},

		{name: "a slot on its way in without ASKING", query: Query{Slot: importing}, want: Moved},
		{name: "a slot on its way in with ASKING", query: Query{Slot: importing, Asking: true}, want: Run},
		{name: "several keys of a slot on its way in", query: Query{Slot: importing, Asking: true, ManyKeys: true}, want: RunUnlessMissing},
		{name: "MIGRATE on a slot on its way in", query: Query{Slot: importing, Migrate: true}, want: Run},

		{name: "a replica redirects", me: "x", query: Query{Slot: mine}, want: Moved},
		{name: "a replica answers READONLY clients", me: "x", query: Query{Slot: mine, ReadOnly: true}, want: Run},
		{name: "a replica redirects writes of READONLY clients", me: "x", query: Query{Slot: mine, ReadOnly: true, Write: true}, want: Moved},
		{name: "a replica redirects for slots that are not its primary's", me: "x", query: Query{Slot: others, ReadOnly: true}, want: Moved},
		{name: "a replica of a slot on its way out", me: "x", query: Query{Slot: migrating, ReadOnly: true}, want: RunIfPresent},
		{name: "… without READONLY", me: "x", query: Query{Slot: migrating}, want: Moved},
		{name: "… and a write", me: "x", query: Query{Slot: migrating, ReadOnly: true, Write: true}, want: Moved},
		{name: "… and MIGRATE", me: "x", query: Query{Slot: migrating, Write: true, Migrate: true}, want: Moved},
		{name: "… and a shard channel", me: "x", query: Query{Slot: migrating, ShardPubSub: true}, want: Run},
		{name: "a replica of a slot on its way in", me: "x", query: Query{Slot: importing, ReadOnly: true, Asking: true}, want: Run},
		{
			name: "… with several keys", me: "x",
			query: Query{Slot: importing, ReadOnly: true, Asking: true, ManyKeys: true}, want: RunUnlessMissing,
		},
		{name: "… without ASKING", me: "x", query: Query{Slot: importing, ReadOnly: true}, want: Moved},
		{name: "… without READONLY", me: "x", query: Query{Slot: importing, Asking: true}, want: Moved},
		{name: "… and a write", me: "x", query: Query{Slot: importing, ReadOnly: true, Asking: true, Write: true}, want: Moved},

		{name: "a replica takes shard subscriptions", me: "x", query: Query{Slot: mine, ShardPubSub: true}, want: Run},

		{name: "down", down: true, query: Query{Slot: mine}, want: Down},
		{
			name: "reads when down, if allowed", down: true, query: Query{Slot: mine},
			allow: func(s *Settings) { s.AllowReadsWhenDown = true }, want: Run,
		},
		{
			name: "writes when down are never allowed", down: true, query: Query{Slot: mine, Write: true},
			allow: func(s *Settings) { s.AllowReadsWhenDown = true }, want: DownReadOnly,
		},
		{name: "shard channels when down", down: true, query: Query{Slot: mine, ShardPubSub: true}, want: Run},
		{
			name: "shard channels when down, if not allowed", down: true, query: Query{Slot: mine, ShardPubSub: true},
			allow: func(s *Settings) { s.AllowShardPubSubWhenDown = false }, want: Down,
		},
		{
			name: "redirections go on when reads are allowed", down: true, query: Query{Slot: others},
			allow: func(s *Settings) { s.AllowReadsWhenDown = true }, want: Moved,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			me := c.me
			if me == "" {
				me = "a"
			}
			l := newLab(t, me, threeShards())
			l.n.unbind(nobodys)
			if me != "b" {
				l.n.table.migrating[migrating] = l.peer("b")
				l.n.table.importing[importing] = l.peer("b")
			}
			if c.allow != nil {
				c.allow(&l.n.cfg)
			}
			l.n.health.ok = !c.down
			l.n.view.stale = true
			if got := l.n.View().Route(c.query); got != c.want {
				t.Errorf("verdict %d, want %d", got, c.want)
			}
		})
	}
}

func TestMissingKeysOfAnOpenSlot(t *testing.T) {
	for _, c := range []struct {
		name             string
		verdict          Verdict
		present, missing int
		want             Verdict
	}{
		{"all keys are still here", RunIfPresent, 2, 0, Run},
		{"all keys have gone", RunIfPresent, 0, 2, Ask},
		{"some keys have gone", RunIfPresent, 1, 1, TryAgain},
		{"all keys have come", RunUnlessMissing, 2, 0, Run},
		{"some keys have not come", RunUnlessMissing, 1, 1, TryAgain},
		{"no key has come", RunUnlessMissing, 0, 2, TryAgain},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.verdict.Missing(c.present, c.missing); got != c.want {
				t.Errorf("verdict %d, want %d", got, c.want)
			}
		})
	}
}

func TestRedirectTexts(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.n.table.migrating[1] = l.peer("b")
	b := l.peer("b")
	b.hostname, b.tlsPort, b.ip = "b.example", 7443, "10.0.0.98"
	for _, c := range []struct {
		name     string
		endpoint EndpointType
		verdict  Verdict
		slot     slots.Slot
		tls      bool
		want     string
	}{
		{"to an address", EndpointIP, Moved, 6000, false, "MOVED 6000 10.0.0.98:7000"},
		{"to a TLS port", EndpointIP, Moved, 6000, true, "MOVED 6000 10.0.0.98:7443"},
		{"to a host name", EndpointHostname, Ask, 1, false, "ASK 1 b.example:7000"},
		{"to a host name that is not known", EndpointHostname, Moved, 11000, false, "MOVED 11000 ?:7000"},
		{"to where the client is", EndpointUnknown, Moved, 6000, false, "MOVED 6000 :7000"},
		{"the only port serves for both", EndpointIP, Moved, 11000, true, "MOVED 11000 10.0.0.99:7000"},
		{"nobody's slot", EndpointIP, Unassigned, 1, false, "CLUSTERDOWN Hash slot not served"},
		{"several slots", EndpointIP, CrossSlot, 1, false, "CROSSSLOT Keys in request don't hash to the same slot"},
		{"an open slot", EndpointIP, TryAgain, 1, false, "TRYAGAIN Multiple keys request during rehashing of slot"},
		{"down", EndpointIP, Down, 1, false, "CLUSTERDOWN The cluster is down"},
		{"down for writes", EndpointIP, DownReadOnly, 1, false, "CLUSTERDOWN The cluster is down and only accepts read commands"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l.n.cfg.Endpoint = c.endpoint
			l.n.view.stale, l.n.table.changes = true, l.n.table.changes+1
			if got := l.n.View().RedirectText(c.verdict, c.slot, Client{TLS: c.tls}); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
