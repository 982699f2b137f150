package chaos

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"

	"redoubt/internal/chaos/history"
	"redoubt/internal/redistest"
	"redoubt/slots"
)

const (
	casScript = `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2]) return 1`
	transferScript = `if tonumber(redis.call('GET', KEYS[1])) <= 0 then return 0 end
redis.call('DECR', KEYS[1]) redis.call('INCR', KEYS[2]) return 1`

	accounts = 5
	opening  = 100 // what is in each in the beginning
)

// workload draws requests on the keys of one shard, all of which are in one slot but for the
// quiet ones. New keys take the place of those that have been used for some time, so that what
// is to be checked of each stays small.
type workload struct {
	shard int
	tag   string // "{…}" and what begins all keys of this episode
	// quiet are registers, each in a slot of its own, in which nothing is written most of the
	// time. A reply that shows data waits until the slot's last write is committed, and
	// who was deposed has such writes that never will be; here is what it could show.
	quiet []string
	used  [5]atomic.Int64
	value *atomic.Int64 // gives each value once

	lending sync.Mutex
	lent    []string // keys that expire, in the order of their making; guarded by lending
}

// perKeys is how many requests the keys of each group are used for.
var perKeys = [5]int64{120, 240, 1 << 62, 200, 300}

const (
	registers = iota
	lists
	banks
	sets
	counters
	// What follows has no groups of keys.
	calm // registers that are quiet
	queues
	streams
	lendings
)

// quietKeys is how many quiet registers there are.
const quietKeys = 8

// newWorkload is the workload of a shard in an episode.
func newWorkload(shard, shards int, seed uint64, value *atomic.Int64) *workload {
	tags := tagsFor(shard, shards, 1+quietKeys)
	w := &workload{shard: shard, value: value, tag: fmt.Sprintf("%s%d:", tags[0], seed)}
	for _, tag := range tags[1:] {
		w.quiet = append(w.quiet, fmt.Sprintf("%s%d:quiet", tag, seed))
	}
	return w
}

// tagsFor are hash tags of different slots of a shard.
func tagsFor(shard, shards, count int) (tags []string) {
	for i := 0; len(tags) < count; i++ {
		tag := "{" + strconv.Itoa(i) + "}"
		if s := int(slots.Of([]byte(tag))); s >= 16384*shard/shards && s < 16384*(shard+1)/shards {
			tags = append(tags, tag)
		}
	}
	return tags
}

// key is one of the keys of a group, as of now.
func (w *workload) key(group int, name string, which int) string {
	return fmt.Sprintf("%s%s:%d:%d", w.tag, name, w.used[group].Load()/perKeys[group], which)
}

func (w *workload) bank() string { return w.tag + "bank" }

func account(bank string, i int64) string { return bank + ":" + strconv.FormatInt(i, 10) }

// known is what a client knows from what it was told before.
type known struct {
	seen map[string]int64   // the last value of each register
	held map[string][]int64 // by stream, what it was given and has not acknowledged
}

// weights is what is drawn how often.
var weights = []int{
	registers, registers, registers, registers, lists, lists, lists, banks, sets, counters,
	calm, queues, queues, streams, streams, lendings,
}

// draw is a random request.
func (w *workload) draw(rnd *rand.Rand, k known) request {
	group := weights[rnd.IntN(len(weights))]
	switch group {
	case calm:
		return w.register(w.quiet[rnd.IntN(quietKeys)], rnd, k.seen)
	case queues:
		return w.give(rnd)
	case streams:
		return w.consume(rnd, k.held)
	case lendings:
		return w.lend(rnd)
	}
	w.used[group].Add(1)
	switch group {
	case registers:
		return w.register(w.key(registers, "register", rnd.IntN(2)), rnd, k.seen)
	case lists:
		return w.transaction(rnd)
	case banks:
		return w.transfer(rnd)
	case sets:
		key := w.key(sets, "set", 0)
		if rnd.IntN(4) > 0 {
			v := w.value.Add(1)
			return w.one(history.Step{Do: history.Add, Key: key, Arg: v}, "SADD", key, v)
		}
		return w.one(history.Step{Do: history.Members, Key: key}, "SMEMBERS", key)
	}
	key := w.key(counters, "counter", 0)
	if rnd.IntN(3) > 0 {
		return w.one(history.Step{Do: history.Count, Key: key}, "INCR", key)
	}
	return w.one(history.Step{Do: history.Total, Key: key}, "GET", key)
}

