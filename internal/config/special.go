package config

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"redoubt/internal/reason"
)

// This file holds the types of values that one directive only, or two, have.

// savePoints is pairs of seconds and changes; no pair means no snapshots. In a
// file each line adds to the lines before it: see directive.repeats.
type savePoints struct{}

func (savePoints) String() string { return "pairs of seconds and changes" }
func (savePoints) many() bool     { return true }

func (savePoints) parse(args []string, _ string) (string, error) {
	if len(args) == 1 && args[0] == "" {
		return "", nil
	}
	const bad = refusal("Invalid save parameters")
	if len(args)%2 != 0 {
		return "", bad
	}
	numbers := make([]string, len(args))
	for i, arg := range args {
		n, err := strconv.ParseInt(arg, 10, 64)
		if least := int64(1 - i%2); err != nil || n < least || n > math.MaxInt32 {
			return "", bad
		}
		numbers[i] = formatInt(n)
	}
	return strings.Join(numbers, " "), nil
}

func (savePoints) lines(text string) []string {
	if text == "" {
		return []string{`""`}
	}
	var lines []string
	for pair := range slices.Chunk(strings.Fields(text), 2) {
		lines = append(lines, strings.Join(pair, " "))
	}
	return lines
}

func readSavePoints(text string) []SavePoint {
	var points []SavePoint
	for pair := range slices.Chunk(strings.Fields(text), 2) {
		points = append(points, SavePoint{After: scaled(pair[0], time.Second), Changes: int(number(pair[1]))})
	}
	return points
}

// readShare reads a memory value that may be a percentage.
func readShare(text string) (bytes int64, percent int) {
	if n, ok := strings.CutSuffix(text, "%"); ok {
		return 0, int(number(n))
	}
	return number(text), 0
}

// outputLimits is a class, a hard limit, a soft limit and seconds, for each of
// the classes normal, replica (shown by its old name) and pubsub. A value may
// leave classes out, which then keep what they had.
type outputLimits struct{}

var outputClasses = []string{"normal", "slave", "pubsub"}

func (outputLimits) String() string { return "class, hard limit, soft limit, seconds; repeated" }
func (outputLimits) many() bool     { return true }

