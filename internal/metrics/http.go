package metrics

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Verdict is whether somebody may read the metrics.
type Verdict uint8

const (
	Granted   Verdict = iota
	NoLogin           // a name and a password are missing or wrong
	NoRights          // the user may not call what the metrics tell
	Unguarded         // asked from elsewhere, while nobody needs a password
)

// Login is who asks for metrics.
type Login struct {
	Name, Password string
	Given          bool   // there were credentials
	Remote         string // address and port
	Local          bool   // from a loopback address
}

// Config is what a Server serves. The functions may be called by several goroutines at
// once, but for Measure.
type Config struct {
	// Enter finds whether somebody may read the metrics. May tells, of who is granted
	// that, which commands the user may call besides: what those tell is on the page of
	// such users only.
	Enter func(Login) (v Verdict, may func(command ...string) bool)
	// Measure writes the page.
	Measure func(p *Page, may func(command ...string) bool)
	// Healthy says whether the process works, Ready whether it serves.
	Healthy, Ready func() Report
	// Secure is asked of each new connection: whether it is to speak TLS, and with what.
	// Without a configuration it is closed. Nil: none speaks TLS.
	Secure func() (wanted bool, cfg *tls.Config)
	Log    *zap.Logger
}

// Limits of the HTTP side. Whoever scrapes needs one connection.
const (
	maxConnections = 64
	maxHeaderBytes = 8 << 10
	readTimeout    = 5 * time.Second   // of a request
	writeTimeout   = 15 * time.Second  // of an answer
	idleTimeout    = 150 * time.Second // between two requests: longer than people let pass between scrapes
)

// Server answers HTTP requests, on no address at first.
type Server struct {
	config Config
	http   http.Server
	serves sync.WaitGroup

	measuring sync.Mutex // one page at a time is made
	scratch   *Page      // guarded by measuring

	mu        sync.Mutex
	listeners map[string]*listener // by their addresses; guarded by mu
	conns     int                  // open ones of all listeners; guarded by mu
	closed    bool                 // guarded by mu
}

// New returns a Server.
func New(c Config) *Server {
	s := &Server{config: c, listeners: map[string]*listener{}, scratch: NewPage()}
	s.http = http.Server{
		Handler:           http.HandlerFunc(s.handle),
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		Protocols:                    new(http.Protocols),
	}
	s.http.Protocols.SetHTTP1(true)
	if errors, err := zap.NewStdLogAt(c.Log, zap.DebugLevel); err == nil {
		s.http.ErrorLog = errors // what broken clients do
	}
	return s
}

// Listen serves on these addresses and no others, as bind has them: one with a leading
// dash may be missing, * and ::* are all. With port 0 it serves nowhere. After an error
// everything is as before.
func (s *Server) Listen(hosts []string, port int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, fresh := map[string]*listener{}, []*listener{}
	for _, word := range hosts {
		if port == 0 || s.closed {
			break
		}
		host, optional := strings.CutPrefix(word, "-")
		network, address := place(host, port)
		if ln := s.listeners[network+address]; ln != nil {
			wanted[network+address] = ln
			continue
		}
		if wanted[network+address] != nil {
			continue
		}
		inner, err := net.Listen(network, address)
		if err != nil {
			if optional && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
				continue
			}
			for _, ln := range fresh {
				ln.Listener.Close()
			}
			return fmt.Errorf("Failed listening on metrics-port %d (%s): %w", port, host, cause(err))
		}
		ln := &listener{Listener: inner, srv: s, conns: map[*conn]struct{}{}}
		wanted[network+address] = ln
		fresh = append(fresh, ln)
	}
	for at, ln := range s.listeners {
		if wanted[at] == nil {
			ln.end()
		}
	}
	s.listeners = wanted
	for _, ln := range fresh {
		s.serves.Go(func() { _ = s.http.Serve(ln) })
	}
	return nil
}

// place is where to listen. IPv4 and IPv6 have sockets of their own, as those for
// clients have.
func place(host string, port int) (network, address string) {
	network = "tcp4"
	switch {
	case host == "*":
		host = ""
	case host == "::*":
		network, host = "tcp6", ""
	case strings.Contains(host, ":"):
		network = "tcp6"
	case net.ParseIP(host) == nil:
		network = "tcp" // a name
	}
	return network, net.JoinHostPort(host, strconv.Itoa(port))
}

// cause is the system's reason without Go's words around it.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Loopback reports whether all of these addresses, as in Listen, can be reached from
// this machine only.
func Loopback(hosts []string) bool {
	for _, host := range hosts {
		a, err := netip.ParseAddr(strings.TrimPrefix(host, "-"))
		if err != nil || !a.Unmap().IsLoopback() {
			return false
		}
	}
	return true
}

