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
)

// This file is how files come into being under another name than their own.

// temporaries numbers the files of createTemp.
var temporaries atomic.Int64

// createTemp makes the file for a snapshot that is being written. Others may
// read it as the umask says, as with Redis: backups are often made by another
// user.
func createTemp(dir string) (*os.File, error) {
	for {
		name := fmt.Sprintf("temp-%d-%d.rdb", os.Getpid(), temporaries.Add(1))
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		// A process with this number has left it behind, or lives in another container.
	}
}

// removeTemps removes what this process writes, or keeps for replicas, in dir under a
// temporary name. In the journal's directory the next start does that.
func removeTemps(dir string) {
	entries, _ := os.ReadDir(dir) // they only take space
	mine := fmt.Sprintf("temp-%d", os.Getpid())
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), mine)
		if ok && strings.HasSuffix(rest, ".rdb") && (rest[0] == '.' || rest[0] == '-') {
			os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// writeFile makes the file name in dir whole or not at all. Meanwhile it has the name that
// Redis gives it, unless there is such a file.
func writeFile(dir, name string, write func(io.Writer) error) error {
	temp := filepath.Join(dir, fmt.Sprintf("temp-%d.rdb", os.Getpid()))
	f, err := os.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		f, err = createTemp(dir)
	}
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
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
