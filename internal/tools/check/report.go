package check

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxPrinted bounds the lost writes in the text; the JSON has them all.
const maxPrinted = 1000

// Tally counts the commands of one kind.
type Tally struct {
	OK      int64 `json:"ok"`
	Refused int64 `json:"refused"` // known not to have been executed
	Unknown int64 `json:"unknown"` // sent, and nobody knows
}

// Errors is the number of commands without a good reply.
func (t Tally) Errors() int64 { return t.Refused + t.Unknown }

// ShardReport is one shard as it was when the run began.
type ShardReport struct {
	Number   int      `json:"number"` // from 1
	Name     string   `json:"name"`   // for people
	Primary  string   `json:"primary"`
	After    string   `json:"primary_after"` // whose its first slot was in the end
	Replicas []string `json:"replicas"`
	Slots    string   `json:"slots"`
	Reads    Outage   `json:"longest_read_outage"`
	Writes   Outage   `json:"longest_write_outage"`
}

// LostWrite is an acknowledged write that is gone.
type LostWrite struct {
	Key     string    `json:"key"`
	Value   string    `json:"value"`
	AckedAt time.Time `json:"acked_at"`
	Shard   int       `json:"shard"` // ShardReport.Number
}

// Report is the outcome of a run.
type Report struct {
	Run        string           `json:"run"`
	Started    time.Time        `json:"started"`
	Ended      time.Time        `json:"ended"`
	Keys       int              `json:"keys"`
	Reads      Tally            `json:"reads"`
	Writes     Tally            `json:"writes"`
	ErrorCodes map[string]int64 `json:"error_codes"`
	Unacked    int64            `json:"unacked"`    // writes that took effect without having been acknowledged
	Stale      int64            `json:"stale"`      // writes that looked gone and were seen again
	Foreign    int64            `json:"foreign"`    // replies with a value that nobody in this run wrote
	Unverified int              `json:"unverified"` // keys that could not be read in the end
	// Keys with acknowledged writes that could be read in the end, and those writes.
	VerifiedKeys   int   `json:"verified_keys"`
	VerifiedWrites int64 `json:"verified_writes"`
	// Untested is the slots that no shard had in the beginning.
	Untested string        `json:"untested,omitempty"`
	Shards   []ShardReport `json:"shards"`
	Lost     []LostWrite   `json:"lost"`
}

// Good reports whether every acknowledged write is known to be there.
func (r *Report) Good() bool { return len(r.Lost) == 0 && r.Unproven() == "" }

// Unproven is why the run does not prove that nothing is lost, or "". A run
// whose keys could not be read proves nothing, nor does one that wrote nothing.
func (r *Report) Unproven() string {
	switch {
	case r.Writes.OK == 0:
		return "no write was acknowledged"
	case r.blind():
		return fmt.Sprintf("none of the %d keys could be read in the end", r.Keys)
	case r.Unverified > 0:
		return fmt.Sprintf("%d of %d keys could not be read in the end", r.Unverified, r.Keys)
	case r.Foreign > 0:
		return fmt.Sprintf("%d replies held values that this run did not write", r.Foreign)
	}
	return ""
}

// blind reports whether no key could be read in the end.
func (r *Report) blind() bool { return r.Unverified > 0 && r.Unverified >= r.Keys }

// Print writes the report for people.
func (r *Report) Print(w io.Writer) {
	r.PrintSummary(w)
	why := r.Unproven()
	switch {
	case len(r.Lost) > 0:
		r.printLost(w)
	case why == "":
		fmt.Fprintf(w, "no acknowledged write is gone: %d writes to %d keys verified\n", r.VerifiedWrites, r.VerifiedKeys)
	case r.Writes.OK == 0 || r.blind():
		fmt.Fprintf(w, "NOTHING COULD BE VERIFIED: %s\n", why)
	default:
		fmt.Fprintf(w, "NOT ALL COULD BE VERIFIED: %s; %d writes to %d other keys are there\n", why, r.VerifiedWrites, r.VerifiedKeys)
	}
}

func (r *Report) printLost(w io.Writer) {
	fmt.Fprintf(w, "%d acknowledged writes are gone, of %d to %d keys that could be read:\n", len(r.Lost), r.VerifiedWrites, r.VerifiedKeys)
	for i, l := range r.Lost {
		if i == maxPrinted {
			fmt.Fprintf(w, "  … and %d more (--json has them all)\n", len(r.Lost)-i)
			break
		}
		fmt.Fprintf(w, "  %s\n", l)
	}
}

// PrintSummary writes everything but the lost writes.
func (r *Report) PrintSummary(w io.Writer) {
	fmt.Fprintf(w, "%v: %d reads, %d writes, %d keys\n", r.Ended.Sub(r.Started).Round(time.Millisecond), r.Reads.OK, r.Writes.OK, r.Keys)
	for _, s := range r.Shards {
		fmt.Fprintf(w, "%s: longest outage: reads %s, writes %s", s.Name, s.Reads, s.Writes)
		if s.After != "" && s.After != s.Primary {
			fmt.Fprintf(w, "; now at %s", s.After)
		}
		fmt.Fprintln(w)
	}
	if r.Untested != "" {
		fmt.Fprintf(w, "slots %s had no owner in the beginning: nothing is known of them\n", r.Untested)
	}
	if r.Reads.Errors()+r.Writes.Errors() > 0 {
		fmt.Fprintf(w, "errors: writes %d refused, %d of unknown outcome (%d took effect); reads %d refused, %d unanswered\n",
			r.Writes.Refused, r.Writes.Unknown, r.Unacked, r.Reads.Refused, r.Reads.Unknown)
		for _, code := range slices.Sorted(maps.Keys(r.ErrorCodes)) {
			fmt.Fprintf(w, "  %7d %s\n", r.ErrorCodes[code], code)
		}
	}
	if r.Stale > 0 {
		fmt.Fprintf(w, "%d writes looked gone in the reply of a deposed primary, and are there\n", r.Stale)
	}
	if r.Foreign > 0 {
		fmt.Fprintf(w, "%d replies held values that this run did not write: does another run use the same prefix?\n", r.Foreign)
	}
	if r.Unverified > 0 {
		fmt.Fprintf(w, "%d keys could not be read in the end: nothing is known of their writes\n", r.Unverified)
	}
}

func (l LostWrite) String() string {
	return fmt.Sprintf("%s = %s, acknowledged %s, shard %d", l.Key, l.Value, l.AckedAt.Format(stamp), l.Shard)
}

// How times are printed: with the date, and of an event of the run.
const (
	stamp = "2006-01-02T15:04:05.000Z07:00"
	clock = "15:04:05.000"
)

func (o Outage) String() string {
	return fmt.Sprintf("%v (from %s)", o.For.Round(time.Millisecond), o.From.Format(clock))
}

// has reports whether addr was a node of the shard, by its full address or
// its host.
func (s *ShardReport) has(addr string) bool {
	for _, a := range append([]string{s.Primary}, s.Replicas...) {
		if a == addr || strings.HasPrefix(a, addr+":") {
			return true
		}
	}
	return false
}
