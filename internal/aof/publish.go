package aof

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Publish makes the RDB file at path all that the manifest names, as after a rewrite
// by Redis: the file is moved to be the next base, the manifest is replaced by one
// rename, and what it named before is removed. Until that rename a crash leaves
// what was there.
func Publish(p Place, path string) (name string, err error) {
	if err := os.MkdirAll(p.dir(), 0o755); err != nil {
		return "", err
	}
	old, err := p.read()
	if err != nil {
		return "", err
	}
	base := Entry{Seq: 1, Kind: Base}
	if old.Base != nil {
		base.Seq = old.Base.Seq + 1
	}
	base.Name = fmt.Sprintf("%s.%d.base.rdb", p.FileName, base.Seq)
	if err := os.Rename(path, filepath.Join(p.dir(), base.Name)); err != nil {
		return "", err
	}
	if err := p.write(Manifest{Base: &base}); err != nil {
		return "", err
	}
	gone := append(old.History, old.Incr...)
	if old.Base != nil {
		gone = append(gone, *old.Base)
	}
	for _, e := range gone {
		if e.Name != base.Name {
			os.Remove(filepath.Join(p.dir(), e.Name)) // if it fails, it takes space
		}
	}
	return base.Name, nil
}

// write replaces the manifest, durably, with the directory.
func (p Place) write(m Manifest) error {
	temp := filepath.Join(p.dir(), "temp-"+p.FileName+manifestSuffix)
	f, err := os.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(m.Encode())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, p.ManifestPath()); err != nil {
		return err
	}
	d, err := os.Open(p.dir())
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
