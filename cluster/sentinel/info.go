package sentinel

import (
	"strconv"
	"strings"
	"time"
)

// infoText is what an INFO says, as far as it matters here.
type infoText struct {
	runID       string // empty if it is not there
	hasRole     bool
	role        Role
	canFailover bool
	hears       bool   // there is sentinel_confirmed,
	unconfirmed bool   // and it is 0
	replicas    []Addr // of a master

	linkDownSec int64  // master_link_down_since_seconds; -1: it never was up
	masterHost  string // "" and -1 for what is not there
	masterPort  int
	masterLink  string
	priority    int
	offset      int64
	announced   int
}

// parseInfo reads an INFO. As in sentinelRefreshInstanceInfo, what a replica
// says of itself counts only after its role.
func parseInfo(text string) infoText {
	in := infoText{linkDownSec: -1, masterPort: -1, priority: -1, offset: -1, announced: -1}
	for line := range strings.SplitSeq(text, "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		switch {
		case name == "run_id" && len(value) >= idLen:
			in.runID = value[:idLen]
		case name == "role":
			in.hasRole = true
			in.role = RoleReplica
			if value == "master" {
				in.role = RoleMaster
			}
		case name == "master_failover_state":
			in.canFailover = true
		case name == "sentinel_confirmed":
			in.hears, in.unconfirmed = true, value == "0"
		case name == "master_link_down_since_seconds":
			in.linkDownSec = seconds(value)
		case isReplicaLine(name):
			if addr, ok := parseReplica(value); ok {
				in.replicas = append(in.replicas, addr)
			}
		case in.hasRole && in.role == RoleReplica:
			in.replicaField(name, value)
		}
	}
	return in
}

// maxSeconds keeps a number of seconds within a Duration.
const maxSeconds = int64(1 << 32)

// seconds is a number of seconds, 0 if it is none. It may be less than 0.
func seconds(s string) int64 {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return max(-maxSeconds, min(v, maxSeconds))
}

func (in *infoText) replicaField(name, value string) {
	switch name {
	case "master_host":
		in.masterHost = value
	case "master_port":
		in.masterPort = int(number(value))
	case "master_link_status":
		in.masterLink = value
	case "slave_priority":
		in.priority = int(number(value))
	case "slave_repl_offset":
		in.offset = number(value)
	case "replica_announced":
		in.announced = int(number(value))
	}
}

// number is a decimal number, 0 if it is none, at least 0.
func number(s string) int64 {
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0
	}
	return max(v, 0)
}

// isReplicaLine reports whether a field is called slave0, slave1 and so on.
func isReplicaLine(name string) bool {
	digits, ok := strings.CutPrefix(name, "slave")
	return ok && digits != "" && digits[0] >= '0' && digits[0] <= '9'
}

// parseReplica reads ip=…,port=…,… or, of old versions, ip,port,state.
func parseReplica(value string) (Addr, bool) {
	var host, port string
	fields := strings.Split(value, ",")
	for _, f := range fields {
		if v, ok := strings.CutPrefix(f, "ip="); ok {
			host = v
		} else if v, ok := strings.CutPrefix(f, "port="); ok {
			port = v
		}
	}
	if host == "" && len(fields) >= 3 {
		host, port = fields[0], fields[1]
	}
	p, err := strconv.ParseUint(port, 10, 16)
	return Addr{Host: host, Port: uint16(p)}, err == nil && p > 0 && host != ""
}

// infoPeriod is how often to ask an instance for INFO: once a second a replica
// whose master is down or being replaced, that has lost its master, or that
// does not know its place, and an instance that waits to be told what it is; one
// that is being promoted more often.
func (n *Node) infoPeriod(w watched) time.Duration {
	if w.inst().info.unconfirmed {
		return min(time.Second, n.cfg.Timing.InfoPeriod)
	}
	r, ok := w.(*replica)
	if ok && r.promoted && r.master.failover.state == stateWaitPromotion {
		return minInfoGap // whoever writes waits for that
	}
	if ok && (r.master.odown || r.master.failover.running() || r.masterLinkDown > 0 || r.info.role != RoleReplica) {
		return min(time.Second, n.cfg.Timing.InfoPeriod)
	}
	return n.cfg.Timing.InfoPeriod
}

// infoDue is when the next INFO is to be asked for.
func (n *Node) infoDue(w watched) time.Time {
	i := w.inst()
	if i.info.hurry || i.info.at.IsZero() {
		return latest(i.info.asked.Add(minInfoGap), n.now)
	}
	period := n.infoPeriod(w)
	due := latest(i.info.at.Add(period), i.info.asked.Add(minInfoGap))
	if period > n.cfg.Timing.PingPeriod {
		due = n.withPing(i.link, due)
	}
	return due
}

