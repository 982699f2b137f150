package journal

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// mapRing maps the ring's file, made and fully allocated if need be: a page
// without a block behind it would end the process with SIGBUS on a full disk.
func mapRing(path string, size int) (*ring, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("journal: open the ring: %w", err)
	}
	defer f.Close()
	total, _, _ := ringFileBytes(size)
	if st, err := f.Stat(); err != nil {
		return nil, fmt.Errorf("journal: open the ring: %w", err)
	} else if st.Size() > int64(total) {
		if err := f.Truncate(int64(total)); err != nil {
			return nil, fmt.Errorf("journal: shorten the ring: %w", err)
		}
	}
	for {
		err = unix.Fallocate(int(f.Fd()), 0, 0, int64(total))
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("journal: allocate %d bytes for the ring %s: %w", total, path, err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("journal: map the ring: %w", err)
	}
	return newRing(m, size, func() error { return unix.Munmap(m) }), nil
}

// kernelBootID names this run of the kernel; "" if it cannot be had, and then
// no ring is trusted.
func kernelBootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
