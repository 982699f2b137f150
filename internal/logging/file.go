package logging

import (
	"os"
	"sync"
)

// File is a log file that may be rotated. Redis opens its log file anew for each line, so
// whoever renames or removes the file need not tell it; the rules of Debian's packages for
// logrotate rely on that. A File looks before each line whether its name still leads to it.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File
	each func(*os.File) // told of each file; nil: nobody is
}

// OpenFile opens a log file for appending, or makes it.
func OpenFile(path string) (*File, error) {
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	return &File{path: path, file: f}, nil
}

func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

// Each calls f for the file that is open, and again whenever another is. f must not log
// when it is called for a later one.
func (f *File) Each(each func(*os.File)) {
	f.mu.Lock()
	f.each = each
	file := f.file
	f.mu.Unlock()
	each(file)
}

// Write implements io.Writer. Lines go to the file that was renamed or removed while no
// other can be made.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.moved() {
		if next, err := open(f.path); err == nil {
			f.file.Close()
			f.file = next
			if f.each != nil {
				f.each(next)
			}
		}
	}
	return f.file.Write(p)
}

// moved reports whether the name leads elsewhere, or nowhere.
func (f *File) moved() bool {
	own, err := f.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(f.path)
	return err != nil || !os.SameFile(own, there)
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}
