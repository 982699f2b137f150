package main

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A typeTest is the throughput of one command. In its words K is the name of the
// key, $ a random number, as redis-benchmark writes it, and E an element: a random
// one of the only collection, or the one that all of many have.
type typeTest struct {
	name, command string
	fill          string // adds elements before the test: the command without key and elements
	takes         bool   // every request takes an element out
	tracked       bool   // clients speak RESP3 and have said CLIENT TRACKING ON
	script        string // is loaded before the test; its SHA1 is S in command
	pending       bool   // all items of a stream are pending in its group before each run; $ is one of them
	one           bool   // is the same with many keys, and measured with one only
	slow          bool   // takes milliseconds, and is measured without a pipeline only
}

var typeTests = []typeTest{
	{name: "LPUSH", command: "LPUSH K element:$"},
	{name: "RPOP", command: "RPOP K", fill: "RPUSH", takes: true},
	{name: "LRANGE_100", command: "LRANGE K 0 99", fill: "RPUSH"},
	{name: "HSET", command: "HSET K E value:xxxxxxxx", fill: "HSET"},
	{name: "HGET", command: "HGET K E", fill: "HSET"},
	{name: "SADD", command: "SADD K element:$", fill: "SADD"},
	{name: "SPOP", command: "SPOP K", fill: "SADD", takes: true},
	{name: "ZADD", command: "ZADD K $ E", fill: "ZADD"},
	{name: "ZPOPMIN", command: "ZPOPMIN K", fill: "ZADD", takes: true},
	{name: "ZRANGE_10", command: "ZRANGE K 0 9", fill: "ZADD"},
	{name: "ZRANK", command: "ZRANK K E", fill: "ZADD"},
	{name: "GET_TRACKED", command: "GET K", fill: "SET", tracked: true},
	{name: "PFADD", command: "PFADD K element:$"},
	{name: "PFCOUNT", command: "PFCOUNT K", fill: "PFADD"},
	{name: "BITCOUNT_1K", command: "BITCOUNT K", fill: "APPEND", one: true},
	{name: "GEOSEARCH_10KM", command: "GEOSEARCH K FROMLONLAT 15 37 BYRADIUS 10 km", fill: "GEOADD", one: true},
	{name: "XADD", command: "XADD K * sensor E value $ unit degree"},
	{name: "XRANGE_10", command: "XRANGE K - + COUNT 10", fill: "XADD"},
	{name: "XREADGROUP", command: "XREADGROUP GROUP group consumer COUNT 1 STREAMS K >", fill: "XADD", takes: true},
	{name: "XACK", command: "XACK K group 1-$", fill: "XADD", pending: true, one: true},
	{name: "EVALSHA_GET", command: "EVALSHA S 1 K", fill: "SET", script: scriptGet, one: true},
	{name: "EVALSHA_LIMITER", command: "EVALSHA S 1 K 60 1000000000", script: scriptLimiter, one: true},
	{name: "EVALSHA_QUEUE", command: "EVALSHA S 1 K 1000 1", script: scriptQueue, one: true},
	{name: "EVALSHA_LOOP", command: "EVALSHA S 1 K 1000", script: scriptLoop, one: true},
	{name: "EVALSHA_LOOP_1M", command: "EVALSHA S 1 K 1000000", script: scriptLoop, one: true, slow: true},
}

// collections is how many of the first tests are those of lists, hashes, sets and
// sorted sets.
const collections = 11

// groupOfTests is the tests that a name of several stands for, nil if it is none.
func groupOfTests(name string) []typeTest {
	switch name {
	case "collections":
		return typeTests[:collections]
	case "others":
		return typeTests[collections:]
	}
	return nil
}

const (
	randomNumber = "__rand_int__" // redis-benchmark puts twelve digits in its place
	manyKeys     = 10_000
	manyElements = 10 // of each of many collections
	oneElements  = 100_000
)

type typeOptions struct {
	options
	keys string
}

