package storage

import (
	"fmt"
	"testing"
)

func TestMemoryOfDeletedKeysIsGivenBack(t *testing.T) {
	b := newBench(t, 1)
	empty := b.Keyspace.Memory()
	key := func(i int) []byte { return fmt.Appendf(nil, "key:%d", i) }
	const keys = 150_000
	for i := range keys {
		tx := b.Begin(b.now, slotsOf(string(key(i))))
		tx.SetString(key(i), make([]byte, 40), 0, 0)
		b.Executor.End()
	}
	full := b.Keyspace.Memory()
	if got := full.Data - empty.Data; got < keys*48 || full.Tables <= empty.Tables || full.Committed < full.Data+full.Tables {
		t.Errorf("with %d keys: %+v", keys, full)
	}
	for i := range keys {
		tx := b.Begin(b.now, slotsOf(string(key(i))))
		tx.Delete(key(i))
		b.Executor.End()
	}
	b.Executor.Retire()
	for b.Keyspace.Trim(1 << 20) {
	}
	got := b.Keyspace.Memory()
	if got.Data != empty.Data || got.Tables != empty.Tables || got.Committed-empty.Committed > (full.Committed-empty.Committed)/2 || got.Returned == 0 {
		t.Errorf("without keys: %+v; it was %+v", got, full)
	}
}
