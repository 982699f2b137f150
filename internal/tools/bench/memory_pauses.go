package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// memoryPauses loads very many keys, and deletes as many elements at a time, and
// looks at how long a single command takes and another client waits.
func memoryPauses(o memoryOptions, n *node) ([]figure, error) {
	m := newMeter(n, o.many)
	m.worst("worst of 1,000 requests a second to the empty server, ms", 5*time.Second)
	m.logSlow()
	m.load(o.many, setter(0, fixed(valueBytes)))
	m.slowest("longest command of the load, ms")
	m.worst("worst of 1,000 requests a second after it, ms", 5*time.Second)
	m.goes("FLUSHALL")
	m.send(o.many/batch, func(b []byte, i int) []byte {
		args := [2 + batch][]byte{[]byte("RPUSH"), []byte("list")}
		for j := range batch {
			args[2+j] = decimal(i*batch + j)
		}
		return request(b, args[:]...)
	})
	m.holds(o.many/batch*batch, "LLEN list")
	m.goes("DEL list")
	return m.result()
}

// goes notes what a command costs that makes everything go.
func (m *meter) goes(command string) {
	if m.err != nil {
		return
	}
	p, err := startProbe(m.n, 1000, 1<<20)
	if err != nil {
		m.err = err
		return
	}
	time.Sleep(time.Second)
	c, err := net.Dial("tcp", "127.0.0.1:"+m.n.port)
	if err != nil {
		m.err = err
		return
	}
	defer c.Close()
	began := time.Now()
	fmt.Fprintf(c, "%s\r\n", command)
	m.err = skipReply(bufio.NewReader(c))
	m.figure(command+" answers after, ms", float64(time.Since(began))/1e6)
	m.probed("worst request in the 10 seconds after that, ms", p, 10*time.Second)
	now, err := m.n.memory()
	m.err = errors.Join(m.err, err)
	m.figure("resident then over that of the empty server, MiB", mib(now-m.empty))
}

// logSlow has the slow log begin anew, with all commands of 0.1 ms and more.
func (m *meter) logSlow() {
	m.n.ask("CONFIG SET slowlog-log-slower-than 100")
	m.n.ask("CONFIG SET slowlog-max-len 1000")
	m.n.ask("SLOWLOG RESET")
}

// slowest notes the longest command of the slow log.
func (m *meter) slowest(name string) {
	if m.err != nil {
		return
	}
	c, err := net.Dial("tcp", "127.0.0.1:"+m.n.port)
	if err != nil {
		m.err = err
		return
	}
	defer c.Close()
	fmt.Fprint(c, "SLOWLOG GET 1000\r\nPING\r\n")
	longest, header := 0, 0
	for lines := bufio.NewScanner(c); lines.Scan() && lines.Text() != "+PONG"; header++ {
		if lines.Text() == "*6" {
			header = 0
		}
		if header == 3 { // behind the entry's number and time
			us, _ := strconv.Atoi(strings.TrimPrefix(lines.Text(), ":"))
			longest = max(longest, us)
		}
	}
	m.figure(name, float64(longest)/1000)
}

// waiters are clients that wait for lists, in the order in which they began.
type waiters struct {
	n     *node
	lists int
	conns []net.Conn // the i-th waits for list i%lists
}

// memoryBlocked lets many clients wait for fewer lists, serves them, and checks that
// they are served in the order in which they began to wait.
func memoryBlocked(o memoryOptions, n *node) ([]figure, error) {
	n.ask("CONFIG SET maxclients " + strconv.Itoa(o.blocked+100))
	m := newMeter(n, o.blocked)
	w := &waiters{n: n, lists: o.blocked / 10}
	defer w.close()
	for range 10 {
		if m.err == nil {
			m.err = w.block()
		}
	}
	m.rest("bytes per client that waits")
	if m.err != nil {
		return nil, m.err
	}
	// The third of each list leaves: nobody may be served in its place.
	for i := range w.lists {
		w.conns[2*w.lists+i].Close()
	}
	if m.err = w.awaitBlocked(9 * w.lists); m.err != nil {
		return nil, m.err
	}
	m.logSlow()
	p, err := startProbe(n, 1000, 1<<20)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	m.send(w.lists*9, func(b []byte, i int) []byte {
		return request(b, []byte("RPUSH"), fmt.Append(nil, "list", i%w.lists), decimal(i/w.lists))
	})
	if m.err == nil {
		m.err = w.served()
	}
	m.figure("all served after, ms", float64(time.Since(began))/1e6)
	m.probed("worst of 1,000 requests a second meanwhile, ms", p, 0)
	m.slowest("longest command, ms")
	return m.result()
}

// block lets one more client wait for each list.
func (w *waiters) block() error {
	for i := range w.lists {
		c, err := net.Dial("tcp", "127.0.0.1:"+w.n.port)
		if err != nil {
			return err
		}
		w.conns = append(w.conns, c)
		fmt.Fprintf(c, "BLPOP list%d 0\r\n", i)
	}
	return w.awaitBlocked(len(w.conns))
}

func (w *waiters) awaitBlocked(want int) error {
	got := ""
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if got = infoField(w.n.ask("INFO clients"), "blocked_clients"); got == strconv.Itoa(want) {
			return nil
		}
	}
	return fmt.Errorf("%s: %s clients wait, not %d", w.n.name, got, want)
}

// served checks what each client gets that is still there.
func (w *waiters) served() error {
	for i, c := range w.conns {
		turn := i / w.lists
		switch {
		case turn == 2:
			continue
		case turn > 2:
			turn--
		}
		c.SetReadDeadline(time.Now().Add(30 * time.Second))
		list := fmt.Sprint("list", i%w.lists)
		want := fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$1\r\n%d\r\n", len(list), list, turn)
		got := make([]byte, len(want))
		for n := 0; n < len(got); {
			more, err := c.Read(got[n:])
			if err != nil {
				return fmt.Errorf("%s: client %d of %s: %w", w.n.name, i/w.lists, list, err)
			}
			n += more
		}
		if string(got) != want {
			return fmt.Errorf("%s: client %d of %s got %q", w.n.name, i/w.lists, list, got)
		}
	}
	return nil
}

func (w *waiters) close() {
	for _, c := range w.conns {
		c.Close()
	}
}
