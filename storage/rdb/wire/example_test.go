package wire_test

import (
	"fmt"

	"redoubt/storage/rdb/wire"
)

// A loader of hashes reads the blob, parses it by the type byte, and has one
// loop for all encodings.
func Example() {
	var l wire.ListpackBuilder
	for _, s := range []string{"name", "Ada", "born", "1815"} {
		l.Append([]byte(s))
	}
	var w wire.Writer
	w.String(l.Finish())

	r := wire.NewBytesReader(w.Collected())
	blob, err := r.ReadString()
	if err != nil {
		panic(err)
	}
	p, err := wire.ParseListpack(blob)
	if err != nil {
		panic(err)
	}
	for field, value := range p.Pairs() {
		fmt.Println(field, value, value.IsInt())
	}
	// Output:
	// name Ada false
	// born 1815 true
}

// A long value is copied from one file to another without being in memory.
func ExampleReader_OpenString() {
	var from, to wire.Writer
	from.String([]byte("a value of any length"))

	s, err := wire.NewBytesReader(from.Collected()).OpenString()
	if err != nil {
		panic(err)
	}
	out := to.OpenString(s.Len())
	for {
		piece, err := s.Next()
		if err != nil {
			break // io.EOF, or damage
		}
		out.Write(piece)
	}
	fmt.Println(out.Close(), len(to.Collected()))
	// Output: <nil> 22
}