// glance is a random request that reads something which others are writing.
func (w *workload) glance(rnd *rand.Rand) request {
	switch rnd.IntN(6) {
	case 0, 1, 2:
		key := w.quiet[rnd.IntN(quietKeys)]
		return w.one(history.Step{Do: history.Get, Key: key}, "GET", key)
	case 3:
		key := w.key(registers, "register", rnd.IntN(2))
		return w.one(history.Step{Do: history.Get, Key: key}, "GET", key)
	case 4:
		key := w.key(counters, "counter", 0)
		return w.one(history.Step{Do: history.Total, Key: key}, "GET", key)
	}
	var steps []history.Step
	var commands [][]any
	for i := range 3 {
		key := w.key(lists, "list", i)
		steps = append(steps, history.Step{Do: history.Read, Key: key})
		commands = append(commands, []any{"LRANGE", key, 0, -1})
	}
	return w.multi(steps, commands)
}

// one is a request of one command.
func (w *workload) one(s history.Step, command ...any) request {
	return request{w.shard, []history.Step{s}, func(conn *redistest.Client, steps []history.Step) error {
		reply, err := conn.Do(command...)
		if err != nil {
			return err
		}
		return result(&steps[0], reply)
	}}
}

// result fills in what a step has returned.
func result(s *history.Step, reply any) (err error) {
	switch s.Do {
	case history.Set, history.Append, history.Add, history.Push, history.Lend:
		return nil
	case history.SetNX, history.CAS, history.Del, history.Transfer, history.Ack:
		s.Done = reply == int64(1)
		return nil
	case history.Take:
		s.Got, err = taken(reply)
		return err
	case history.Enter:
		s.Got, err = ids([]any{[]any{reply}})
		return err
	case history.Deliver:
		s.Got, err = given(reply)
		return err
	case history.Pending, history.Entries:
		s.Got, err = ids(reply)
		return err
	}
	s.Got, err = numbers(reply)
	return err
}

// numbers are those of a reply: none, one or several.
func numbers(reply any) ([]int64, error) {
	switch r := reply.(type) {
	case nil:
		return nil, nil
	case int64:
		return []int64{r}, nil
	case string:
		n, err := strconv.ParseInt(r, 10, 64)
		return []int64{n}, err
	case []any:
		var all []int64
		for _, e := range r {
			n, err := numbers(e)
			if err != nil || len(n) != 1 {
				return nil, fmt.Errorf("chaos: %v is no list of numbers", reply)
			}
			all = append(all, n[0])
		}
		return all, nil
	}
	return nil, fmt.Errorf("chaos: %v is no number", reply)
}

// register is a request on a register.
func (w *workload) register(key string, rnd *rand.Rand, seen map[string]int64) request {
	// Increments do not meet the values that others set.
	v := w.value.Add(1) * 1000
	step := func(do history.Do) history.Step { return history.Step{Do: do, Key: key, Arg: v, Old: seen[key]} }
	var q request
	switch n := rnd.IntN(100); {
	case n < 35:
		q = w.one(step(history.Get), "GET", key)
	case n < 55:
		q = w.one(step(history.Set), "SET", key, v)
	case n < 63:
		q = w.one(step(history.Swap), "SET", key, v, "GET")
	case n < 70:
		q = w.one(step(history.SetNX), "SETNX", key, v)
	case n < 82:
		q = w.one(step(history.Incr), "INCR", key)
	case n < 85:
		q = w.one(step(history.Del), "DEL", key)
	case n < 93:
		q = w.one(step(history.CAS), "EVAL", casScript, 1, key, seen[key], v)
	default:
		q = request{w.shard, []history.Step{step(history.CAS)}, watched}
	}
	do := q.do
	q.do = func(conn *redistest.Client, steps []history.Step) error {
		err := do(conn, steps)
		if s := steps[0]; err == nil && len(s.Got) > 0 {
			seen[key] = s.Got[0]
		} else if err == nil && (s.Do == history.Set || s.Done && s.Do != history.Del) {
			seen[key] = s.Arg
		}
		return err
	}
	return q
}

// watched is a compare-and-set by WATCH. If it fails it has only read.
func watched(conn *redistest.Client, steps []history.Step) error {
	s := &steps[0]
	replies, err := conn.Pipeline([]any{"WATCH", s.Key}, []any{"GET", s.Key})
	if err != nil {
		return err
	}
	if err := firstError(replies); err != nil {
		return err
	}
	got, err := numbers(replies[1])
	if err != nil {
		return err
	}
	if len(got) == 0 {
		_, err := conn.Do("UNWATCH")
		s.Do = history.Get
		return err
	}
	s.Old = got[0]
	replies, err = conn.Pipeline([]any{"MULTI"}, []any{"SET", s.Key, s.Arg}, []any{"EXEC"})
	if err != nil {
		return err
	}
	if err := execError(replies); err != nil {
		return err
	}
	if s.Done = replies[2] != nil; !s.Done {
		// Another has changed it meanwhile. What was read was there at some moment.
		s.Do, s.Got, s.Old = history.Get, got, 0
	}
	return nil
}

// firstError is the first reply that is an error.
func firstError(replies []any) error {
	for _, r := range replies {
		if refusal, ok := r.(redistest.Error); ok {
			return refusal
		}
	}
	return nil
}

