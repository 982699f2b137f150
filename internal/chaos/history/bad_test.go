package history

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// op makes an operation that is done: from, to, in milliseconds.
func op(from, to int, steps ...Step) Op {
	return Op{Call: time.Duration(from) * time.Millisecond, Return: time.Duration(to) * time.Millisecond, Outcome: OK, Steps: steps}
}

func refused(o Op) Op { o.Outcome = Refused; return o }
func unknown(o Op) Op { o.Outcome, o.Return = Unknown, Never; return o }

func app(key string, v int64) Step       { return Step{Do: Append, Key: key, Arg: v} }
func read(key string, got ...int64) Step { return Step{Do: Read, Key: key, Got: got} }
func reg(do Do, arg, old int64, got ...int64) Step {
	return Step{Do: do, Key: "r", Arg: arg, Old: old, Got: got, Done: true}
}
func not(s Step) Step                        { s.Done = false; return s }
func acked(id int64) Step                    { return Step{Do: Ack, Key: "k", Arg: id, Done: true} }
func lent(ttl int64) Step                    { return Step{Do: Lend, Key: "k", Arg: 1, Old: ttl} }
func on(do Do, arg int64, got ...int64) Step { return Step{Do: do, Key: "k", Arg: arg, Got: got} }

// badHistories are histories, each with the kinds of violations that are found in it;
// none if it is a good one that looks like a bad one.
var badHistories = []struct {
	name string
	want string
	h    History
}{
	// Registers.
	{"a stale read of a register", "not linearizable", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 3, reg(Set, 2, 0)), op(4, 5, reg(Get, 0, 0, 1))}},
	{"a read beside the write may be either", "", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 9, reg(Set, 2, 0)), op(4, 5, reg(Get, 0, 0, 1))}},
	{"a value that goes back", "not linearizable", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 20, reg(Set, 2, 0)), op(4, 5, reg(Get, 0, 0, 2)), op(6, 7, reg(Get, 0, 0, 1))}},
	{"an acknowledged write is lost", "not linearizable", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 3, reg(Get, 0, 0))}},
	{"an unknown write happens late", "", History{
		op(0, 1, reg(Set, 1, 0)), unknown(op(2, 3, reg(Set, 2, 0))), op(4, 5, reg(Get, 0, 0, 1)), op(6, 7, reg(Get, 0, 0, 2))}},
	{"an unknown write happens twice", "not linearizable", History{
		op(0, 1, reg(Set, 1, 0)), unknown(op(2, 3, reg(Set, 2, 0))), op(4, 5, reg(Get, 0, 0, 2)),
		op(6, 7, reg(Set, 3, 0)), op(8, 9, reg(Get, 0, 0, 2))}},
	{"a refused write is seen", "not linearizable", History{
		refused(op(0, 1, reg(Set, 1, 0))), op(2, 3, reg(Get, 0, 0, 1))}},
	{"two of SETNX succeed", "not linearizable", History{op(0, 5, reg(SetNX, 1, 0)), op(0, 5, reg(SetNX, 2, 0))}},
	{"an increment is lost", "not linearizable", History{op(0, 5, reg(Incr, 0, 0, 1)), op(0, 5, reg(Incr, 0, 0, 1))}},
	{"two compare-and-set from the same value succeed", "not linearizable", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 9, reg(CAS, 2, 1)), op(2, 9, reg(CAS, 3, 1))}},
	{"one of them fails", "", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 9, reg(CAS, 2, 1)), op(2, 9, not(reg(CAS, 3, 1)))}},
	{"SET GET returns another value", "not linearizable", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 3, reg(Swap, 3, 0, 2))}},
	{"a deletion comes back", "not linearizable", History{
		op(0, 1, reg(Set, 1, 0)), op(2, 3, reg(Del, 0, 0)), op(4, 5, reg(Get, 0, 0, 1))}},

	// Lists. Operations are concurrent from 0 to 100 unless time matters.
	{"G0: two writers in two orders", "G0", History{
		op(0, 100, app("x", 1), app("y", 1)), op(0, 100, app("x", 2), app("y", 2)),
		op(0, 100, read("x", 1, 2)), op(0, 100, read("y", 2, 1))}},
	{"G1a: a refused append is read", "G1a", History{refused(op(0, 1, app("x", 1))), op(2, 3, read("x", 1))}},
	{"G1b: a reading in the middle of a transaction", "G1b", History{
		op(0, 100, app("x", 1), app("x", 2)), op(0, 100, read("x", 1)), op(0, 100, read("x", 1, 2))}},
	{"G1c: each reads what the other has written", "G1c", History{
		op(0, 100, app("x", 1), read("y", 1)), op(0, 100, app("y", 1), read("x", 1))}},
	{"G-single: a reading skewed between two lists", "G-single", History{
		op(0, 100, app("x", 1), app("y", 1)), op(0, 100, read("x", 1), read("y")), op(0, 100, read("y", 1))}},
	{"G-single: the other list is never read again", "G-single", History{
		op(0, 100, app("x", 1), app("y", 1)), op(0, 100, read("x", 1), read("y"))}},
	{"G-single: half of a transaction whose outcome is unknown", "G-single", History{
		unknown(op(0, 0, app("x", 1), app("y", 1))), op(50, 60, read("x", 1), read("y"))}},
	{"G2: a write skew", "G2", History{
		op(0, 100, read("x"), app("y", 1)), op(0, 100, read("y"), app("x", 1)), op(0, 100, read("x", 1)), op(0, 100, read("y", 1))}},
	{"G0-realtime: a later append comes earlier", "G0-realtime", History{
		op(0, 1, app("x", 1)), op(2, 3, app("x", 2)), op(0, 100, read("x", 2, 1))}},
	{"G1c-realtime: a reading of the future", "G1c-realtime", History{
		op(0, 1, read("x", 1)), op(2, 3, app("x", 1))}},
	{"G-single-realtime: a stale reading", "G-single-realtime", History{
		op(0, 1, app("x", 1)), op(2, 3, read("x")), op(4, 5, read("x", 1))}},
	{"G2-realtime: a write skew with one who has ended", "G2-realtime", History{
		op(0, 1, app("y", 1)), op(0, 100, app("x", 1), read("y")), op(2, 3, read("x")),
		op(200, 201, read("x", 1)), op(200, 201, read("y", 1))}},
	{"an acknowledged append is lost", "lost", History{
		op(0, 1, app("x", 1)), op(2, 3, app("x", 2)), op(4, 5, read("x", 1))}},
	{"an append whose outcome is unknown is not there", "", History{
		op(0, 1, app("x", 1)), unknown(op(2, 3, app("x", 2))), op(4, 5, read("x", 1))}},
	{"it comes late", "", History{
		op(0, 1, app("x", 1)), unknown(op(2, 3, app("x", 2))), op(4, 5, read("x", 1)), op(6, 7, read("x", 1, 2))}},
	{"it goes away again", "G-single-realtime", History{
		op(0, 1, app("x", 1)), unknown(op(2, 3, app("x", 2))), op(4, 5, read("x", 1, 2)), op(6, 7, read("x", 1))}},
	{"an element twice", "duplicate", History{op(0, 1, app("x", 1)), op(2, 3, read("x", 1, 1))}},
	{"an element of nobody", "invented", History{op(2, 3, read("x", 7))}},
	{"two orders of one list", "incompatible order", History{
		op(0, 100, app("x", 1)), op(0, 100, app("x", 2)), op(0, 100, read("x", 1, 2)), op(0, 100, read("x", 2))}},
	{"a transaction without its own append", "internal", History{op(0, 1, app("x", 1), read("x"))}},
	{"a transaction between whose readings another comes", "internal", History{
		op(0, 100, read("x"), read("x", 1)), op(0, 100, app("x", 1))}},

	// Accounts, sets and counters.
	{"money is lost", "money", History{op(0, 1, on(Balances, 0, 5, 5)), op(2, 3, on(Transfer, 1)), op(4, 5, on(Balances, 0, 4, 5))}},
	{"an account is lost", "money", History{op(0, 1, on(Balances, 0, 5, 5, 0)), op(4, 5, on(Balances, 0, 5, 5))}},
	{"money moves", "", History{op(0, 1, on(Balances, 0, 5, 5)), unknown(op(2, 3, on(Transfer, 1))), op(4, 5, on(Balances, 0, 4, 6))}},
	{"an element of a set is lost", "lost", History{op(0, 1, on(Add, 1)), op(2, 3, on(Members, 0))}},
	{"a set goes back", "lost", History{unknown(op(0, 1, on(Add, 1))), op(2, 3, on(Members, 0, 1)), op(4, 5, on(Members, 0))}},
	{"a set invents", "invented", History{op(2, 3, on(Members, 0, 1))}},
	{"a set foresees", "invented", History{op(2, 3, on(Members, 0, 1)), op(4, 5, on(Add, 1))}},
	{"a set has what was refused", "G1a", History{refused(op(0, 1, on(Add, 1))), op(2, 3, on(Members, 0, 1))}},
	{"a set lacks what is not known", "", History{unknown(op(0, 1, on(Add, 1))), op(2, 3, on(Members, 0)), op(4, 5, on(Members, 0, 1))}},
	{"a counter loses", "lost", History{op(0, 5, on(Count, 0, 1)), op(0, 5, on(Count, 0, 2)), op(6, 7, on(Total, 0, 1))}},
	{"a counter goes back", "stale", History{unknown(op(0, 1, on(Count, 0))), op(0, 5, on(Total, 0, 1)), op(6, 7, on(Total, 0))}},
	{"a counter counts twice", "duplicate", History{op(0, 5, on(Count, 0, 1)), op(0, 5, on(Count, 0, 1))}},
	{"a counter invents", "invented", History{op(0, 5, on(Count, 0, 2))}},
	// Queues, streams with groups, keys that expire.
	{"an element is given twice", "duplicate", History{op(0, 1, on(Push, 1)), op(2, 9, on(Take, 0, 1)), op(2, 9, on(Take, 0, 1))}},
	{"an element is given and stays", "duplicate", History{op(0, 1, on(Push, 1)), op(2, 3, on(Take, 0, 1)), op(4, 5, on(Rest, 0, 1))}},
	{"an element of a queue is lost", "lost", History{op(0, 1, on(Push, 1)), op(2, 3, on(Take, 0)), op(4, 5, on(Rest, 0))}},
	{"nobody knows whether one was taken", "", History{op(0, 1, on(Push, 1)), unknown(op(2, 3, on(Take, 0))), op(4, 5, on(Rest, 0))}},
	{"and another one", "lost", History{
		op(0, 1, on(Push, 1)), op(0, 1, on(Push, 2)), unknown(op(2, 3, on(Take, 0))), op(4, 5, on(Rest, 0))}},
	{"a queue invents", "invented", History{op(0, 1, on(Push, 1)), op(2, 3, on(Take, 0, 2)), op(4, 5, on(Rest, 0, 1))}},
	{"a queue foresees", "invented", History{op(0, 1, on(Take, 0, 1)), op(2, 3, on(Push, 1))}},
	{"a queue gives what was refused", "G1a", History{refused(op(0, 1, on(Push, 1))), op(2, 3, on(Take, 0, 1))}},
	{"an element whose addition is not known comes late", "", History{
		unknown(op(0, 1, on(Push, 1))), op(2, 3, on(Take, 0)), op(4, 5, on(Take, 0, 1)), op(6, 7, on(Rest, 0))}},
	{"an entry is given twice", "duplicate", History{
		op(0, 1, on(Enter, 0, 7)), op(2, 9, on(Deliver, 0, 7)), op(2, 9, on(Deliver, 0, 7))}},
	{"an entry comes back after it was acknowledged", "came back", History{
		op(0, 1, on(Enter, 0, 7)), op(2, 3, not(on(Deliver, 0, 7))), op(4, 5, acked(7)), op(6, 7, on(Pending, 0, 7))}},
	{"an entry of a stream is lost", "lost", History{op(0, 1, on(Enter, 0, 7)), op(2, 3, on(Entries, 0))}},
	{"an entry is given and forgotten", "lost", History{
		op(0, 1, on(Enter, 0, 7)), op(2, 3, on(Deliver, 0, 7)), op(4, 5, on(Pending, 0))}},
	{"and cannot be acknowledged", "lost", History{
		op(0, 1, on(Enter, 0, 7)), op(2, 3, on(Deliver, 0, 7)), op(4, 5, not(acked(7)))}},
	{"an entry is never given", "lost", History{
		op(0, 1, on(Enter, 0, 7)), op(2, 3, Step{Do: Deliver, Key: "k", Done: true}), op(4, 5, on(Pending, 0))}},
	{"an entry was given to nobody knows whom", "", History{
		op(0, 1, on(Enter, 0, 7)), unknown(op(2, 3, on(Deliver, 0))), op(4, 5, Step{Do: Deliver, Key: "k", Done: true}),
		op(6, 7, on(Pending, 0, 7)), op(6, 7, on(Entries, 0, 7))}},
	{"an entry is acknowledged, as nobody was told", "", History{
		op(0, 1, on(Enter, 0, 7)), op(2, 3, on(Deliver, 0, 7)), unknown(op(4, 5, acked(7))), op(6, 7, on(Pending, 0))}},
	{"a key outlives its time", "expired", History{op(0, 1, lent(100)), op(200, 201, on(Peek, 0, 1))}},
	{"a key dies before its time", "lost", History{op(0, 1, lent(100)), op(40, 41, on(Peek, 0))}},
	{"a key dies in time", "", History{op(0, 50, lent(100)), op(60, 61, on(Peek, 0, 1)), op(120, 121, on(Peek, 0)), op(140, 141, on(Peek, 0, 1))}},
	{"a key that nobody knows of", "", History{unknown(op(0, 1, lent(100))), op(40, 41, on(Peek, 0)), op(400, 401, on(Peek, 0, 1))}},
	{"a key has another value", "invented", History{op(0, 1, lent(100)), op(40, 41, on(Peek, 0, 2))}},
	{"a key was refused", "G1a", History{refused(op(0, 1, lent(100))), op(40, 41, on(Peek, 0, 1))}},

	{"a counter counts what is not known", "", History{unknown(op(0, 1, on(Count, 0))), op(0, 5, on(Count, 0, 2)), op(6, 7, on(Total, 0, 2))}},
}

func TestBadHistories(t *testing.T) {
	for _, c := range badHistories {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.h {
				c.h[i].ID, c.h[i].Client = i, i
			}
			var kinds []string
			for _, v := range Check(c.h, patience).Violations {
				if !slices.Contains(kinds, v.Kind) {
					kinds = append(kinds, v.Kind)
				}
				t.Log(v)
			}
			// What is lost from a counter goes back, too.
			if got := strings.Join(kinds, ", "); got != c.want && !(c.want == "lost" && got == "stale") {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}
