package sentinel

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// The commands that look at what is monitored and change nothing.

const errNoSuchMaster = resp.Error(core.ErrNoSuchMaster)

func masters(d *driver, q *query) {
	q.reply(func(w *resp.Writer) { writeInstances(w, d.node.Masters(time.Now())) })
}

func master(d *driver, q *query) {
	view, ok := d.node.Master(time.Now(), q.args[2])
	if !ok {
		q.fail(errNoSuchMaster)
		return
	}
	q.reply(func(w *resp.Writer) { writeInstance(w, &view) })
}

func replicas(d *driver, q *query)  { listInstances(q, d.node.Replicas) }
func sentinels(d *driver, q *query) { listInstances(q, d.node.Sentinels) }

func listInstances(q *query, list func(now time.Time, name string) ([]core.InstanceView, bool)) {
	views, ok := list(time.Now(), q.args[2])
	if !ok {
		q.fail(errNoSuchMaster)
		return
	}
	q.reply(func(w *resp.Writer) { writeInstances(w, views) })
}

func myID(d *driver, q *query) {
	q.reply(func(w *resp.Writer) { w.BulkString(d.node.MyID()) })
}

func role(d *driver, q *query) {
	q.reply(func(w *resp.Writer) {
		names := d.node.Names()
		w.Array(2)
		w.BulkString("sentinel")
		w.Array(len(names))
		for _, name := range names {
			w.BulkString(name)
		}
	})
}

func masterAddr(d *driver, q *query) {
	q.reply(func(w *resp.Writer) {
		addr, ok := d.node.MasterAddr(q.args[2])
		if !ok {
			w.NullArray()
			return
		}
		w.Array(2)
		w.BulkString(addr.Host)
		w.BulkInt(int64(addr.Port))
	})
}

func checkQuorum(d *driver, q *query) {
	if _, ok := d.node.Master(time.Now(), q.args[2]); !ok {
		q.fail(errNoSuchMaster)
		return
	}
	ok, text := quorumOf(d.node, q.args[2])
	if !ok {
		q.fail(resp.Error(text))
		return
	}
	q.reply(func(w *resp.Writer) { w.Simple(text) })
}

// quorumOf is the answer of SENTINEL CKQUORUM about a master that there is.
func quorumOf(n *core.Node, name string) (ok bool, text string) {
	usable, quorum, majority, _ := n.CheckQuorum(name)
	if quorum && majority {
		return true, fmt.Sprintf("OK %d usable Sentinels. Quorum and failover authorization can be reached", usable)
	}
	var lacks []string
	if !quorum {
		lacks = append(lacks, "Not enough available Sentinels to reach the specified quorum for this master")
	}
	if !majority {
		lacks = append(lacks, "Not enough available Sentinels to reach the majority and authorize a failover")
	}
	return false, fmt.Sprintf("NOQUORUM %d usable Sentinels. %s", usable, strings.Join(lacks, ". "))
}

// infoCache leaves out masters that do not exist, as Redis does.
func infoCache(d *driver, q *query) {
	now := time.Now()
	q.reply(func(w *resp.Writer) {
		at, found := w.Len(), 0
		seen := map[string]bool{}
		for _, name := range q.args[2:] {
			cached, ok := d.node.InfoCache(now, name)
			if !ok || seen[name] {
				continue
			}
			seen[name] = true
			found++
			w.BulkString(name)
			w.Array(len(cached))
			for _, c := range cached {
				w.Array(2)
				w.Int(c.Age.Milliseconds())
				if c.Has {
					w.BulkString(c.Text)
				} else {
					w.Null()
				}
			}
		}
		w.ArrayAt(at, 2*found)
	})
}

