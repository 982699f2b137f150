package server

import (
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"redoubt/internal/resp"
	"redoubt/internal/script"
	"redoubt/storage"
)

// functions is the libraries of a node. They are as good as data: they are in
// snapshots and in the stream, and change under the world lock only.
type functions struct {
	// set is what there is. It never changes; a change makes another one.
	set atomic.Pointer[functionSet]
	// engine is held (by one who has sent to it) while the set's engine is used:
	// what the functions of a library share is shared by all who call them.
	engine chan struct{}
	memory atomic.Int64 // of the set's engine when it was used last, in bytes
}

// functionSet is all libraries at one time.
type functionSet struct {
	engine    *script.Engine
	libraries []*script.Library    // by name
	byName    map[string]*function // in lower case: case does not matter
	bytes     int64
}

// function is a function that can be called.
type function struct {
	*script.Function
	wide atomic.Bool // as in cached
}

// libraryBytes is about what a library or a function takes beside its text.
const libraryBytes = 300

func newFunctions() *functions {
	f := &functions{engine: make(chan struct{}, 1)}
	f.set.Store(newFunctionSet())
	return f
}

func newFunctionSet() *functionSet {
	return &functionSet{engine: newEngine(), byName: map[string]*function{}}
}

// fold is the key of a function's name.
func fold(name string) string { return strings.ToLower(name) }

// function returns the function with this name, or nil.
func (x *functionSet) function(name []byte) *function {
	if f := x.byName[string(name)]; f != nil {
		return f
	}
	return x.byName[fold(string(name))]
}

// find returns the library with this name, or nil.
func (x *functionSet) find(name string) *script.Library {
	i, found := slices.BinarySearchFunc(x.libraries, name, byLibraryName)
	if !found {
		return nil
	}
	return x.libraries[i]
}

func byLibraryName(l *script.Library, name string) int { return strings.Compare(l.Name, name) }

// put makes next the set. The caller has the engine, which lets go of the libraries that
// are gone.
func (f *functions) put(next *functionSet) {
	old := f.set.Swap(next)
	if old.engine != next.engine {
		return
	}
	for _, l := range old.libraries {
		if !slices.Contains(next.libraries, l) {
			old.engine.Unload(l)
		}
	}
}

// without is the set with the libraries for which gone is false.
func (x *functionSet) without(gone func(*script.Library) bool) *functionSet {
	next := &functionSet{engine: x.engine, byName: map[string]*function{}}
	for _, l := range x.libraries {
		if !gone(l) {
			next.libraries = append(next.libraries, l)
			next.bytes += libraryBytes + int64(len(l.Code))
			for _, f := range l.Functions {
				next.byName[fold(f.Name)] = x.byName[fold(f.Name)]
				next.bytes += libraryBytes
			}
		}
	}
	return next
}

// with is the set and one library more. The error is that of a name that is taken.
func (x *functionSet) with(l *script.Library) (*functionSet, resp.Error) {
	for _, f := range l.Functions {
		if x.byName[fold(f.Name)] != nil {
			return nil, resp.ErrFunctionExists(f.Name)
		}
	}
	next := &functionSet{engine: x.engine, byName: maps.Clone(x.byName), bytes: x.bytes + libraryBytes + int64(len(l.Code))}
	i, _ := slices.BinarySearchFunc(x.libraries, l.Name, byLibraryName)
	next.libraries = slices.Insert(slices.Clone(x.libraries), i, l)
	for _, f := range l.Functions {
		next.byName[fold(f.Name)] = &function{Function: f}
		next.bytes += libraryBytes
	}
	return next, ""
}

// load is the set with the library that code makes, in the place of one with the
// same name if replace is set. It matches functionsCreateWithLibraryCtx.
func (x *functionSet) load(code string, replace bool, timeout time.Duration, host script.Host) (_ *functionSet, name string, _ resp.Error) {
	h, err := script.ParseHeader(code)
	if err != nil {
		return nil, "", err.(resp.Error)
	}
	old := x.find(h.Name)
	if old != nil && !replace && strings.EqualFold(h.Engine, "lua") {
		return nil, "", resp.ErrLibraryExists(h.Name)
	}
	l, err := x.engine.Load(code, timeout, host)
	if err != nil {
		return nil, "", err.(resp.Error)
	}
	next, refusal := x.without(func(l *script.Library) bool { return l == old }).with(l)
	if refusal != "" {
		x.engine.Unload(l)
	}
	return next, l.Name, refusal
}

// restorePolicy is what becomes of the libraries that are there.
type restorePolicy uint8

const (
	restoreAppend restorePolicy = iota
	restoreReplace
	restoreFlush
)

// restore is the set with the libraries of a payload, if they hold no more than memory
// bytes. It matches functionRestoreCommand: nothing has changed if anything is wrong.
func (x *functionSet) restore(codes []string, policy restorePolicy, timeout time.Duration, memory int64, host script.Host) (_ *functionSet, refusal resp.Error) {
	loaded := newFunctionSet()
	if policy != restoreFlush {
		loaded.engine = x.engine
	}
	loaded.engine.SetMaxMemory(memory)
	defer func() {
		if refusal != "" {
			for _, l := range loaded.libraries {
				loaded.engine.Unload(l)
			}
		}
	}()
	for _, code := range codes {
		next, _, err := loaded.load(code, false, timeout, host)
		if err != "" {
			return nil, err
		}
		loaded = next
	}
	if policy == restoreFlush {
		return loaded, ""
	}
	for _, l := range loaded.libraries {
		if policy == restoreAppend && x.find(l.Name) != nil {
			return nil, resp.ErrRestoreExists(l.Name)
		}
	}
	next := x.without(func(l *script.Library) bool { return loaded.find(l.Name) != nil })
	for _, l := range loaded.libraries {
		var err resp.Error
		if next, err = next.with(l); err != "" {
			return nil, err
		}
	}
	return next, ""
}

// take gets the engine for the caller; ends it gives back. It reports false if that
// would take long.
func (f *functions) take(s *Server) bool {
	select {
	case f.engine <- struct{}{}:
		return true
	default:
	}
	for {
		select {
		case f.engine <- struct{}{}:
			return true
		case <-time.After(engineLook):
			if s.is(condBusy) {
				return false
			}
		}
	}
}

// engineLook is how often somebody who waits for the engine looks whether a function
// takes long.
const engineLook = time.Millisecond

func (f *functions) give() { <-f.engine }

// Libraries is the code of all libraries by name, for snapshots. The unit holds the
// world lock: admin.Functions.
func (s *Server) Libraries(*storage.Tx) []string {
	var codes []string
	for _, l := range s.functions.set.Load().libraries {
		codes = append(codes, l.Code)
	}
	return codes
}

// LoadLibrary adds a library that a snapshot holds, in the place of one with the same
// name if replace is set. Nobody calls functions while data are being loaded.
func (s *Server) LoadLibrary(code string, replace bool) error {
	s.functions.engine <- struct{}{}
	defer s.functions.give()
	set := s.functions.set.Load()
	set.engine.SetMaxMemory(unbounded)
	next, _, err := set.load(code, replace, 0, loadHost{s})
	if err != "" {
		return err
	}
	s.functions.put(next)
	return nil
}

// DropLibraries empties the set. The unit holds the world lock.
func (s *Server) DropLibraries(*storage.Tx) { s.functions.put(newFunctionSet()) }
