package command

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// TestRandomHistoriesOfStreams is TestRandomHistoriesOfCollections for streams, with
// nodes so small that trimming and deletions come by many of their ends. Times are
// not compared, as the clocks are not the same, nor what came with Redis 7.2.
func TestRandomHistoriesOfStreams(t *testing.T) {
	redistest.Tool(t, "redis-server")
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s := &streamTwins{twins: newTwins(t, 100+seed, 2+int(seed%2)), ms: 5}
			s.node.now = time.Now().UnixMilli()
			s.limit(seed)
			for i := range 4000 {
				s.step()
				if i%500 == 0 {
					s.compareAll()
				}
			}
			s.compareAll()
			s.compareCounts()
			s.equal("events", ofStreams(s.node.noted), ofStreams(s.published()))
			s.compareEffectsButTimes()
			s.compareData()
		})
	}
}

// ofStreams is the events of class t.
func ofStreams(events []string) []string {
	return slices.DeleteFunc(slices.Clone(events), func(e string) bool { return e[0] != 'x' })
}

type streamTwins struct {
	*twins
	ms int // of the newest IDs
}

// limit makes nodes of streams small, another way for each seed.
func (s *streamTwins) limit(seed uint64) {
	bytes, items := [...]int{4096, 200, 4096, 0}[seed%4], [...]int{5, 100, 3, 0}[seed%4]
	s.there(strings.Fields(fmt.Sprint("CONFIG SET stream-node-max-bytes ", bytes, " stream-node-max-entries ", items)))
	tx := s.node.exec.BeginWorld(s.node.now)
	l := tx.Limits()
	l.NodeBytes, l.NodeItems = bytes, items
	tx.SetLimits(l)
	s.node.exec.End()
}

func (s *streamTwins) step() {
	s.node.now = time.Now().UnixMilli()
	words := s.command()
	if s.last = append(s.last, strings.Join(words, " ")); len(s.last) > 30 {
		s.last = s.last[1:]
	}
	// Since 7.2 a consumer is there from when it first asks.
	switch words[0] {
	case "XCLAIM", "XAUTOCLAIM":
		s.both([]string{"XGROUP", "CREATECONSUMER", words[1], words[2], words[3]})
	case "XREADGROUP":
		for _, key := range words[slices.Index(words, "STREAMS")+1:] {
			s.both([]string{"XGROUP", "CREATECONSUMER", key, words[2], words[3]})
		}
	}
	ours, theirs := s.both(words)
	s.compare(timeless(ours), timeless(theirs), false)
}

// What is the same but for the clock: how long an item has been pending, or since
// when, and the times of consumers. The members of maps that came with 7.2 go.
var (
	ofGroup  = regexp.MustCompile(`(\*4\r\n\$\d+\r\n[0-9]+-[0-9]+\r\n\$\d+\r\n[^\r]*\r\n):-?\d+`)
	ofMember = regexp.MustCompile(`(\*3\r\n\$\d+\r\n[0-9]+-[0-9]+\r\n):-?\d+`)
	times    = regexp.MustCompile(`(\$9\r\nseen-time|\$4\r\nidle)\r\n:-?\d+`)
	newer    = regexp.MustCompile(`\$(11\r\nactive-time|8\r\ninactive)\r\n:-?\d+\r\n`)
	sizes    = regexp.MustCompile(`[*%]\d+(\r\n\$4\r\nname\r\n\$\d+\r\n[^\r]*\r\n\$\d+\r\n(seen-time|pending)\r\n)`)
	since    = regexp.MustCompile(` TIME \d+`)
)

func timeless(reply []byte) []byte {
	reply = ofGroup.ReplaceAll(reply, []byte("$1:0"))
	reply = ofMember.ReplaceAll(reply, []byte("$1:0"))
	reply = times.ReplaceAll(reply, []byte("$1\r\n:0"))
	reply = newer.ReplaceAll(reply, nil)
	reply = sizes.ReplaceAllFunc(reply, func(m []byte) []byte {
		// The length of what is left, in RESP2 and RESP3 alike.
		n := 6
		if strings.Contains(string(m), "seen-time") {
			n = 8
		}
		rest := sizes.ReplaceAll(m, []byte("$1"))
		return append([]byte("*"+strconv.Itoa(n)), rest...)
	})
	return reply
}

func (s *streamTwins) compareEffectsButTimes() {
	ours := s.commands([]byte(strings.Join(s.effects, "")))
	theirs := s.commands(s.appended())
	for _, lines := range [][]string{ours, theirs} {
		for i := range lines {
			lines[i] = since.ReplaceAllString(lines[i], " TIME 0")
		}
	}
	s.equal("effects", without(ours, "RESTORE"), without(theirs, "RESTORE"))
}

