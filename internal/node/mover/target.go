package mover

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"redoubt/internal/resp"
	"redoubt/internal/tlsconf"
)

// target is a connection to a node that takes keys.
type target struct {
	conn   net.Conn
	secure bool // by TLS
	in     *bufio.Reader
	db     int64 // selected there; -1 if not known
}

// place is where a connection leads, and how.
type place struct {
	addr   string
	secure bool
}

const (
	maxTargets   = 64
	targetIdle   = 10 * time.Second
	targetChunk  = 64 << 10 // bytes that must get through within one timeout
	maxReplyLine = 4 << 10
)

// targetCache keeps one idle connection to each of the last targets, since
// keys are moved in many small steps.
type targetCache struct {
	tls  func() (*tls.Config, bool) // see Parts
	life context.Context            // ended by close
	end  context.CancelFunc

	mu     sync.Mutex // guards what follows
	idle   map[place]*idleTarget
	open   map[*target]struct{} // in use
	closed bool
}

type idleTarget struct {
	*target
	expiry *time.Timer
}

func (c *targetCache) init() {
	c.life, c.end = context.WithCancel(context.Background())
	c.idle = make(map[place]*idleTarget)
	c.open = make(map[*target]struct{})
}

// len counts the connections that are kept.
func (c *targetCache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle)
}

// get gives the idle connection to addr, or a new one.
func (c *targetCache) get(addr string, timeout time.Duration) (*target, error) {
	var config *tls.Config
	to := place{addr: addr}
	if c.tls != nil {
		config, to.secure = c.tls()
	}
	c.mu.Lock()
	if i := c.idle[to]; i != nil && i.expiry.Stop() {
		delete(c.idle, to)
		c.open[i.target] = struct{}{}
		c.mu.Unlock()
		return i.target, nil
	}
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.life, timeout)
	defer cancel()
	conn, err := dialTarget(ctx, addr)
	if err == nil && to.secure {
		conn, err = tlsconf.Secure(ctx, conn, config)
	}
	if err != nil {
		return nil, err
	}
	t := &target{conn: conn, secure: to.secure, in: bufio.NewReaderSize(conn, maxReplyLine), db: -1}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return nil, net.ErrClosed
	}
	c.open[t] = struct{}{}
	return t, nil
}

// dialTarget connects. To Go no host is this machine, to Redis it is none; and a
// port that is none refuses.
func dialTarget(ctx context.Context, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return nil, errNoHost
	}
	if n, err := strconv.Atoi(port); err != nil || n <= 0 || n > 65535 {
		return nil, syscall.ECONNREFUSED
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

var errNoHost = errors.New("mover: no host to migrate to")

// dialFailure is the error for a client. Redis connects without waiting, and
// finds out that it was refused when it writes.
func dialFailure(err error) resp.Error {
	for _, late := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH} {
		if errors.Is(err, late) {
			return targetFailure("writing")
		}
	}
	return errMigrateConnect
}

func targetFailure(doing string) resp.Error {
	return resp.Error("IOERR error or timeout " + doing + " to target instance")
}

// put takes a connection back, to be used again if it is sound.
func (c *targetCache) put(addr string, t *target, sound bool) {
	at := place{addr, t.secure}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, t)
	if !sound || c.closed || c.idle[at] != nil || len(c.idle) >= maxTargets {
		t.conn.Close()
		return
	}
	i := &idleTarget{target: t}
	i.expiry = time.AfterFunc(targetIdle, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.idle[at] == i {
			delete(c.idle, at)
		}
		t.conn.Close()
	})
	c.idle[at] = i
}

// close breaks all connections, and those that are being opened.
func (c *targetCache) close() {
	c.end()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, i := range c.idle {
		i.expiry.Stop()
		i.conn.Close()
	}
	clear(c.idle)
	for t := range c.open {
		t.conn.Close()
	}
}

func joinHostPort(host, port []byte) string { return net.JoinHostPort(string(host), string(port)) }

// send sends all keys of a move and marks those that the target took. After a
// failure that may stem from a connection that was closed while idle it tries
// once more, as long as nothing has been answered.
func (m *Mover) send(v *move) { m.exchange(v, v.keys, v.replace) }

