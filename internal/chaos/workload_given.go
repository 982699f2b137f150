package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"redoubt/internal/chaos/history"
	"redoubt/internal/redistest"
)

// What is given to one client only, queues and streams with groups, and what is there for a
// while only.

// blocks is how long a client waits for an element; it is well below patience.
const blocks = 100 * time.Millisecond

func (w *workload) queue() string  { return w.tag + "queue" }
func (w *workload) stream() string { return w.tag + "stream" }

// give is a request on the queue: more are for elements than there are elements, so that some
// wait for one.
func (w *workload) give(rnd *rand.Rand) request {
	key, v := w.queue(), w.value.Add(1)
	take := history.Step{Do: history.Take, Key: key}
	seconds := strconv.FormatFloat(blocks.Seconds(), 'f', -1, 64)
	switch rnd.IntN(8) {
	case 0:
		return w.one(take, "BLPOP", key, seconds)
	case 1:
		return w.one(take, "BRPOP", key, seconds)
	case 2:
		return w.one(take, "BLMPOP", seconds, 1, key, "LEFT")
	case 3:
		return w.one(take, "LPOP", key)
	}
	return w.one(history.Step{Do: history.Push, Key: key, Arg: v}, "RPUSH", key, v)
}

// openStream makes the stream and its group.
func (w *workload) openStream() request {
	q := w.one(history.Step{Do: history.Set, Key: w.stream() + ":made", Arg: 1}, "XGROUP", "CREATE", w.stream(), "group", "$", "MKSTREAM")
	do := q.do
	q.do = func(conn *redistest.Client, steps []history.Step) error {
		err := do(conn, steps)
		if err != nil && strings.HasPrefix(err.Error(), "BUSYGROUP ") {
			return nil // it was made by a request that was not answered
		}
		return err
	}
	return q
}

// consume is a request on the stream. held are the entries that this client was given and has
// not acknowledged.
func (w *workload) consume(rnd *rand.Rand, held map[string][]int64) request {
	key := w.stream()
	switch n := rnd.IntN(6); {
	case n < 2:
		return w.one(history.Step{Do: history.Enter, Key: key}, "XADD", key, "*", "v", w.value.Add(1))
	case n < 4 && len(held[key]) > 0:
		id := held[key][0]
		held[key] = held[key][1:]
		return w.one(history.Step{Do: history.Ack, Key: key, Arg: id}, "XACK", key, "group", idText(id))
	}
	command := []any{"XREADGROUP", "GROUP", "group", "reader", "COUNT", 1 + rnd.IntN(3), "STREAMS", key, ">"}
	if rnd.IntN(2) == 0 {
		command = slices.Insert(command, 6, []any{"BLOCK", blocks.Milliseconds()}...)
	}
	q := w.one(history.Step{Do: history.Deliver, Key: key}, command...)
	do := q.do
	q.do = func(conn *redistest.Client, steps []history.Step) error {
		err := do(conn, steps)
		if err == nil {
			held[key] = append(held[key], steps[0].Got...)
		}
		return err
	}
	return q
}

// An id of an entry as a number: its milliseconds, and behind them the number within them.
const perMillisecond = 100000

func idText(id int64) string { return fmt.Sprintf("%d-%d", id/perMillisecond, id%perMillisecond) }

// idNumber is the number of an id.
func idNumber(text any) (int64, error) {
	s, _ := text.(string)
	ms, seq, _ := strings.Cut(s, "-")
	a, err := strconv.ParseInt(ms, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("chaos: %v is no id: %w", text, err)
	}
	b, err := strconv.ParseInt(seq, 10, 64)
	if err != nil || b >= perMillisecond {
		return 0, fmt.Errorf("chaos: %v is no id that can be told as a number", text)
	}
	return a*perMillisecond + b, nil
}

// ids are those of a list of entries, each of which begins with its id.
func ids(reply any) (all []int64, err error) {
	entries, _ := reply.([]any)
	for _, e := range entries {
		fields, ok := e.([]any)
		if !ok || len(fields) == 0 {
			return nil, fmt.Errorf("chaos: %v is no entry", e)
		}
		id, err := idNumber(fields[0])
		if err != nil {
			return nil, err
		}
		all = append(all, id)
	}
	return all, nil
}

// given are the ids of a reply of XREADGROUP on one stream.
func given(reply any) ([]int64, error) {
	streams, _ := reply.([]any)
	if len(streams) == 0 {
		return nil, nil
	}
	if of, ok := streams[0].([]any); ok && len(of) == 2 {
		return ids(of[1])
	}
	return nil, fmt.Errorf("chaos: %v is no reply of XREADGROUP", reply)
}

// taken is the element of a reply of LPOP, BLPOP or BLMPOP: the innermost value.
func taken(reply any) ([]int64, error) {
	for {
		list, ok := reply.([]any)
		if !ok {
			return numbers(reply)
		}
		if len(list) != 2 {
			return numbers(list)
		}
		reply = list[1]
	}
}

// lend is a request on a key that expires: a new one, or one of the last.
func (w *workload) lend(rnd *rand.Rand) request {
	w.lending.Lock()
	defer w.lending.Unlock()
	if n := len(w.lent); n > 0 && rnd.IntN(3) > 0 {
		return w.peek(w.lent[max(0, n-1-rnd.IntN(recently))])
	}
	v, ttl := w.value.Add(1), 50+rnd.Int64N(2000)
	key := fmt.Sprintf("%slent:%d", w.tag, v)
	w.lent = append(w.lent, key)
	s := history.Step{Do: history.Lend, Key: key, Arg: v, Old: ttl}
	switch rnd.IntN(4) {
	case 0:
		return w.one(s, "PSETEX", key, ttl, v)
	case 1:
		return w.multi([]history.Step{s}, [][]any{{"SET", key, v}, {"PEXPIRE", key, ttl}})
	}
	return w.one(s, "SET", key, v, "PX", ttl)
}

// recently is how many of the last keys are read again.
const recently = 60

func (w *workload) peek(key string) request {
	return w.one(history.Step{Do: history.Peek, Key: key}, "GET", key)
}

// settled reads what was given and what is left, when nobody takes anything any more.
func (w *workload) settled() (all []request) {
	w.lending.Lock()
	defer w.lending.Unlock()
	for _, key := range w.lent[max(0, len(w.lent)-recently):] {
		all = append(all, w.peek(key))
	}
	key := w.stream()
	return append(all,
		w.one(history.Step{Do: history.Rest, Key: w.queue()}, "LRANGE", w.queue(), 0, -1),
		w.one(history.Step{Do: history.Deliver, Key: key, Done: true}, "XREADGROUP", "GROUP", "group", "last", "COUNT", 1000000, "STREAMS", key, ">"),
		w.one(history.Step{Do: history.Pending, Key: key}, "XPENDING", key, "group", "-", "+", 1000000),
		w.one(history.Step{Do: history.Entries, Key: key}, "XRANGE", key, "-", "+"))
}