func runTypes(args []string) error {
	var o typeOptions
	f := flag.NewFlagSet("bench types", flag.ContinueOnError)
	o.binaries(f)
	f.IntVar(&o.rounds, "rounds", 3, "rounds of each row")
	f.Float64Var(&o.seconds, "seconds", 0.4, "about how long a run takes")
	f.IntVar(&o.clients, "clients", 50, "connections")
	f.StringVar(&o.modes, "modes", "everysec", "journal: off, everysec, always")
	f.StringVar(&o.tests, "tests", "collections,others", "which commands: groups of them, or some of "+testNames())
	f.StringVar(&o.pipelines, "pipelines", "1,16,64", "requests in flight on a connection")
	f.StringVar(&o.keys, "keys", "one,many", "one collection of 100,000 elements, many (10,000) of ten; some commands have a row for one only")
	if err := parse(f, args); err != nil {
		return err
	}
	fmt.Printf("%d rounds of about %.1f s, %d clients; ratio = redoubt / redis-server, median (least–most) of the rounds\n", o.rounds, o.seconds, o.clients)
	for _, mode := range strings.Split(o.modes, ",") {
		for _, keys := range strings.Split(o.keys, ",") {
			if err := o.table(mode, keys); err != nil {
				return fmt.Errorf("journal %s, %s: %w", mode, keys, err)
			}
		}
	}
	return nil
}

