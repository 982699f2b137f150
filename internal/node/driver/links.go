package driver

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"redoubt/bus/link"
	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/resp"
)

// dialTimeout bounds the opening of a link: a node that takes longer has been
// suspected by then.
func (d *Driver) dialTimeout() time.Duration {
	return max(d.Config.Current().ClusterNodeTimeout, time.Second)
}

func (d *Driver) dial(dial cluster.Dial) {
	l := d.endpoint.Dial(net.JoinHostPort(dial.IP, strconv.Itoa(int(dial.Port))), d.dialTimeout())
	d.links[dial.Link], d.ids[l] = l, dial.Link
}

// closeLink ends a link that the Node has done with; its Closed finds it
// forgotten.
func (d *Driver) closeLink(id cluster.LinkID) {
	if l := d.links[id]; l != nil {
		d.forgetLink(id, l)
		l.Close()
	}
}

func (d *Driver) forgetLink(id cluster.LinkID, l *link.Link) {
	delete(d.links, id)
	delete(d.ids, l)
}

func isOverflow(err error) bool { return errors.Is(err, link.ErrSendLimit) }

// ipText is an address as the bus writes it, empty if there is none.
func ipText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// sourceAddr is bind-source-addr; what is no address leaves the choice to the
// system.
func sourceAddr(text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// linkRow is one link as CLUSTER LINKS shows it.
type linkRow struct {
	cluster.LinkView
	used, allocated int // bytes that wait to be sent, and the memory they take
}

// linkRows asks run for the links and their queues. It waits for run, which
// never waits for an event loop.
func (d *Driver) linkRows() []linkRow {
	answer := make(chan []linkRow, 1)
	asked := d.post(func() {
		var rows []linkRow
		for _, v := range d.node.View().Links {
			row := linkRow{LinkView: v}
			if l := d.links[v.Link]; l != nil {
				row.used, row.allocated = l.QueueBytes()
			}
			rows = append(rows, row)
		}
		answer <- rows
	})
	if !asked {
		return nil
	}
	select {
	case rows := <-answer:
		return rows
	case <-d.quit:
		return nil
	}
}

// linksCommand is CLUSTER LINKS (addReplyClusterLinksDescription).
func (d *Driver) linksCommand(x *command.Ctx) {
	rows := d.linkRows()
	x.Out.Array(len(rows))
	for _, r := range rows {
		writeLink(x.Out, r)
	}
}

func writeLink(w *resp.Writer, r linkRow) {
	direction, events := "to", "r"
	if r.Inbound {
		direction = "from"
	}
	switch {
	case !r.Up:
		events = ""
	case r.used > 0:
		events = "rw"
	}
	w.Map(6)
	w.BulkString("direction")
	w.BulkString(direction)
	w.BulkString("node")
	w.BulkString(string(r.Node))
	w.BulkString("create-time")
	w.Int(r.CreatedMs)
	w.BulkString("events")
	w.BulkString(events)
	w.BulkString("send-buffer-allocated")
	w.Int(int64(r.allocated))
	w.BulkString("send-buffer-used")
	w.Int(int64(r.used))
}
