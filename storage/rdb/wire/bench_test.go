package wire

import (
	"bytes"
	"fmt"
	"hash/crc64"
	"testing"
)

// A hash of 100 fields, as a loader meets it.
func BenchmarkPacked(b *testing.B) {
	var elements []string
	for i := range 100 {
		elements = append(elements, fmt.Sprintf("field:%06d", i), fmt.Sprint(i*i*i))
	}
	for _, enc := range encodings {
		blob := enc.pack(elements...)
		b.Run(enc.name+"/parse", func(b *testing.B) {
			b.SetBytes(int64(len(blob)))
			for b.Loop() {
				if _, err := enc.parse(blob); err != nil {
					b.Fatal(err)
				}
			}
		})
		p, err := enc.parse(blob)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(enc.name+"/iterate", func(b *testing.B) {
			b.SetBytes(int64(len(blob)))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				for field, value := range p.Pairs() {
					n += len(field.str) + int(value.n)
				}
			}
		})
		b.Run(enc.name+"/check", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := p.CheckHash(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("listpack/build", func(b *testing.B) {
		b.ReportAllocs()
		var l ListpackBuilder
		var out []byte
		texts := make([][]byte, len(elements))
		for i, e := range elements {
			texts[i] = []byte(e)
		}
		for b.Loop() {
			l.Reset(out[:0])
			for _, e := range texts {
				l.Append(e)
			}
			out = l.Finish()
		}
		b.SetBytes(int64(len(out)))
	})
}

func BenchmarkStrings(b *testing.B) {
	s := bytes.Repeat([]byte("a text that repeats itself, but not at once: 0123456789; "), 20000)
	for _, n := range []int{10, 100, 10000, len(s)} {
		for _, compress := range []bool{false, true} {
			var w Writer
			w.Compress = compress
			name := fmt.Sprintf("%d/compressed=%v", n, compress)
			b.Run("write/"+name, func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					w.Reset(w.Collected()[:0])
					w.String(s[:n])
				}
			})
			packed := w.Collected()
			b.Run("read/"+name, func(b *testing.B) {
				b.SetBytes(int64(n))
				var dst []byte
				r := NewReader(&loop{p: packed})
				for b.Loop() {
					var err error
					if dst, err = r.AppendString(dst[:0]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// loop delivers the same bytes again and again.
type loop struct {
	p  []byte
	at int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.p[l.at:])
	l.at = (l.at + n) % len(l.p)
	return n, nil
}

func BenchmarkChecksum(b *testing.B) {
	std := crc64.MakeTable(crcPolynomial)
	for _, n := range []int{100, 1000, 64 << 10} {
		p := bytes.Repeat([]byte("x"), n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				Checksum(1, p)
			}
		})
		b.Run(fmt.Sprint(n, "/std"), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				crc64.Update(1, std, p)
			}
		})
	}
}
