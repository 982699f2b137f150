package server

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"redoubt/internal/config"
	"redoubt/internal/resp"
)

// acceptsPerTurn bounds how many connections are taken at once, so that a
// storm of them does not starve those that are there.
const acceptsPerTurn = 1000

// listener is a TCP socket that loop 0 polls.
type listener struct {
	fd      int
	addr    string
	resting bool // not polled until the next housekeeping
}

// listenTCP binds the configured addresses. An address that begins with '-' may
// be missing on this machine. Port 0 is no TCP.
func listenTCP(cfg *config.Settings) ([]*listener, error) {
	if cfg.Port == 0 {
		return nil, nil
	}
	var ls []*listener
	for _, addr := range cfg.Bind {
		optional := strings.HasPrefix(addr, "-")
		host := strings.TrimPrefix(addr, "-")
		l, err := listenOn(host, cfg.Port, cfg.TCPBacklog)
		if err != nil {
			if optional && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EAFNOSUPPORT)) {
				continue
			}
			for _, l := range ls {
				l.close()
			}
			return nil, fmt.Errorf("Could not create server TCP listening socket %s:%d: bind: %w", addr, cfg.Port, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}

func listenOn(host string, port, backlog int) (*listener, error) {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: port})
	any6 := host == "*" || host == "::" || host == "::*"
	ip := net.ParseIP(host)
	switch {
	case host == "*":
	case any6:
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: port}
	case ip == nil:
		resolved, err := net.ResolveIPAddr("ip", host)
		if err != nil {
			return nil, err
		}
		ip = resolved.IP
		fallthrough
	default:
		if v4 := ip.To4(); v4 != nil {
			sa = &unix.SockaddrInet4{Port: port, Addr: [4]byte(v4)}
		} else {
			family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: [16]byte(ip.To16())}
		}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	fail := func(err error) (*listener, error) {
		unix.Close(fd)
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fail(os.NewSyscallError("setsockopt", err))
	}
	if family == unix.AF_INET6 {
		// IPv4 has a socket of its own, as in Redis.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return fail(os.NewSyscallError("setsockopt", err))
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return fail(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return fail(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return fail(os.NewSyscallError("getsockname", err))
	}
	return &listener{fd: fd, addr: address(bound)}, nil
}

func (ln *listener) close() { unix.Close(ln.fd) }

// listenerOf returns the listener with this descriptor, if l polls it.
func (s *Server) listenerOf(l *loop, fd int) *listener {
	if l.id != 0 {
		return nil
	}
	for _, ln := range s.listeners {
		if ln.fd == fd {
			return ln
		}
	}
	return nil
}

// accept takes what has connected and hands it to the loops.
func (l *loop) accept(ln *listener) {
	for range acceptsPerTurn {
		fd, sa, err := unix.Accept4(ln.fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			if err != unix.EAGAIN && err != unix.ECONNABORTED && err != unix.EINTR {
				l.srv.acceptErrors.Warn(l.srv.log, "Accepting client connection", zap.Error(err))
				// Out of descriptors, most likely. The socket stays ready, so it
				// is left alone until the next housekeeping.
				l.poll.remove(ln.fd)
				ln.resting = true
			}
			return
		}
		l.tune(fd)
		local := ln.addr
		if at, err := unix.Getsockname(fd); err == nil {
			local = address(at)
		}
		c := l.srv.newConn(fd, address(sa), local)
		refusal := l.srv.admit()
		if refusal == "" && l.exposed(c) {
			l.srv.rejected.Add(1)
			refusal = resp.ErrProtectedMode
		}
		home := l.srv.loopFor(c.id)
		then := func() {
			if refusal != "" {
				home.turnAway(c, refusal)
			}
		}
		if home == l {
			l.adopt(c)
			then()
		} else {
			home.expect(c, then)
		}
	}
}

// tune sets a connection's options. Failures leave it slower, not wrong.
func (l *loop) tune(fd int) {
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if idle := int(l.cfg.TCPKeepAlive / time.Second); idle > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, idle)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, max(1, idle/3))
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 3)
	}
}

