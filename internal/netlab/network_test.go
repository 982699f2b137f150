package netlab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// echoPort is the port of the servers that send back what they get.
	echoPort = 7
	// within is how long what has to happen may take: the machine may be busy.
	within = 20 * time.Second
	// vain is for how long a test waits for what must not happen.
	vain = 300 * time.Millisecond
)

// serve has a host send back what it gets.
func serve(t *testing.T, h *Host) {
	t.Helper()
	ln, err := h.Listen(echoPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
}

// startPair is two hosts, and serves in the second.
func startPair(t *testing.T) (n *Network, a, b *Host) {
	t.Helper()
	n = Start(t, 2, 1)
	serve(t, n.Hosts[1])
	return n, n.Hosts[0], n.Hosts[1]
}

func dial(h, to *Host, limit time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return h.Dial(ctx, netip.AddrPortFrom(to.Addr(), echoPort))
}

func mustDial(t *testing.T, h, to *Host) net.Conn {
	t.Helper()
	conn, err := dial(h, to, within)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// echo sends a number and waits for it to come back.
func echo(conn net.Conn, limit time.Duration) error {
	conn.SetDeadline(time.Now().Add(limit))
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	var b [5]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return err
	}
	if string(b[:]) != "hello" {
		return fmt.Errorf("%q came back", b)
	}
	return nil
}

func mustEcho(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := echo(conn, within); err != nil {
		t.Fatal(err)
	}
}

func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("%s: %v, want a timeout", what, err)
	}
}

func TestHostsReachEachOther(t *testing.T) {
	n, a, b := startPair(t)
	conn := mustDial(t, a, b)
	mustEcho(t, conn)
	if got := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr(); got != a.Addr() {
		t.Errorf("the connection comes from %v, not %v", got, a)
	}
	if s := n.Stats(); s.Packets == 0 || s.Bytes == 0 {
		t.Errorf("the switch has seen nothing: %+v", s)
	}
}

// What stands survives a cut that does not last, because TCP sends again.
func TestDropBothWays(t *testing.T) {
	n, a, b := startPair(t)
	conn := mustDial(t, a, b)
	mustEcho(t, conn)
	n.SetBoth(n.Hosts[:1], n.Hosts[1:], Cut)
	_, err := dial(a, b, vain)
	wantTimeout(t, "a connection through a cut", err)
	before := n.Stats().Packets
	wantTimeout(t, "bytes through a cut", echo(conn, vain))
	if got := n.Stats(); got.Packets != before || got.Dropped == 0 {
		t.Errorf("packets pass a cut: %+v, %d before it", got, before)
	}
	n.Heal()
	conn.SetDeadline(time.Now().Add(within))
	var b5 [5]byte
	if _, err := io.ReadFull(conn, b5[:]); err != nil {
		t.Errorf("what was sent during the cut: %v", err)
	}
	mustEcho(t, conn)
}

// With one direction cut, bytes arrive and nobody hears of it.
func TestDropOneWay(t *testing.T) {
	n, a, b := startPair(t)
	ln, err := b.Listen(8)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	out, err := a.Dial(ctx, netip.AddrPortFrom(b.Addr(), 8))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	n.Set(n.Hosts[1:], n.Hosts[:1], Cut)
	out.Write([]byte("x"))
	in.SetDeadline(time.Now().Add(within))
	var one [1]byte
	if _, err := io.ReadFull(in, one[:]); err != nil {
		t.Errorf("in the direction that is open: %v", err)
	}
	in.Write([]byte("y"))
	out.SetDeadline(time.Now().Add(vain))
	_, err = io.ReadFull(out, one[:])
	wantTimeout(t, "in the direction that is cut", err)
	if r, back := n.Rule(a, b), n.Rule(b, a); r != (Rule{}) || back != Cut {
		t.Errorf("the rules are %v and %v", r, back)
	}
}