// execError is the error with which a transaction that was sent as a whole has ended. If
// MULTI was refused its commands were executed as single ones: nobody knows which.
func execError(replies []any) error {
	if refusal, ok := replies[0].(redistest.Error); ok {
		return fmt.Errorf("chaos: MULTI: %w", error(redistest.Error("? "+refusal)))
	}
	if _, ok := replies[len(replies)-1].(redistest.Error); ok {
		return firstError(replies)
	}
	return nil
}

// multi is a request of a transaction, of as many commands as steps.
func (w *workload) multi(steps []history.Step, commands [][]any) request {
	all := append(append([][]any{{"MULTI"}}, commands...), []any{"EXEC"})
	return request{w.shard, steps, func(conn *redistest.Client, steps []history.Step) error {
		replies, err := conn.Pipeline(all...)
		if err != nil {
			return err
		}
		if err := execError(replies); err != nil {
			return err
		}
		results, ok := replies[len(replies)-1].([]any)
		if !ok || len(results) != len(commands) {
			return fmt.Errorf("chaos: EXEC has returned %v", replies[len(replies)-1])
		}
		if err := firstError(results); err != nil {
			return err
		}
		if len(steps) == 1 && len(commands) > 1 {
			return result(&steps[0], results)
		}
		for i := range steps {
			if err := result(&steps[i], results[i]); err != nil {
				return err
			}
		}
		return nil
	}}
}

// transaction appends to lists and reads them: one command, or several in MULTI.
func (w *workload) transaction(rnd *rand.Rand) request {
	var steps []history.Step
	var commands [][]any
	for range 1 + rnd.IntN(4) {
		key := w.key(lists, "list", rnd.IntN(3))
		if rnd.IntN(2) == 0 {
			v := w.value.Add(1)
			steps = append(steps, history.Step{Do: history.Append, Key: key, Arg: v})
			commands = append(commands, []any{"RPUSH", key, v})
		} else {
			steps = append(steps, history.Step{Do: history.Read, Key: key})
			commands = append(commands, []any{"LRANGE", key, 0, -1})
		}
	}
	if len(steps) == 1 && rnd.IntN(2) == 0 {
		return w.one(steps[0], commands[0]...)
	}
	return w.multi(steps, commands)
}

// transfer moves money, or counts it.
func (w *workload) transfer(rnd *rand.Rand) request {
	from, to := rnd.Int64N(accounts), rnd.Int64N(accounts)
	s := history.Step{Do: history.Transfer, Key: w.bank(), Old: from, Arg: to, Done: true}
	a, b := account(w.bank(), from), account(w.bank(), to)
	switch rnd.IntN(3) {
	case 0:
		return w.one(s, "EVAL", transferScript, 2, a, b)
	case 1:
		return w.multi([]history.Step{s}, [][]any{{"DECRBY", a, 1}, {"INCRBY", b, 1}})
	}
	return w.balances(rnd.IntN(2) == 0)
}

// balances reads all accounts, by a command or a transaction.
func (w *workload) balances(single bool) request {
	s := history.Step{Do: history.Balances, Key: w.bank()}
	mget, gets := []any{"MGET"}, [][]any{}
	for i := range int64(accounts) {
		mget = append(mget, account(w.bank(), i))
		gets = append(gets, []any{"GET", account(w.bank(), i)})
	}
	if single {
		return w.one(s, mget...)
	}
	return w.multi([]history.Step{s}, gets)
}

// open puts money into the accounts.
func (w *workload) open() request {
	mset := []any{"MSET"}
	for i := range int64(accounts) {
		mset = append(mset, account(w.bank(), i), opening)
	}
	return w.one(history.Step{Do: history.Set, Key: w.bank()}, mset...)
}

// everything reads all keys that have been used.
func (w *workload) everything() (all []request) {
	groups := func(group int) int64 { return w.used[group].Load()/perKeys[group] + 1 }
	read := func(do history.Do, group int, name string, keys int, command ...any) {
		for g := range groups(group) {
			for i := range keys {
				key := fmt.Sprintf("%s%s:%d:%d", w.tag, name, g, i)
				line := append([]any{command[0], key}, command[1:]...)
				all = append(all, w.one(history.Step{Do: do, Key: key}, line...))
			}
		}
	}
	for _, key := range w.quiet {
		all = append(all, w.one(history.Step{Do: history.Get, Key: key}, "GET", key))
	}
	read(history.Get, registers, "register", 2, "GET")
	read(history.Read, lists, "list", 3, "LRANGE", 0, -1)
	read(history.Members, sets, "set", 1, "SMEMBERS")
	read(history.Total, counters, "counter", 1, "GET")
	all = append(all, w.settled()...)
	return append(all, w.balances(true), w.balances(false))
}
