package node

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"redoubt/storage"
	"redoubt/storage/rdb"
	"redoubt/storage/snapshot"
)

// Reload is DEBUG RELOAD: it saves, empties the keyspace and loads the file
// again, so that everything has been through the file format once. The unit
// holds the world lock; nothing of it reaches the stream.
func (p *persistence) Reload(tx *storage.Tx, nosave, noflush, merge bool) error {
	if !nosave {
		if err := p.Save(tx); err != nil {
			return err
		}
	}
	c := p.config.Current()
	return p.loadFile(tx, filepath.Join(c.Dir, c.DBFilename), !noflush, loadRule{merge: merge || noflush, replace: merge})
}

// LoadAgain is DEBUG LOADAOF. What a restart would make of the journal is what there
// is now, so a snapshot stands for it.
func (p *persistence) LoadAgain(tx *storage.Tx) error {
	if !p.stream.Enabled() {
		path, err := p.published()
		if err != nil {
			return err
		}
		return p.loadFile(tx, path, true, loadRule{})
	}
	f, err := createTemp(p.stream.Dir())
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = snapshot.Write(p.keys, tx, f, p.header(tx, forBase), snapshot.Options{RDB: p.format()})
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return p.loadFile(tx, f.Name(), true, loadRule{})
}

// loadFile loads an RDB file, with flush in the place of all keys and libraries.
func (p *persistence) loadFile(tx *storage.Tx, path string, flush bool, rule loadRule) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := rdb.Check(f); err != nil {
		return err // before the keys are gone
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	tx.NoEffect()
	if flush {
		tx.FlushAll()
		p.libraries.DropLibraries(tx)
	}
	rule.libraries = p.libraries
	l, err := load(context.Background(), []hand{within{tx}}, p.keys, p.effort.reader(f), rule)
	if err == nil {
		l.tell(p.log)
	}
	return err
}
