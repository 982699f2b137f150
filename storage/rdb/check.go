package rdb

import (
	"errors"
	"io"
)

// Summary is what a check found in a good file.
type Summary struct {
	Version int
	Aux     Aux
	Keys    int64
	Expires int64 // keys that expire
	// Functions is how many libraries of functions there are.
	Functions int
	// Databases is one more than the highest database that has a key.
	Databases int
	Skipped   Skipped
}

// Check reads a whole file to its last byte and returns what is in it, or the
// first error of its Reader: a file that passes can be loaded. Bytes behind
// the end record are corruption.
func Check(in io.Reader) (Summary, error) {
	r := NewReader(in)
	s := Summary{Aux: r.Aux()}
	r.Library = func([]byte) error {
		s.Functions++
		return nil
	}
	for {
		e, err := r.Next()
		s.Version, s.Skipped = r.Version(), r.Skipped()
		if errors.Is(err, io.EOF) {
			return s, r.src.ExpectEnd()
		}
		if err != nil {
			return s, err
		}
		s.Keys++
		s.Databases = max(s.Databases, e.DB+1)
		if e.ExpireAtMs != 0 {
			s.Expires++
		}
	}
}