func (o typeOptions) table(mode, keys string) error {
	count, title := 1, fmt.Sprintf("One collection of %d elements", oneElements)
	switch keys {
	case "one":
	case "many":
		count, title = manyKeys, fmt.Sprintf("%d collections of %d elements", manyKeys, manyElements)
	default:
		return fmt.Errorf("keys are one or many, not %q", keys)
	}
	ours, theirs, err := startBoth(o.options, mode)
	if err != nil {
		return err
	}
	defer ours.stop()
	defer theirs.stop()
	fmt.Printf("\n%s, journal %s\n\n| test | pipeline | redis op/s | Redoubt op/s | ratio | redis µs | Redoubt µs |\n| --- | --- | --- | --- | --- | --- | --- |\n", title, mode)
	tests, err := testsNamed(o.tests)
	if err != nil {
		return err
	}
	for _, t := range tests {
		if t.one && count > 1 {
			continue
		}
		pipelines := strings.Split(o.pipelines, ",")
		if t.slow {
			pipelines = []string{"1"}
		}
		for _, p := range pipelines {
			if err := o.typeRow(ours, theirs, t, count, p); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	return nil
}

func testNames() string {
	names := make([]string, len(typeTests))
	for i, t := range typeTests {
		names[i] = t.name
	}
	return strings.Join(names, ",")
}

// testsNamed are the tests of a list of names of tests and of groups.
func testsNamed(list string) (tests []typeTest, err error) {
	for name := range strings.SplitSeq(list, ",") {
		if group := groupOfTests(name); group != nil {
			tests = append(tests, group...)
			continue
		}
		t, err := testNamed(name)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return tests, nil
}

func testNamed(name string) (typeTest, error) {
	for _, t := range typeTests {
		if t.name == name {
			return t, nil
		}
	}
	return typeTest{}, fmt.Errorf("there is no test %q", name)
}

// typeRow measures one command at one depth of pipeline.
func (o typeOptions) typeRow(ours, theirs *node, t typeTest, keys int, pipeline string) error {
	for _, n := range []*node{ours, theirs} {
		if err := n.fill(t, keys, 0); err != nil {
			return err
		}
	}
	depth, err := strconv.Atoi(pipeline)
	if err != nil {
		return err
	}
	// redis-benchmark may send as many requests too many as it has in flight.
	tooMany := o.clients * depth
	if t.slow {
		o.trial, o.fewest = 5, 20
	}
	c, err := o.compare(ours, theirs, func(n *node, requests int) (measure, error) {
		if t.takes || t.pending {
			if err := n.fill(t, keys, requests+tooMany); err != nil {
				return measure{}, err
			}
		}
		space := manyKeys
		switch {
		case t.pending:
			space = requests
		case keys == 1:
			space = oneElements
		}
		flags := []string{"-r", strconv.Itoa(space)}
		if t.tracked {
			flags = append(flags, "-3", "--enable-tracking")
		}
		m, err := n.benchmark(o.clients, pipeline, requests, append(flags, t.words(keys)...)...)
		if err == nil && t.takes {
			err = n.notDry(keys)
		}
		return m, err
	})
	if err != nil {
		return err
	}
	fmt.Printf("| %s | %s | %.0f | %.0f | %s | %.2f | %.2f |\n", t.name, pipeline, median(c.theirs.rate), median(c.ours.rate),
		spread(c.ratios), median(c.theirs.cpu), median(c.ours.cpu))
	return nil
}

// words is the command as redis-benchmark gets it.
func (t typeTest) words(keys int) []string {
	key, element := "key", "element:"+randomNumber
	if keys > 1 {
		key, element = "key:"+randomNumber, fmt.Sprintf("element:%012d", manyElements/2)
	}
	words := strings.Fields(t.command)
	for i, w := range words {
		switch w {
		case "K":
			words[i] = key
		case "E":
			words[i] = element
		case "S":
			words[i] = sha(t.script)
		default:
			words[i] = strings.ReplaceAll(w, "$", randomNumber)
		}
	}
	return words
}

// supply is how many elements each of the keys needs, so that so many requests,
// each of a random key, take out elements that exist. One key needs as many as
// there are requests; of many, some get more than their share.
func supply(requests, keys int) int {
	mean := float64(requests) / float64(keys)
	if keys == 1 {
		return requests + 1
	}
	return int(math.Ceil(mean + 4*math.Sqrt(mean) + 4))
}

// fill empties the server and gives it the collections of a test, with enough in
// them for so many requests that take elements out.
func (n *node) fill(t typeTest, keys, requests int) error {
	err := n.send(1, func(b []byte, _ int) []byte { return request(b, []byte("FLUSHALL")) })
	if err == nil && t.script != "" {
		err = n.send(1, func(b []byte, _ int) []byte { return request(b, []byte("SCRIPT"), []byte("LOAD"), []byte(t.script)) })
	}
	if err != nil || t.fill == "" {
		return err
	}
	each := oneElements
	if keys > 1 {
		each = manyElements
	}
	if t.takes || t.pending {
		each = supply(requests, keys)
	} else if t.fill == "SET" || t.fill == "APPEND" {
		each = 1
	} else if t.name == "LRANGE_100" {
		each = max(each, 100)
	}
	if t.fill == "XADD" {
		return n.fillStreams(keys, each, t.pending)
	}
	per := (each + batch - 1) / batch // commands for one key
	var args [2 + 3*batch][]byte
	return n.send(keys*per, func(b []byte, i int) []byte {
		key := []byte("key")
		if keys > 1 {
			key = fmt.Appendf(nil, "key:%012d", i/per)
		}
		a := append(args[:0], []byte(t.fill), key)
		first := i % per * batch
		for x := first; x < min(first+batch, each); x++ {
			element := fmt.Appendf(nil, "element:%012d", x)
			switch t.fill {
			case "HSET":
				a = append(a, element, []byte("value:xxxxxxxx"))
			case "ZADD":
				a = append(a, decimal(int(mix(uint64(x))%oneElements)), element)
			case "GEOADD": // forty or so within 10 km of any place
				a = append(a, degrees(10, mix(uint64(x))), degrees(33, mix(uint64(x)+1<<32)), element)
			case "APPEND":
				a = append(a, bytes.Repeat([]byte("\x5a"), 1<<10))
			default:
				a = append(a, element)
			}
		}
		return request(b, a...)
	})
}

// degrees is a coordinate from a whole degree on to the eighth behind it.
func degrees(from int, x uint64) []byte {
	return strconv.AppendFloat(nil, float64(from)+float64(x%80_000)/10_000, 'f', 4, 64)
}

// notDry fails if requests that took elements out have found none.
func (n *node) notDry(keys int) error {
	left, err := strconv.Atoi(strings.Trim(n.ask("DBSIZE"), ":\r\n"))
	if err == nil && left < keys-keys/10 {
		err = fmt.Errorf("%s: only %d of %d collections have anything left", n.name, left, keys)
	}
	return err
}

// fillStreams gives the server streams with as many items each, of IDs from 1-1 on,
// and a group that has read all of them if pending, and none otherwise.
func (n *node) fillStreams(keys, each int, pending bool) error {
	name := func(i int) []byte {
		if keys == 1 {
			return []byte("key")
		}
		return fmt.Appendf(nil, "key:%012d", i)
	}
	words := func(b []byte, key []byte, before, after string) []byte {
		var args [][]byte
		for _, w := range strings.Fields(before) {
			args = append(args, []byte(w))
		}
		args = append(args, key)
		for _, w := range strings.Fields(after) {
			args = append(args, []byte(w))
		}
		return request(b, args...)
	}
	err := n.send(keys*each, func(b []byte, i int) []byte {
		return words(b, name(i/each), "XADD", fmt.Sprintf("1-%d sensor element:%012d value %d unit degree", i%each+1, i%1000, i))
	})
	if err != nil {
		return err
	}
	if err := n.send(keys, func(b []byte, i int) []byte { return words(b, name(i), "XGROUP CREATE", "group 0") }); err != nil || !pending {
		return err
	}
	return n.send(keys, func(b []byte, i int) []byte { return words(b, name(i), "XREADGROUP GROUP group consumer STREAMS", ">") })
}
