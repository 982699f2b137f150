package raftgroup

import (
	"encoding/binary"
	"sync"

	"github.com/hashicorp/raft"
)

// fleeting is a raft.StableStore whose values last as long as the process (fault.VoteUnsynced).
type fleeting struct {
	mu     sync.Mutex
	values map[string][]byte
}

var _ raft.StableStore = (*fleeting)(nil)

// Set implements raft.StableStore.
func (f *fleeting) Set(key, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.values[string(key)] = append([]byte{}, value...)
	return nil
}

// Get implements raft.StableStore.
func (f *fleeting) Get(key []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v, ok := f.values[string(key)]; ok {
		return v, nil
	}
	return nil, errNoKey
}

// SetUint64 implements raft.StableStore.
func (f *fleeting) SetUint64(key []byte, v uint64) error {
	return f.Set(key, binary.BigEndian.AppendUint64(nil, v))
}

// GetUint64 implements raft.StableStore.
func (f *fleeting) GetUint64(key []byte) (uint64, error) {
	v, err := f.Get(key)
	if err != nil {
		return 0, nil
	}
	return binary.BigEndian.Uint64(v), nil
}
