package node

import (
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"redoubt/internal/admin"
	"redoubt/replication/psync"
)

// phase is where a node is between the begin and the end of Run.
type phase int32

const (
	starting phase = iota
	serving
	ending
)

// life is what a service manager may ask about (supervisor.Process).
type life struct {
	phase  atomic.Int32
	effort int64 // as Advancing has seen it last; the caller's
}

// effort is how many bytes were moved by what others wait for: loads, replays, and saves
// during which no command runs. It only grows.
type effort struct {
	done atomic.Int64
	due  atomic.Int64 // by the newest load; 0: not known
	// Of the newest load: when it began, in seconds since 1970, and done before it.
	began, before atomic.Int64
}

// reader counts what is read.
func (e *effort) reader(r io.Reader) io.Reader { return &countedReader{r, &e.done} }

// writer counts what is written.
func (e *effort) writer(w io.Writer) io.Writer { return &countedWriter{w, &e.done} }

// expect says that a file will be loaded, "" for none, and so many bytes of something else:
// of the journal, or of a snapshot that arrives.
func (p *persistence) expect(file string, more int64) {
	if info, err := os.Stat(file); err == nil {
		more += info.Size()
	}
	p.effort.due.Store(more)
	p.effort.before.Store(p.effort.done.Load())
	p.effort.began.Store(time.Now().Unix())
}

// Load implements admin.Persistence.
func (p *persistence) Load() admin.LoadProgress {
	e := &p.effort
	total, began := e.due.Load(), e.began.Load()
	if began == 0 {
		return admin.LoadProgress{Began: time.Now()} // what will be loaded is not known yet
	}
	loaded := e.done.Load() - e.before.Load()
	if total > 0 {
		loaded = min(loaded, total)
	}
	return admin.LoadProgress{Began: time.Unix(began, 0), Total: total, Bytes: loaded}
}

type countedReader struct {
	io.Reader
	n *atomic.Int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n.Add(int64(n))
	return n, err
}

type countedWriter struct {
	io.Writer
	n *atomic.Int64
}

func (w *countedWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.n.Add(int64(n))
	return n, err
}

// Alive implements supervisor.Process: the event loops turn, and so does the cluster's
// state machine, without which a node has no heartbeat.
func (n *Node) Alive() bool {
	alive := n.server.Alive()
	if n.cluster != nil {
		alive = n.cluster.Alive() && alive
	}
	return alive
}

// Advancing implements supervisor.Process: data are loaded or saved while commands wait,
// or a shutdown waits for replicas, which shutdown-timeout bounds.
func (n *Node) Advancing() bool {
	before := n.life.effort
	n.life.effort = n.persistence.effort.done.Load()
	return n.life.effort != before || n.server.AwaitsReplicas()
}

// Status implements supervisor.Process, in the words of Redis where it has any.
func (n *Node) Status() string {
	switch e := &n.persistence.effort; {
	case n.server.SavesAtEnd():
		return "Saving the final RDB snapshot"
	case n.server.AwaitsReplicas():
		return "Waiting for replicas before shutting down"
	case phase(n.life.phase.Load()) == ending:
		return "Shutting down"
	case phase(n.life.phase.Load()) == serving:
		return n.servingStatus()
	case e.due.Load() > 0:
		loaded := e.done.Load() - e.before.Load()
		return fmt.Sprintf("Redis is loading... %d%% of %d MB", min(100*loaded/e.due.Load(), 100), e.due.Load()>>20)
	}
	return "Redis is loading..."
}

// servingStatus is the status of a node that takes commands.
func (n *Node) servingStatus() string {
	host, _ := n.replicator.Primary()
	if host == "" {
		return "Ready to accept connections"
	}
	mode := "read-write"
	if n.config.Current().ReplicaReadOnly {
		mode = "read-only"
	}
	link, _ := n.replicator.status()
	switch {
	case link.Up():
		return "MASTER <-> REPLICA sync: Finished with success. Ready to accept connections in " + mode + " mode."
	case link.State == psync.Sync && link.SyncTotal > 0:
		return fmt.Sprintf("MASTER <-> REPLICA sync: %d%% of %d MB received", min(100*link.SyncRead/link.SyncTotal, 100), link.SyncTotal>>20)
	}
	return "Ready to accept connections in " + mode + " mode. Waiting for MASTER <-> REPLICA sync"
}
