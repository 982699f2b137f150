package node

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/aof"
	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/internal/durable"
	"redoubt/replication"
	"redoubt/storage"
	"redoubt/storage/snapshot"
)

// adoption is what a start has to do with append-only files of Redis: to read them
// and go on in a journal whose first base is what they hold. The files stay as they
// are. A mark in the journal's directory says which files the journal goes on from,
// so that they are not taken for newer ones at the next start.
//
// A crash finds one of two states. The mark is written before the base becomes
// current, by one rename; without a current base the mark counts for nothing, and
// the next start adopts the same files again.
type adoption struct {
	dir   string     // of the journal
	files *aof.Files // to be adopted; nil: none
	mark  string     // of the files that were found; "" if there were none
	known bool       // the mark is there already
	// replaces: there is a journal, and the files are newer. It is set aside.
	replaces bool
}

const (
	currentFile = "current" // of a journal that counts
	markFile    = "adopted"
	markMagic   = "redoubt-adopted 1 "
	asidePrefix = "set-aside-"
)

// planAdoption finds what is to be adopted. Nothing is changed yet. The cases are
// in docs/durability.md.
func planAdoption(c *config.Settings) (a adoption, err error) {
	a.dir = filepath.Join(c.Dir, c.AppendDirName)
	if !c.AppendOnly {
		return a, nil
	}
	place := aof.Place{Dir: c.Dir, DirName: c.AppendDirName, FileName: c.AppendFilename}
	files, err := aof.Find(place)
	if err != nil {
		return a, fmt.Errorf("FATAL AOF MANIFEST FILE ERROR: %w", err)
	}
	ours, err := changed(a.dir)
	if err != nil {
		return a, err
	}
	if files == nil {
		if others := aof.Others(place); len(others) > 0 && ours.IsZero() {
			return a, fmt.Errorf("there are append-only files of Redis under another name, %s, and none called %s: set appendfilename, or move them away", strings.Join(others, ", "), c.AppendFilename)
		}
		return a, nil
	}
	if _, err := files.Size(); err != nil {
		if !ours.IsZero() {
			return a, nil // what the journal goes on from is being cleared away
		}
		return a, err
	}
	if a.mark, err = files.Mark(); err != nil {
		return a, err
	}
	old := readMark(a.dir)
	switch {
	case ours.IsZero():
		a.files = files
	case old == a.mark:
		a.known = true
	case files.Changed().After(ours):
		a.files, a.replaces = files, true
	case old != "":
		return a, fmt.Errorf("%s holds a journal of this server and append-only files of Redis, which are not those that the journal goes on from, and nothing tells which are newer: "+
			"move the file %s and what %s names away to go on from the journal, or %s to go on from the append-only files", a.dir,
			files.Manifest, filepath.Base(files.Manifest), filepath.Join(a.dir, currentFile))
	}
	return a, nil
}

// changed is when the journal in dir was last written to; zero if there is none.
func changed(dir string) (last time.Time, err error) {
	if _, err := os.Stat(filepath.Join(dir, currentFile)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return last, nil
		}
		return last, err
	}
	names := []string{filepath.Join(dir, currentFile), filepath.Join(dir, "ring"), filepath.Join(dir, "commitlog")}
	entries, _ := os.ReadDir(filepath.Join(dir, "pebble"))
	for _, e := range entries {
		names = append(names, filepath.Join(dir, "pebble", e.Name()))
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil && info.ModTime().After(last) {
			last = info.ModTime()
		}
	}
	return last, nil
}

// readMark is the mark in a journal's directory, "" if there is none.
func readMark(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, markFile))
	mark, ok := strings.CutPrefix(strings.TrimSuffix(string(b), "\n"), markMagic)
	if err != nil || !ok {
		return ""
	}
	return mark
}

func (a *adoption) writeMark() error {
	return writeFile(a.dir, markFile, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s%s\n", markMagic, a.mark)
		return err
	})
}

// markFiles marks what there is of append-only files as older than the journal in dir.
func markFiles(place aof.Place, dir string) error {
	files, err := aof.Find(place)
	if err != nil || files == nil {
		return err
	}
	if _, err := files.Size(); err != nil {
		return nil // a start passes over them, see planAdoption
	}
	a := adoption{dir: dir}
	if a.mark, err = files.Mark(); err != nil {
		return err
	}
	return a.writeMark()
}

