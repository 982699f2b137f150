package server

import (
	"redoubt/internal/command"
	"redoubt/slots"
	"redoubt/storage"
)

// desk is what a loop executes commands with: an executor and its runner, the
// request at hand and what its unit has collected. Only the loop's turn gives a
// right to it, but for a script that takes long: that keeps its desk, while the loop
// goes on with another one (handover.go).
type desk struct {
	exec   *storage.Executor
	runner command.Runner
	run    run
	host   *scriptHost

	readBuf []byte
	req     request
	slots   []slots.Slot
	routed  [][]byte // the keys, or channels, by which the request is routed
	sought  [][]byte // the keys among them
	encoded []byte   // an inline request as RESP

	published  []publication // by the unit at hand; sent when it has ended
	monitored  []byte        // lines about the unit at hand, for monitors; sent when it has ended
	served     []served      // by the unit at hand; they are told when it has ended
	answered   int           // where the output of the request at hand begins
	processing int           // bytes of input of the connection being served
	redacted   []int         // arguments of the request that nobody else may see
	pushes     []span        // of the request's output, which CLIENT REPLY OFF lets through
	inExec     bool          // a transaction's queue is being run
	stopped    bool          // all loops are stopped on behalf of this one
	strayed    bool          // the script at hand needs the world, and is called again
	counted    bool          // the error of the request at hand is counted already
	ownError   bool          // … if there is one, it is a script's own, with a code that may be any word

	outOfMemory bool  // as of the gate of the request at hand
	ranIn       ranIn // of the scripts of the request at hand

	call request // what the request calls, for its gates; not among what each request uses
}

func newDesk(l *loop) *desk {
	s := l.srv
	d := &desk{exec: s.keyspace.NewExecutor(), readBuf: make([]byte, readBytes)}
	d.runner = command.NewRunner(s.table, d.exec, s)
	d.exec.AnnounceLater()
	d.exec.MayGiveUp()
	d.exec.OnReady(l.serveOwn, l.sendServed)
	d.host = s.newScriptHost(d)
	return d
}

// eachDesk calls f for the loop's desks. Any goroutine may call it.
func (l *loop) eachDesk(f func(d *desk)) {
	f(l.first)
	if d := l.second.Load(); d != nil {
		f(d)
	}
}
