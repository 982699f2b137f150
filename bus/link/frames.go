package link

import (
	"io"

	"redoubt/bus"
)

const (
	// firstBufferBytes holds the pings of a small cluster.
	firstBufferBytes = 4 << 10
	// keptBufferBytes is the largest buffer that outlives its message.
	keptBufferBytes = 64 << 10
)

// frameReader cuts a stream of bytes into messages.
//
// Invariant: buf[start:end] has been read and not yet returned.
type frameReader struct {
	from       io.Reader
	buf        []byte
	start, end int
}

// next returns the bytes of the next message, which are good until the next
// call. Its errors are those of the reader, io.ErrUnexpectedEOF in the middle
// of a message, or bus.ErrFraming, after which there is no next one.
func (r *frameReader) next() ([]byte, error) {
	if r.start == r.end && len(r.buf) > keptBufferBytes {
		r.buf, r.start, r.end = nil, 0, 0
	}
	if err := r.fill(bus.PrefixLen); err != nil {
		return nil, err
	}
	n, err := bus.FrameLen(r.buf[r.start:r.end])
	if err != nil {
		return nil, err
	}
	if err := r.fill(n); err != nil {
		return nil, err
	}
	frame := r.buf[r.start : r.start+n]
	r.start += n
	return frame, nil
}

// fill reads until n bytes are there.
func (r *frameReader) fill(n int) error {
	for r.end-r.start < n {
		r.makeRoom(n)
		got, err := r.from.Read(r.buf[r.end:])
		r.end += got
		if err != nil && r.end-r.start < n {
			if err == io.EOF && r.end > r.start {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// makeRoom leaves space behind end. The buffer grows only as bytes arrive, at
// most to twice what is there: a length alone does not make us allocate.
func (r *frameReader) makeRoom(n int) {
	if r.start > 0 && r.start+n > len(r.buf) {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end < len(r.buf) {
		return
	}
	grown := make([]byte, max(firstBufferBytes, min(2*len(r.buf), max(n, keptBufferBytes))))
	r.end = copy(grown, r.buf[r.start:r.end])
	r.start = 0
	r.buf = grown
}
