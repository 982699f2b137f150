package reason

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	refused := func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		_, err = net.Dial("tcp", l.Addr().String())
		return err
	}
	timedOut := func() error {
		a, b := net.Pipe()
		defer b.Close()
		a.SetReadDeadline(time.Unix(1, 0))
		_, err := a.Read(make([]byte, 1))
		return &net.OpError{Op: "read", Err: err}
	}
	none := filepath.Join(t.TempDir(), "none")
	_, missing := os.Open(none)
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing", nil, ""},
		{"a number of the kernel", syscall.ENOSPC, "No space left on device"},
		{"a refused connection", fmt.Errorf("psync: connect: %w", refused()), "connect: Connection refused"},
		{"a refused connection without a word around it", refused(), "Connection refused"},
		{"a deadline", timedOut(), "Connection timed out"},
		{"the deadline of a context", fmt.Errorf("dial: %w", context.DeadlineExceeded), "dial: Connection timed out"},
		{"a file", fmt.Errorf("journal: read the base: %w", missing), "read the base: open " + none + ": No such file or directory"},
		{"a rename", &os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EXDEV}, "rename a to b: Invalid cross-device link"},
		{"several", errors.Join(syscall.EIO, fmt.Errorf("node: close: %w", syscall.EBADF)), "Input/output error; node: close: Bad file descriptor"},
		{"two in one", fmt.Errorf("%w: %w", errors.New("psync: refused"), syscall.EACCES), "refused: Permission denied"},
		{"a name nobody has", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}}, "Name or service not known"},
		{"a package within", fmt.Errorf("load: %w", errors.New("rdb: bad checksum")), "load: bad checksum"},
		{"the end of a file", fmt.Errorf("rdb: %w", io.ErrUnexpectedEOF), "Unexpected end"},
		{"a text of its own", errors.New("the snapshot has keys in database 9"), "the snapshot has keys in database 9"},
	} {
		if got := Of(c.err); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := Peer(fmt.Errorf("psync: read: %w", io.EOF)); got != "Connection closed by the peer" {
		t.Errorf("the end of a connection: %q", got)
	}
}

// TestEveryErrnoHasWords: none is in Go's way of writing, and none panics.
// handshake is an error with words of its own, around one that others have words for.
type handshake struct{}

func (handshake) Error() string  { return "handshake: EOF" }
func (handshake) Reason() string { return "it does not speak TLS" }
func (handshake) Unwrap() error  { return io.EOF }

func TestAnErrorThatSaysItsReason(t *testing.T) {
	err := fmt.Errorf("psync: connect: %w", handshake{})
	if got, want := Of(err), "connect: it does not speak TLS"; got != want {
		t.Errorf("Of: %q, want %q", got, want)
	}
	if got, want := Peer(err), "it does not speak TLS"; got != want {
		t.Errorf("Peer: %q, want %q", got, want)
	}
	if got, want := System(err), "it does not speak TLS"; got != want {
		t.Errorf("System: %q, want %q", got, want)
	}
}

func TestEveryErrnoHasWords(t *testing.T) {
	for e := syscall.Errno(1); e < 134; e++ {
		if text := Errno(e); text == "" || text[:1] != strings.ToUpper(text[:1]) {
			t.Errorf("%d: %q", int(e), text)
		}
	}
}