// compareAll compares all there is to know of the streams, and takes what DUMP says
// of them on one side over to the other.
func (s *streamTwins) compareAll() {
	for _, name := range []string{"a", "b", "c"} {
		key := "stream:" + name
		words := []string{"XINFO", "STREAM", key, "FULL", "COUNT", "0"}
		s.last = append(s.last, strings.Join(words, " "))
		ours, theirs := s.both(words)
		s.compare(timeless(ours), timeless(theirs), false)
		if strings.HasPrefix(string(theirs), "-") {
			continue
		}
		payload := bulk(s.there([]string{"DUMP", key}))
		if reply := s.here([]string{"RESTORE", key, "0", payload, "REPLACE"}); string(reply) != "+OK\r\n" {
			s.t.Fatalf("RESTORE of redis-server's %q: %s", payload, reply)
		}
		back := bulk(s.here([]string{"DUMP", key}))
		if reply := s.there([]string{"RESTORE", key, "0", back, "REPLACE"}); string(reply) != "+OK\r\n" {
			s.t.Fatalf("RESTORE of our %q: %s", back, reply)
		}
	}
}

// bulk is the bulk string of a reply.
func bulk(reply []byte) string {
	_, rest, _ := strings.Cut(string(reply), "\r\n")
	return strings.TrimSuffix(rest, "\r\n")
}

func (s *streamTwins) key() string { return s.twins.key("stream") }

// id is an ID in one of its forms, of an item as often as not.
func (s *streamTwins) id() string {
	if s.rand.IntN(60) == 0 {
		return s.pick("-", "+", "$", ">", "x", "", "1-", "-1", "1-*", "18446744073709551615-18446744073709551615", "0-0", "+5", "007-08", "5-1-1", " 3")
	}
	ms := max(s.ms-s.rand.IntN(12), 0)
	if s.rand.IntN(3) == 0 {
		return strconv.Itoa(ms)
	}
	return fmt.Sprint(ms, "-", s.rand.IntN(4))
}

func (s *streamTwins) ids() (ids []string) {
	for range 1 + s.rand.IntN(3) {
		ids = append(ids, s.id())
	}
	return ids
}

// end is an end of a range.
func (s *streamTwins) end(open string) string {
	switch s.rand.IntN(4) {
	case 0:
		return open
	case 1:
		return "(" + s.id()
	}
	return s.id()
}

func (s *streamTwins) maybe(words ...string) []string {
	if s.rand.IntN(3) == 0 {
		return words
	}
	return nil
}

func (s *streamTwins) newID() string {
	if s.rand.IntN(3) == 0 {
		s.ms++
	}
	switch s.rand.IntN(8) {
	case 0:
		return fmt.Sprint(s.ms, "-", s.rand.IntN(300))
	case 1:
		return strconv.Itoa(s.ms)
	case 2:
		return s.id()
	}
	return fmt.Sprint(s.ms, "-*")
}

func (s *streamTwins) trimming() []string {
	by := []string{"MAXLEN"}
	if s.rand.IntN(2) == 0 {
		by = []string{"MINID"}
	}
	exact := s.pick("", "=", "~", "~")
	if exact != "" {
		by = append(by, exact)
	}
	if by[0] == "MAXLEN" {
		by = append(by, s.pick("0", "3", "5", "8", "12", "20", s.number()))
	} else {
		by = append(by, s.id())
	}
	if exact == "~" || s.rand.IntN(30) == 0 {
		by = append(by, s.maybe("LIMIT", strconv.Itoa(s.rand.IntN(12)))...)
	}
	return by
}

func (s *streamTwins) pairs() (pairs []string) {
	if s.rand.IntN(4) > 0 {
		return []string{"sensor", s.pick("s-1", "s-2", "s-1"), "value", s.number(), "at", fmt.Sprint("12:", 10+s.rand.IntN(40))}
	}
	for range 1 + s.rand.IntN(3) {
		pairs = append(pairs, s.element(), s.element())
	}
	return pairs
}

func (s *streamTwins) command() []string {
	line := func(name string, more ...[]string) []string {
		return append(strings.Fields(name), slices.Concat(more...)...)
	}
	one := func(words ...string) []string { return words }
	key := one(s.key())
	switch n := s.rand.IntN(40); {
	case n < 14:
		words := line("XADD", key, s.maybe("NOMKSTREAM"))
		if s.rand.IntN(4) == 0 {
			words = append(words, s.trimming()...)
		}
		return slices.Concat(words, one(s.newID()), s.pairs())
	case n < 16:
		return line("XDEL", key, s.ids())
	case n < 17:
		return line("XTRIM", key, s.trimming())
	case n < 19:
		if s.rand.IntN(2) == 0 {
			return line("XRANGE", key, one(s.end("-"), s.end("+")), s.maybe("COUNT", s.number()))
		}
		return line("XREVRANGE", key, one(s.end("+"), s.end("-")), s.maybe("COUNT", s.number()))
	case n < 20:
		return line(s.pick("XLEN", "TYPE", "EXISTS", "OBJECT ENCODING"), key)
	case n < 21:
		if s.rand.IntN(6) > 0 {
			return line("XREAD", s.maybe("COUNT", s.number()), one("STREAMS", s.key(), s.key(), s.id(), s.id()))
		}
		// Rare: it breaks the order of IDs, and with it most of what follows.
		return s.setID(line, key)
	case n < 26:
		return s.readGroup(line)
	case n < 29:
		return line("XACK", key, one(s.group()), s.ids())
	case n < 34:
		return s.claim(line, key)
	case n < 36:
		words := line("XPENDING", key, one(s.group()))
		if s.rand.IntN(4) > 0 {
			words = append(words, slices.Concat(s.maybe("IDLE", s.idle()), one(s.end("-"), s.end("+"), s.number()), s.maybe(s.member()))...)
		}
		return words
	case n < 38:
		return s.groupCommand(line, key)
	case n < 39:
		return s.info(line, key)
	}
	return s.whole(line, key)
}

