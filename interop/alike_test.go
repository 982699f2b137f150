package interop

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/command"
	"redoubt/internal/command/commandtest"
	"redoubt/internal/redistest"
)

// TestRandomLinesAreAnsweredAlike sends random lines of all commands on data, among
// them many with arguments at the edge of what is taken, to Redoubt and to
// redis-server. The answers and the data must be the same.
func TestRandomLinesAreAnsweredAlike(t *testing.T) {
	t.Parallel()
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w := newTwinLines(t, seed)
			for i := range 2500 {
				w.step()
				if i%100 == 0 {
					sameDigest(t, w.theirs, w.ours)
				}
			}
			if w.lines < 2000 || w.refused > w.lines*2/3 {
				t.Errorf("%d lines, %d of them were refused", w.lines, w.refused)
			}
			sameDigest(t, w.theirs, w.ours)
		})
	}
}

// edges are arguments that take the place of others.
var edges = []string{
	"9223372036854775807", "-9223372036854775808", "-9223372036854775807", "9223372036854775808", "18446744073709551615",
	"-9223372036854775809", "2147483647", "-2147483648", "-2147483649", "-1", "0", "-0", "+5", " 5", "5 ", "05", "1e3", "0x10",
	"nan", "-nan", "inf", "-inf", "+inf", "infinity", "1e400", "1e-400", "1.5", ".5", "5.", "1e17", "1.7976931348623157e308",
	"4.9e-324", "3.0", "", "x", "(", "[", "-", "+", "*", "$", ">", "?", "(1", "[a", "(inf", "(-inf", "(nan", "0-0", "0-1",
	"18446744073709551615-18446744073709551615", "1-18446744073709551615", "1-18446744073709551616", "5-", "-5", "\xff\xfe",
	"u64", "i64", "u63", "i1", "u0", "i65", "#0", "#1", "#-1", "NX", "XX", "GT", "LT", "CH", "INCR", "COUNT", "LIMIT",
	"WITHSCORES", "REV", "BYLEX", "STORE", "KEEPTTL", "GET", "180", "-180.1", "85.05112878", "-85.05112878", "85.0512", "90",
}

// twinLines sends lines to two servers.
type twinLines struct {
	t            *testing.T
	ours, theirs *redistest.Server
	a, b         *redistest.Client // of the one and of the other
	history      history           // makes lines that change many elements
	rows         []*command.Row
	recent       []string // for a failure
	lines        int
	refused      int // of them, by redis-server
}

// unlike are commands whose answers are the server's own: what is chosen at random,
// cursors, encodings, payloads, and consumers, of which 7.2 makes more than 7.0.
// PFADD refuses what another command has damaged, PFSELFTEST takes seconds.
var unlike = strings.Fields(`spop randomkey scan hscan sscan zscan keys dump object|freq object|idletime object|encoding
	object|refcount pfadd pfdebug pfselftest restore-asking xgroup|createconsumer xgroup|delconsumer xinfo|consumers xinfo|stream
	msetex delifeq delex`)

// later are words of versions after 7.0.
var later = []string{"WITHSCORE", "IFEQ", "IFNE", "DIFF", "DIFF1", "ANDOR", "ONE"}

func newTwinLines(t *testing.T, seed uint64) *twinLines {
	w := &twinLines{t: t, ours: start(t, ours()), theirs: start(t, redistest.Redis)}
	w.a, w.b = w.ours.Client(), w.theirs.Client()
	w.both([]any{"HELLO", 2 + seed%2})
	w.history = history{t: t, dbs: historyDBs}
	w.history.lines = commandtest.Lines{Rand: rand.New(rand.NewPCG(seed, 9)), Keys: 3, Databases: historyDBs, Lasting: true}
	table := command.NewTable(
		command.Strings, command.Counters, command.Ranges, command.Bits, command.BitFields, command.HyperLogLogs,
		command.Geo, command.GeoSearches, command.Keys, command.Expiry, command.Serialization, command.Lists,
		command.ListMoves, command.Hashes, command.Sets, command.SetOperations, command.ZSets, command.ZPops,
		command.ZRanges, command.ZSetOperations, command.Waits, command.Streams, command.StreamGroups,
		command.StreamReads, command.StreamClaims)
	for _, r := range table.Rows() {
		if len(r.Sub) == 0 {
			w.rows = append(w.rows, r)
		}
		w.rows = append(w.rows, r.Sub...)
	}
	w.rows = slices.DeleteFunc(w.rows, func(r *command.Row) bool {
		return slices.Contains(unlike, r.FullName()) || strings.HasSuffix(r.FullName(), "|help")
	})
	return w
}