// Addrs is where the server listens, for tests and the log.
func (s *Server) Addrs() (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.listeners {
		list = append(list, ln.Addr().String())
	}
	return list
}

// Close ends everything. It waits for nobody who is being answered.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, ln := range s.listeners {
		ln.end()
	}
	s.listeners = nil
	s.mu.Unlock()
	s.http.Close()
	s.serves.Wait()
}

// listener bounds the connections, and can close those it has taken.
type listener struct {
	net.Listener
	srv   *Server
	conns map[*conn]struct{} // guarded by Server.mu
	ended bool               // guarded by Server.mu
}

// Accept takes the next connection there is room for. The others are closed: whoever
// opens that many is no scraper.
func (ln *listener) Accept() (net.Conn, error) {
	for {
		nc, err := ln.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := ln.admit(nc); c != nil {
			if outer := ln.srv.secure(c); outer != nil {
				return outer, nil
			}
			nc = c
		}
		nc.Close()
	}
}

// secure puts TLS over a connection, if that is wanted. It returns nil if it cannot be had.
func (s *Server) secure(c *conn) net.Conn {
	if s.config.Secure == nil {
		return c
	}
	switch wanted, cfg := s.config.Secure(); {
	case !wanted:
		return c
	case cfg == nil:
		return nil
	default:
		return tls.Server(c, cfg)
	}
}

// HangUp closes all connections, and goes on listening.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ln := range s.listeners {
		ln.hangUp()
	}
}

func (ln *listener) admit(nc net.Conn) *conn {
	s := ln.srv
	s.mu.Lock()
	defer s.mu.Unlock()
	if ln.ended || s.conns >= maxConnections {
		return nil
	}
	c := &conn{Conn: nc, ln: ln}
	ln.conns[c] = struct{}{}
	s.conns++
	return c
}

// end closes the listener and its connections. Server.mu is held.
func (ln *listener) end() {
	ln.ended = true
	ln.Listener.Close()
	ln.hangUp()
}

// hangUp closes the connections. Server.mu is held.
func (ln *listener) hangUp() {
	for c := range ln.conns {
		c.Conn.Close() // the goroutine that serves it closes the rest
	}
}

type conn struct {
	net.Conn
	ln *listener
}

// Close gives the place back.
func (c *conn) Close() error {
	s := c.ln.srv
	s.mu.Lock()
	if _, open := c.ln.conns[c]; open {
		delete(c.ln.conns, c)
		s.conns--
	}
	s.mu.Unlock()
	return c.Conn.Close()
}

// handle answers one request. There are three pages and no others.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, "only GET and HEAD\n")
		return
	}
	switch r.URL.Path {
	case "/metrics":
		s.metrics(w, r)
	case "/healthz":
		report(w, s.config.Healthy(), "ok", "not healthy")
	case "/readyz":
		report(w, s.config.Ready(), "ready", "not ready")
	case "/":
		answer(w, http.StatusOK, "/metrics\n/healthz\n/readyz\n")
	default:
		answer(w, http.StatusNotFound, "no such page: /metrics, /healthz and /readyz are\n")
	}
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	name, password, given := r.BasicAuth()
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	v, may := s.config.Enter(Login{
		Name: name, Password: password, Given: given,
		Remote: r.RemoteAddr, Local: err == nil && remote.Addr().Unmap().IsLoopback(),
	})
	switch v {
	case NoLogin:
		w.Header().Set("WWW-Authenticate", `Basic realm="metrics", charset="UTF-8"`)
		answer(w, http.StatusUnauthorized, "the name and the password of a user of this server are needed (HTTP basic authentication)\n")
	case NoRights:
		answer(w, http.StatusForbidden, "this user may not read metrics: that needs the permission to call INFO\n")
	case Unguarded:
		answer(w, http.StatusForbidden, "metrics are not served beyond this machine while the user who asks needs no password\n")
	default:
		text := s.page(may)
		w.Header().Set("Content-Type", ContentType)
		send(w, http.StatusOK, text)
	}
}

func (s *Server) page(may func(command ...string) bool) []byte {
	s.measuring.Lock()
	defer s.measuring.Unlock()
	s.scratch.Reset()
	s.config.Measure(s.scratch, may)
	return s.scratch.Bytes()
}

func report(w http.ResponseWriter, r Report, good, bad string) {
	status := http.StatusOK
	if len(r.Problems) > 0 {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, r.text(good, bad))
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	send(w, status, []byte(text))
}

func send(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // to HEAD nothing is sent; an error is that of the client
}
