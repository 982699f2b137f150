package journal

import (
	"context"
	"testing"

	"go.uber.org/zap"
)

// BenchmarkAppend is a unit of 100 bytes, with the writer and its disk beside it.
func BenchmarkAppend(b *testing.B) {
	for name, cfg := range map[string]Config{
		"memory":   {Dir: "unused"},
		"everysec": {Enabled: true},
		"no":       {Enabled: true, Policy: No},
	} {
		b.Run(name, func(b *testing.B) {
			cfg.Log = zap.NewNop()
			if cfg.Enabled {
				cfg.Dir = b.TempDir()
			}
			s, _, err := Open(cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			u := unit(1, 60)
			b.SetBytes(int64(len(u)))
			b.ReportAllocs()
			for b.Loop() {
				if !s.Room() {
					if err := s.WaitRoom(context.Background()); err != nil {
						b.Fatal(err)
					}
				}
				s.Append(0, 0, u)
				s.Announce()
			}
		})
	}
}