// prepare makes the directory ready for the journal to be opened: one that is older
// than the files is set aside, and files that are older than the journal are marked
// as such. The directory is locked.
func (a *adoption) prepare(log *zap.Logger) error {
	switch {
	case a.replaces:
		return a.setAside(log)
	case a.mark == "" || a.known || a.files != nil:
		return nil
	}
	return a.writeMark()
}

// setAside moves the journal out of the way, the file that makes it count first: a
// crash in between leaves a directory without a journal.
func (a *adoption) setAside(log *zap.Logger) error {
	to, err := os.MkdirTemp(a.dir, asidePrefix+time.Now().UTC().Format("20060102-150405")+"-*")
	if err == nil {
		err = os.Chmod(to, 0o755) // as the journal's own
	}
	if err != nil {
		return fmt.Errorf("set the journal aside: %w", err)
	}
	names := []string{currentFile, markFile, "pebble", "ring", "commitlog"}
	bases, _ := filepath.Glob(filepath.Join(escapeGlob(a.dir), "base-*.rdb"))
	for _, base := range bases {
		names = append(names, filepath.Base(base))
	}
	for i, name := range names {
		err := os.Rename(filepath.Join(a.dir, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("set the journal aside: %w", err)
		}
		if i == 0 {
			if err := errors.Join(durable.SyncDir(to), durable.SyncDir(a.dir)); err != nil {
				return err
			}
		}
	}
	log.Warn("The append-only files of Redis here are newer than the journal. They are adopted, and the journal is set aside", zap.String("to", to))
	return durable.SyncDir(a.dir)
}

// adoptFiles loads the files and makes what they hold the journal's first base.
func (n *Node) adoptFiles() (loaded, error) {
	began := time.Now()
	l, err := n.loadFiles(n.adoption.files)
	if err != nil {
		return l, err
	}
	if err := n.adoption.writeMark(); err != nil {
		return l, err
	}
	base, err := n.writeBase()
	if err != nil {
		return l, fmt.Errorf("write the journal's first base: %w", err)
	}
	h := replication.NewHistory(replication.NoID)
	if err := n.stream.NewGeneration(base, 0, h, false); err != nil {
		return l, err
	}
	n.recovered.History, n.recovered.End = h, 0
	n.log.Info(fmt.Sprintf("DB loaded from append only file: %.3f seconds", time.Since(began).Seconds()))
	n.log.Info("The append-only files of Redis are adopted: the journal goes on from here. They stay as they are, and are not needed any more",
		zap.String("directory", n.adoption.dir))
	return l, nil
}

// writeBase writes all keys to a file beside the bases of the journal.
func (n *Node) writeBase() (path string, err error) {
	f, err := createTemp(n.stream.Dir())
	if err != nil {
		return "", err
	}
	var out io.Writer = f
	if n.config.Current().BaseIncrementalFsync {
		out = &steadyFile{File: f}
	}
	err = n.unitsAt(0)(func(tx *storage.Tx) error {
		p := n.persistence
		return snapshot.Write(n.keys, tx, out, p.header(tx, forBase), snapshot.Options{RDB: p.format()})
	})
	if err == nil {
		err = f.Sync()
	}
	if info, serr := f.Stat(); serr == nil {
		n.persistence.baseBytes.Store(info.Size())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// loadFiles is Redis's loadAppendOnlyFiles.
func (n *Node) loadFiles(files *aof.Files) (all loaded, err error) {
	for i, part := range files.Parts {
		began := time.Now()
		l, cut, err := n.loadPart(part)
		switch {
		case err != nil:
			return all, err
		case cut && i < len(files.Parts)-1:
			return all, errors.New("Fatal error: the truncated file is not the last file")
		}
		all.keys += l.keys
		what := "incr"
		if part.Base {
			what = "base"
		}
		n.log.Info(fmt.Sprintf("DB loaded from %s file %s: %.3f seconds", what, part.Name, time.Since(began).Seconds()))
	}
	return all, nil
}

// loadPart is Redis's loadSingleAppendOnlyFile. cut says that the file ends in the
// middle of something, which is left out.
func (n *Node) loadPart(part aof.Part) (l loaded, cut bool, err error) {
	f, err := os.Open(part.Path)
	if err != nil {
		return l, false, fmt.Errorf("Fatal error: can't open the append log file %s for reading: %w", part.Name, err)
	}
	defer f.Close()
	if head, _ := bufio.NewReader(f).Peek(6); aof.IsRDB(head) {
		if l, err = n.loadPreamble(f); err != nil {
			return l, false, fmt.Errorf("Error reading the RDB base file %s, AOF loading aborted: %w", part.Name, err)
		}
	}
	if _, err := f.Seek(l.bytes, io.SeekStart); err != nil {
		return l, false, err
	}
	commands := aof.NewReader(n.persistence.effort.reader(f), l.bytes)
	err = n.execute(commands, part.Name)
	switch {
	case errors.Is(err, aof.ErrFormat):
		return l, false, fmt.Errorf("Bad file format reading the append only file %s: make a backup of your AOF file, then use redoubt check-aof --fix <filename.manifest> (%w)", part.Name, err)
	case !errors.Is(err, aof.ErrShort):
		return l, false, err
	case !n.config.Current().AOFLoadTruncated:
		return l, false, fmt.Errorf("Unexpected end of file reading the append only file %s. You can: 1) Make a backup of your AOF file, then use redoubt check-aof --fix <filename.manifest>. "+
			"2) Alternatively you can set the 'aof-load-truncated' configuration option to yes and restart the server. (%w)", part.Name, err)
	}
	n.log.Warn(fmt.Sprintf("!!! Warning: short read while loading the AOF file %s!!!", part.Name))
	n.log.Warn(fmt.Sprintf("AOF %s loaded anyway because aof-load-truncated is enabled; what follows offset %d is left out", part.Name, commands.Whole()))
	return l, true, nil
}

// loadPreamble loads the RDB file that a part begins with. Keys whose time is past
// are loaded as well: commands that follow were executed while they were there.
func (n *Node) loadPreamble(f *os.File) (loaded, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return loaded{}, err
	}
	l, err := load(context.Background(), n.handsAt(0), n.keys, n.persistence.effort.reader(f), loadRule{libraries: n.server})
	if err == nil {
		l.tell(n.log)
	}
	return l, err
}

// execute executes the commands of a part. That one answers with an error means as
// little as in Redis, which does not look: the log has the first of them.
func (n *Node) execute(r *aof.Reader, name string) error {
	side, report := n.applier.Side, n.applier.Failed
	failed := 0
	n.applier.Side, n.applier.Uncounted = nil, true
	n.applier.Failed = func(args [][]byte, err string) {
		if failed++; failed == 1 {
			n.log.Warn("A command of the append only file failed", zap.String("file", name), zap.ByteString("command", args[0]), zap.String("error", err))
		}
	}
	defer func() { n.applier.Side, n.applier.Failed, n.applier.Uncounted = side, report, false }()
	var unit []command.Effect
	for {
		at := r.Whole()
		commands, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		unit = unit[:0]
		for _, c := range commands {
			unit = append(unit, command.Effect(c))
		}
		if err := n.applier.Apply(now(), unit, 0, nil); err != nil {
			return n.inapplicable(unit, name, at, err)
		}
	}
	if failed > 1 {
		n.log.Warn("Commands of the append only file failed", zap.String("file", name), zap.Int("how many", failed))
	}
	return nil
}

// inapplicable says which command of a unit cannot be executed here.
func (n *Node) inapplicable(unit []command.Effect, file string, at int64, err error) error {
	for _, c := range unit {
		if row, _ := n.server.Table().ResolveStream(c.Args); row == nil {
			return fmt.Errorf("Unknown command '%.128s' reading the append only file %s after offset %d", c.Args[0], file, at)
		}
	}
	return fmt.Errorf("reading the append only file %s after offset %d: %w", file, at, err)
}

// escapeGlob makes a path a pattern that matches only itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(path)
}
