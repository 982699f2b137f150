package lab

import (
	"fmt"
	"io"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"

	"redoubt/internal/tools/clustertool"
)

// row is one node in the table of Status. Empty fields print as "-".
type row struct {
	pid, role, slots, primary, offset, link, uptime string
}

// Status prints a table of the nodes. All are asked at once.
func (l *Lab) Status(out io.Writer) error {
	rows := make([]row, len(l.nodes))
	var wg sync.WaitGroup
	for i, n := range l.nodes {
		wg.Go(func() { rows[i] = n.status() })
	}
	wg.Wait()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tADDRESS\tPID\tROLE\tSLOTS\tPRIMARY\tOFFSET\tLINK\tUPTIME")
	for i, n := range l.nodes {
		r := rows[i]
		fmt.Fprintf(w, "%d\t%s", n.number, n.addr())
		for _, f := range []string{r.pid, r.role, r.slots, r.primary, r.offset, r.link, r.uptime} {
			if f == "" {
				f = "-"
			}
			fmt.Fprintf(w, "\t%s", f)
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// status asks a node for its row. A node that does not run, or runs and does
// not answer, says so in place of its role.
func (n *node) status() row {
	pid, running := n.running()
	if !running {
		return row{role: "down"}
	}
	r := row{pid: strconv.Itoa(pid), role: "no answer"}
	info, err := n.ask("INFO")
	if err != nil {
		return r
	}
	d, err := n.describe()
	if err != nil {
		return r
	}
	field := func(name string) string {
		v, _ := clustertool.InfoField(info, name)
		return v
	}
	r.role, r.slots, r.offset = "primary", d.Slots, field("master_repl_offset")
	if d.Replica {
		r.role, r.primary, r.link = "replica", d.Primary, field("master_link_status")
		r.offset = field("slave_repl_offset")
	}
	if s, err := strconv.ParseInt(field("uptime_in_seconds"), 10, 64); err == nil {
		r.uptime = (time.Duration(s) * time.Second).String()
	}
	return r
}
