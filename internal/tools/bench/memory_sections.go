package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	keyBytes   = 16
	valueBytes = 64
	fewBytes   = 8 // values and members of small collections
	fewer      = 10
	batch      = 50 // elements in one command
)

var sections = []section{
	{name: "strings", title: "Strings, key 16 and value 64 bytes: resident bytes per key", run: memoryStrings},
	{name: "hash10", title: "Hashes of ten fields (field0–9) with values of 8 bytes: resident bytes per key", run: smallCollections("HSET")},
	{name: "list10", title: "Lists of ten elements of 8 bytes: resident bytes per key", run: smallCollections("RPUSH")},
	{name: "set10", title: "Sets of ten members of 8 bytes: resident bytes per key", run: smallCollections("SADD")},
	{name: "zset10", title: "Sorted sets of ten members of 8 bytes: resident bytes per key", run: smallCollections("ZADD")},
	{name: "zset", title: "One sorted set, members of 20 bytes, random scores: bytes per member", run: large(zsetRandom)},
	{name: "zsetordered", title: "One sorted set, members of 20 bytes, scores in order: bytes per member", run: large(zsetOrdered)},
	{name: "zsetints", title: "One sorted set of integers, integer scores: bytes per member", run: large(zsetIntegers)},
	{name: "setints", title: "One set of integers: bytes per member", run: large(setIntegers)},
	{name: "hash", title: "One hash, fields of 16 and values of 32 bytes: bytes per field", run: large(hashFields)},
	{name: "list", title: "One list, elements of 32 bytes: bytes per element", run: large(listElements)},
	{name: "set", title: "One set, members of 16 bytes: bytes per member", run: large(setMembers)},
	{name: "stream", title: "One stream, items of three fields with values of 8 random letters: bytes per item", run: memoryStream(randomItem)},
	{name: "streamlog", title: "One stream, items of three fields as of a sensor or a log: bytes per item", run: memoryStream(loggedItem)},
	{name: "pending", title: "One stream whose items are pending in a group: bytes per item", run: memoryPending},
	{name: "deleted", title: "Small keys loaded, overwritten and deleted", journal: "everysec", run: memoryDeleted},
	{name: "compaction", title: "Keys of many sizes of which four fifths are deleted at random", long: true, run: memoryCompaction},
	{name: "pauses", title: "Very many keys and elements, loaded and deleted at once", long: true, run: memoryPauses},
	{name: "blocked", title: "Clients that wait, ten for each list", long: true, run: memoryBlocked},
	{name: "restart", title: "Loading and restarting, key 16 and value 64 bytes", journal: "everysec", run: memoryRestart},
}

// setter returns a command that sets key i to a value, whose length follows from
// i and pass.
func setter(pass int, length func(i int) int) func(b []byte, i int) []byte {
	keys, values := &word{seed: 1}, &word{seed: 100 + uint64(pass)}
	return func(b []byte, i int) []byte {
		return request(b, []byte("SET"), keys.of(i, keyBytes), values.of(i, length(i)))
	}
}

func fixed(n int) func(int) int { return func(int) int { return n } }

// shifting are lengths from 16 to 128.
func shifting(pass int) func(int) int {
	return func(i int) int { return 16 + int(mix(uint64(i)^uint64(pass)<<40)%113) }
}

// deleter returns a command that deletes the i-th of the keys first, first+step …
func deleter(first, step int) func(b []byte, i int) []byte {
	keys := &word{seed: 1}
	return func(b []byte, i int) []byte {
		return request(b, []byte("DEL"), keys.of(first+i*step, keyBytes))
	}
}

func memoryStrings(o memoryOptions, n *node) ([]figure, error) {
	m := newMeter(n, o.keys)
	m.load(o.keys, setter(0, fixed(valueBytes)))
	m.holds(o.keys, "DBSIZE")
	m.rest("loaded")
	m.peakOf("peak while each is overwritten with 16–128 bytes", func() {
		for pass := range o.passes {
			m.send(o.keys, setter(pass, shifting(pass)))
		}
		m.send(o.keys, setter(o.passes, fixed(valueBytes)))
	})
	m.rest("after that, with 64 bytes again")
	m.peakOf("peak while half is deleted and added again", func() {
		m.send(o.keys/2, deleter(0, 2))
		half := setter(0, fixed(valueBytes))
		m.send(o.keys/2, func(b []byte, i int) []byte { return half(b, 2*i) })
	})
	m.holds(o.keys, "DBSIZE")
	m.rest("after that")
	return m.result()
}

// smallCollections measures collections that one command each makes.
func smallCollections(command string) func(o memoryOptions, n *node) ([]figure, error) {
	return func(o memoryOptions, n *node) ([]figure, error) {
		keys, values := &word{seed: 1}, &word{seed: 2}
		var args [2 + 2*fewer][]byte
		m := newMeter(n, o.small)
		m.load(o.small, func(b []byte, i int) []byte {
			a := append(args[:0], []byte(command), keys.of(i, keyBytes))
			for j := range fewer {
				x := i*fewer + j
				v := append([]byte(nil), values.of(x, fewBytes)...)
				switch command {
				case "HSET":
					a = append(a, strconv.AppendInt([]byte("field"), int64(j), 10), v)
				case "ZADD":
					a = append(a, decimal(int(mix(uint64(x))%1_000_000)), v)
				default:
					a = append(a, v)
				}
			}
			return request(b, a...)
		})
		m.holds(o.small, "DBSIZE")
		m.rest("loaded")
		return m.result()
	}
}

