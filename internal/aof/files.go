package aof

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"redoubt/internal/reason"
)

// Place is where the append-only files of a node are, by its configuration.
type Place struct {
	Dir      string // dir
	DirName  string // appenddirname
	FileName string // appendfilename
}

// Files are the append-only files of a data directory that are to be read, in their
// order.
type Files struct {
	Manifest string // its path; "" if there is one file of Redis up to 6
	Parts    []Part
}

// Part is one of these files.
type Part struct {
	Name string
	Path string
	Base bool
}

// dir is the directory of the files of Redis 7.
func (p Place) dir() string { return filepath.Join(p.Dir, p.DirName) }

const manifestSuffix = ".manifest"

// ManifestPath is where the manifest is.
func (p Place) ManifestPath() string { return filepath.Join(p.dir(), p.FileName+manifestSuffix) }

// Find finds what Redis's loadAppendOnlyFiles would read: the files that the
// manifest names, or the one file of a version before 7, if that has not become
// part of a manifest. It is nil if there is neither. A file that is named and
// missing is found by Open.
func Find(p Place) (*Files, error) {
	m, err := p.read()
	if err != nil {
		return nil, err
	}
	if old := filepath.Join(p.Dir, p.FileName); exists(old) && p.upgrades(&m) {
		return &Files{Parts: []Part{{Name: p.FileName, Path: old, Base: true}}}, nil
	}
	if m.Empty() {
		return nil, nil
	}
	f := &Files{Manifest: p.ManifestPath()}
	if m.Base != nil {
		f.Parts = append(f.Parts, Part{m.Base.Name, filepath.Join(p.dir(), m.Base.Name), true})
	}
	for _, e := range m.Incr {
		f.Parts = append(f.Parts, Part{e.Name, filepath.Join(p.dir(), e.Name), false})
	}
	return f, nil
}

// read reads the manifest; one that does not exist names nothing.
func (p Place) read() (Manifest, error) {
	text, err := os.ReadFile(p.ManifestPath())
	if errors.Is(err, fs.ErrNotExist) {
		return Manifest{}, nil
	}
	if err != nil {
		return Manifest{}, fmt.Errorf("Fatal error: can't open the AOF manifest file %s for reading: %w", p.ManifestPath(), err)
	}
	return ParseManifest(text)
}

// upgrades reports whether the one file of a version before 7 counts beside a
// manifest: there is none, or it names that file alone, which was not moved yet.
func (p Place) upgrades(m *Manifest) bool {
	return m.Empty() || m.Base != nil && len(m.Incr) == 0 &&
		m.Base.Name == p.FileName && !exists(filepath.Join(p.dir(), p.FileName))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Others names manifests in the directory that are of other names than that of p.
func Others(p Place) []string {
	entries, err := os.ReadDir(p.dir())
	if err != nil {
		return nil
	}
	var others []string
	for _, e := range entries {
		if name := e.Name(); strings.HasSuffix(name, manifestSuffix) && name != p.FileName+manifestSuffix && !strings.HasPrefix(name, "temp-") {
			others = append(others, filepath.Join(p.dir(), name))
		}
	}
	return others
}

// all is every file that counts, the manifest among them.
func (f *Files) all() []string {
	var paths []string
	if f.Manifest != "" {
		paths = append(paths, f.Manifest)
	}
	for _, p := range f.Parts {
		paths = append(paths, p.Path)
	}
	return paths
}

// Size is the sum of the sizes of the parts. A part that is missing is an error in
// the words of Redis's getAppendOnlyFileSize.
func (f *Files) Size() (total int64, err error) {
	for _, p := range f.Parts {
		info, err := os.Stat(p.Path)
		if err != nil {
			return 0, fmt.Errorf("Unable to obtain the AOF file %s length. stat: %s", p.Name, reason.System(err))
		}
		total += info.Size()
	}
	return total, nil
}

// Changed is when one of the files was last changed.
func (f *Files) Changed() (last time.Time) {
	for _, path := range f.all() {
		if info, err := os.Stat(path); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last
}

// sampleBytes is how much of the beginning and of the end of a file its mark is
// made of.
const sampleBytes = 64 << 10

// Mark is a fingerprint of the files: of their names, sizes, beginnings and ends. It
// changes with every command that Redis adds and every rewrite, and stays when the
// directory is copied.
func (f *Files) Mark() (string, error) {
	h := sha256.New()
	for _, path := range f.all() {
		if err := sample(h, path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func sample(to io.Writer, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	fmt.Fprintf(to, "%q %d\n", filepath.Base(path), size)
	_, err = io.Copy(to, io.NewSectionReader(file, 0, min(size, sampleBytes)))
	if err != nil {
		return err
	}
	from := max(size-sampleBytes, 0)
	_, err = io.Copy(to, io.NewSectionReader(file, from, size-from))
	return err
}

// IsRDB reports whether a file begins as an RDB file of Redis or of Valkey does.
func IsRDB(head []byte) bool {
	return bytes.HasPrefix(head, []byte("REDIS")) || bytes.HasPrefix(head, []byte("VALKEY"))
}