// resend sends keys that changed on their way; what the target has of them is
// ours. A key without a payload is deleted there.
func (m *Mover) resend(v *move, keys []*movingKey) { m.exchange(v, keys, true) }

func (m *Mover) exchange(v *move, keys []*movingKey, replace bool) {
	for attempt := 0; ; attempt++ {
		t, err := m.conns.get(v.addr, v.timeout)
		if err != nil {
			v.fail(dialFailure(err))
			return
		}
		answered, failure := m.converse(t, v, keys, replace)
		sound := failure == nil
		if sound && v.err != "" {
			t.db = -1 // the target may have refused SELECT
		}
		m.conns.put(v.addr, t, sound)
		if sound {
			return
		}
		if answered || attempt > 0 || errors.Is(failure.err, os.ErrDeadlineExceeded) {
			v.fail(targetFailure(failure.doing))
			return
		}
	}
}

// brokenTarget is a connection that failed, and at what.
type brokenTarget struct {
	doing string
	err   error
}

// converse is one request of all keys in one go, and its replies. answered says
// whether the reply to a key has come.
func (m *Mover) converse(t *target, v *move, keys []*movingKey, replace bool) (answered bool, failure *brokenTarget) {
	prelude, request, sent := m.request(t, v, keys, replace)
	if len(sent) == 0 {
		return false, nil // all have expired
	}
	for len(request) > 0 {
		n := min(len(request), targetChunk)
		if err := t.conn.SetDeadline(time.Now().Add(v.timeout)); err != nil {
			return false, &brokenTarget{"writing", err}
		}
		if _, err := t.conn.Write(request[:n]); err != nil {
			return false, &brokenTarget{"writing", err}
		}
		request = request[n:]
	}
	var refused string
	for range prelude {
		line, err := t.readLine(v.timeout)
		if err != nil {
			return false, &brokenTarget{"reading", err}
		}
		if refused == "" && strings.HasPrefix(line, "-") {
			refused = line
		}
	}
	for _, k := range sent {
		line, err := t.readLine(v.timeout)
		if err != nil {
			return answered, &brokenTarget{"reading", err}
		}
		answered = true
		switch {
		case refused != "":
			line = refused
		case !strings.HasPrefix(line, "-"):
			k.taken = k.payload != nil
			continue
		}
		v.fail(resp.Error("ERR Target instance replied with error: " + strings.TrimPrefix(line, "-")))
	}
	if refused == "" {
		t.db = v.migration.db
	}
	return answered, nil
}

// request is what to send: AUTH and SELECT if need be, whose replies are the
// prelude, then a RESTORE for each key that has not expired by now.
func (m *Mover) request(t *target, v *move, keys []*movingKey, replace bool) (prelude int, request []byte, sent []*movingKey) {
	if v.auth != nil {
		request = resp.AppendArray(request, append([][]byte{[]byte("AUTH")}, v.auth...)...)
		prelude++
	}
	if t.db != v.migration.db {
		request = resp.AppendArray(request, []byte("SELECT"), strconv.AppendInt(nil, v.migration.db, 10))
		prelude++
	}
	name := []byte("RESTORE")
	if m.Cluster {
		name = []byte("RESTORE-ASKING")
	}
	now := time.Now().UnixMilli()
	for _, k := range keys {
		if k.payload == nil {
			request = resp.AppendArray(request, nameDel, k.name)
			sent = append(sent, k)
			continue
		}
		ttl := int64(0)
		if k.expireAt != 0 {
			if ttl = k.expireAt - now; ttl < 0 {
				continue
			}
			ttl = max(ttl, 1)
		}
		args := [][]byte{name, k.name, strconv.AppendInt(nil, ttl, 10), k.payload, []byte("REPLACE")}
		if !replace {
			args = args[:4]
		}
		request = resp.AppendArray(request, args...)
		sent = append(sent, k)
	}
	return prelude, request, sent
}

// readLine reads one reply of one line, without its end. A longer one is an
// error of the connection.
func (t *target) readLine(timeout time.Duration) (string, error) {
	if err := t.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", err
	}
	line, err := t.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}
