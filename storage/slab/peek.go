package slab

// Peek reads 8 bytes at offset off of a block that may have been freed, or used
// again, since r was valid, and reports whether it could. It is for looking
// ahead: what it reads means nothing until it has been read under a lock.
func (s *Space) Peek(r Ref, off int) (v uint64, ok bool) { return 0, false }
