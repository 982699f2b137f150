// Package durable makes changes of directories and small files last.
package durable

import (
	"errors"
	"os"
	"path/filepath"
)

// ErrNotRegular answers what replaces files, for a path at which there is something else.
var ErrNotRegular = errors.New("Not a regular file")

// ReplaceFile gives the file the content so that a crash leaves either the
// old or the new one: it writes another file beside it and renames that. The
// mode of a file that was there stays.
func ReplaceFile(path, content string) (err error) {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		if !info.Mode().IsRegular() {
			return ErrNotRegular
		}
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in a directory last: what was made, renamed and removed there.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
