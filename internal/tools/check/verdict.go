package check

import (
	"fmt"
	"io"
	"time"
)

// Fault is something that was done to a node during a run.
type Fault struct {
	Node string // "host:port", or the host if one node has it
	At   time.Time
}

// Allowance is what asynchronous replication may lose by faults. A primary
// acknowledges a write before its replica has it, so what it acknowledged
// last may go with it; and one that is cut off, but not from all of its
// clients, acknowledges in vain until it notices, after NodeTimeout.
type Allowance struct {
	Faults      []Fault
	NodeTimeout time.Duration
	Margin      time.Duration // before the fault, and after fault + NodeTimeout
}

// excuses reports whether fault f of a node explains the loss of l in shard s.
func (a *Allowance) excuses(f Fault, l LostWrite, s *ShardReport) bool {
	return s.has(f.Node) &&
		!l.AckedAt.Before(f.At.Add(-a.Margin)) &&
		!l.AckedAt.After(f.At.Add(a.NodeTimeout+a.Margin))
}

// Verdict is a report judged under an Allowance.
type Verdict struct {
	Excused []LostWrite // explained by a fault
	Guilty  []LostWrite // explained by none
	// Unjudged is why nothing can be said, or "": a run whose keys could not
	// be read proves nothing.
	Unjudged string
}

// Judge divides the lost writes of a report into those that a covers and
// those that it does not. A fault of a node that the run did not know is an
// error: it would excuse nothing and hide a slip of the pen.
func (a *Allowance) Judge(r *Report) (*Verdict, error) {
	for _, f := range a.Faults {
		known := false
		for i := range r.Shards {
			known = known || r.Shards[i].has(f.Node)
		}
		if !known {
			return nil, fmt.Errorf("the run knew no node %s", f.Node)
		}
	}
	v := &Verdict{Unjudged: r.Unproven()}
	for _, l := range r.Lost {
		if l.Shard < 1 || l.Shard > len(r.Shards) {
			return nil, fmt.Errorf("the report names shard %d and has %d", l.Shard, len(r.Shards))
		}
		excused := false
		for _, f := range a.Faults {
			excused = excused || a.excuses(f, l, &r.Shards[l.Shard-1])
		}
		if excused {
			v.Excused = append(v.Excused, l)
		} else {
			v.Guilty = append(v.Guilty, l)
		}
	}
	return v, nil
}

// Good reports whether all that was lost is explained.
func (v *Verdict) Good() bool { return len(v.Guilty) == 0 && v.Unjudged == "" }

// Print writes the verdict, every lost write on a line of its own.
func (v *Verdict) Print(w io.Writer) {
	for _, l := range v.Excused {
		fmt.Fprintf(w, "lost, as the fault allows: %s\n", l)
	}
	for _, l := range v.Guilty {
		fmt.Fprintf(w, "LOST WITHOUT EXCUSE: %s\n", l)
	}
	switch {
	case v.Unjudged != "":
		fmt.Fprintf(w, "VERDICT: none: %s\n", v.Unjudged)
	case len(v.Guilty) > 0:
		fmt.Fprintf(w, "VERDICT: guilty: %d of %d lost writes lie outside what the faults allow\n", len(v.Guilty), len(v.Guilty)+len(v.Excused))
	default:
		fmt.Fprintf(w, "VERDICT: good: %d lost writes, all within what the faults allow\n", len(v.Excused))
	}
}