// minInfoGap is the least time between two INFO, whatever is answered.
const minInfoGap = 100 * time.Millisecond

// askInfo asks for INFO if it is due.
func (n *Node) askInfo(w watched) {
	i := w.inst()
	if i.info.pending || i.link.crowded() || n.infoDue(w).After(n.now) {
		return
	}
	i.info.pending, i.info.hurry, i.info.asked = true, false, n.now
	n.send(w, false, RequestInfo, n.words(w, "INFO"))
}

// infoReply takes an INFO: what it says, then what follows from it.
// (sentinelRefreshInstanceInfo)
func (n *Node) infoReply(w watched, reply Reply) {
	if reply.Kind != ReplyBulk {
		return
	}
	i := w.inst()
	in := parseInfo(reply.Text)
	i.info.text, i.info.at = reply.Text, n.now
	i.info.canFailover, i.info.hears, i.info.unconfirmed = in.canFailover, in.hears, in.unconfirmed
	n.learnRunID(w, in.runID)
	switch w := w.(type) {
	case *master:
		n.learnReplicas(w, in.replicas)
	case *replica:
		n.learnReplication(w, &in)
	}
	if !in.hasRole {
		return
	}
	n.learnRole(w, in.role)
	if r, ok := w.(*replica); ok && !n.tilt {
		n.actOnReplica(r, in.role)
	}
	n.vouchFor(w)
}

func (n *Node) learnRunID(w watched, id string) {
	i := w.inst()
	if id == "" || id == i.runID {
		return
	}
	if i.runID != "" {
		n.notify(LevelNotice, "+reboot", w, "")
		if m, ok := w.(*master); ok && m.options.RebootDownAfter > 0 {
			m.rebooted, m.rebootedAt = true, n.now
		}
	}
	i.runID = id
	if r, ok := w.(*replica); ok {
		n.dropFormerAddress(r)
	}
}

// dropFormerAddress drops the replica that is r under an address that it does
// not have any more: the same process, by its run id.
func (n *Node) dropFormerAddress(r *replica) {
	for _, o := range r.master.replicas {
		if o != r && o.runID == r.runID && !o.promoted && !o.link.connected() {
			n.notify(LevelNotice, "-slave", o, " #moved to %s", r.name)
			n.removeReplica(o)
			n.save(r.master)
			return
		}
	}
}

// learnReplicas adds the replicas that a master has.
func (n *Node) learnReplicas(m *master, addrs []Addr) {
	for _, addr := range addrs {
		if !n.validHost(addr.Host) || n.same(addr, m.addr) {
			continue
		}
		r, added := n.addReplica(m, addr)
		r.listedAt = n.now
		if added {
			n.notify(LevelNotice, "+slave", r, "")
			n.save(m)
		}
	}
}

func (n *Node) learnReplication(r *replica, in *infoText) {
	n.learnLinkDown(r, in)
	if in.masterHost != "" && !strings.EqualFold(in.masterHost, r.masterHost) {
		r.masterHost, r.confChanged = in.masterHost, n.now
	}
	if in.masterPort >= 0 && in.masterPort != r.masterPort {
		r.masterPort, r.confChanged = in.masterPort, n.now
	}
	if in.masterLink != "" {
		r.masterLinkUp = strings.EqualFold(in.masterLink, "up")
	}
	if in.priority >= 0 {
		r.priority = in.priority
	}
	if in.offset >= 0 {
		r.offset = uint64(in.offset)
	}
	if in.announced >= 0 {
		r.announced = in.announced != 0
	}
}

func (n *Node) learnRole(w watched, role Role) {
	i := w.inst()
	if role == i.info.role {
		return
	}
	i.info.role, i.info.roleSince = role, n.now
	if r, ok := w.(*replica); ok {
		n.replicaChangesRole(r, role)
	}
	event := "-role-change"
	if role == i.role {
		event = "+role-change"
	}
	n.notify(LevelVerbose, event, w, " new reported role is %s", role)
}

