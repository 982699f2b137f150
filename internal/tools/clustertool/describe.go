package clustertool

import (
	"fmt"

	"redoubt/internal/tools/client"
)

// Description is what a node says of itself and its cluster.
type Description struct {
	Replica bool
	Slots   string // as in "0-5460,7"; empty if it has none
	Primary string // of a replica: host:port of its primary, or its id if the address is not known
	Known   int    // nodes it knows, itself included
	State   string // cluster_state: "ok" or "fail"
}

// Describe asks the node at the other end of conn about itself.
func Describe(conn *client.Conn) (*Description, error) {
	m := &member{conn: conn}
	if err := m.load(); err != nil {
		return nil, err
	}
	ci, err := conn.Do("CLUSTER", "INFO")
	if err != nil {
		return nil, err
	}
	self := m.view.self()
	d := &Description{Replica: self.replica(), Known: len(m.view.entries), Primary: self.primary}
	d.State, _ = InfoField(ci.String(), "cluster_state")
	d.Slots = ranges(self.slots)
	if p := m.view.byID(self.primary); p != nil {
		d.Primary = fmt.Sprintf("%s:%d", p.host, p.port)
	}
	return d, nil
}