// admit counts a new connection; the error is why there is no room for it.
func (s *Server) admit() resp.Error {
	s.accepted.Add(1)
	if s.clients.Add(1) <= s.config.Current().MaxClients {
		return ""
	}
	s.rejected.Add(1)
	if s.cluster != nil {
		return resp.ErrMaxClientsCluster
	}
	return resp.ErrMaxClients
}

// exposed reports whether protected mode keeps the connection out: it comes
// from elsewhere and the user default needs no password.
func (l *loop) exposed(c *conn) bool {
	return l.cfg.ProtectedMode && l.srv.users.fallback.rules.Load().NoPass() && !c.loopback
}

// turnAway answers a connection that may not stay and closes it.
func (l *loop) turnAway(c *conn, err resp.Error) {
	c.out.Error(err)
	c.state |= stateClosing
	l.wantWrite(c)
}

// giveTo makes a file one of a group.
func giveTo(path, group string) error {
	g, err := user.LookupGroup(group)
	if err == nil {
		group = g.Gid
	}
	id, numeric := strconv.Atoi(group)
	if numeric != nil || id < 0 {
		return errors.New("there is no such group")
	}
	return os.Chown(path, -1, id)
}

// listenUnix serves a Unix socket through wires until the server ends.
func (s *Server) listenUnix(cfg *config.Settings) error {
	path, perm, group := cfg.UnixSocket, cfg.UnixSocketPerm, cfg.UnixSocketGroup
	_ = os.Remove(path) // left by a server that was killed
	ln, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("Failed opening Unix socket: bind: %w", err)
	}
	if group != "" { // before the mode, which lets the group in
		if err := giveTo(path, group); err != nil {
			ln.Close()
			return fmt.Errorf("Failed opening Unix socket: unixsocketgroup %s: %w", group, err)
		}
	}
	if perm != 0 {
		if err := os.Chmod(path, perm); err != nil {
			ln.Close()
			return fmt.Errorf("Failed opening Unix socket: %w", err)
		}
	}
	s.unixListener = ln
	s.goroutines.Go(func() {
		for {
			nc, err := ln.Accept()
			switch {
			case errors.Is(err, net.ErrClosed):
				return
			case err != nil:
				// Out of descriptors, most likely: others will be closed.
				s.acceptErrors.Warn(s.log, "Accepting client connection", zap.Error(err))
				time.Sleep(cronPeriod)
			default:
				s.serveWire(nc)
			}
		}
	})
	return nil
}

// reservedFiles is how many descriptors clients must leave to the journal,
// snapshots, replicas and the bus: whoever opens a file there cannot do
// without it.
const reservedFiles = 128

// clientRoom is how many clients the limit on open files has room for. The Go
// runtime has raised that as far as it may be.
func clientRoom() int64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return max(int64(limit.Cur)-reservedFiles, 1)
}

// fitMaxClients takes maxclients down to what the system allows, as Redis's
// adjustOpenFilesLimit.
func (s *Server) fitMaxClients(room int64) {
	if was := s.config.Current().MaxClients; was > room {
		s.log.Warn(fmt.Sprintf("You requested maxclients of %d requiring at least %d max file descriptors.", was, was+reservedFiles))
		s.log.Warn(fmt.Sprintf("maxclients has been reduced to %d to compensate for low ulimit. If you need higher maxclients increase 'ulimit -n'.", room))
		s.Record("maxclients", strconv.FormatInt(room, 10))
	}
}

// address is a socket address as CLIENT LIST shows it.
func address(sa unix.Sockaddr) string {
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return fmt.Sprintf("%d.%d.%d.%d:%d", a.Addr[0], a.Addr[1], a.Addr[2], a.Addr[3], a.Port)
	case *unix.SockaddrInet6:
		return fmt.Sprintf("[%s]:%d", net.IP(a.Addr[:]), a.Port)
	}
	return "?:0"
}
