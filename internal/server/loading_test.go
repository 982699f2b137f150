package server

import (
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/resp"
)

func TestLoadingRefusesWhatNeedsData(t *testing.T) {
	n := startNode(t)
	n.SetLoading(true)
	c := n.dial()
	c.want("GET k", "error: "+string(resp.ErrLoading))
	c.want("PING", "error: "+string(resp.ErrLoading))
	c.want("ECHO x", "x")
	n.SetLoading(false)
	c.want("GET k", "(nil)")
}

// While data take the place of others clients wait at first.
func TestAShortLoadIsADelay(t *testing.T) {
	n := startNode(t)
	n.SetReplacing()
	n.patience.Store(int64(time.Since(n.started) + time.Hour))
	c, other := n.dial(), n.dial()
	c.send("GET k")
	n.untilPostponed()
	other.want("ECHO x", "x")
	c.silent()
	n.SetLoading(false)
	c.wantNext("(nil)")

	n.keepNoHouse()
	n.SetReplacing()
	c.want("GET k", "error: "+string(resp.ErrLoading)) // it takes longer
	n.SetLoading(false)
	c.want("GET k", "(nil)")
}

// A client that connects as soon as the node listens waits for a short load, as it does
// with redis-server.
func TestAStartIsADelay(t *testing.T) {
	n := startNode(t)
	n.SetStarting()
	n.patience.Store(int64(time.Since(n.started) + time.Hour))
	c := n.dial()
	c.send("PING")
	n.untilPostponed()
	c.silent()
	n.SetLoading(false)
	c.wantNext("PONG")

	n.keepNoHouse()
	n.SetStarting()
	c.want("PING", "error: "+string(resp.ErrLoading)) // it takes longer
	n.SetLoading(false)
}

// Data are not replaced under a script, which could not be killed any more, nor under a
// request that has passed the gates, which would find none.
func TestALoadWaitsForWhatRuns(t *testing.T) {
	n := startNode(t, "--busy-reply-threshold", "20")
	c, other := n.dial(), n.dial()
	c.call("EVAL", endless, "0")
	n.untilBusy()
	began := make(chan struct{})
	replace := func() {
		n.SetReplacing()
		close(began)
	}
	go replace()
	other.want("SCRIPT KILL", "OK")
	c.read()
	<-began
	n.SetLoading(false)

	at, end := make(chan struct{}), make(chan struct{})
	n.loops[0].post(func() { // as a request that waits for its locks
		close(at)
		<-end
	})
	<-at
	began = make(chan struct{})
	go replace()
	select {
	case <-began:
		t.Error("the data are replaced before a request that is under way has seen them")
	case <-time.After(30 * time.Millisecond):
	}
	close(end)
	<-began
	n.SetLoading(false)
}

// A wall clock that is put back does not keep clients waiting for a load that takes
// long.
func TestPatienceIsOfASteadyClock(t *testing.T) {
	n := startNode(t)
	n.SetReplacing()
	defer n.SetLoading(false)
	l := n.loops[0]
	n.patience.Store(int64(time.Since(n.started)))
	got := make(chan verdict)
	l.post(func() {
		l.readClock()
		l.unix = 0
		got <- gateLoading(l, &request{lacking: command.Loading})
	})
	if v := <-got; v != refuse {
		t.Errorf("the verdict is %d, want %d", v, refuse)
	}
}
