package sentinel

import "redoubt/replication"

// noStream is the stream of a server without data: nothing is ever appended, so
// that nothing waits for it either.
type noStream struct{}

func (noStream) Append(_, _ int, _ []byte) replication.Offset { return 0 }
func (noStream) Announce()                                    {}
func (noStream) End() replication.Offset                      { return 0 }
func (noStream) Committed() replication.Offset                { return 0 }
func (noStream) Shown() replication.Offset                    { return 0 }
func (noStream) AwaitsReplicas() bool                         { return false }
func (noStream) Term() uint32                                 { return 1 }
func (noStream) GiveUp(replication.Offset)                    {}
func (noStream) Strict() bool                                 { return false }
func (noStream) Confirm() uint64                              { return 0 }
func (noStream) Confirmed() uint64                            { return 0 }
func (noStream) TryCommit()                                   {}
func (noStream) OnCommit(func(replication.Offset))            {}
func (noStream) Room() bool                                   { return true }
func (noStream) OnRoom(f func(room bool))                     { f(true) }
