package link

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// Net opens the sockets of an Endpoint: TCP, or what a test puts in its place. TLS is
// above it.
type Net interface {
	// Dial connects to addr, from the address source if that is valid, until
	// ctx ends.
	Dial(ctx context.Context, source netip.Addr, addr string) (net.Conn, error)
	// Listen binds addr. Accepted connections are probed when they have been
	// idle for keepAlive, if that is not zero.
	Listen(addr string, keepAlive time.Duration) (net.Listener, error)
}

// TCP is the Net of every cluster. Its connections have TCP_NODELAY,
// which is Go's default.
type TCP struct{}

// Dial implements Net.
func (TCP) Dial(ctx context.Context, source netip.Addr, addr string) (net.Conn, error) {
	var d net.Dialer
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return d.DialContext(ctx, "tcp", addr)
}

// Listen implements Net. As in Redis's anetKeepAlive, a connection is given up
// after three probes within the time of one keepAlive.
func (TCP) Listen(addr string, keepAlive time.Duration) (net.Listener, error) {
	const probes = 3
	lc := net.ListenConfig{KeepAlive: -1}
	if keepAlive > 0 {
		lc.KeepAliveConfig = net.KeepAliveConfig{
			Enable: true, Idle: keepAlive, Interval: max(keepAlive/probes, time.Second), Count: probes,
		}
	}
	return lc.Listen(context.Background(), "tcp", addr)
}
