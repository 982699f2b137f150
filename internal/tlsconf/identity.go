package tlsconf

import (
	"io/fs"
	"syscall"
)

// identity is the number of the file, and when it or its attributes changed.
func identity(info fs.FileInfo) any {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return [4]int64{int64(st.Dev), int64(st.Ino), st.Ctim.Sec, st.Ctim.Nsec}
	}
	return nil
}
