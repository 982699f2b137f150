package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"redoubt/replication"
)

// manifest is the content of the file "current": which generation counts, with
// which base, and what SaveHistory and SaveFitness saved. It is replaced as a whole.
type manifest struct {
	generation uint64
	base       string // file name in Config.Dir, "" for none
	baseOffset replication.Offset
	previous   olderBase // the zero value: none
	history    replication.History
	replica    bool
	fitness    replication.Fitness // what SaveFitness saved since
}

// olderBase is a base before the present one that is kept, with the journal behind it:
// see Stream.KeepBase.
type olderBase struct {
	kept bool
	name string // "" for no data
	at   replication.Offset
}

const (
	manifestName    = "current"
	manifestMagic   = "redoubt-journal 1"
	manifestMaxSize = 4096
	fitnessLine     = "fitness "
	previousLine    = "previous "
)

// oldest is the offset of the oldest base.
func (m *manifest) oldest() replication.Offset {
	if m.previous.kept {
		return m.previous.at
	}
	return m.baseOffset
}

// holds reports whether name is that of a base which the manifest names.
func (m *manifest) holds(name string) bool {
	return name == m.base || m.previous.kept && name == m.previous.name
}

// baseBefore is the newest base that is as of offset at or earlier; ok is false if there
// is none. The name is "" for no data.
func (m *manifest) baseBefore(at replication.Offset) (name string, from replication.Offset, ok bool) {
	switch {
	case m.baseOffset <= at:
		return m.base, m.baseOffset, true
	case m.previous.kept && m.previous.at <= at:
		return m.previous.name, m.previous.at, true
	}
	return "", 0, false
}

// encode renders the manifest: one line per field, the last one the checksum of
// the lines before. A node without a previous base, or without fitness, has no line for it.
func (m *manifest) encode() []byte {
	role := "primary"
	if m.replica {
		role = "replica"
	}
	base := m.base
	if base == "" {
		base = "-"
	}
	text := fmt.Sprintf("%s\ngeneration %d\nbase %s\nbase-offset %d\nid %s\nid2 %s\nsecond %d\nrole %s\n",
		manifestMagic, m.generation, base, m.baseOffset, m.history.ID, m.history.ID2, m.history.Second, role)
	if m.previous.kept {
		name := m.previous.name
		if name == "" {
			name = "-"
		}
		text += fmt.Sprintf("%s%d %s\n", previousLine, m.previous.at, name)
	}
	if f := m.fitness; f != (replication.Fitness{}) {
		primary := f.Primary
		if primary == "" {
			primary = "-"
		}
		text += fmt.Sprintf("%s%d %s %s\n", fitnessLine, f.Contact.UnixMilli(), f.Shard, primary)
	}
	return fmt.Appendf(nil, "%scrc %08x\n", text, crc32.Checksum([]byte(text), castagnoli))
}

// decodeManifest is the reverse of encode. Anything else is an ErrCorrupt.
func decodeManifest(b []byte) (manifest, error) {
	bad := func(what string) (manifest, error) {
		return manifest{}, fmt.Errorf("%w: manifest: %s", ErrCorrupt, what)
	}
	text := string(b)
	i := strings.LastIndex(text, "crc ")
	if i < 0 || text[i:] != fmt.Sprintf("crc %08x\n", crc32.Checksum(b[:i], castagnoli)) {
		return bad("bad checksum")
	}
	lines := strings.Split(strings.TrimSuffix(text[:i], "\n"), "\n")
	names := []string{"generation", "base", "base-offset", "id", "id2", "second", "role"}
	var m manifest
	if last, ok := strings.CutPrefix(lines[len(lines)-1], fitnessLine); ok {
		if m.fitness, ok = decodeFitness(last); !ok {
			return bad("the fitness is none")
		}
		lines = lines[:len(lines)-1]
	}
	if last, ok := strings.CutPrefix(lines[len(lines)-1], previousLine); ok {
		if m.previous = decodePrevious(last); !m.previous.kept {
			return bad("the previous base is none")
		}
		lines = lines[:len(lines)-1]
	}
	if len(lines) != len(names)+1 || lines[0] != manifestMagic {
		return bad("unknown format")
	}
	values := make(map[string]string, len(names))
	for i, name := range names {
		v, ok := strings.CutPrefix(lines[i+1], name+" ")
		if !ok {
			return bad("no line " + name)
		}
		values[name] = v
	}
	generation, err1 := strconv.ParseUint(values["generation"], 10, 63)
	offset, err2 := strconv.ParseInt(values["base-offset"], 10, 64)
	second, err3 := strconv.ParseInt(values["second"], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return bad(err.Error())
	}
	m.generation, m.baseOffset = generation, replication.Offset(offset)
	m.history = replication.History{ID: values["id"], ID2: values["id2"], Second: replication.Offset(second)}
	if m.base = values["base"]; m.base == "-" {
		m.base = ""
	}
	switch values["role"] {
	case "primary":
	case "replica":
		m.replica = true
	default:
		return bad("unknown role")
	}
	if offset < 0 || strings.ContainsAny(m.base, "/\\") || m.oldest() > m.baseOffset {
		return bad("a value is out of range")
	}
	return m, nil
}

// decodePrevious reads what follows previousLine: the offset, and the name of the file
// or "-". Anything else is none.
func decodePrevious(text string) olderBase {
	number, name, ok := strings.Cut(text, " ")
	at, err := strconv.ParseInt(number, 10, 64)
	if !ok || err != nil || at < 0 || name == "" || strings.ContainsAny(name, "/\\ ") {
		return olderBase{}
	}
	if name == "-" {
		name = ""
	}
	return olderBase{kept: true, name: name, at: replication.Offset(at)}
}

// decodeFitness reads what follows fitnessLine: the contact in Unix
// milliseconds, the shard, the primary or "-".
func decodeFitness(text string) (f replication.Fitness, ok bool) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return f, false
	}
	ms, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return f, false
	}
	f = replication.Fitness{Contact: time.UnixMilli(ms), Shard: fields[1], Primary: fields[2]}
	if f.Primary == "-" {
		f.Primary = ""
	}
	return f, true
}

// readManifest reads the manifest in dir; found is false if there is none.
func readManifest(fs vfs.FS, dir string) (m manifest, found bool, err error) {
	f, err := fs.Open(fs.PathJoin(dir, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return manifest{}, false, nil
	}
	if err != nil {
		return manifest{}, false, fmt.Errorf("journal: open the manifest: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, manifestMaxSize))
	if err != nil {
		return manifest{}, false, fmt.Errorf("journal: read the manifest: %w", err)
	}
	m, err = decodeManifest(b)
	if err != nil {
		return manifest{}, false, fmt.Errorf("%w (%s)", err, fs.PathJoin(dir, manifestName))
	}
	return m, true, nil
}

// writeManifest puts m in the place of the manifest in dir, durably.
func writeManifest(fs vfs.FS, dir string, m *manifest) error {
	name := fs.PathJoin(dir, manifestName)
	f, err := fs.Create(name+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("journal: write the manifest: %w", err)
	}
	_, err = f.Write(m.encode())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("journal: write the manifest: %w", err)
	}
	if err := fs.Rename(name+".new", name); err != nil {
		return fmt.Errorf("journal: replace the manifest: %w", err)
	}
	return syncDir(fs, dir)
}

// syncDir makes renames and removals in dir durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("journal: sync the directory: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("journal: sync the directory: %w", err)
	}
	return nil
}
