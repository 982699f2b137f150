package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"redoubt/internal/tools/clustertool"
)

// row is one node in the table of Status. Empty fields print as "-".
type row struct {
	pid, role, slots, primary, offset, link, uptime string
	ended                                           bool // its process is gone, and nobody ended it
}

// Status prints a table of the nodes and what is wrong with them. All are asked at once.
func (l *Lab) Status(out io.Writer) error {
	rows := make([]row, len(l.nodes))
	var wg sync.WaitGroup
	for i, n := range l.nodes {
		wg.Go(func() { rows[i] = n.status() })
	}
	wg.Wait()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	heads := []string{"NODE", "ADDRESS", "PID", "ROLE", "SLOTS", "PRIMARY", "OFFSET", "LINK", "UPTIME"}
	if l.Sentinel {
		heads = append(heads[:4], heads[5:]...)
	}
	fmt.Fprintln(w, strings.Join(heads, "\t"))
	for i, n := range l.nodes {
		r := rows[i]
		fields := []string{r.pid, r.role, r.slots, r.primary, r.offset, r.link, r.uptime}
		if l.Sentinel {
			fields = append(fields[:2], fields[3:]...)
		}
		fmt.Fprintf(w, "%d\t%s", n.number, n.addr())
		for _, f := range fields {
			if f == "" {
				f = "-"
			}
			fmt.Fprintf(w, "\t%s", f)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, hint := range l.hints(rows) {
		fmt.Fprintln(out, hint)
	}
	return nil
}

// hints says what is not as it should be, and what to do.
func (l *Lab) hints(rows []row) (lines []string) {
	var running []string
	for i, n := range l.nodes {
		if rows[i].pid != "" {
			running = append(running, n.addr())
		}
	}
	switch {
	case len(running) == 0:
		return []string{fmt.Sprintf("No node runs. %q starts them with their data.", l.hint(""))}
	case !l.Made:
		lines = append(lines, fmt.Sprintf("The lab has never been ready. %q finishes it.", l.hint("")))
	}
	for i, n := range l.nodes {
		switch r := rows[i]; {
		case r.ended:
			lines = append(lines, fmt.Sprintf("Node %d has ended by itself: see %s. %q starts it again.", n.number, n.logFile(), l.hint("start "+strconv.Itoa(n.number))))
		case r.pid == "":
			lines = append(lines, fmt.Sprintf("Node %d does not run. %q starts it.", n.number, l.hint("start "+strconv.Itoa(n.number))))
		case r.role == noAnswer:
			lines = append(lines, fmt.Sprintf("Node %d (pid %s) does not answer: see %s.", n.number, r.pid, n.logFile()))
		}
	}
	if !l.Made {
		return lines
	}
	if l.Sentinel {
		if err := l.watching(); err != nil && len(running) == len(l.nodes) {
			lines = append(lines, "Not all is well: "+err.Error()+".")
		}
		return lines
	}
	s, err := clustertool.Survey(running, l.client)
	if err != nil {
		return append(lines, "No node can be asked for the cluster: "+err.Error()+".")
	}
	for _, p := range s.Problems() {
		lines = append(lines, "The cluster: "+p.Text+".")
	}
	return lines
}

// noAnswer is the role of a node that runs and does not answer.
const noAnswer = "no answer"

// status asks a node for its row. A node that does not run, or runs and does
// not answer, says so in place of its role.
func (n *node) status() row {
	pid, running := n.running()
	if !running {
		// Whoever ends a node removes the file.
		_, err := os.Stat(n.pidFile())
		return row{role: "down", ended: !errors.Is(err, os.ErrNotExist)}
	}
	r := row{pid: strconv.Itoa(pid), role: noAnswer}
	info, err := n.ask("INFO")
	if err != nil {
		return r
	}
	if s, ok := clustertool.InfoField(info, "uptime_in_seconds"); ok {
		if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
			r.uptime = (time.Duration(seconds) * time.Second).String()
		}
	}
	if n.kind == sentinel {
		m, err := n.master()
		if err != nil {
			return r
		}
		r.role, r.primary, r.link = "sentinel", m.addr, m.link()
		return r
	}
	repl := replicationOf(info)
	r.role, r.offset = "primary", repl.offset
	if !repl.primary {
		r.role, r.primary, r.link = "replica", repl.source, repl.link
	}
	if n.kind == member {
		d, err := n.describe()
		if err != nil {
			return row{pid: r.pid, role: noAnswer}
		}
		r.role, r.slots, r.primary = "primary", d.Slots, d.Primary
		if d.Replica {
			r.role = "replica"
		}
	}
	return r
}
