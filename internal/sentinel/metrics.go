package sentinel

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/metrics"
)

// stallLimit is for how long the driver may leave a question unanswered.
const stallLimit = 5 * time.Second

// CheckHealth adds that the driver hangs: server.Program.
func (s *Sentinel) CheckHealth(r *metrics.Report) {
	if _, answered := s.summary(); !answered {
		r.Fault(fmt.Sprintf("what monitors the masters has not answered for %v", stallLimit))
	}
}

// summary asks the driver, and does not wait for one that hangs.
func (s *Sentinel) summary() (sum core.Summary, answered bool) {
	answer, late := make(chan core.Summary, 1), time.NewTimer(stallLimit)
	defer late.Stop()
	go s.driver.post(func() { answer <- s.driver.node.Summary(time.Now()) })
	select {
	case sum = <-answer:
		return sum, true
	case <-s.driver.ended:
		return sum, true
	case <-late.C:
		return sum, false
	}
}

// CheckReadiness adds what keeps the Sentinel from its work: server.Program. In TILT it
// still tells where the masters are.
func (s *Sentinel) CheckReadiness(r *metrics.Report) {
	if len(r.Problems) > 0 {
		return // the driver may be what hangs
	}
	switch sum, _ := s.summary(); {
	case sum.Tilt:
		r.Note("the Sentinel is in TILT: it begins no failover")
	case sum.Masters == 0:
		r.Note("no master is monitored")
	}
}

// Measure adds what the commands SENTINEL MASTERS, REPLICAS, SENTINELS and CKQUORUM tell,
// by the names of redis_exporter: server.Program.
func (s *Sentinel) Measure(p *metrics.Page, may func(command ...string) bool) {
	options := may("sentinel", "config")
	if may("sentinel", "masters") {
		s.driver.call(func() {
			s.driver.measure(p)
			if options {
				s.driver.measureOptions(p)
			}
		})
	}
}

// measureOptions writes what SENTINEL CONFIG GET tells, but for the password.
func (d *driver) measureOptions(p *metrics.Page) {
	texts := p.Family("redis_sentinel_config_key_value", metrics.Gauge, "The value of an option of the Sentinel as a label; always 1.", "key", "value")
	numbers := p.Family("redis_sentinel_config_value", metrics.Gauge, "The value of an option of the Sentinel that is a number.", "key")
	for _, o := range options {
		if o.name == optionPassword {
			continue
		}
		value := o.get(d)
		texts.Int(1, o.name, value)
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			numbers.Set(n, o.name)
		}
	}
}

// masterLabels are the labels by which a master is told from others.
var masterLabels = []string{"master_name", "master_address"}

// measure writes to a page; the loop calls it.
func (d *driver) measure(p *metrics.Page) {
	now := time.Now()
	gauge := func(name, help string) *metrics.Family {
		return p.Family("redis_sentinel_master_"+name, metrics.Gauge, help, masterLabels...)
	}
	status := p.Family("redis_sentinel_master_status", metrics.Gauge, "Whether a master is held to work.", "master_name", "master_address", "master_status")
	quorum := p.Family("redis_sentinel_master_ckquorum_status", metrics.Gauge, "Whether enough Sentinels work for a failover: SENTINEL CKQUORUM.",
		"master_name", "message")
	replicas := gauge("slaves", "Replicas of a master.")
	goodReplicas := gauge("ok_slaves", "Replicas that are not down.")
	sentinels := gauge("sentinels", "Sentinels of a master, this one included.")
	goodSentinels := gauge("ok_sentinels", "Sentinels that are not down, this one included.")
	needed := gauge("setting_ckquorum", "Sentinels that must agree that the master is down.")
	timeout := gauge("setting_failover_timeout", "The option failover-timeout, in milliseconds.")
	parallel := gauge("setting_parallel_syncs", "The option parallel-syncs.")
	downAfter := gauge("setting_down_after_milliseconds", "The option down-after-milliseconds.")
	epoch := gauge("config_epoch", "Epoch of the failover that has made it the master.")
	heard := gauge("last_ok_ping_reply_seconds", "Seconds since the master has answered.")
	peers := p.Family("redis_sentinel_peer_info", metrics.Gauge, "Another Sentinel of a master; always 1.",
		"master_name", "master_address", "name", "ip", "port", "runid", "flags")
	for _, m := range d.node.Masters(now) {
		of := []string{m.Name, m.Host + ":" + strconv.Itoa(int(m.Port))}
		status.Bool(statusOf(&m) == "ok", m.Name, of[1], statusOf(&m))
		ok, message := quorumOf(d.node, m.Name)
		quorum.Bool(ok, m.Name, message)
		replicas.Int(int64(m.Replicas), of...)
		sentinels.Int(int64(m.OtherSentinels)+1, of...)
		needed.Int(int64(m.Quorum), of...)
		timeout.Int(m.FailoverTimeout.Milliseconds(), of...)
		parallel.Int(int64(m.ParallelSyncs), of...)
		downAfter.Int(m.DownAfter.Milliseconds(), of...)
		epoch.Int(int64(m.ConfigEpoch), of...)
		heard.Set(m.LastOKPingReply.Seconds(), of...)
		list, _ := d.node.Replicas(now, m.Name)
		goodReplicas.Int(int64(notDown(list)), of...)
		list, _ = d.node.Sentinels(now, m.Name)
		goodSentinels.Int(int64(notDown(list))+1, of...)
		for i := range list {
			v := &list[i]
			peers.Int(1, m.Name, of[1], v.Name, v.Host, strconv.Itoa(int(v.Port)), v.RunID, v.Flags)
		}
	}
}

// notDown counts the instances that work.
func notDown(list []core.InstanceView) (n int) {
	for i := range list {
		if !strings.Contains(list[i].Flags, "s_down") && !strings.Contains(list[i].Flags, "o_down") {
			n++
		}
	}
	return n
}