func TestReject(t *testing.T) {
	n, a, b := startPair(t)
	conn := mustDial(t, a, b)
	mustEcho(t, conn)
	n.Set(n.Hosts[:1], n.Hosts[1:], Rule{Reject: true})
	if err := echo(conn, within); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
		t.Errorf("a connection that stands: %v", err)
	}
	if _, err := dial(a, b, within); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a new connection: %v", err)
	}
	var udp net.Conn
	err := a.within(func() { udp, _ = net.Dial("udp4", fmt.Sprintf("%v:9", b)) })
	if err != nil || udp == nil {
		t.Fatal(err)
	}
	defer udp.Close()
	udp.Write([]byte("x"))
	udp.SetDeadline(time.Now().Add(within))
	if _, err := udp.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a datagram: %v", err)
	}
	if n.Stats().Rejected < 3 {
		t.Errorf("%+v", n.Stats())
	}
	n.Heal()
	mustEcho(t, mustDial(t, a, b))
}

func TestDelay(t *testing.T) {
	n, a, b := startPair(t)
	conn := mustDial(t, a, b)
	const delay = 150 * time.Millisecond
	n.SetBoth(n.Hosts[:1], n.Hosts[1:], Rule{Delay: delay})
	began := time.Now()
	mustEcho(t, conn)
	if took := time.Since(began); took < 2*delay {
		t.Errorf("a round trip took %v, of two delays of %v", took, delay)
	}
	n.Heal()
	mustEcho(t, conn)
}

// Everything arrives in its order for TCP, whatever jitter and loss do to packets.
func TestJitterAndLoss(t *testing.T) {
	n, a, b := startPair(t)
	conn := mustDial(t, a, b)
	n.SetBoth(n.Hosts[:1], n.Hosts[1:], Rule{Delay: time.Millisecond, Jitter: 5 * time.Millisecond, Loss: 0.05})
	const numbers = 20_000
	conn.SetDeadline(time.Now().Add(3 * within))
	go func() {
		for i := range uint32(numbers) {
			conn.Write(binary.BigEndian.AppendUint32(nil, i))
		}
	}()
	for i := range uint32(numbers) {
		var b [4]byte
		if _, err := io.ReadFull(conn, b[:]); err != nil {
			t.Fatal(err)
		}
		if got := binary.BigEndian.Uint32(b[:]); got != i {
			t.Fatalf("number %d is %d", i, got)
		}
	}
	if n.Stats().Lost == 0 {
		t.Error("no packet was lost")
	}
}

// Datagrams show the order of packets: it is kept without jitter, and not with it.
func TestOrder(t *testing.T) {
	n := Start(t, 2, 1)
	a, b := n.Hosts[0], n.Hosts[1]
	for _, c := range []struct {
		rule    Rule
		ordered bool
	}{
		{Rule{}, true},
		{Rule{Delay: 20 * time.Millisecond}, true},
		{Rule{Delay: 5 * time.Millisecond, Jitter: 50 * time.Millisecond}, false},
	} {
		var from, to net.PacketConn
		err := errors.Join(
			a.within(func() { from, _ = net.ListenPacket("udp4", ":0") }),
			b.within(func() { to, _ = net.ListenPacket("udp4", ":0") }))
		if err != nil || from == nil || to == nil {
			t.Fatal(err)
		}
		defer from.Close()
		defer to.Close()
		n.Set(n.Hosts[:1], n.Hosts[1:], c.rule)
		port := to.LocalAddr().(*net.UDPAddr).Port
		const packets = 200
		for i := range packets {
			ip := b.Addr().As4()
			if _, err := from.WriteTo([]byte{byte(i)}, &net.UDPAddr{IP: ip[:], Port: port}); err != nil {
				t.Fatal(err)
			}
		}
		ordered, one := true, make([]byte, 1)
		to.SetReadDeadline(time.Now().Add(within))
		for i := range packets {
			if _, _, err := to.ReadFrom(one); err != nil {
				t.Fatalf("%v: packet %d: %v", c.rule, i, err)
			}
			ordered = ordered && one[0] == byte(i)
		}
		if ordered != c.ordered {
			t.Errorf("%v: in order: %t", c.rule, ordered)
		}
	}
}

