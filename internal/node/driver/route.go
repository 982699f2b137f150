package driver

import (
	"redoubt/cluster"
	"redoubt/internal/resp"
	"redoubt/internal/server"
)

// Route implements server.Cluster, as Redis's getNodeByQuery. What depends on
// which keys there are, or are under way to another node, is decided when the
// slots are locked only. On the way to "" nothing is allocated.
func (d *Driver) Route(r server.Route) resp.Error {
	v := d.View()
	verdict := v.Route(cluster.Query{
		Slot:        r.Slot,
		CrossSlot:   r.Mixed,
		ManyKeys:    r.Many,
		Write:       r.Write,
		MayWrite:    r.Write || r.Script,
		ShardPubSub: r.Shard,
		Migrate:     r.Migrate,
		Asking:      r.Asking,
		ReadOnly:    r.ReadOnly,
	})
	locked := r.Missing != nil
	if verdict == cluster.RunIfPresent || verdict == cluster.RunUnlessMissing {
		if !locked {
			return ""
		}
		absent := r.Missing()
		verdict = verdict.Missing(r.Keys-absent, absent)
	}
	if verdict != cluster.Run {
		return resp.Error(v.RedirectText(verdict, r.Slot, cluster.Client{IPv6: r.IPv6, TLS: r.TLS}))
	}
	// Within a script it is too late to say so: clients would not try again.
	if locked && (r.Write || r.Script) && d.Mover.Busy(r.Slot) {
		return resp.ErrTryAgain
	}
	return ""
}
