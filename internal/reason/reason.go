// Package reason says why something failed in the words that operators know from Redis:
// those of strerror, without the names of Go's calls and of this program's packages.
//
//	psync: connect: dial tcp 127.0.0.1:7001: connect: connection refused
//
// is "Connection refused", and what was added around an error stays:
//
//	journal: write the base: open /data/base.rdb: no space left on device
//
// is "write the base: open /data/base.rdb: No space left on device". The log prints
// errors that way by itself (package logging); replies to clients use Of.
package reason

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// explained is an error that says by itself, in words for operators, why it came about.
type explained interface {
	error
	Reason() string
}

// explanation is what the first such error in err says.
func explanation(err error) (string, bool) {
	e, ok := errors.AsType[explained](err)
	if !ok {
		return "", false
	}
	return e.Reason(), true
}

// Of is why err came about, in words. It is "" for nil. An error with a method Reason
// has that say it.
func Of(err error) string {
	if err == nil {
		return ""
	}
	return withoutPackages(words(err))
}

// Peer is Of for an error of a connection, where the end of what can be read means that
// the other side has closed it.
func Peer(err error) string {
	if text, ok := explanation(err); ok {
		return text
	}
	switch {
	case errors.Is(err, io.EOF):
		return "Connection closed by the peer"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "Connection closed by the peer, in the middle of what it sent"
	}
	return Of(err)
}

// fixed is the texts of errors that have one for a program rather than for people.
var fixed = []struct {
	err  error
	text string
}{
	{os.ErrDeadlineExceeded, "Connection timed out"},
	{context.DeadlineExceeded, "Connection timed out"},
	{context.Canceled, "Given up"},
	{net.ErrClosed, "The connection is closed"},
	{os.ErrClosed, "The file is closed"},
	{io.ErrUnexpectedEOF, "Unexpected end"},
	{io.EOF, "Unexpected end"},
}

// words is the text of an error with those of the errors in it replaced.
func words(err error) string {
	switch e := err.(type) {
	case explained:
		return e.Reason()
	case syscall.Errno:
		return Errno(e)
	case *os.SyscallError:
		return words(e.Err)
	case *net.OpError:
		return words(e.Err) // the line says whose address it is
	case *fs.PathError:
		return e.Op + " " + e.Path + ": " + words(e.Err)
	case *os.LinkError:
		return e.Op + " " + e.Old + " to " + e.New + ": " + words(e.Err)
	case *net.DNSError:
		return lookup(e)
	case *net.AddrError:
		return e.Err + ": " + e.Addr
	}
	for _, f := range fixed {
		if err == f.err {
			return f.text
		}
	}
	text := err.Error()
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			text = replaceLast(text, inner.Error(), words(inner))
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			text = replaceLast(text, inner.Error(), words(inner))
		}
		text = strings.ReplaceAll(text, "\n", "; ") // errors.Join
	}
	return text
}

// replaceLast replaces the last old in s, which is where a wrapped error stands.
func replaceLast(s, old, with string) string {
	at := strings.LastIndex(s, old)
	if at < 0 || old == "" {
		return s
	}
	return s[:at] + with + s[at+len(old):]
}

// Errno is the text of strerror. Go has the same, in lower case.
func Errno(e syscall.Errno) string {
	text := e.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}

// lookup is the text of gai_strerror.
func lookup(e *net.DNSError) string {
	switch {
	case e.IsNotFound:
		return "Name or service not known"
	case e.IsTimeout || e.IsTemporary:
		return "Temporary failure in name resolution"
	}
	return e.Err
}

// packages are the names that errors of this program begin with.
var packages = map[string]bool{
	"acl": true, "aof": true, "bus": true, "cluster": true, "config": true, "journal": true, "link": true, "node": true,
	"pebble": true, "psync": true, "rdb": true, "replication": true, "sentinel": true, "server": true, "snapshot": true,
	"storage": true, "wire": true,
}

// withoutPackages drops the names of packages in front of what they say.
func withoutPackages(text string) string {
	parts := strings.Split(text, ": ")
	kept := parts[:0]
	for i, p := range parts {
		if i == len(parts)-1 || !packages[p] {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, ": ")
}

// System is what the system said alone, without the file or the address that it is about,
// as strerror writes it. If the system said nothing it is Of.
func System(err error) string {
	if text, ok := explanation(err); ok {
		return text
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return Errno(errno)
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		return lookup(name)
	}
	for _, f := range fixed {
		if errors.Is(err, f.err) {
			return f.text
		}
	}
	return Of(err)
}
