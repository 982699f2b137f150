package config

import "math"

// encodingRows is the limits of the compact encodings. Of collections they only
// choose names here.
var encodingRows = []*directive{
	{name: "hash-max-listpack-entries", aliases: []string{"hash-max-ziplist-entries"}, typ: unbounded, def: "512",
		does:  "fields up to which OBJECT ENCODING calls a hash a listpack",
		store: toInt(func(s *Settings) *int { return &s.Encodings.HashEntries })},
	{name: "hash-max-listpack-value", aliases: []string{"hash-max-ziplist-value"}, typ: anyBytes, def: "64",
		does:  "bytes of the longest field or value of such a hash",
		store: toInt(func(s *Settings) *int { return &s.Encodings.HashValue })},
	{name: "list-max-listpack-size", aliases: []string{"list-max-ziplist-size"}, typ: ints(math.MinInt32, math.MaxInt32), def: "-2",
		does:  "elements of a listpack; -1 to -5: up to 4, 8, 16, 32 or 64 KiB",
		store: toInt(func(s *Settings) *int { return &s.Encodings.ListSize })},
	{name: "set-max-intset-entries", typ: unbounded, def: "512",
		does:  "members up to which a set of integers is called an intset",
		store: toInt(func(s *Settings) *int { return &s.Encodings.SetInts })},
	{name: "set-max-listpack-entries", typ: unbounded, def: "128", since: "Redis 7.2",
		does:  "members up to which another set is called a listpack",
		store: toInt(func(s *Settings) *int { return &s.Encodings.SetEntries })},
	{name: "set-max-listpack-value", typ: unbounded, def: "64", since: "Redis 7.2",
		does:  "bytes of the longest member of such a set",
		store: toInt(func(s *Settings) *int { return &s.Encodings.SetValue })},
	{name: "zset-max-listpack-entries", aliases: []string{"zset-max-ziplist-entries"}, typ: unbounded, def: "128",
		does:  "members up to which a sorted set is called a listpack",
		store: toInt(func(s *Settings) *int { return &s.Encodings.ZSetEntries })},
	{name: "zset-max-listpack-value", aliases: []string{"zset-max-ziplist-value"}, typ: anyBytes, def: "64",
		does:  "bytes of the longest member of such a sorted set",
		store: toInt(func(s *Settings) *int { return &s.Encodings.ZSetValue })},
	{name: "stream-node-max-bytes", typ: anyBytes, def: "4096",
		does:  "bytes of a node of a stream, of which approximate trimming removes whole ones; 0: no limit",
		store: toInt(func(s *Settings) *int { return &s.Encodings.NodeBytes })},
	{name: "stream-node-max-entries", typ: unbounded, def: "100",
		does:  "items of such a node; 0: no limit",
		store: toInt(func(s *Settings) *int { return &s.Encodings.NodeItems })},
	{name: "hll-sparse-max-bytes", typ: anyBytes, def: "3000",
		does:  "bytes up to which a HyperLogLog is sparse",
		store: toInt(func(s *Settings) *int { return &s.HLLSparseMax })},
}

// deletionRows is how keys are deleted.
var deletionRows = []*directive{
	{name: "lazyfree-lazy-server-del", typ: boolean{}, def: "no",
		does:  "SPOP of a whole set and RESTORE of what has expired go to replicas as UNLINK, not DEL",
		store: toBool(func(s *Settings) *bool { return &s.LazyServerDel })},
}
