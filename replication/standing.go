package replication

import "time"

// Source is whom a replica in a cluster copies: the id of its primary and of
// the shard both are in. Both are empty outside a cluster.
type Source struct {
	Primary string
	Shard   string
}

// Fitness says what the data of a replica are worth to a shard. The zero value
// is that of data which belong to no shard. It is saved with the history, so
// that a replica whose journal is whole can stand for election after a restart.
type Fitness struct {
	// Shard is the shard whose data these are.
	Shard string
	// Primary is the primary whose stream the node's offset counts in: the one
	// it was in step with last. It is empty as soon as another is followed.
	Primary string
	// Contact is when a primary of the shard, with which the node was in step,
	// was last heard from; zero if that has never been.
	Contact time.Time
}

// Standing is what a node may tell its cluster about its data: which offset
// counts, and how old the data are. Votes are won with both, so a node tells
// nothing that it has not got from a primary of its own shard.
//
// A new primary of the same shard leaves the contact as it is: the data are the
// shard's, and grow old until the node is in step again. They do not count in
// the new primary's stream, so the offset is 0 meanwhile, and any replica that
// is in step goes first. After a promotion or a change of shards, and while a
// snapshot is being loaded, the node has nothing to offer: what it holds is its
// own writes, the keys of another shard, or half of the keys.
//
// The zero value is a primary.
type Standing struct {
	replica bool
	loading bool
	source  Source
	fitness Fitness
}

// Source is whom the node follows; the zero value for a primary.
func (s *Standing) Source() Source { return s.source }

// Replica reports whether the node is a replica.
func (s *Standing) Replica() bool { return s.replica }

// Loading reports whether a snapshot is taking the place of the data.
func (s *Standing) Loading() bool { return s.loading }

// Fitness is what to save of the standing.
func (s *Standing) Fitness() Fitness { return s.fitness }

// Restore begins with what was saved. The node is a replica of nobody yet. A
// contact in the future, which a clock that was set back leaves, is one of now. From
// then on its age is measured by the clock of now, which cannot be set.
func (s *Standing) Restore(f Fitness, now time.Time) {
	if !f.Contact.IsZero() {
		f.Contact = now.Add(-max(now.Sub(f.Contact), 0))
	}
	*s = Standing{replica: true, fitness: f}
}

// Promote makes the node a primary.
func (s *Standing) Promote() { *s = Standing{} }

// Follow makes the node a replica of src. The shard of a primary that is
// followed already may have got another name; the data are the same.
func (s *Standing) Follow(src Source) {
	f := &s.fitness
	samePrimary := src.Primary != "" && (f.Primary == src.Primary || s.source == Source{src.Primary, f.Shard})
	switch {
	case samePrimary && f.Shard != "":
		f.Shard = src.Shard
	case f.Shard == src.Shard:
		f.Primary = ""
	default:
		*f = Fitness{}
	}
	s.replica, s.source = true, src
}

// Sync says that the node is in step with its source: a partial resync was
// granted, or a snapshot is loaded.
func (s *Standing) Sync(at time.Time) {
	s.loading = false
	s.fitness = Fitness{Shard: s.source.Shard, Primary: s.source.Primary, Contact: at}
}

// Hear notes when the source was last heard from. It counts only if the node
// is in step with it.
func (s *Standing) Hear(at time.Time) {
	if s.fitness.Primary != "" && s.fitness.Primary == s.source.Primary && at.After(s.fitness.Contact) {
		s.fitness.Contact = at
	}
}

// Load says that a snapshot takes the place of the data, until Sync, Keep or
// Forget says what came of it.
func (s *Standing) Load() { s.loading = true }

// Keep says that the data are those from before Load.
func (s *Standing) Keep() { s.loading = false }

// Forget says that the node has no data any more.
func (s *Standing) Forget() {
	s.loading = false
	s.fitness = Fitness{}
}

// Offer is what the node tells of its data, which end at end: the offset that
// counts, and the last contact with the shard's primary. Zero times do not
// stand for election. A primary tells its end.
func (s *Standing) Offer(end Offset) (offset Offset, contact time.Time) {
	switch {
	case !s.replica:
		return end, time.Time{}
	case s.loading:
		return 0, time.Time{}
	case s.fitness.Primary == "" || s.fitness.Primary != s.source.Primary:
		return 0, s.fitness.Contact
	}
	return end, s.fitness.Contact
}
