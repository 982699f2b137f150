package node

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"redoubt/slots"
	"redoubt/storage"
	"redoubt/storage/rdb"
	"redoubt/storage/snapshot"
)

// BenchmarkLoad loads a file of a million keys, in the order in which a node
// writes them and in that in which redis-server does (any).
func BenchmarkLoad(b *testing.B) {
	const keys = 1 << 20
	kinds := map[string]func(tx *storage.Tx, key []byte, r *rand.Rand){
		"strings": func(tx *storage.Tx, key []byte, r *rand.Rand) {
			value := make([]byte, 64)
			for j := range value {
				value[j] = byte('a' + r.IntN(26))
			}
			tx.SetString(key, value, 0, 0)
		},
		"hashes": func(tx *storage.Tx, key []byte, r *rand.Rand) {
			h, _ := tx.EditHash(key)
			for i := range 5 {
				h.Set(fmt.Appendf(nil, "field%d", i), fmt.Appendf(nil, "%08d", r.IntN(1e8)))
			}
		},
	}
	for _, name := range []string{"strings", "hashes"} {
		ks := storage.New(storage.Config{Reserve: 4 << 30})
		e, r := ks.NewExecutor(), rand.New(rand.NewPCG(1, 1))
		for i := range keys {
			key := fmt.Appendf(nil, "key:%012d", i)
			kinds[name](e.Begin(1, []slots.Slot{slots.Of(key)}), key, r)
			e.End()
		}
		var file bytes.Buffer
		err := snapshot.Write(ks, e.BeginWorld(1), &file, rdb.Header{}, snapshot.Options{RDB: rdb.Options{Compress: true, Checksum: true}})
		e.End()
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				ks := storage.New(storage.Config{Reserve: 4 << 30})
				hands := []hand{&applying{e: ks.NewExecutor()}, &applying{e: ks.NewExecutor()}}
				l, err := load(context.Background(), hands, ks, bytes.NewReader(file.Bytes()), loadRule{})
				if err != nil || l.keys != keys {
					b.Fatal(l.keys, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/keys, "ns/key")
			b.ReportMetric(float64(file.Len())/keys, "bytes/key")
		})
	}
}
