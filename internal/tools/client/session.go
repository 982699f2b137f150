package client

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/tidwall/resp"

	"redoubt/slots"
)

// maxRedirects bounds how often one command is sent on. A slot on its way
// needs two.
const maxRedirects = 5

// ErrNotPrimary says that the node at an address that was a primary's is a replica.
var ErrNotPrimary = errors.New("client: the node is a replica now")

// ErrNoOwner says that no node is known to serve a slot.
var ErrNoOwner = errors.New("client: no node is known to serve the slot")

// Session sends commands to the owners of their slots over connections of
// its own, one a node. It belongs to one goroutine; many sessions share a
// Cluster.
type Session struct {
	cluster *Cluster
	conns   map[string]*Conn
}

// NewSession returns a session without connections; they are made when
// needed.
func (c *Cluster) NewSession() *Session {
	return &Session{cluster: c, conns: map[string]*Conn{}}
}

// Close closes the session's connections.
func (s *Session) Close() {
	for addr := range s.conns {
		s.drop(addr)
	}
}

// Do sends a command about slot to the slot's owner and follows redirects.
// The error is that of the last attempt: the earlier ones were refused, and
// so were not executed. It is ErrNoOwner, ErrNotPrimary, a
// *ReplyError or a *NetError.
func (s *Session) Do(slot slots.Slot, args ...string) (resp.Value, error) {
	addr := s.cluster.Owner(slot)
	if addr == "" {
		s.cluster.refreshSoon()
		return resp.Value{}, ErrNoOwner
	}
	asking := false
	for try := 0; ; try++ {
		v, err := s.at(addr, asking, args)
		if err == nil {
			return v, nil
		}
		var re *ReplyError
		if !errors.As(err, &re) {
			s.cluster.refreshSoon()
			return resp.Value{}, err
		}
		code, next, ok := redirect(re)
		if !ok || try == maxRedirects || !s.cluster.source.redirects {
			if code := re.Code(); code == "CLUSTERDOWN" || code == "READONLY" {
				if s.cluster.source.confirms {
					s.drop(addr) // it was a primary when it was dialled
				}
				s.cluster.refreshSoon()
			}
			return resp.Value{}, err
		}
		if asking = code == "ASK"; !asking {
			s.cluster.moved(slot, next)
		}
		addr = next
	}
}

// at sends one command to addr, behind ASKING if asking.
func (s *Session) at(addr string, asking bool, args []string) (resp.Value, error) {
	conn, err := s.conn(addr)
	if err != nil {
		return resp.Value{}, err
	}
	cmds := [][]string{args}
	if asking {
		cmds = [][]string{{"ASKING"}, args}
	}
	vs, err := conn.Pipeline(cmds...)
	if err != nil {
		s.drop(addr)
		return resp.Value{}, err
	}
	v := vs[len(vs)-1]
	return v, conn.replyError(v)
}

// Pipeline sends commands about slots of one owner to that owner, without
// following redirects; see Conn.Pipeline.
func (s *Session) Pipeline(addr string, cmds ...[]string) ([]resp.Value, error) {
	conn, err := s.conn(addr)
	if err != nil {
		return nil, err
	}
	vs, err := conn.Pipeline(cmds...)
	if err != nil {
		s.drop(addr)
	}
	return vs, err
}

// conn returns the session's connection to addr, made if need be.
func (s *Session) conn(addr string) (*Conn, error) {
	if c := s.conns[addr]; c != nil {
		return c, nil
	}
	c, err := Dial(addr, s.cluster.opts)
	if err != nil {
		return nil, err
	}
	if s.cluster.source.confirms {
		if err := c.confirm(); err != nil {
			c.Close()
			return nil, err
		}
	}
	s.conns[addr] = c
	return c, nil
}

// confirm returns an error if the node says that it is a replica. A proxy or a user without
// the permission may refuse to say.
func (c *Conn) confirm() error {
	v, err := c.Do("ROLE")
	var ne *NetError
	if errors.As(err, &ne) {
		return &NetError{Addr: ne.Addr, Op: "dial", Err: ne.Err} // the caller's command was not sent
	}
	if f := v.Array(); err == nil && len(f) > 0 && f[0].String() == "slave" {
		return ErrNotPrimary
	}
	return nil
}

func (s *Session) drop(addr string) {
	if c := s.conns[addr]; c != nil {
		c.Close()
		delete(s.conns, addr)
	}
}

// redirect reads "MOVED slot host:port" and "ASK slot host:port". An empty
// host means the node that sent the error, as with
// cluster-preferred-endpoint-type unknown-endpoint.
func redirect(e *ReplyError) (code, addr string, ok bool) {
	f := strings.Fields(e.Text)
	if len(f) < 3 || f[0] != "MOVED" && f[0] != "ASK" {
		return "", "", false
	}
	host, port, err := splitAddr(f[2])
	if err != nil {
		return "", "", false
	}
	if host == "" || host == "?" {
		if host, _, err = net.SplitHostPort(e.Addr); err != nil {
			return "", "", false
		}
	}
	return f[0], net.JoinHostPort(host, strconv.Itoa(port)), true
}

// splitAddr splits at the last colon, so that it reads IPv6 addresses with
// and without brackets.
func splitAddr(s string) (host string, port int, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", 0, fmt.Errorf("address %q has no port", s)
	}
	port, err = strconv.Atoi(s[i+1:])
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("address %q has a bad port", s)
	}
	return strings.Trim(s[:i], "[]"), port, nil
}

// SplitAddr splits "host:port" at the last colon, as redis-cli does, so that
// an IPv6 address needs no brackets. The host must not be empty.
func SplitAddr(s string) (host string, port int, err error) {
	host, port, err = splitAddr(s)
	if err == nil && host == "" {
		err = fmt.Errorf("address %q has no host", s)
	}
	return host, port, err
}
