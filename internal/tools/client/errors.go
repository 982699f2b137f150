package client

import (
	"errors"
	"fmt"
	"strings"

	"redoubt/internal/tlsconf"
)

// ErrProtocol marks a reply that is not RESP2 or exceeds the limits of
// readFrame. The connection cannot be used afterwards.
var ErrProtocol = errors.New("client: protocol error")

// ReplyError is an error reply of a server, without the leading '-'. The
// command was not executed.
type ReplyError struct {
	Addr string // the node that replied
	Text string // such as "MOVED 3999 127.0.0.1:7002"
}

func (e *ReplyError) Error() string { return e.Text }

// Code is the first word of the error: "ERR", "MOVED", "CLUSTERDOWN".
func (e *ReplyError) Code() string {
	code, _, _ := strings.Cut(e.Text, " ")
	return code
}

// NetError is a failure to get a reply at all.
type NetError struct {
	Addr string
	Op   string // "dial", "write" or "read"
	// Sent reports whether bytes of the command may have reached the server,
	// so that it may have been, or may yet be, executed.
	Sent bool
	Err  error
}

func (e *NetError) Error() string {
	// A server that wants another certificate says so behind the handshake.
	if why := tlsconf.Refusal(e.Err); why != "" {
		return fmt.Sprintf("%s %s: %s", e.Op, e.Addr, why)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Addr, e.Err)
}

func (e *NetError) Unwrap() error { return e.Err }

// Unknown reports whether err leaves open if the command was executed.
func Unknown(err error) bool {
	var ne *NetError
	return errors.As(err, &ne) && ne.Sent
}

// Code returns the code of an error reply, or "" if err is none.
func Code(err error) string {
	var re *ReplyError
	if errors.As(err, &re) {
		return re.Code()
	}
	return ""
}