// learnLinkDown finds out for how long a replica has been without its master. What it says
// is the distance of two readings of its wall clock, which a step of that clock changes by
// as much. So the first of what it says counts, and that only as far as the link cannot
// have been seen up since; from then on the time here does, until data have come again.
func (n *Node) learnLinkDown(r *replica, in *infoText) {
	moved := in.offset >= 0 && uint64(in.offset) != r.offset
	switch {
	case in.hasRole && in.role == RoleReplica && strings.EqualFold(in.masterLink, "up"):
		r.linkSeenUp, r.linkDownFrom = n.now, time.Time{}
	case in.linkDownSec == -1:
		r.linkDownFrom = time.Time{}
	case r.linkDownFrom.IsZero() || moved:
		r.linkDownFrom = n.now.Add(-time.Duration(max(0, in.linkDownSec)) * time.Second)
		if r.linkDownFrom.Before(r.linkSeenUp) {
			r.linkDownFrom = r.linkSeenUp
		}
	}
	r.masterLinkDown = 0
	if !r.linkDownFrom.IsZero() {
		r.masterLinkDown = n.since(r.linkDownFrom)
	}
}

func (n *Node) replicaChangesRole(r *replica, role Role) {
	r.unfinished = role == RoleMaster && n.unfinished(r)
	switch {
	case role == RoleReplica:
		r.confChanged = n.now
	case r.unfinished:
		n.awaitLeader(r.master)
		n.touch(r.master)
	}
}

// actOnReplica goes on with the failover that a replica is part of, or puts it
// back to its place.
func (n *Node) actOnReplica(r *replica, role Role) {
	if role == RoleMaster {
		if r.promoted && r.master.failover.state == stateWaitPromotion {
			n.promotionSeen(r)
			return
		}
		n.convertToReplica(r)
		return
	}
	n.fixReplication(r)
	n.followReconf(r)
}

// convertToReplica makes a replica of an instance that is none, but should be:
// for example a master that comes back. It waits for a newer configuration
// first, and longer if the instance has followed its master until now: those that
// voted for a leader may be about to finish what that has begun.
func (n *Node) convertToReplica(r *replica) {
	wait := n.newsTime()
	if !n.astray(r) && n.currentEpoch > r.master.configEpoch {
		wait *= 2
	}
	if r.promoted || n.isLeftover(r) || !n.looksSane(r.master) ||
		!n.quietFor(&r.instance, wait) || n.since(r.info.roleSince) <= wait {
		return
	}
	if n.replicaOf(r, &r.master.addr) {
		n.notify(LevelNotice, "+convert-to-slave", r, "")
	}
}

// fixReplication points a replica of somebody else to its master.
func (n *Node) fixReplication(r *replica) {
	m := r.master
	if r.masterPort == int(m.addr.Port) && n.sameHost(r.masterHost, m.addr.Host) {
		return
	}
	wait := m.options.FailoverTimeout
	if !n.looksSane(m) || !n.quietFor(&r.instance, wait) || n.since(r.confChanged) <= wait {
		return
	}
	if n.replicaOf(r, &m.addr) {
		n.notify(LevelNotice, "+fix-slave-config", r, "")
	}
}

// looksSane reports whether a master is one and says so, is up, and was heard
// lately. (sentinelMasterLooksSane)
func (n *Node) looksSane(m *master) bool {
	return m.info.role == RoleMaster && !m.sdown && !m.odown &&
		!m.info.at.IsZero() && n.since(m.info.at) < 2*n.cfg.Timing.InfoPeriod
}

// followReconf sees how far a replica is on its way to the promoted one.
func (n *Node) followReconf(r *replica) {
	to := r.master.failover.promoted
	if to == nil {
		return
	}
	if r.reconf == reconfSent && r.masterPort == int(to.addr.Port) && n.sameHost(r.masterHost, to.addr.Host) {
		r.reconf = reconfInProgress
		n.notify(LevelNotice, "+slave-reconf-inprog", r, "")
	}
	if r.reconf == reconfInProgress && r.masterLinkUp {
		r.reconf = reconfDone
		n.notify(LevelNotice, "+slave-reconf-done", r, "")
		n.touch(r.master)
	}
}

// replicaOf makes an instance a replica of to or, if that is nil, a master, and
// has its clients ask again where the master is. Whether it worked, INFO will
// tell. It reports whether the commands could be sent. (sentinelSendSlaveOf)
func (n *Node) replicaOf(w watched, to *Addr) bool {
	if !w.inst().link.connected() {
		return false
	}
	host, portText := "NO", "ONE"
	if to != nil {
		a := n.announced(*to)
		host, portText = a.Host, port(a)
	}
	n.send(w, true, RequestReplicaOf,
		n.words(w, "MULTI"),
		n.words(w, "SLAVEOF", host, portText),
		n.words(w, "CONFIG", "REWRITE"),
		n.words(w, "CLIENT", "KILL", "TYPE", "normal"),
		n.words(w, "CLIENT", "KILL", "TYPE", "pubsub"),
		n.words(w, "EXEC"))
	return true
}
