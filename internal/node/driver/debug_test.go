package driver

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/cluster"
	"redoubt/internal/redistest"
)

// DEBUG drops what comes over the bus of one type, and closes links.
func TestTheBusIsDisturbed(t *testing.T) {
	t.Parallel()
	a, b := startMember(t), startMember(t)
	a.WantOK("cluster", "meet", "127.0.0.1", b.port)
	for _, m := range []*member{a, b} {
		redistest.Until(t, 10*time.Second, "both see both", func() error { return m.sees(2, false) })
	}
	links := func() error { return a.linksTo(b.id()) }
	redistest.Until(t, 10*time.Second, "there are links", links)

	for _, test := range []struct {
		what string
		to   bool
		f    func()
	}{
		{"the link to it", true, func() { a.KillLinks(b.id(), true, false) }},
		{"the link from it", false, func() { a.KillLinks(b.id(), false, true) }},
		{"a link over which something is dropped", true, func() {
			b.CloseOnDrop(true)
			b.DropMessages(int64(bus.TypePublish))
			a.Publish([]byte("news"), []byte("dropped"), false)
		}},
	} {
		redistest.Until(t, 10*time.Second, "there are links", links)
		before := a.linkNumber(b.id(), !test.to)
		test.f()
		redistest.Until(t, 10*time.Second, test.what+" is another", func() error {
			if now := a.linkNumber(b.id(), !test.to); now == 0 || now == before {
				return fmt.Errorf("it is %d", now)
			}
			return nil
		})
		b.DropMessages(-1)
		b.CloseOnDrop(false)
	}
	redistest.Until(t, 10*time.Second, "what was dropped counts", func() error {
		if info := b.View().InfoText(); !strings.Contains(info, "cluster_stats_messages_publish_received:1\r\n") {
			return errors.New(info)
		}
		return nil
	})
	redistest.Until(t, 10*time.Second, "there are links", links)
	a.Publish([]byte("news"), []byte("heard"), false)
	redistest.Until(t, 10*time.Second, "the news are heard", func() error { return b.shell.heard("news heard false") })
	if b.shell.heard("news dropped false") == nil {
		t.Error("what was dropped is heard, too")
	}
	if a.KillLinks("nobody", true, true) {
		t.Error("nobody is known")
	}
}

// DEBUG may be asked for something while the node ends: what run does of it then must
// not meet the answer. The race detector looks at it.
func TestLinksAreKilledWhileTheNodeEnds(t *testing.T) {
	m, err := openMember(t, t.TempDir(), redistest.Port(t))
	if err != nil {
		t.Fatal(err)
	}
	myself := string(m.node.View().Nodes[0].ID)
	for range 100 { // whichever of the answer and the end KillLinks sees first
		d := &Driver{node: m.node, inbox: make(chan func()), quit: make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			f := <-d.inbox
			close(d.quit)
			f()
		}()
		d.KillLinks(myself, true, true)
		<-done
	}
}

// linkNumber is the number of the link to or from a node, 0 if there is none.
func (m *member) linkNumber(node string, inbound bool) uint64 {
	for _, r := range m.linkRows() {
		if string(r.Node) == node && r.Inbound == inbound && r.Up {
			return uint64(r.Link)
		}
	}
	return 0
}

// linksTo checks that there are links in both directions.
func (m *member) linksTo(node string) error {
	if m.linkNumber(node, true) == 0 || m.linkNumber(node, false) == 0 {
		return errors.New("there are not")
	}
	return nil
}

// A node that sleeps hears and says nothing, and takes it for a freeze when it goes on.
func TestANodeThatSleepsIsMissed(t *testing.T) {
	t.Parallel()
	a, b := startMember(t, "--cluster-node-timeout", "600"), startMember(t, "--cluster-node-timeout", "600")
	a.WantOK("cluster", "meet", "127.0.0.1", b.port)
	for _, m := range []*member{a, b} {
		redistest.Until(t, 10*time.Second, "both see both", func() error { return m.sees(2, false) })
	}
	began, before := time.Now(), b.Freezes(time.Now())
	b.Sleep(3 * time.Second)
	redistest.Until(t, 10*time.Second, "the other misses it", func() error {
		if !strings.Contains(a.View().NodesText(cluster.Client{}), "fail") {
			return errors.New(a.View().NodesText(cluster.Client{}))
		}
		return nil
	})
	if n := b.Freezes(time.Now()); n == before {
		t.Errorf("there were %d freezes before, and no more now", n)
	}
	if took := time.Since(began); took < 3*time.Second {
		t.Errorf("the node sleeps for %v", took)
	}
}
