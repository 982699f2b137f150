package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"redoubt/internal/durable"
)

// temporaries numbers the files of createTemp.
var temporaries atomic.Int64

// createTemp makes the file for a snapshot that is being written. Others may
// read it as the umask says, as with Redis: backups are often made by another
// user.
func createTemp(dir string) (*os.File, error) {
	name := fmt.Sprintf("temp-%d.rdb", os.Getpid())
	for {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		// Another snapshot is being written, or a process with this number has left the
		// file behind, or lives in another container.
		name = fmt.Sprintf("temp-%d-%d.rdb", os.Getpid(), temporaries.Add(1))
	}
}

// removeTemps removes what createTemp has made in dir and is still there.
func removeTemps(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // they only take space
	}
	ours := fmt.Sprintf("temp-%d", os.Getpid())
	for _, e := range entries {
		rest, found := strings.CutPrefix(e.Name(), ours)
		if found && (rest == ".rdb" || strings.HasPrefix(rest, "-") && strings.HasSuffix(rest, ".rdb")) {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// writeFile makes the file name in dir whole or not at all.
func writeFile(dir, name string, write func(io.Writer) error) error {
	f, err := createTemp(dir)
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return durable.SyncDir(dir)
}
