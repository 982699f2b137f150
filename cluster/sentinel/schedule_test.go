package sentinel

import (
	"fmt"
	"testing"
	"time"
)

// A thousand masters cost what is due for them: no Step looks at more than a few
// of them, and no instance is asked more often than its periods say.
func TestWorkIsWhatIsDue(t *testing.T) {
	const masters = 80
	l := newLab(t)
	for range 2 {
		l.addSentinel(&State{})
	}
	for i := range masters {
		d := l.addNode(nil)
		d.addr.Host = fmt.Sprintf("10.1.%d.%d", i/250, i%250+1)
		for _, m := range l.members {
			m.step(Monitor{Name: fmt.Sprint("m", i), Addr: d.addr, Quorum: 2})
		}
		l.run(93 * time.Millisecond) // so that not all is due at once
	}
	l.until("all have met", time.Minute, func() bool {
		for _, v := range l.members[0].node.Masters(l.now) {
			if v.OtherSentinels != 1 {
				return false
			}
		}
		return true
	})
	m := l.members[0]
	m.sent, m.node.touched = nil, nil
	const seconds = 10
	l.run(seconds * time.Second)
	count := make(map[RequestKind]int)
	for _, r := range m.sent {
		count[r.Kind]++
	}
	// A second: a PING to each master and one to the other Sentinel, half a hello
	// to each master and, about each, to the Sentinel; a tenth of an INFO.
	for kind, want := range map[RequestKind]int{
		RequestPing:  seconds * (masters + 1),
		RequestHello: seconds * masters,
		RequestInfo:  seconds * masters / 10,
	} {
		if got := count[kind]; got < want*8/10 || got > want*11/10 {
			t.Errorf("%d requests of kind %d, want %d", got, kind, want)
		}
	}
	if len(m.node.sentinelLinks) != 1 {
		t.Errorf("%d links to one Sentinel", len(m.node.sentinelLinks))
	}
	if most := cap(m.node.touched); most > 32 {
		t.Errorf("a Step looked at up to %d of %d tasks", most, len(m.node.queue))
	}
}
