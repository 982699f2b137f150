package journal

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"redoubt/internal/fault"
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
	if err := allocate(f, int64(total)); err != nil {
		return nil, fmt.Errorf("journal: allocate %d bytes for the ring %s: %w", total, path, err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("journal: map the ring: %w", err)
	}
	r := newRing(m, size, func() error { return unix.Munmap(m) })
	// On a shared mapping this takes entries of the page table only; a page that
	// was written stays dirty in the kernel's cache.
	r.unload = func(b []byte) error { return unix.Madvise(b, unix.MADV_DONTNEED) }
	return r, nil
}

// allocate gives a file that is at most size bytes long all of them. Where the
// file system cannot reserve space, zeros are written.
func allocate(f *os.File, size int64) error {
	err := error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	return extend(f, size)
}

// extend writes zeros behind the end of a file until it is size bytes long.
func extend(f *os.File, size int64) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return writeZeros(f, st.Size(), size)
}

// kernelBootID names this run of the kernel; "" if it cannot be had, and then
// no ring is trusted.
func kernelBootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || fault.Is(fault.MarkUnsynced) {
		return ""
	}
	return strings.TrimSpace(string(b))
}
