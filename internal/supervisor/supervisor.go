// Package supervisor talks to the service manager that has started the process: it says
// when the process serves and when it ends, what it is about, and that it is not hung.
//
// systemd is spoken to by the protocol of sd_notify(3): datagrams with lines NAME=value to
// the socket that NOTIFY_SOCKET names. upstart is told that the process is ready by
// SIGSTOP. What the manager is told of is a Process, which package node and package
// sentinel implement; nothing is decided here.
package supervisor

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/reason"
)

// Process is what a service manager is told of. One goroutine calls its methods, none of
// which may wait.
type Process interface {
	// Alive reports whether all that serves has taken a turn since it was asked last.
	Alive() bool
	// Advancing reports whether a start, a save or an end that holds everything up has got
	// on since it was asked last.
	Advancing() bool
	// Status is a line about what the process does.
	Status() string
}

// Kinds of managers, by the values of the directive supervised and the words of INFO.
const (
	None    = "no"
	Upstart = "upstart"
	Systemd = "systemd"
	Auto    = "auto"
)

const (
	// period is how often the process is looked at, unless the watchdog wants it more often.
	period = time.Second
	// extension is for how much longer a start or an end that gets on may take: it is asked
	// for in each period.
	extension = 30 * time.Second
	// sendTimeout is how long a message may wait for a manager that does not read.
	sendTimeout = 5 * time.Second
)

// Manager is the service manager. A nil Manager is none, and can be told everything.
type Manager struct {
	kind     string
	log      *zap.Logger
	socket   *net.UnixAddr // of systemd; nil if it is not that
	watchdog time.Duration // within which a sign of life is due; 0: none is wanted

	said     chan message
	over     chan struct{} // closed when nothing more comes
	finished chan struct{} // closed when everything was sent
	watch    sync.Once
	end      sync.Once

	failed string // why a message was not sent, the last time; "" if it was. The goroutine's
}

// A message is lines for systemd; done, if not nil, is closed when they are sent.
type message struct {
	lines []string
	done  chan struct{}
}

// Find finds the manager that the directive supervised speaks of, and says so in the log
// as Redis does. It is nil if there is none: the process then runs on its own, as one that
// Redis cannot have supervised does.
//
// What it finds in the environment is removed there. It was meant for this process, and
// not for the scripts that a Sentinel starts.
func Find(supervised string, log *zap.Logger) *Manager {
	kind := supervised
	if kind == Auto {
		switch {
		case os.Getenv("UPSTART_JOB") != "":
			log.Debug("Upstart supervision detected.")
			kind = Upstart
		case os.Getenv("NOTIFY_SOCKET") != "":
			log.Debug("Systemd supervision detected.")
			kind = Systemd
		}
	}
	m := &Manager{kind: kind, log: log, said: make(chan message), over: make(chan struct{}), finished: make(chan struct{})}
	var err error
	switch kind {
	case Upstart:
		err = m.findUpstart()
	case Systemd:
		err = m.findSystemd()
	default:
		return nil
	}
	if err != nil {
		log.Warn(reason.Of(err))
		return nil
	}
	go m.run()
	return m
}

func (m *Manager) findUpstart() error {
	if os.Getenv("UPSTART_JOB") == "" {
		return errors.New("upstart supervision requested, but UPSTART_JOB not found!")
	}
	m.log.Info("supervised by upstart, will stop to signal readiness.")
	return os.Unsetenv("UPSTART_JOB")
}

func (m *Manager) findSystemd() error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return errors.New("systemd supervision error: NOTIFY_SOCKET not found!")
	}
	if name[0] != '/' && name[0] != '@' {
		return fmt.Errorf("systemd supervision error: NOTIFY_SOCKET is %q, which is neither a path nor an abstract name", name)
	}
	m.socket, m.watchdog = &net.UnixAddr{Name: name, Net: "unixgram"}, watchdogOf(os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID"), os.Getpid())
	if err := m.transmit("STATUS=Redis is loading...\n"); err != nil {
		return fmt.Errorf("systemd supervision error: sd_notify: %w", err)
	}
	m.log.Info("Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and TimeoutStopSec in your service unit.")
	return errors.Join(os.Unsetenv("NOTIFY_SOCKET"), os.Unsetenv("WATCHDOG_USEC"), os.Unsetenv("WATCHDOG_PID"))
}

