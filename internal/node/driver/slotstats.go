package driver

import (
	"cmp"
	"fmt"
	"slices"

	"redoubt/cluster"
	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/slots"
)

const (
	errMetric  resp.Error = "ERR Unrecognized sort metric for ORDERBY."
	errLimit   resp.Error = "ERR Limit has to lie in between 1 and 16384 (maximum number of slots)."
	errFilters resp.Error = "ERR Multiple filters of the same type are disallowed."
)

// slotStat is a row of CLUSTER SLOT-STATS.
type slotStat struct {
	slot slots.Slot
	keys int
	command.SlotUse
}

// metric is a column.
type metric struct {
	name string
	of   func(s *slotStat) int64
}

// metrics are the columns of a row, in their order. Those after the first are there
// while cluster-slot-stats-enabled is on.
var metrics = []metric{
	{"key-count", func(s *slotStat) int64 { return int64(s.keys) }},
	{"cpu-usec", func(s *slotStat) int64 { return s.Took.Microseconds() }},
	{"network-bytes-in", func(s *slotStat) int64 { return s.In }},
	{"network-bytes-out", func(s *slotStat) int64 { return s.Out }},
}

// slotStatsCommand matches clusterSlotStatsCommand of Valkey 8.
func (d *Driver) slotStatsCommand(x *command.Ctx) {
	columns := 1
	if d.Config.Current().ClusterSlotStats {
		columns = len(metrics)
	}
	var rows []slotStat
	var err resp.Error
	switch args := x.Args; {
	case len(args) == 5 && resp.EqualFold(args[2], "slotsrange"):
		rows, err = d.statsOfRange(args[3], args[4])
	case resp.EqualFold(args[2], "orderby"):
		rows, err = d.statsInOrder(args[3:], columns)
	default:
		err = resp.ErrSubcommandSyntax("cluster", args[1])
	}
	if err != "" {
		x.Out.Error(err)
		return
	}
	writeSlotStats(x.Out, rows, columns)
}

func writeSlotStats(w *resp.Writer, rows []slotStat, columns int) {
	w.Array(len(rows))
	for i := range rows {
		w.Array(2)
		w.Int(int64(rows[i].slot))
		w.Map(columns)
		for _, m := range metrics[:columns] {
			w.BulkString(m.name)
			w.Int(m.of(&rows[i]))
		}
	}
}

// statsOfRange is SLOTSRANGE.
func (d *Driver) statsOfRange(first, last []byte) ([]slotStat, resp.Error) {
	from, isSlot := parseSlot(first)
	to, isSlotToo := parseSlot(last)
	switch {
	case !isSlot || !isSlotToo:
		return nil, errSlotArgument
	case from > to:
		return nil, resp.Error(fmt.Sprintf("ERR Start slot number %d is greater than end slot number %d", from, to))
	}
	return d.slotStats(slots.Range{First: from, Last: to}), ""
}

// statsInOrder is ORDERBY; args begins with the metric. Of equal slots the lower comes
// first, whatever the direction.
func (d *Driver) statsInOrder(args [][]byte, columns int) ([]slotStat, resp.Error) {
	at := slices.IndexFunc(metrics[:columns], func(m metric) bool { return resp.EqualFold(args[0], m.name) })
	if at < 0 {
		return nil, errMetric
	}
	limit, ascending, err := parseOrder(args[1:])
	if err != "" {
		return nil, err
	}
	of := metrics[at].of
	rows := d.slotStats(slots.Range{First: 0, Last: slots.Count - 1})
	slices.SortStableFunc(rows, func(a, b slotStat) int {
		if ascending {
			return cmp.Compare(of(&a), of(&b))
		}
		return cmp.Compare(of(&b), of(&a))
	})
	return rows[:min(limit, len(rows))], ""
}

// parseOrder reads what follows the metric: LIMIT with a number, ASC or DESC, each at
// most once.
func parseOrder(args [][]byte) (limit int, ascending bool, err resp.Error) {
	limit = slots.Count
	limits, directions := 0, 0
	for len(args) > 0 {
		switch {
		case resp.EqualFold(args[0], "limit") && len(args) > 1:
			n, isInt := resp.ParseInt(args[1])
			if !isInt || n < 1 || n > slots.Count {
				return 0, false, errLimit
			}
			limit = int(n)
			limits++
			args = args[1:]
		case resp.EqualFold(args[0], "asc"), resp.EqualFold(args[0], "desc"):
			ascending = resp.EqualFold(args[0], "asc")
			directions++
		default:
			return 0, false, resp.ErrSyntax
		}
		if limits > 1 || directions > 1 {
			return 0, false, errFilters
		}
		args = args[1:]
	}
	return limit, ascending, ""
}

// slotStats are those of a range that belong to this node's shard.
func (d *Driver) slotStats(r slots.Range) (rows []slotStat) {
	v := d.View()
	for s := int(r.First); s <= int(r.Last); s++ {
		slot := slots.Slot(s)
		if inMyShard(v, slot) {
			rows = append(rows, slotStat{slot, d.Keys.SlotLen(slot, 0), d.Shell.SlotUse(slot)})
		}
	}
	return rows
}

// inMyShard reports whether a slot is the node's own or, if it is a replica, its
// primary's.
func inMyShard(v *cluster.View, s slots.Slot) bool {
	owner := v.Owner(s)
	return owner != nil && (owner.ID == v.Me().ID || owner.ID == v.Me().Primary)
}
