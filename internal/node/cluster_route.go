package node

import (
	"redoubt/cluster"
	"redoubt/internal/resp"
)

// route says where a request goes: "" if it runs here, or the error that sends
// its client elsewhere (Redis's getNodeByQuery). It is asked twice: before the
// unit, and again under the locks of its slots, when missing counts those of
// the request's keys that do not exist. What depends on which keys there are
// is decided the second time only.
//
// On the way to "" nothing is allocated.
func (d *clusterDriver) route(q cluster.Query, keys int, missing func() int) resp.Error {
	v := d.View()
	verdict := v.Route(q)
	switch verdict {
	case cluster.Run:
	case cluster.RunIfPresent, cluster.RunUnlessMissing:
		if missing != nil {
			absent := missing()
			verdict = verdict.Missing(keys-absent, absent)
		} else {
			verdict = cluster.Run
		}
	}
	if verdict == cluster.Run {
		if q.Write && missing != nil && d.Mover.busy(q.Slot) {
			return resp.ErrTryAgain
		}
		return ""
	}
	return resp.Error(v.RedirectText(verdict, q.Slot, false))
}
