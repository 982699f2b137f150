package sentinel

import (
	"strconv"
	"time"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/resp"
)

// writeInstances writes the descriptions of instances.
func writeInstances(w *resp.Writer, views []core.InstanceView) {
	w.Array(len(views))
	for i := range views {
		writeInstance(w, &views[i])
	}
}

// writeInstance describes an instance: a map of strings with the fields, in the
// order, of addReplySentinelRedisInstance.
func writeInstance(w *resp.Writer, v *core.InstanceView) {
	var f fields
	f.common(v)
	if v.Role != core.RoleSentinel {
		f.ms("info-refresh", v.InfoRefresh)
		f.text("role-reported", v.RoleReported)
		f.ms("role-reported-time", v.RoleReportedTime)
	}
	switch v.Role {
	case core.RoleMaster:
		f.master(v)
	case core.RoleReplica:
		f.replica(v)
	case core.RoleSentinel:
		f.ms("last-hello-message", v.LastHello)
		f.text("voted-leader", v.VotedLeader)
		f.number("voted-leader-epoch", v.VotedLeaderEpoch)
	}
	w.Map(len(f))
	for _, pair := range f {
		w.BulkString(pair[0])
		w.BulkString(pair[1])
	}
}

// fields is names and values in order.
type fields [][2]string

func (f *fields) text(name, value string) { *f = append(*f, [2]string{name, value}) }

func (f *fields) number(name string, n uint64) { f.text(name, strconv.FormatUint(n, 10)) }

func (f *fields) int(name string, n int) { f.text(name, strconv.Itoa(n)) }

func (f *fields) ms(name string, age time.Duration) {
	f.text(name, strconv.FormatInt(age.Milliseconds(), 10))
}

// optional is ms for an age that there may not be, and then is left out.
func (f *fields) optional(name string, age time.Duration) {
	if age >= 0 {
		f.ms(name, age)
	}
}

func (f *fields) common(v *core.InstanceView) {
	f.text("name", v.Name)
	f.text("ip", v.Host)
	f.int("port", int(v.Port))
	f.text("runid", v.RunID)
	f.text("flags", v.Flags)
	f.int("link-pending-commands", v.LinkPendingCommands)
	f.int("link-refcount", v.LinkRefcount)
	if v.FailoverState != "" {
		f.text("failover-state", v.FailoverState)
	}
	f.ms("last-ping-sent", v.LastPingSent)
	f.ms("last-ok-ping-reply", v.LastOKPingReply)
	f.ms("last-ping-reply", v.LastPingReply)
	f.optional("s-down-time", v.SDownTime)
	f.optional("o-down-time", v.ODownTime)
	f.ms("down-after-milliseconds", v.DownAfter)
}

func (f *fields) master(v *core.InstanceView) {
	f.number("config-epoch", v.ConfigEpoch)
	f.int("num-slaves", v.Replicas)
	f.int("num-other-sentinels", v.OtherSentinels)
	f.int("quorum", v.Quorum)
	f.ms("failover-timeout", v.FailoverTimeout)
	f.int("parallel-syncs", v.ParallelSyncs)
	if v.NotificationScript != "" {
		f.text("notification-script", v.NotificationScript)
	}
	if v.ClientReconfigScript != "" {
		f.text("client-reconfig-script", v.ClientReconfigScript)
	}
}

func (f *fields) replica(v *core.InstanceView) {
	f.ms("master-link-down-time", v.MasterLinkDownTime)
	link := "err"
	if v.MasterLinkUp {
		link = "ok"
	}
	f.text("master-link-status", link)
	f.text("master-host", v.MasterHost)
	f.int("master-port", v.MasterPort)
	f.int("slave-priority", v.Priority)
	f.number("slave-repl-offset", v.ReplOffset)
	announced := 0
	if v.Announced {
		announced = 1
	}
	f.int("replica-announced", announced)
}
