package rdb

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"redoubt/storage"
	"redoubt/storage/rdb/wire"
)

// textOf returns the string that a payload holds.
func textOf(payload []byte) (string, error) {
	p, err := ParsePayload(payload)
	if err != nil {
		return "", err
	}
	b, err := wire.NewBytesReader(p.value).ReadString()
	return string(b), err
}

// Payloads as a real redis-server 7.0.15 answers DUMP.
func TestPayloadsOfRealRedis(t *testing.T) {
	cases := []struct{ payload, value string }{
		{"\x00\x05hello\n\x00cr\xdfve4 \n", "hello"},
		{"\x00\xc2\x90\xee\xfe\xff\n\x00(u\xde{\x13\xeb(\x00", "-70000"},
		{"\x00\xc3\t*\x01aa\xe0\x1d\x00\x01aa\n\x00\xf2`\x95\xdcM\\\xa9X", strings.Repeat("a", 42)},
	}
	for _, c := range cases {
		if value, err := textOf([]byte(c.payload)); err != nil || value != c.value {
			t.Errorf("%q: %q, %v", c.payload, value, err)
		}
		// Compressors may differ, so the third is compared by what it means.
		enc := Encoder{Compress: true}
		ours := enc.AppendPayload(nil, Text(c.value))
		if len(c.value) <= 20 && string(ours) != c.payload {
			t.Errorf("ours %q", ours)
		}
		if value, err := textOf(ours); err != nil || value != c.value {
			t.Errorf("ours %q read back: %q, %v", ours, value, err)
		}
	}
}

func TestPayloadRefusals(t *testing.T) {
	sign := func(body string, version byte) []byte {
		p := append([]byte(body), version, 0)
		crc := wire.Checksum(0, p)
		for range 8 {
			p = append(p, byte(crc))
			crc >>= 8
		}
		return p
	}
	flipped := sign("\x00\x01a", 10)
	flipped[2] ^= 1
	cases := []struct {
		name    string
		payload []byte
		want    error
	}{
		{"version 12 is read", sign("\x00\x01a", 12), nil},
		{"version 80 is read", sign("\x00\x01a", 80), nil},
		{"version 13 is refused", sign("\x00\x01a", 13), ErrPayload},
		{"version 0 is refused", sign("\x00\x01a", 0), ErrPayload},
		{"a flipped bit is refused", flipped, ErrPayload},
		{"a trailer alone holds no value", sign("", 10), ErrCorrupt},
		{"nothing is refused", nil, ErrPayload},
		{"a string that is cut off is bad data", sign("\x00\x05a", 10), ErrCorrupt},
		{"a type without value is bad data", sign("\x00", 10), ErrCorrupt},
		{"bytes behind the value are bad data", sign("\x00\x01ab", 10), ErrCorrupt},
		{"an unknown type is bad data", sign("\x3f\x01a", 10), ErrCorrupt},
		{"an opcode is bad data", sign("\xff\x01a", 10), ErrCorrupt},
		{"a list is read", sign("\x01\x01\x01a", 10), nil},
		{"an empty list is bad data", sign("\x01\x00", 10), ErrCorrupt},
		{"an empty element outside of a listpack is bad data", sign("\x12\x01\x01\x00", 10), ErrCorrupt},
		{"a member that is there twice is bad data", sign("\x02\x02\x01a\x01a", 10), ErrCorrupt},
		{"a stream of the newest Redis is not supported", sign("\x1a\x01\x01a", 10), ErrUnsupportedType},
		{"an empty stream is read", sign("\x0f\x00\x00\x00\x00\x00", 10), nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := bytes.Clone(c.payload)
			if _, err := ParsePayload(c.payload); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if !bytes.Equal(before, c.payload) {
				t.Error("the payload was changed")
			}
		})
	}
}

func FuzzReader(f *testing.F) {
	for _, name := range []string{"strings.rdb", "idle.rdb", "freq.rdb", "hash.rdb", "function.rdb", "empty.rdb"} {
		f.Add(golden(f, name))
	}
	f.Add(writeGolden(f, Options{Compress: true}))
	f.Fuzz(func(t *testing.T, file []byte) {
		Check(bytes.NewReader(file))
		// The checksum stops most changed files at their end only, but a
		// changed file without one must do no harm either.
		if len(file) > 8 {
			file = bytes.Clone(file) // it is the fuzzer's
			clear(file[len(file)-8:])
			Check(bytes.NewReader(file))
			loadBatches(file)
		}
	})
}

// loadBatches loads a file as several goroutines do, but alone.
func loadBatches(file []byte) {
	// Room for a string that claims to be long, of which no more comes.
	tx := storage.New(storage.Config{Reserve: 1 << 30}).NewExecutor().BeginWorld(1)
	r := NewReader(bytes.NewReader(file))
	var b Batch
	for more := true; more; {
		e, err := r.Next()
		if more = err == nil; more && e.DB == 0 {
			taken, err := b.Take(r)
			if err == nil && !taken {
				_, err = r.Load(tx)
			}
			more = err == nil
		}
		if !more || b.Full() {
			for i := range b.Entries {
				if _, err := b.Load(tx, &b.Entries[i]); err != nil {
					break
				}
			}
			b.Clear()
		}
	}
}
