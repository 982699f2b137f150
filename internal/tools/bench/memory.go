package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memoryOptions are the sizes of the measurements of memory.
type memoryOptions struct {
	options
	keys, small, elements, deleted, restarted, many, blocked int
	fill                                                     int // MiB
	passes                                                   int
	journal                                                  string
}

// A section is one measurement on a fresh server. It returns the same figures
// for both.
type section struct {
	name, title string
	journal     string // "" is what the flag says
	long        bool   // it runs if it is asked for
	run         func(o memoryOptions, n *node) ([]figure, error)
}

func runMemory(args []string) error {
	var o memoryOptions
	f := flag.NewFlagSet("bench memory", flag.ContinueOnError)
	o.binaries(f)
	f.IntVar(&o.keys, "keys", 5_000_000, "strings of 16 and 64 bytes")
	f.IntVar(&o.passes, "passes", 10, "how often each string is overwritten with other sizes")
	f.IntVar(&o.small, "small", 1_000_000, "small collections of ten elements")
	f.IntVar(&o.elements, "elements", 1_000_000, "elements of a large collection")
	f.IntVar(&o.deleted, "deleted", 1_000_000, "keys that are loaded, overwritten and deleted")
	f.IntVar(&o.restarted, "restarted", 2_000_000, "keys of a node that starts again")
	f.IntVar(&o.many, "many", 10_000_000, "keys, and elements of a list, that go at once (section pauses)")
	f.IntVar(&o.blocked, "blocked", 10_000, "clients that wait (section blocked)")
	f.IntVar(&o.fill, "fill", 2048, "MiB of keys and values of which four fifths are deleted (section compaction)")
	f.StringVar(&o.journal, "journal", "off", "journal while memory per key is measured: off, everysec, always")
	var names, short []string
	for _, s := range sections {
		names = append(names, s.name)
		if !s.long {
			short = append(short, s.name)
		}
	}
	only := f.String("only", strings.Join(short, ","), "which sections; compaction, pauses and blocked are others")
	if err := parse(f, args); err != nil {
		return err
	}
	for _, name := range strings.Split(*only, ",") {
		i := slices.Index(names, name)
		if i < 0 {
			return fmt.Errorf("there is no section %q; there are %s", name, strings.Join(names, ", "))
		}
		if err := o.measure(sections[i]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// measure runs one section on both servers, one after the other, and prints its
// table.
func (o memoryOptions) measure(s section) error {
	mode := s.journal
	if mode == "" {
		mode = o.journal
	}
	var got [2][]figure
	for i, start := range []func(...string) (*node, error){o.startTheirs, o.startOurs} {
		n, err := start(append(journal(mode), "--auto-aof-rewrite-percentage", "0")...)
		if err != nil {
			return err
		}
		got[i], err = s.run(o, n)
		n.stop()
		if err != nil {
			return err
		}
	}
	fmt.Printf("\n%s (journal %s)\n\n| | redis-server | Redoubt | ratio |\n| --- | --- | --- | --- |\n%s", s.title, mode, figuresRows(got[0], got[1]))
	return nil
}

// settle waits until the resident memory has not fallen for a time, half a minute
// at most, and returns it.
func (n *node) settle(steady time.Duration) (int64, error) {
	least, since, began := int64(0), time.Now(), time.Now()
	for {
		now, err := n.memory()
		if err != nil {
			return 0, err
		}
		if least == 0 || now < least-least/200 {
			least, since = now, time.Now()
		}
		if time.Since(since) > steady || time.Since(began) > 30*time.Second {
			return now, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// forgetPeak makes peak begin anew.
func (n *node) forgetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.cmd.Process.Pid), []byte("5"), 0)
}

// peak is the most memory that was resident since the start or forgetPeak.
func (n *node) peak() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	kib, err := strconv.ParseInt(strings.TrimSuffix(infoField(string(status), "VmHWM"), " kB"), 10, 64)
	return kib << 10, err
}

// rest is how long memory must not have fallen: twice as long as Redoubt waits
// between two looks for what it can compact.
const rest = 2 * time.Second

// A meter measures the memory of a server over that of the empty one, per thing.
type meter struct {
	n       *node
	empty   int64
	things  int
	figures []figure
	err     error // the first; nothing is done after it
}

func newMeter(n *node, things int) *meter {
	m := &meter{n: n, things: things}
	m.empty, m.err = n.settle(500 * time.Millisecond)
	return m
}

// send is node.send.
func (m *meter) send(count int, command func(b []byte, i int) []byte) {
	if m.err == nil {
		m.err = m.n.send(count, command)
	}
}

// load is send, with the thousands of things per second as a figure.
func (m *meter) load(count int, command func(b []byte, i int) []byte) {
	began := time.Now()
	m.send(count, command)
	m.figure("loaded, 1,000 per second", float64(m.things)/time.Since(began).Seconds()/1000)
}

// rest lets the server rest and notes its memory.
func (m *meter) rest(name string) {
	if m.err != nil {
		return
	}
	var now int64
	now, m.err = m.n.settle(rest)
	m.figure(name, float64(now-m.empty)/float64(m.things))
}

// peakOf notes the most memory during what f does.
func (m *meter) peakOf(name string, f func()) {
	if m.err == nil {
		m.err = m.n.forgetPeak()
	}
	f()
	if m.err == nil {
		var peak int64
		peak, m.err = m.n.peak()
		m.figure(name, float64(peak-m.empty)/float64(m.things))
	}
}

func (m *meter) figure(name string, v float64) {
	m.figures = append(m.figures, figure{name, v})
}

// holds fails if a command that counts has another answer: then less was measured
// than is said.
func (m *meter) holds(want int, command string) {
	if m.err != nil {
		return
	}
	if got := m.n.ask(command); got != fmt.Sprintf(":%d\r\n", want) {
		m.err = fmt.Errorf("%s: %s answers %q, not %d", m.n.name, command, got, want)
	}
}

func (m *meter) result() ([]figure, error) { return m.figures, m.err }