// step sends a line to both and compares the answers.
func (w *twinLines) step() {
	w.t.Helper()
	l := &w.history.lines
	l.Now = time.Now().UnixMilli()
	name, line := "", []any(nil)
	switch k := l.IntN(200); {
	case k == 0:
		name, line = "select", []any{"SELECT", l.IntN(l.Databases)}
	case k < 5:
		name, line = "bulk", w.history.bulk()
		if line[0] == "SPOP" || line[0] == "XADD" {
			return
		}
	default:
		r := w.rows[l.IntN(len(w.rows))]
		if name, line = r.FullName(), w.line(r); !fit(name, line) {
			return
		}
	}
	ours, theirs := w.both(line)
	w.lines++
	if theirs[0] == '-' {
		w.refused++
	}
	if !alike(name, ours, theirs) {
		w.t.Fatalf("%.300q is answered\n%.500q, by redis-server\n%.500q, after\n%s", line, ours, theirs, strings.Join(w.recent, "\n"))
	}
}

// line is a line for a row, some arguments of which may be edges, or one too many or
// too few.
func (w *twinLines) line(r *command.Row) (line []any) {
	l := &w.history.lines
	for _, arg := range l.Line(r) {
		line = append(line, string(arg))
	}
	if strings.HasPrefix(r.Name, "b") && !strings.HasPrefix(r.Name, "bit") {
		return line // it must not wait for long
	}
	words := 1 + strings.Count(r.FullName(), "|")
	for range 2 {
		if l.IntN(8) == 0 && len(line) > words {
			line[words+l.IntN(len(line)-words)] = edges[l.IntN(len(edges))]
		}
	}
	switch l.IntN(30) {
	case 0:
		line = append(line, edges[l.IntN(len(edges))])
	case 1:
		line = line[:max(len(line)-1, words)]
	}
	return line
}

func (w *twinLines) both(line []any) (ours, theirs []byte) {
	w.t.Helper()
	if w.recent = append(w.recent, fmt.Sprintf("%.200q", line)); len(w.recent) > 20 {
		w.recent = w.recent[1:]
	}
	ours, err := w.a.DoRaw(line...)
	if err == nil {
		theirs, err = w.b.DoRaw(line...)
	}
	if err != nil {
		w.t.Fatalf("%v, after\n%s", err, strings.Join(w.recent, "\n"))
	}
	return ours, theirs
}

// fit reports whether both servers take a line alike, in a time and with
// memory that a test has.
func fit(name string, line []any) bool {
	has := func(word string) bool { return slices.Contains(line, any(word)) }
	switch {
	case slices.ContainsFunc(later, has):
		return false
	case name == "zrank" || name == "zrevrank":
		return len(line) < 4 // the fourth is of 7.2
	case name == "xread":
		return !has("+") && (!has("BLOCK") || has("1"))
	case name == "xreadgroup":
		return !has("BLOCK")
	case name == "xadd":
		return !has("*")
	case name == "restore":
		return !has("9223372036854775807")
	case name == "setrange" || name == "setbit" || strings.HasPrefix(name, "bitfield"):
		return !slices.ContainsFunc(line, func(word any) bool { // strings of hundreds of MB
			n, err := strconv.ParseInt(strings.TrimPrefix(word.(string), "#"), 10, 64)
			return err == nil && n > 1<<20 && n < 1<<62
		})
	}
	return true
}

var (
	numbers  = regexp.MustCompile(`-?[0-9]+(\.[0-9]+)?(e[-+]?[0-9]+)?`)
	integers = regexp.MustCompile(`[0-9]+`)
)

// alike reports whether two answers are the same, up to texts of 7.2 and what shown
// leaves out.
func alike(name string, x, y []byte) bool {
	const unbalanced = "-ERR Unbalanced" // names the command since 7.2
	switch {
	case bytes.Equal(x, y), bytes.HasPrefix(x, []byte(unbalanced)) && bytes.HasPrefix(y, []byte(unbalanced)):
		return true
	case x[0] == '-' || y[0] == '-':
		return false
	}
	p, err1 := shown(name, x)
	q, err2 := shown(name, y)
	return err1 == nil && err2 == nil && p == q
}

// shown is an answer without times, without what is chosen at random, in the order of
// its elements where there is no other, and with the shortest digits of scores, of
// which 7.0 writes 17.
func shown(name string, raw []byte) (string, error) {
	switch name {
	case "ttl", "pttl", "expiretime", "pexpiretime", "xpending":
		return integers.ReplaceAllString(string(raw), "n"), nil
	case "hrandfield", "srandmember", "zrandmember":
		if raw[0] == '$' {
			return "one", nil
		}
		head, _, _ := strings.Cut(string(raw), "\r\n")
		return head, nil
	}
	scores := strings.HasPrefix(name, "z") || strings.HasPrefix(name, "bz")
	s, err := redistest.Show(raw, !scores)
	if scores {
		s = numbers.ReplaceAllStringFunc(s, func(n string) string {
			f, _ := strconv.ParseFloat(n, 64)
			return strconv.FormatFloat(f, 'g', -1, 64)
		})
	}
	return s, err
}