// A connection lives through a link that is cut half of the time.
func TestFlap(t *testing.T) {
	n, a, b := startPair(t)
	conn := mustDial(t, a, b)
	n.SetBoth(n.Hosts[:1], n.Hosts[1:], Rule{Flap: 100 * time.Millisecond})
	for deadline := time.Now().Add(within); n.Stats().Dropped == 0; {
		mustEcho(t, conn)
		if time.Now().After(deadline) {
			t.Fatal("nothing is dropped")
		}
	}
	mustEcho(t, conn)
}

func TestBandwidth(t *testing.T) {
	n, a, b := startPair(t)
	conn := mustDial(t, a, b)
	const rate, size = 500_000, 300_000
	n.Set(n.Hosts[:1], n.Hosts[1:], Rule{Bandwidth: rate})
	conn.SetDeadline(time.Now().Add(3 * within))
	began := time.Now()
	go conn.Write(make([]byte, size))
	if _, err := io.ReadFull(conn, make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if took, least := time.Since(began), time.Duration(size)*time.Second/rate; took < least {
		t.Errorf("%d bytes took %v, at least %v was to be", size, took, least)
	}
}

// A host that has moved is reached at its new address and not at the old one.
func TestReaddress(t *testing.T) {
	n, a, b := startPair(t)
	old := mustDial(t, a, b)
	mustEcho(t, old)
	was := b.Addr()
	if err := b.Readdress(Address(1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := a.Readdress(b.Addr()); err == nil {
		t.Error("two hosts have one address")
	}
	mustEcho(t, mustDial(t, a, b))
	wantTimeout(t, "a connection that stands", echo(old, vain))
	ctx, cancel := context.WithTimeout(t.Context(), vain)
	defer cancel()
	_, err := a.Dial(ctx, netip.AddrPortFrom(was, echoPort))
	wantTimeout(t, "the old address", err)
	_ = n
}

// Processes see only their host, and end with the network.
func TestProcesses(t *testing.T) {
	n := Start(t, 1, 1)
	sees := exec.Command("cat", "/proc/self/net/dev")
	var out strings.Builder
	sees.Stdout = &out
	if err := n.Hosts[0].Start(sees); err != nil {
		t.Fatal(err)
	}
	if err := sees.Wait(); err != nil || !strings.Contains(out.String(), device) || strings.Contains(out.String(), "eth0") {
		t.Errorf("%v: the process sees\n%s", err, &out)
	}
	if here, err := os.ReadFile("/proc/thread-self/net/dev"); err != nil || strings.Contains(string(here), device) {
		t.Errorf("%v: here is\n%s", err, here)
	}

	m, err := New(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	stays := exec.Command("sleep", "1000")
	if err := m.Hosts[0].Start(stays); err != nil {
		m.Close()
		t.Fatal(err)
	}
	m.Close()
	if err := stays.Wait(); err == nil || !stays.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
		t.Errorf("a process outlives the network: %v", err)
	}
}

// BenchmarkThroughput is bytes through the switch and back; cpu-ns/KB is what this
// process, the echo included, spends on them.
func BenchmarkThroughput(b *testing.B) {
	n := Start(b, 2, 1)
	ln, err := n.Hosts[1].Listen(echoPort)
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	conn, err := dial(n.Hosts[0], n.Hosts[1], within)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	chunk := make([]byte, 64<<10)
	b.SetBytes(int64(len(chunk)))
	var before, after syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	for b.Loop() {
		if _, err := conn.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	spent := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(spent)/float64(b.N*len(chunk)>>10), "cpu-ns/KB")
}