func (s *streamTwins) group() string {
	return s.pick("g", "g", "g", "h", strings.Repeat("long", 80), "none")
}
func (s *streamTwins) member() string { return s.pick("alice", "bob", "carol", "") }

// idle is a time that all items have been pending for, or none.
func (s *streamTwins) idle() string { return s.pick("0", "0", "-1", "1000000000000000", "x") }

func (s *streamTwins) setID(line liner, key []string) []string {
	s.ms++ // 7.2 refuses IDs below the largest that was deleted, 7.0 does not
	return line("XSETID", key, []string{fmt.Sprint(s.ms, "-1")}, s.maybe("ENTRIESADDED", strconv.Itoa(s.rand.IntN(60)-2)), s.maybe("MAXDELETEDID", s.id()))
}

func (s *streamTwins) readGroup(line liner) []string {
	words := line("XREADGROUP", []string{"GROUP", s.group(), s.member()}, s.maybe("COUNT", strconv.Itoa(s.rand.IntN(6)-1)))
	if s.rand.IntN(8) == 0 {
		words = append(words, "NOACK")
	}
	ids := func() string {
		if s.rand.IntN(3) > 0 {
			return ">"
		}
		return s.pick("0", s.id())
	}
	if s.rand.IntN(3) > 0 {
		return append(words, "STREAMS", s.key(), ids())
	}
	return append(words, "STREAMS", s.key(), s.key(), ids(), ids())
}

func (s *streamTwins) claim(line liner, key []string) []string {
	if s.rand.IntN(3) == 0 {
		return line("XAUTOCLAIM", key, []string{s.group(), s.member(), s.idle(), s.end("-")}, s.maybe("COUNT", s.pick("1", "2", "5", "0")), s.maybe("JUSTID"))
	}
	return line("XCLAIM", key, []string{s.group(), s.member(), s.idle()}, s.ids(), s.maybe("IDLE", s.number()), s.maybe("TIME", s.number()),
		s.maybe("RETRYCOUNT", s.number()), s.maybe("FORCE"), s.maybe("JUSTID"), s.maybe("LASTID", s.id()))
}

func (s *streamTwins) groupCommand(line liner, key []string) []string {
	group := []string{s.group()}
	switch s.rand.IntN(8) {
	case 0, 1, 2:
		return line("XGROUP CREATE", key, group, []string{s.pick("$", "0", s.id())}, s.maybe("MKSTREAM"), s.maybe("ENTRIESREAD", s.number()))
	case 3:
		return line("XGROUP SETID", key, group, []string{s.pick("$", "0", s.id())}, s.maybe("ENTRIESREAD", s.number()))
	case 4, 5:
		return line("XGROUP CREATECONSUMER", key, group, []string{s.member()})
	case 6:
		return line("XGROUP DELCONSUMER", key, group, []string{s.member()})
	}
	if s.rand.IntN(2) == 0 {
		return line("XGROUP DESTROY", key, group)
	}
	return line("XGROUP", []string{s.pick("SETID", "HELP", "CREATE", "NONE")}, key, group, []string{"0", "x", "MKSTREAM"})
}

func (s *streamTwins) info(line liner, key []string) []string {
	switch s.rand.IntN(4) {
	case 0:
		return line("XINFO STREAM", key, s.maybe("FULL"))
	case 1:
		return line("XINFO STREAM", key, []string{"FULL", "COUNT", s.number()})
	case 2:
		return line("XINFO GROUPS", key)
	}
	return line("XINFO CONSUMERS", key, []string{s.group()})
}

// whole is a command on keys of any type.
func (s *streamTwins) whole(line liner, key []string) []string {
	switch s.rand.IntN(12) {
	case 0:
		return line("DEL", key)
	case 1:
		return line("RENAME", key, []string{s.key()})
	case 2, 3:
		return line("COPY", key, []string{s.key()}, s.maybe("REPLACE"))
	case 4:
		return line("SET", []string{"string:a", "v"})
	}
	return line("EXISTS", key)
}
