package interop

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/netlab"
	"redoubt/internal/redistest"
	"redoubt/slots"
)

const (
	// reunion is within what all nodes agree after the network is whole again. It follows
	// the simulator's bound (cluster/sim/bounds.go): a FAIL is taken back after two node
	// timeouts, who was in a minority waits for another, and replicas may outbid each
	// other for 15 s.
	reunion = 3*nodeTimeout + 2*nodeTimeout + 20*time.Second
	// lateness is how much longer than the node timeout a primary that is cut off may be
	// seen to acknowledge: this machine may be busy. Whether two nodes serve one slot does
	// not depend on it.
	lateness = 5 * time.Second
)

// networked is a cluster whose nodes have hosts of their own on a network that fails.
type networked struct {
	t      *testing.T
	net    *netlab.Network
	c      *redistest.Cluster
	probes []probe
	runs   int
	kept   map[string]bool // files of given up bytes that have been read
}

// startNetworked makes the cluster, with one replica for each primary. Kinds are as in
// redistest.ClusterConfig.
func startNetworked(t *testing.T, primaries int, seed uint64, kinds []redistest.Kind, args ...string) *networked {
	t.Helper()
	oursOnly(t)
	l := &networked{t: t, net: netlab.Start(t, 2*primaries, seed), kept: map[string]bool{}}
	var hosts []redistest.Host
	for _, h := range l.net.Hosts {
		hosts = append(hosts, h)
	}
	if kinds == nil {
		kinds = []redistest.Kind{redistest.Redoubt}
	}
	l.c = redistest.StartCluster(t, redistest.ClusterConfig{
		Primaries: primaries, Replicas: 1, Kinds: kinds, NodeTimeout: nodeTimeout, Args: slices.Concat(quick, args), Hosts: hosts,
	})
	for _, s := range l.c.Nodes {
		noPanic(t, s)
	}
	agree(t, l.c)
	for _, s := range l.shards(t) {
		for i := range 2 {
			at := s.first + slots.Slot(i*1000)
			l.probes = append(l.probes, probe{at, keyIn(at, "")})
		}
	}
	return l
}

// shard is the nodes that serve a range of slots, by their index.
type shard struct {
	first            slots.Slot
	primary, replica int // replica is -1 if there is none
}

// shards are those of a cluster that is whole, as the first node tells it.
func (l *networked) shards(t *testing.T) (all []shard) {
	t.Helper()
	told := members(t, l.c.Nodes[0])
	index := func(m member) int {
		return slices.IndexFunc(l.c.Nodes, func(s *redistest.Server) bool { return s.Addr() == m.addr })
	}
	for at, m := range told {
		if at == "" || m.slots == "" {
			continue
		}
		s := shard{first: m.first(t), primary: index(m), replica: -1}
		for at, r := range told {
			if at != "" && r.primary == m.id {
				s.replica = index(r)
			}
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b shard) int { return int(a.first) - int(b.first) })
	return all
}

// hosts are those of some nodes.
func (l *networked) hosts(nodes ...int) (hosts []*netlab.Host) {
	for _, i := range nodes {
		hosts = append(hosts, l.net.Hosts[i])
	}
	return hosts
}

// others are the hosts of all nodes but these.
func (l *networked) others(nodes ...int) []*netlab.Host { return l.net.Except(l.hosts(nodes...)) }

// begin starts witnesses, and waits until each probe has been written to.
func (l *networked) begin(t *testing.T) *witnesses {
	t.Helper()
	l.runs++
	w := watch(t, fmt.Sprintf("run%d", l.runs), l.c.Nodes, l.probes)
	l.untilWritten(t, w, time.Time{})
	return w
}

// untilWritten waits until each probe has been written to since a moment.
func (l *networked) untilWritten(t *testing.T, w *witnesses, since time.Time) {
	t.Helper()
	redistest.Until(t, reunion, "all slots are written to", func() error {
		for i, p := range l.probes {
			if len(w.written(i, since)) == 0 {
				return fmt.Errorf("slot %d is not; the refusals are %v", p.slot, w.refusals())
			}
		}
		return nil
	})
}

// refusals is a copy of what was refused.
func (w *witnesses) refusals() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.refused)
}

// reunite heals the network and returns how long it took until all slots are written to
// and all nodes agree on everything. It fails the test if that is too long.
func (l *networked) reunite(t *testing.T, w *witnesses) time.Duration {
	t.Helper()
	l.net.Heal()
	return l.untilWhole(t, w)
}

// untilWhole is reunite of a network that is whole.
func (l *networked) untilWhole(t *testing.T, w *witnesses) time.Duration {
	t.Helper()
	healed := time.Now()
	told := ""
	redistest.Until(t, reunion, "all nodes agree, and all shards have a replica", func() error {
		told = ""
		for _, s := range l.c.Nodes {
			if state := s.Info("cluster_state"); state != "ok" {
				return fmt.Errorf("%s says that the state is %s", s.Addr(), state)
			}
			view, err := viewOf(t, s)
			if err != nil {
				return err
			}
			if told == "" {
				told = view
			}
			if view != told {
				return fmt.Errorf("one says\n%s\n%s says\n%s", told, s.Addr(), view)
			}
		}
		return nil
	})
	took := time.Since(healed)
	l.untilWritten(t, w, healed)
	return took
}

