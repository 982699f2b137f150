package server

import (
	"encoding/binary"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller is an epoll set with an eventfd that wakes it. It belongs to one loop;
// only wake may be called by others.
//
// The calls that cannot block (a poll with timeout zero, reads and writes of
// non-blocking sockets) go round the scheduler's system call hooks, which cost
// as much as a short read. The waiting one goes through them, so that the
// scheduler gives the processor to another goroutine meanwhile.
type poller struct {
	epfd   int
	wakefd int
	events [256]unix.EpollEvent
}

// interest is what a poller watches a socket for.
type interest uint32

const (
	readable interest = unix.EPOLLIN
	writable interest = unix.EPOLLOUT
	broken   interest = unix.EPOLLERR | unix.EPOLLHUP
	gone     interest = unix.EPOLLRDHUP // the client sends nothing more
)

func openPoller() (*poller, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		unix.Close(epfd)
		return nil, os.NewSyscallError("eventfd", err)
	}
	p := &poller{epfd: epfd, wakefd: wakefd}
	if err := p.add(wakefd, readable); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) close() {
	unix.Close(p.wakefd)
	unix.Close(p.epfd)
}

func (p *poller) add(fd int, what interest) error    { return p.control(unix.EPOLL_CTL_ADD, fd, what) }
func (p *poller) change(fd int, what interest) error { return p.control(unix.EPOLL_CTL_MOD, fd, what) }
func (p *poller) remove(fd int)                      { _ = p.control(unix.EPOLL_CTL_DEL, fd, 0) }

func (p *poller) control(op, fd int, what interest) error {
	ev := unix.EpollEvent{Events: uint32(what), Fd: int32(fd)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epfd, op, fd, &ev))
}

// poll returns what is ready now.
func (p *poller) poll() []unix.EpollEvent {
	n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epfd), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), 0, 0, 0)
	if e != 0 {
		return nil
	}
	return p.events[:n]
}

// wait blocks until something is ready or ms milliseconds have passed.
func (p *poller) wait(ms int) []unix.EpollEvent {
	n, err := unix.EpollWait(p.epfd, p.events[:], ms)
	if err != nil {
		return nil // a signal; the caller comes back
	}
	return p.events[:n]
}

// wake ends the loop's wait, the present one or the next. Any goroutine may
// call it.
func (p *poller) wake() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	_, _ = unix.Write(p.wakefd, one[:]) // a full counter is a wake-up too
}

// drained takes back the wake-ups received so far.
func (p *poller) drained() {
	var count [8]byte
	_, _ = readSocket(p.wakefd, count[:])
}

// readSocket reads from a non-blocking descriptor; EAGAIN is an error like the
// others.
func readSocket(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}

// writeSocket writes to a non-blocking descriptor.
func writeSocket(fd int, b []byte) (int, error) {
	n, _, e := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if e != 0 {
		return 0, e
	}
	return int(n), nil
}