// score is a random number between 0 and 1.
func score(i int) []byte {
	return strconv.AppendFloat(nil, float64(mix(uint64(i)^1<<50)>>11)/(1<<53), 'g', 17, 64)
}

func memoryDeleted(o memoryOptions, n *node) ([]figure, error) {
	m := newMeter(n, o.deleted)
	m.figure("empty, MiB", mib(m.empty))
	m.send(o.deleted, setter(0, fixed(valueBytes)))
	m.send(o.deleted, setter(1, shifting(1)))
	m.send(o.deleted, deleter(0, 1))
	m.holds(0, "DBSIZE")
	if m.err != nil {
		return nil, m.err
	}
	now, err := n.settle(rest)
	m.figure(fmt.Sprintf("after %d keys, MiB", o.deleted), mib(now))
	return m.figures, err
}

// mixedSize is the length of value i: nine of ten have 16 to 511 bytes, the others
// up to 8 KiB.
func mixedSize(i int) int {
	x := int(mix(uint64(i)^3<<50) >> 1)
	if x%10 > 0 {
		return 16 + x/10%496
	}
	return 512 + x/10%7681
}

// meanMixed is the mean of mixedSize with a key.
const meanMixed = keyBytes + (9*264+4352)/10

// stays says which keys are not deleted.
func stays(i int) bool { return mix(uint64(i)^5<<50)%5 == 0 }

// memoryCompaction fills a server, deletes four of five keys, and looks for a minute
// at its memory and at how long a client waits.
func memoryCompaction(o memoryOptions, n *node) ([]figure, error) {
	keys := o.fill << 20 / meanMixed
	m := newMeter(n, keys)
	name, value := &word{seed: 1}, make([]byte, 8<<10)
	m.load(keys, func(b []byte, i int) []byte {
		return request(b, []byte("SET"), name.of(i, keyBytes), value[:mixedSize(i)])
	})
	m.holds(keys, "DBSIZE")
	m.logSlow()
	m.worst("worst of 1,000 requests a second before, ms", 10*time.Second)
	m.slowest("longest command of them, ms")
	left, gone := 0, []int{}
	for i := range keys {
		if stays(i) {
			left += keyBytes + mixedSize(i)
		} else {
			gone = append(gone, i)
		}
	}
	m.send(len(gone), func(b []byte, i int) []byte { return request(b, []byte("DEL"), name.of(gone[i], keyBytes)) })
	m.holds(keys-len(gone), "DBSIZE")
	m.figure("keys and values that are left, MiB", mib(int64(left)))
	m.resident("resident then, over them", left)
	m.logSlow()
	m.worst("worst request in the 10 seconds after that, ms", 10*time.Second)
	m.resident("resident after them", left)
	m.slowest("longest command of them, ms")
	m.logSlow()
	m.worst("worst request in 50 seconds more, ms", 50*time.Second)
	m.slowest("longest command of them, ms")
	m.resident("resident after a minute", left)
	return m.result()
}

// resident notes the memory over that of the empty server, in parts of some bytes.
func (m *meter) resident(name string, bytes int) {
	if m.err != nil {
		return
	}
	var now int64
	now, m.err = m.n.memory()
	m.figure(name, float64(now-m.empty)/float64(bytes))
}

// worst lets a client read on a schedule and notes its longest wait.
func (m *meter) worst(name string, long time.Duration) {
	if m.err != nil {
		return
	}
	p, err := startProbe(m.n, 1000, 1<<20)
	if err != nil {
		m.err = err
		return
	}
	m.probed(name, p, long)
}

// probed lets a probe go on for so long and notes its longest wait.
func (m *meter) probed(name string, p *probe, long time.Duration) {
	time.Sleep(long)
	all, err := p.stop()
	m.err = errors.Join(m.err, err)
	m.figure(name, float64(slices.Max(append(all, 0)))/1e6)
}

func memoryRestart(o memoryOptions, n *node) ([]figure, error) {
	m := newMeter(n, o.restarted)
	m.load(o.restarted, setter(0, fixed(valueBytes)))
	m.restart("restart from the journal (append-only file), seconds")
	m.holds(o.restarted, "DBSIZE")
	if m.err != nil {
		return nil, m.err
	}
	if answer := n.ask("BGREWRITEAOF"); !strings.HasPrefix(answer, "+") {
		return nil, fmt.Errorf("%s: BGREWRITEAOF answers %q", n.name, answer)
	}
	if err := n.await("aof_rewrite_in_progress", "aof_rewrite_scheduled"); err != nil {
		return nil, err
	}
	m.restart("restart from a base (RDB), seconds")
	m.holds(o.restarted, "DBSIZE")
	return m.result()
}

// restart measures a restart.
func (m *meter) restart(name string) {
	if m.err != nil {
		return
	}
	var took time.Duration
	took, m.err = m.n.restart()
	m.figure(name, took.Seconds())
}

// await waits until fields of INFO persistence are 0.
func (n *node) await(fields ...string) error {
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		info, busy := n.ask("INFO persistence"), false
		for _, f := range fields {
			busy = busy || infoField(info, f) != "0"
		}
		if !busy {
			return nil
		}
	}
	return fmt.Errorf("%s does not end what %v says", n.name, fields)
}
