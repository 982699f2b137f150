package history

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Outcome is what is known of whether an operation has happened.
type Outcome string

const (
	OK      Outcome = "ok"      // it has, and its steps have their results
	Refused Outcome = "refused" // it has not, and never will
	Unknown Outcome = "unknown" // nobody knows
)

// Never is the completion of an operation whose outcome is unknown.
const Never = time.Duration(1<<63 - 1)

// Op is one operation of one client. Its steps have happened at one moment between Call
// and Return, as a transaction does.
type Op struct {
	ID      int           `json:"id"`
	Client  int           `json:"client"` // a client has one operation at a time
	Call    time.Duration `json:"call"`   // since the beginning of the record
	Return  time.Duration `json:"return"` // Never, if the outcome is unknown
	Outcome Outcome       `json:"outcome"`
	Steps   []Step        `json:"steps"`
	Node    string        `json:"node,omitempty"` // who answered
	Told    string        `json:"told,omitempty"` // the error
}

// Do is what a step does.
type Do string

const (
	// On registers, which hold a number or nothing.
	Get   Do = "get"   // Got is the value, or empty
	Set   Do = "set"   // of Arg
	Swap  Do = "swap"  // SET with GET: Got is the value before
	SetNX Do = "setnx" // Done says whether it was set to Arg
	Incr  Do = "incr"  // Got is the value after
	CAS   Do = "cas"   // from Old to Arg, if Done
	Del   Do = "del"   // Done says whether there was a value

	// On lists, all of whose elements differ.
	Append Do = "append" // of Arg
	Read   Do = "read"   // Got is all elements

	// On accounts. Key is the name of the bank, Old and Arg are the accounts, and Got of
	// Balances has all of them.
	Transfer Do = "transfer"
	Balances Do = "balances"

	// On sets that only grow, and on counters that do.
	Add     Do = "add"     // of Arg
	Members Do = "members" // Got is all, in any order
	Count   Do = "count"   // by one; Got is the value after
	Total   Do = "total"   // Got is the value, or empty

	// On queues, all of whose elements differ.
	Push Do = "push" // of Arg
	Take Do = "take" // Got is an element, which is taken out, or empty
	Rest Do = "rest" // Got is all elements

	// On streams with a group. Entries are named by numbers that stand for their ids.
	Enter   Do = "enter"   // Got is the new entry
	Deliver Do = "deliver" // Got is entries that are given for the first time; all, if Done
	Ack     Do = "ack"     // of Arg; Done says whether it was pending
	Pending Do = "pending" // Got is what was given and not acknowledged
	Entries Do = "entries" // Got is all entries

	// On keys that are written once.
	Lend Do = "lend" // Arg, for Old milliseconds
	Peek Do = "peek" // Got is the value, or empty
)

// Step is a part of an operation.
type Step struct {
	Do   Do      `json:"do"`
	Key  string  `json:"key"`
	Arg  int64   `json:"arg,omitempty"`
	Old  int64   `json:"old,omitempty"`
	Got  []int64 `json:"got,omitempty"`
	Done bool    `json:"done,omitempty"`
}

// writes reports whether the step may change something.
func (s Step) writes() bool {
	switch s.Do {
	case Get, Read, Balances, Members, Total, Rest, Pending, Entries, Peek:
		return false
	}
	return true
}

// String is the step as a line of a report.
func (s Step) String() string {
	b := fmt.Sprintf("%s %s", s.Do, s.Key)
	switch s.Do {
	case CAS, Transfer:
		b += fmt.Sprintf(" %d→%d", s.Old, s.Arg)
	case Lend:
		b += fmt.Sprintf(" %d for %d ms", s.Arg, s.Old)
	case Set, Swap, SetNX, Append, Add, Push, Ack:
		b += fmt.Sprintf(" %d", s.Arg)
	}
	if len(s.Got) > 12 {
		return fmt.Sprintf("%s = [%d … %v]", b, len(s.Got)-6, s.Got[len(s.Got)-6:])
	}
	return fmt.Sprintf("%s = %v %v", b, s.Got, s.Done)
}

// String is the operation as a line of a report.
func (o Op) String() string {
	until := "…"
	if o.Return != Never {
		until = o.Return.String()
	}
	var steps []string
	for _, s := range o.Steps {
		steps = append(steps, s.String())
	}
	return strings.TrimSpace(fmt.Sprintf("#%d client %d at %s, %v to %s, %s: %s %s",
		o.ID, o.Client, o.Node, o.Call, until, o.Outcome, strings.Join(steps, "; "), o.Told))
}

// History is operations in any order.
type History []Op

// A Violation is something that no store which keeps its promises does.
type Violation struct {
	Kind string `json:"kind"` // G1a, lost, …
	Text string `json:"text"`
	Ops  []Op   `json:"ops"` // that show it
}

// String is the violation with its operations, one a line.
func (v Violation) String() string {
	b := v.Kind + ": " + v.Text
	for _, o := range v.Ops {
		b += "\n    " + o.String()
	}
	return b
}

// Write writes one operation a line.
func (h History) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	for _, o := range h {
		if err := e.Encode(o); err != nil {
			return err
		}
	}
	return nil
}

// Parse reads what Write has written.
func Parse(r io.Reader) (h History, err error) {
	d := json.NewDecoder(r)
	for {
		var o Op
		if err := d.Decode(&o); err == io.EOF {
			return h, nil
		} else if err != nil {
			return h, fmt.Errorf("history: %w", err)
		}
		h = append(h, o)
	}
}

// sorted is the history in the order of invocations.
func (h History) sorted() History {
	s := slices.Clone(h)
	slices.SortStableFunc(s, func(a, b Op) int { return int(min(1, max(-1, a.Call-b.Call))) })
	return s
}

// Verdict is what all checkers say about a history.
type Verdict struct {
	Violations []Violation
	// Undecided are registers that took too long to judge.
	Undecided []string
}

// Check runs all checkers. Each register may take so long.
func Check(h History, each time.Duration) (v Verdict) {
	v.Violations, v.Undecided = Registers(h, each)
	for _, checker := range []func(History) []Violation{Lists, Banks, Sets, Counters, Queues, Streams, Expiry} {
		v.Violations = append(v.Violations, checker(h)...)
	}
	return v
}