// isMasterDown is the question of another Sentinel, and its request for a vote.
func isMasterDown(d *driver, q *query) {
	port, err1 := strconv.ParseInt(q.args[3], 10, 64)
	epoch, err2 := strconv.ParseInt(q.args[4], 10, 64)
	if err1 != nil || err2 != nil {
		q.fail(resp.ErrNotInteger)
		return
	}
	addr := core.Addr{Host: q.args[2]}
	if port >= 0 && port <= 0xffff { // no instance has another one
		addr.Port = uint16(port)
	}
	// A negative epoch is older than all, not, as in Redis's conversion, newer.
	ask := core.IsMasterDown{Addr: addr, Epoch: uint64(max(epoch, 0)), Candidate: q.args[5]}
	d.command(ask, func(r core.Result) {
		q.reply(func(w *resp.Writer) {
			if r.Err != nil {
				replyResult(w, r)
				return
			}
			w.Array(3)
			if r.Down {
				w.Int(1)
			} else {
				w.Int(0)
			}
			w.BulkString(r.Leader)
			w.Int(int64(r.LeaderEpoch))
		})
	})
}

// publish takes hellos only. Its answer promises nothing, so it does not wait for the
// driver: with many masters there are many hellos.
func (s *Sentinel) publish(x *command.Ctx) {
	if string(x.Args[1]) != core.HelloChannel {
		x.Out.Error("ERR Only HELLO messages are accepted by Sentinel instances.")
		return
	}
	payload := string(x.Args[2])
	s.driver.post(func() { s.driver.step(core.HelloReceived{Payload: payload}) })
	x.Out.Int(1)
}

func pendingScripts(d *driver, q *query) {
	now := time.Now()
	q.reply(func(w *resp.Writer) {
		w.Array(len(d.scripts.queue))
		for _, s := range d.scripts.queue {
			writeScript(w, s, now)
		}
	})
}

// writeScript writes what SENTINEL PENDING-SCRIPTS tells of a script.
func writeScript(w *resp.Writer, s *script, now time.Time) {
	w.Map(5)
	w.BulkString("argv")
	w.Array(len(s.args))
	for _, arg := range s.args {
		w.BulkString(arg)
	}
	state, pid, clock, ms := "scheduled", 0, "run-delay", max(s.start.Sub(now), 0)
	if s.start.IsZero() {
		ms = 0
	}
	if s.process != nil {
		state, pid, clock, ms = "running", s.process.Process.Pid, "run-time", now.Sub(s.start)
	}
	w.BulkString("flags")
	w.BulkString(state)
	w.BulkString("pid")
	w.BulkInt(int64(pid))
	w.BulkString(clock)
	w.BulkInt(ms.Milliseconds())
	w.BulkString("retry-num")
	w.BulkInt(int64(s.attempts))
}

// Info is the lines of INFO sentinel (sentinelInfoCommand).
func (s *Sentinel) Info() string {
	var b strings.Builder
	s.driver.call(func() { s.driver.info(&b) })
	return b.String()
}

func (d *driver) info(b *strings.Builder) {
	now := time.Now()
	field := func(name string, value any) { fmt.Fprintf(b, "%s:%v\r\n", name, value) }
	sum := d.node.Summary(now)
	tilt, since := 0, int64(-1)
	if sum.Tilt {
		tilt, since = 1, int64(sum.TiltSince/time.Second)
	}
	field("sentinel_masters", sum.Masters)
	field("sentinel_tilt", tilt)
	field("sentinel_tilt_since_seconds", since)
	field("sentinel_total_tilt", sum.TotalTilt)
	field("sentinel_running_scripts", d.scripts.running)
	field("sentinel_scripts_queue_length", len(d.scripts.queue))
	field("sentinel_simulate_failure_flags", uint8(sum.SimFailure))
	for i, m := range d.node.Masters(now) {
		fmt.Fprintf(b, "master%d:name=%s,status=%s,address=%s:%d,slaves=%d,sentinels=%d\r\n",
			i, m.Name, statusOf(&m), m.Host, m.Port, m.Replicas, m.OtherSentinels+1)
	}
}

// statusOf is the status of a master by the words of INFO.
func statusOf(m *core.InstanceView) string {
	switch {
	case m.ODown:
		return "odown"
	case m.SDown:
		return "sdown"
	}
	return "ok"
}