// watchdogOf is within which time signs of life are due: 0 if none are wanted, or by
// another process (sd_watchdog_enabled(3)).
func watchdogOf(usec, pid string, own int) time.Duration {
	if pid != "" && pid != strconv.Itoa(own) {
		return 0
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(time.Duration(1<<63-1)/time.Microsecond) {
		return 0
	}
	return time.Duration(n) * time.Microsecond
}

// Kind is the manager's name in INFO.
func (m *Manager) Kind() string {
	if m == nil {
		return None
	}
	return m.kind
}

// Watch has the process looked at from now on, until Close.
func (m *Manager) Watch(p Process) {
	if m == nil || m.socket == nil {
		return
	}
	m.watch.Do(func() { go m.look(p) })
}

// Ready says that the process serves. Its number is told as well: where a script has
// started it, that is not the one which systemd has started. It returns when the manager
// has been told.
func (m *Manager) Ready(p Process) {
	switch {
	case m == nil:
	case m.kind == Upstart:
		if err := syscall.Kill(os.Getpid(), syscall.SIGSTOP); err != nil {
			m.log.Warn("upstart supervision error", zap.Error(err))
		}
	default:
		m.tell("STATUS="+line(p.Status()), "MAINPID="+strconv.Itoa(os.Getpid()), "READY=1")
	}
}

// Stopping says that the process ends and that nothing will change that. systemd wants
// no more signs of life from then on. It returns when the manager has been told.
func (m *Manager) Stopping() {
	if m != nil && m.socket != nil {
		m.tell("STOPPING=1")
	}
}

// Close ends the talk. What was said has been sent when it returns.
func (m *Manager) Close() {
	if m != nil {
		m.end.Do(func() { close(m.over) })
		<-m.finished
	}
}

// tell has lines sent, and returns when they are.
func (m *Manager) tell(lines ...string) {
	done := make(chan struct{})
	if m.post(message{lines, done}) {
		<-done
	}
}

// post hands a message to the goroutine that sends, unless that has ended.
func (m *Manager) post(msg message) bool {
	select {
	case m.said <- msg:
		return true
	case <-m.over:
		return false
	}
}

// run sends what is said.
func (m *Manager) run() {
	defer close(m.finished)
	for {
		select {
		case msg := <-m.said:
			m.send(msg.lines...)
			if msg.done != nil {
				close(msg.done)
			}
		case <-m.over:
			return
		}
	}
}

// look tells systemd what it sees of the process, again and again.
func (m *Manager) look(p Process) {
	tick := time.NewTicker(m.pace())
	defer tick.Stop()
	status := ""
	for {
		select {
		case <-tick.C:
		case <-m.over:
			return
		}
		var lines []string
		if now := line(p.Status()); now != status {
			status = now
			lines = append(lines, "STATUS="+now)
		}
		alive, advancing := p.Alive(), p.Advancing()
		if advancing {
			lines = append(lines, "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(extension.Microseconds(), 10))
		}
		if m.watchdog > 0 && (alive || advancing) {
			lines = append(lines, "WATCHDOG=1")
		}
		if len(lines) > 0 && !m.post(message{lines: lines}) {
			return
		}
	}
}

// pace is how often the process is looked at: four times within the time of the watchdog
// at least, so that neither a sign that comes late nor one long turn is taken for a hang.
func (m *Manager) pace() time.Duration {
	if m.watchdog > 0 {
		return max(min(period, m.watchdog/4), time.Millisecond)
	}
	return period
}

// send sends lines as one datagram. What cannot be sent is logged, once for each reason.
func (m *Manager) send(lines ...string) {
	why := ""
	if err := m.transmit(strings.Join(lines, "\n") + "\n"); err != nil {
		if why = reason.Of(err); why != m.failed {
			m.log.Warn("systemd supervision error: sd_notify: " + why)
		}
	}
	m.failed = why
}

// transmit sends a datagram, by a socket of its own: a connected one would not find a
// manager again that has made its socket anew.
func (m *Manager) transmit(text string) error {
	conn, err := net.DialUnix("unixgram", nil, m.socket)
	if err != nil {
		return fmt.Errorf("%s: %w", m.socket.Name, err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(text))
	return err
}

// line is a text without ends of lines, which would begin another message.
func line(text string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(text) }