// viewOf is what a node tells of all, in a form that can be compared. It is an error if
// some node is suspected, is not connected, or belongs to no shard.
func viewOf(t *testing.T, s *redistest.Server) (string, error) {
	t.Helper()
	var lines []string
	for at, m := range members(t, s) {
		if at == "" {
			continue
		}
		if m.has("fail") || m.has("fail?") || m.has("handshake") || m.has("noaddr") || m.slots == "" && m.primary == "-" {
			return "", fmt.Errorf("%s says %v", s.Addr(), m)
		}
		lines = append(lines, fmt.Sprint(m))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n"), nil
}

// outcome is what one run of witnesses has found.
type outcome struct {
	acked, issued, lost int
}

// judge ends the witnesses and looks at what they have seen, once the cluster is whole:
// that no two nodes have served one slot, that replicas have what their primaries have,
// and that the writes that are lost are exactly those that deposed primaries have kept.
func (l *networked) judge(t *testing.T, w *witnesses) (o outcome) {
	t.Helper()
	w.end()
	for _, v := range w.tenures.violations() {
		t.Errorf("two nodes have served: %s", v)
	}
	for _, s := range l.shards(t) {
		if s.replica >= 0 {
			l.untilAlike(t, s)
		}
	}
	lost, kept := l.lost(t, w), l.newlyKept(t)
	o.acked, o.issued, o.lost = len(w.acked), w.issued, len(lost)
	for key := range lost {
		if !kept[key] {
			a := w.acked[key]
			t.Errorf("%s, acknowledged by node %d at %v, is lost, and nobody has kept it", key, a.node, a.at.Format(time.StampMilli))
		}
	}
	for key := range kept {
		if _, acked := w.acked[key]; acked && !lost[key] {
			t.Errorf("%s is in a file of what was given up, and not lost", key)
		}
	}
	return o
}

// untilAlike waits until a replica is in step with its primary, and compares their data.
func (l *networked) untilAlike(t *testing.T, s shard) {
	t.Helper()
	primary, replica := l.c.Nodes[s.primary], l.c.Nodes[s.replica]
	redistest.Until(t, settle, fmt.Sprintf("%s is in step with %s", replica.Addr(), primary.Addr()), func() error {
		up, has, want := replica.Info("master_link_status"), replica.Info("slave_repl_offset"), primary.Info("master_repl_offset")
		if up != "up" || has != want {
			return fmt.Errorf("the link is %s, the offsets are %s and %s", up, has, want)
		}
		return nil
	})
	if a, b := primary.Do("DEBUG", "DIGEST"), replica.Do("DEBUG", "DIGEST"); a != b {
		t.Errorf("%s and its replica %s have different data: %v, %v", primary.Addr(), replica.Addr(), a, b)
	}
}

// lost are the keys whose write was acknowledged and that their primary does not have. The
// others are deleted.
func (l *networked) lost(t *testing.T, w *witnesses) map[string]bool {
	t.Helper()
	byProbe := make([][]string, len(l.probes))
	for key, a := range w.acked {
		byProbe[a.probe] = append(byProbe[a.probe], key)
	}
	owners := l.shards(t)
	lost := map[string]bool{}
	for i, keys := range byProbe {
		c := l.ownerOf(t, owners, l.probes[i].slot)
		for chunk := range slices.Chunk(keys, 500) {
			ask, drop := []any{"MGET"}, []any{"UNLINK"}
			for _, key := range chunk {
				ask, drop = append(ask, key), append(drop, key)
			}
			got, err := c.Do(ask...)
			if err == nil {
				_, err = c.Do(drop...)
			}
			if err != nil {
				t.Fatal(err)
			}
			for j, value := range got.([]any) {
				if value == nil {
					lost[chunk[j]] = true
				} else if value != chunk[j] {
					t.Errorf("%s is %q", chunk[j], value)
				}
			}
		}
		c.Close()
	}
	return lost
}

// ownerOf is a connection to the primary of a slot.
func (l *networked) ownerOf(t *testing.T, all []shard, slot slots.Slot) *redistest.Client {
	t.Helper()
	owner := all[0]
	for _, s := range all {
		if s.first <= slot {
			owner = s
		}
	}
	c, err := l.c.Nodes[owner.primary].Connect()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newlyKept are the keys that have been written in the bytes that nodes have given up
// since it was asked before, as `redoubt journal show` prints them.
func (l *networked) newlyKept(t *testing.T) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	for _, s := range l.c.Nodes {
		for _, file := range keptFiles(t, s) {
			if l.kept[file] {
				continue
			}
			l.kept[file] = true
			for line := range strings.Lines(mustRun(t, "", redistest.Binary(t), "journal", "show", file)) {
				_, command, _ := strings.Cut(line, "] ")
				if rest, ok := strings.CutPrefix(command, "SET "); ok {
					if quoted, err := strconv.QuotedPrefix(rest); err == nil {
						key, _ := strconv.Unquote(quoted)
						keys[key] = true
					}
				}
			}
		}
	}
	return keys
}

// keptFiles are the files of what a node has given up, the oldest first.
func keptFiles(t *testing.T, s *redistest.Server) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir, "rewound-*.aof"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// wantFork fails the test unless a deposed primary has given up all behind the last byte
// that its successor had of its stream, and nothing before it.
func wantFork(t *testing.T, old, next *redistest.Server) {
	t.Helper()
	files := keptFiles(t, old)
	if len(files) == 0 {
		t.Errorf("%s has given up nothing", old.Addr())
		return
	}
	// rewound-<time>-<the beginning of the history's id>-<first byte>-<last byte>.aof
	parts := strings.Split(filepath.Base(files[len(files)-1]), "-")
	if len(parts) != 5 || !strings.HasPrefix(next.Info("master_replid2"), parts[2]) || parts[3] != next.Info("second_repl_offset") {
		t.Errorf("%s has given up %s; its successor had the stream %s up to %s",
			old.Addr(), files[len(files)-1], next.Info("master_replid2"), next.Info("second_repl_offset"))
	}
}
