// Package diskfull is a file system for Pebble on which what finds no space is not given
// up: Pebble would end the process. Whether it waits, and what is done meanwhile, is its
// owner's business.
package diskfull

import (
	"errors"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Is reports whether err means that the disk, or a quota, is full.
func Is(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Disk is a file system whose owner has what may need space done again. Fsyncs are not:
// what a failed one leaves behind is unknown.
type Disk struct {
	vfs.FS
	// Retry runs op, on the file of that name, until it does not fail for want of space
	// or nobody is to wait for that, and returns its last error.
	Retry func(name string, op func() error) error
}

// Unwrap gives Pebble the file system below.
func (d *Disk) Unwrap() vfs.FS { return d.FS }

func (d *Disk) file(name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	err = d.Retry(name, func() (err error) { f, err = open(); return err })
	if err != nil {
		return nil, err
	}
	return &file{File: f, d: d, name: name}, nil
}

// Create implements vfs.FS.
func (d *Disk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.Create(name, c) })
}

// OpenReadWrite implements vfs.FS.
func (d *Disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.file(name, func() (vfs.File, error) { return d.FS.OpenReadWrite(name, c, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (d *Disk) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(newname, func() (vfs.File, error) { return d.FS.ReuseForWrite(oldname, newname, c) })
}

// Link implements vfs.FS.
func (d *Disk) Link(oldname, newname string) error {
	return d.Retry(newname, func() error { return d.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (d *Disk) Rename(oldname, newname string) error {
	return d.Retry(newname, func() error { return d.FS.Rename(oldname, newname) })
}

// file is a file whose writes are tried again.
type file struct {
	vfs.File
	d    *Disk
	name string
}

// Write writes all of p, however often the disk fills up on the way.
func (f *file) Write(p []byte) (n int, err error) {
	err = f.d.Retry(f.name, func() error {
		k, err := f.File.Write(p[n:])
		n += k
		return err
	})
	return n, err
}

// WriteAt is as Write.
func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	err = f.d.Retry(f.name, func() error {
		k, err := f.File.WriteAt(p[n:], off+int64(n))
		n += k
		return err
	})
	return n, err
}

// Preallocate is a hint, so a full disk is no error here.
func (f *file) Preallocate(off, length int64) error {
	if err := f.File.Preallocate(off, length); !Is(err) {
		return err
	}
	return nil
}