func (outputLimits) parse(args []string, old string) (string, error) {
	if len(args)%4 != 0 {
		return "", refusal("Wrong number of arguments in buffer limit configuration.")
	}
	limits := strings.Fields(old)
	for limit := range slices.Chunk(args, 4) {
		class := slices.IndexFunc(outputClasses, func(name string) bool {
			return strings.EqualFold(limit[0], name) || name == "slave" && strings.EqualFold(limit[0], "replica")
		})
		if class < 0 {
			return "", refusal("Invalid client class specified in buffer limit configuration.")
		}
		hard, ok1 := ParseMemory(limit[1])
		soft, ok2 := ParseMemory(limit[2])
		seconds, err := strconv.ParseInt(limit[3], 10, 32)
		if !ok1 || !ok2 || err != nil || seconds < 0 {
			return "", refusal("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
		}
		copy(limits[class*4+1:], []string{formatInt(hard), formatInt(soft), formatInt(seconds)})
	}
	return strings.Join(limits, " "), nil
}

func (outputLimits) lines(text string) []string {
	var lines []string
	for f := range slices.Chunk(strings.Fields(text), 4) {
		class := strings.Replace(f[0], "slave", "replica", 1)
		lines = append(lines, fmt.Sprintf("%s %s %s %s", class, formatMemory(f[1]), formatMemory(f[2]), f[3]))
	}
	return lines
}

func readOutputLimits(s *Settings, text string) {
	f := strings.Fields(text)
	for i, limit := range []*OutputLimit{&s.NormalOutput, &s.ReplicaOutput, &s.PubSubOutput} {
		values := f[i*4+1:]
		*limit = OutputLimit{HardBytes: number(values[0]), SoftBytes: number(values[1]), For: scaled(values[2], time.Second)}
	}
}

// percentiles is numbers from 0 to 100.
type percentiles struct{}

func (percentiles) String() string          { return "numbers from 0 to 100" }
func (percentiles) many() bool              { return true }
func (percentiles) lines(t string) []string { return []string{orEmpty(t)} }

func (percentiles) parse(args []string, _ string) (string, error) {
	if len(args) == 1 && args[0] == "" {
		return "", nil
	}
	values := make([]string, len(args))
	for i, arg := range args {
		p, err := strconv.ParseFloat(arg, 64)
		switch {
		case err != nil || math.IsNaN(p):
			return "", refusal("Invalid latency-tracking-info-percentiles parameters")
		case p < 0 || p > 100:
			return "", refusal("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
		}
		// The plus clears the sign of -0.
		values[i] = strings.TrimRight(strings.TrimRight(strconv.FormatFloat(p+0, 'f', 6, 64), "0"), ".")
	}
	return strings.Join(values, " "), nil
}

// readNumbers reads the canonical text of percentiles.
func readNumbers(text string) (numbers []float64) {
	for _, word := range strings.Fields(text) {
		n, _ := strconv.ParseFloat(word, 64)
		numbers = append(numbers, n)
	}
	return numbers
}

// oomScores is the kernel's badness for a primary, a replica and a child.
type oomScores struct{}

func (oomScores) String() string          { return "three integers, -2000 to 2000" }
func (oomScores) many() bool              { return true }
func (oomScores) lines(t string) []string { return []string{t} }

func (oomScores) parse(args []string, _ string) (string, error) {
	if len(args) != 3 {
		return "", errArguments
	}
	values := make([]string, len(args))
	for i, arg := range args {
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || n < -2000 || n > 2000 {
			return "", refusal("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
		}
		values[i] = formatInt(n)
	}
	return strings.Join(values, " "), nil
}

// readOOMScores reads those of a primary and a replica.
func readOOMScores(text string) (scores [2]int) {
	for i, word := range strings.Fields(text)[:len(scores)] {
		scores[i] = int(number(word))
	}
	return scores
}

// primary is a host and a port, or "no one".
type primary struct{}

func (primary) String() string { return "host and port, or no one" }
func (primary) many() bool     { return true }

func (primary) parse(args []string, _ string) (string, error) {
	if len(args) != 2 {
		return "", errArguments
	}
	host, port := args[0], args[1]
	if strings.EqualFold(host, "no") && strings.EqualFold(port, "one") {
		return "", nil
	}
	n, err := strconv.ParseInt(port, 10, 64)
	switch {
	case err != nil || n < 0 || n > 65535:
		return "", refusal("Invalid master port")
	case host == "" || !isWord(host):
		return "", refusal("Invalid master host")
	}
	return host + " " + formatInt(n), nil
}

func (primary) lines(text string) []string {
	if text == "" {
		return nil
	}
	return []string{text}
}

func readAddress(text string) Address {
	host, port, _ := strings.Cut(text, " ")
	return Address{Host: host, Port: int(number(port))}
}

// flags is any of several words, or the word default for none of them.
type flags struct{ names []string }

func (t flags) String() string        { return "default, or any of " + strings.Join(t.names, ", ") }
func (flags) many() bool              { return true }
func (flags) lines(t string) []string { return []string{t} }

func (t flags) parse(args []string, _ string) (string, error) {
	set := make([]bool, len(t.names))
	for _, arg := range args {
		i := slices.IndexFunc(t.names, func(name string) bool { return strings.EqualFold(arg, name) })
		if i >= 0 {
			set[i] = true
		} else if !strings.EqualFold(arg, "default") {
			return "", t.refuse()
		}
	}
	var names []string
	for i, name := range t.names {
		if set[i] {
			names = append(names, name)
		}
	}
	switch {
	case len(args) == 0:
		return "", t.refuse()
	case slices.Contains(names, "save") && slices.Contains(names, "nosave"):
		return "", refusal("shutdown options SAVE and NOSAVE can't be used simultaneously")
	case names == nil:
		return "default", nil
	}
	return strings.Join(names, " "), nil
}

func (t flags) refuse() error { return notOneOf(slices.Concat([]string{"default"}, t.names)) }

func readShutdown(text string) Shutdown {
	var set Shutdown
	for _, name := range strings.Fields(text) {
		if i := slices.Index(shutdownNames, name); i >= 0 {
			set |= 1 << i
		}
	}
	return set
}

// shutdownNames is in the order of the bits of Shutdown.
var shutdownNames = []string{"save", "nosave", "now", "force", "safe", "failover"}

// eventClasses is the letters of keyspace notifications.
type eventClasses struct{ single }

func (eventClasses) String() string          { return "any of Ag$lshzxeKEtmdn" }
func (eventClasses) lines(t string) []string { return []string{Quote(t)} }

func (eventClasses) parse(args []string, _ string) (string, error) {
	// A stands for all; m and n are not in it. Redis 7 leaves n out beside A
	// when it prints, and so loses it in a rewrite; later versions print it.
	const all, order = "g$lshzxetd", "g$lshzxetdKEmn"
	set := make(map[rune]bool)
	for _, c := range args[0] {
		switch {
		case c == 'A':
			for _, c := range all {
				set[c] = true
			}
		case strings.ContainsRune(order, c):
			set[c] = true
		default:
			return "", refusal("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
		}
	}
	full := !strings.ContainsFunc(all, func(c rune) bool { return !set[c] })
	var b strings.Builder
	if full {
		b.WriteByte('A')
	}
	for _, c := range order {
		if covered := full && strings.ContainsRune(all, c); set[c] && !covered {
			b.WriteRune(c)
		}
	}
	return b.String(), nil
}

// directory is a directory that exists. Its text is absolute; a relative one
// is taken from where the directive pointed before, as Redis changes the
// working directory with each dir.
type directory struct{ single }

func (directory) String() string          { return "a directory" }
func (directory) lines(t string) []string { return []string{Quote(t)} }

func (directory) parse(args []string, old string) (string, error) {
	path := args[0]
	if path == "" {
		return "", system(syscall.ENOENT)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(old, path)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", system(err)
	case !info.IsDir():
		return "", system(syscall.ENOTDIR)
	}
	return filepath.Clean(path), nil
}

// system is the system's words for an error alone, as strerror gives them.
func system(err error) error { return refusal(reason.System(err)) }

const errArguments = refusal("wrong number of arguments")

// isWord reports whether s can stand in a file as it is: printable, without
// blanks, quotes and backslashes, and no comment.
func isWord(s string) bool {
	return !strings.HasPrefix(s, "#") && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"'\`, r)
	})
}

// fileName refuses paths and, unless blank is set, the empty name.
func fileName(directive, what string, blank bool) func(string) error {
	return func(s string) error {
		switch {
		case s == "" && !blank:
			return fmt.Errorf("%s can't be empty", directive)
		case strings.ContainsAny(s, `/\`):
			return fmt.Errorf("%s can't be a path, just a %s", directive, what)
		}
		return nil
	}
}

func notEmpty(directive string) func(string) error {
	return func(s string) error {
		if s == "" {
			return fmt.Errorf("%s can't be empty", directive)
		}
		return nil
	}
}

func hostname(s string) error {
	if len(s) >= 256 {
		return refusal("Hostnames must be less than 256 characters")
	}
	for i := range len(s) {
		c := s[i]
		if !isAlnum(c) && c != '-' && c != '.' {
			return refusal("Hostnames may only contain alphanumeric characters, hyphens or dots")
		}
	}
	return nil
}

// ipv4 and ipv6 refuse what is no address of the family, as inet_pton does.
func ipv4(s string) error {
	if a, err := netip.ParseAddr(s); s != "" && (err != nil || !a.Is4()) {
		return refusal("Invalid IPv4 address")
	}
	return nil
}

func ipv6(s string) error {
	if a, err := netip.ParseAddr(s); s != "" && (err != nil || !a.Is6() || a.Zone() != "") {
		return refusal("Invalid IPv6 address")
	}
	return nil
}

// nodename refuses what would break the lines of nodes.conf. Redis lets blanks
// and control bytes pass, which do break them.
func nodename(s string) error {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("!#$%&()*+:;<>?@[]^{|}~\"'\\,=", c) >= 0 {
			return refusal("Announced human node name contained invalid character")
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
