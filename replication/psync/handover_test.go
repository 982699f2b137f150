package psync

import (
	"fmt"
	"testing"
	"testing/synctest"

	"redoubt/replication"
)

// scriptedHandover asks as often as it is told, and keeps what it is answered.
type scriptedHandover struct {
	asks    []bool
	answers []HandoverAnswer
}

func (h *scriptedHandover) Asks() bool                { return h.asks[len(h.answers)] }
func (h *scriptedHandover) Answered(a HandoverAnswer) { h.answers = append(h.answers, a) }

// The word FAILOVER, and the difference between an answer that refuses and one that
// is lost: after the latter the other node may have taken over.
func TestTheLinkAsksForAHandover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newLinkRig(t)
		r.target.known, r.target.position = true, Position{replication.NewHistory(idA), 100, 0}
		h := &scriptedHandover{asks: []bool{true, false, false, false, true, true}}
		r.cfg.Handover = h
		r.start()
		r.greet(idA, "101", "FAILOVER")
		r.conn.Close() // the answer is lost
		r.accept()
		r.greet(idA, "101")
		r.send("-LOADING Redis is loading the dataset in memory\r\n")
		r.accept()
		r.greet(idA, "101")
		r.send("-NOMASTERLINK Can't SYNC while failing over\r\n")
		r.accept()
		r.greet(idA, "101")
		r.send("-NOMASTERLINK Can't SYNC while not connected with my master\r\n")
		r.accept()
		r.greet(idA, "101", "FAILOVER")
		r.send("-ERR PSYNC FAILOVER replid must match my replid.\r\n")
		r.accept()
		r.greet(idA, "101", "FAILOVER")
		r.send("\n+CONTINUE " + idB + "\r\n")
		r.expect(ackOf("100"))
		synctest.Wait()
		if got, want := fmt.Sprint(h.answers), fmt.Sprint([]HandoverAnswer{Lost, Refused, Refused, Unlinked, Refused, Accepted}); got != want {
			t.Errorf("it is told %s, want %s", got, want)
		}
		r.close()
	})
}
