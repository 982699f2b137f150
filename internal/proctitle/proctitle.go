// Package proctitle changes what ps shows of the process.
//
// On Linux /proc/PID/cmdline is the memory in which the kernel has put the arguments, and
// the environment behind them if the arguments do not end with a zero byte any more.
// A program may write there, as setproctitle(3) does. Go's os.Args are strings in that
// very memory, while its environment is a copy.
package proctitle

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

// Title is the title of the process.
type Title struct{ area []byte } // nil: it cannot be changed

// Own gives the program copies of its arguments, and returns the title whose place
// they leave. It must be called before anybody keeps a part of os.Args.
func Own() *Title {
	if len(os.Args) == 0 || os.Args[0] == "" {
		return &Title{}
	}
	first := unsafe.StringData(os.Args[0])
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return &Title{}
	}
	size := areaSize(stat, uint64(uintptr(unsafe.Pointer(first))))
	for i, a := range os.Args {
		os.Args[i] = strings.Clone(a)
	}
	if size == 0 {
		return &Title{}
	}
	return &Title{unsafe.Slice(first, size)}
}

// Places of addresses in /proc/PID/stat behind the name of the program (proc(5)).
const (
	statArgStart = 48 - 3 + iota
	statArgEnd
	statEnvStart
	statEnvEnd
)

// areaSize is how many bytes from start on are the arguments and, if nobody else looks
// there, the environment; 0 if that is not known.
func areaSize(stat []byte, start uint64) uint64 {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= statEnvEnd {
		return 0
	}
	at := func(i int) uint64 {
		n, _ := strconv.ParseUint(string(fields[i]), 10, 64) // 0 for what cannot be read: not start
		return n
	}
	argStart, argEnd, envStart, envEnd := at(statArgStart), at(statArgEnd), at(statEnvStart), at(statEnvEnd)
	switch {
	case start != argStart || argEnd <= argStart:
		return 0
	case sharedEnvironment || envStart != argEnd || envEnd < envStart:
		return argEnd - argStart
	}
	return envEnd - argStart
}

// Set makes text the title, as far as there is room for it.
func (t *Title) Set(text string) {
	if len(t.area) == 0 {
		return
	}
	n := copy(t.area[:len(t.area)-1], text)
	clear(t.area[n:])
}
