package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// device is the name of a host's only interface beside lo, and mtu its largest packet.
const (
	device = "tun0"
	mtu    = 1500
	prefix = 16 // of the addresses
)

// Host is a network namespace with one address, connected to the switch.
type Host struct {
	network *Network
	index   int
	addr    netip.Addr // guarded by network.mu
	ns      *os.File   // the namespace
	tun     *os.File   // the switch's end of the device
	tasks   chan func()
	gone    chan struct{} // closed when the host's thread has ended
}

// Lacking says what this machine lacks to make networks, or "".
func Lacking() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		return "there is no /dev/net/tun (modprobe tun)"
	}
	return ""
}

// newHost makes a namespace and its device.
func newHost(n *Network, index int, addr netip.Addr) (*Host, error) {
	h := &Host{network: n, index: index, addr: addr, tasks: make(chan func()), gone: make(chan struct{})}
	ready := make(chan error, 1)
	go h.live(ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	if err := h.do(func() error { return h.configure() }); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// live is the host's own thread, which is in the namespace for as long as the host is
// there. The processes of the host begin here, because the kernel ends them with the
// thread that has begun them (PR_SET_PDEATHSIG).
func (h *Host) live(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread would never end, and /proc/self would show its namespace.
		go h.live(ready)
		<-h.gone
		runtime.UnlockOSThread()
		return
	}
	defer close(h.gone) // the thread is still locked, so it ends
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		h.ns, err = os.Open("/proc/thread-self/ns/net")
	}
	ready <- err
	if err != nil {
		return
	}
	for task := range h.tasks {
		task()
	}
}

// do runs f on the host's thread.
func (h *Host) do(f func() error) error {
	done := make(chan error, 1)
	h.tasks <- func() { done <- f() }
	return <-done
}

// configure makes the device and sets its address. It runs on the host's thread.
func (h *Host) configure() error {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("/dev/net/tun: %w", err)
	}
	ifr, err := unix.NewIfreq(device)
	if err == nil {
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	}
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("the device %s: %w", device, err)
	}
	h.tun = os.NewFile(uintptr(fd), device)
	return errors.Join(
		setInterface("lo", unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP); return nil }),
		setInterface(device, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(mtu); return nil }),
		setAddress(h.addr),
		setInterface(device, unix.SIOCSIFFLAGS, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }),
	)
}

// setAddress replaces the address of the device in the namespace of this thread.
func setAddress(addr netip.Addr) error {
	ip, mask := addr.As4(), net.CIDRMask(prefix, 32)
	return errors.Join(
		setInterface(device, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(ip[:]) }),
		setInterface(device, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask) }),
	)
}

// setInterface makes one ioctl of an interface (netdevice(7)).
func setInterface(name string, request uint, fill func(*unix.Ifreq) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq(name)
	if err == nil {
		err = fill(ifr)
	}
	if err == nil {
		err = unix.IoctlIfreq(fd, request, ifr)
	}
	if err != nil {
		return fmt.Errorf("interface %s, request %#x: %w", name, request, err)
	}
	return nil
}

// close ends the processes of the host and its device.
func (h *Host) close() {
	close(h.tasks)
	<-h.gone
	if h.tun != nil {
		h.tun.Close()
	}
	h.ns.Close()
}

// Addr is the address of the host.
func (h *Host) Addr() netip.Addr {
	h.network.mu.Lock()
	defer h.network.mu.Unlock()
	return h.addr
}

// String is the address.
func (h *Host) String() string { return h.Addr().String() }

// Readdress gives the host another address; see Address. Connections of the old one are
// as good as cut.
func (h *Host) Readdress(addr netip.Addr) error {
	n := h.network
	n.mu.Lock()
	defer n.mu.Unlock()
	if other := n.byAddr[addr]; other != nil && other != h {
		return fmt.Errorf("netlab: host %d has the address %v", other.index, addr)
	}
	if err := h.do(func() error { return setAddress(addr) }); err != nil {
		return fmt.Errorf("netlab: host %d: %w", h.index, err)
	}
	delete(n.byAddr, h.addr)
	h.addr = addr
	n.byAddr[addr] = h
	return nil
}

// Start begins a process in the host. The caller waits for it. It is killed when the
// network is closed, and when this process ends.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return h.do(cmd.Start)
}

// Dial connects from the host to an address, which has to be one of IP.
func (h *Host) Dial(ctx context.Context, addr netip.AddrPort) (conn net.Conn, err error) {
	failed := h.within(func() {
		var d net.Dialer
		conn, err = d.DialContext(ctx, "tcp4", addr.String())
	})
	return conn, errors.Join(failed, err)
}

// Listen listens in the host on a port of all its addresses.
func (h *Host) Listen(port uint16) (ln net.Listener, err error) {
	failed := h.within(func() {
		var c net.ListenConfig
		ln, err = c.Listen(context.Background(), "tcp4", fmt.Sprintf(":%d", port))
	})
	return ln, errors.Join(failed, err)
}

// within runs f on a thread that is in the namespace meanwhile. Sockets stay in the
// namespace in which they were made.
func (h *Host) within(f func()) error {
	runtime.LockOSThread()
	if err := unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("netlab: into host %d: %w", h.index, err)
	}
	f()
	if err := unix.Setns(int(h.network.outside.Fd()), unix.CLONE_NEWNET); err != nil {
		// The thread stays locked, and ends with its goroutine.
		return fmt.Errorf("netlab: out of host %d: %w", h.index, err)
	}
	runtime.UnlockOSThread()
	return nil
}

// pump takes what the host sends to the switch, until the device is closed.
func (h *Host) pump() {
	b := make([]byte, 64<<10)
	for {
		size, err := h.tun.Read(b)
		if err != nil {
			return
		}
		h.network.route(h, b[:size])
	}
}

// receive hands the host a packet. One that it has no room for is lost, as in any network.
func (h *Host) receive(p packet) { _, _ = h.tun.Write(p) }
