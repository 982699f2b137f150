package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// pipeTimeout is how long a loader waits for the next reply.
const pipeTimeout = time.Minute

// send sends count commands in one pipelined connection; command appends the
// i-th. It returns when all replies have come, and fails with the first that is
// an error.
func (n *node) send(count int, command func(b []byte, i int) []byte) error {
	c, err := net.DialTimeout("tcp", "127.0.0.1:"+n.port, 5*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan error, 1)
	go func() { sent <- sendAll(c, count, command) }()
	r := bufio.NewReaderSize(c, 64<<10)
	for i := range count {
		if i%1024 == 0 {
			c.SetReadDeadline(time.Now().Add(pipeTimeout))
		}
		if err := skipReply(r); err != nil {
			c.Close()
			return errors.Join(fmt.Errorf("reply %d of %s: %w", i+1, n.name, err), <-sent)
		}
	}
	return <-sent
}

func sendAll(c net.Conn, count int, command func(b []byte, i int) []byte) error {
	const batch = 32 << 10
	b := make([]byte, 0, 2*batch)
	for i := range count {
		b = command(b, i)
		if len(b) >= batch || i == count-1 {
			if _, err := c.Write(b); err != nil {
				return err
			}
			b = b[:0]
		}
	}
	return nil
}

// skipReply reads one reply of RESP2 and forgets it. An error reply is an error.
func skipReply(r *bufio.Reader) error {
	for pending := 1; pending > 0; pending-- {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return errors.New("an empty line instead of a reply")
		}
		switch kind := line[0]; kind {
		case '+', ':':
		case '-':
			return errors.New(string(line[1:]))
		case '$', '*':
			n, err := strconv.Atoi(string(line[1:]))
			if err != nil {
				return fmt.Errorf("a reply begins with %q", line)
			}
			if kind == '*' {
				pending += max(n, 0)
			} else if n >= 0 {
				if _, err := r.Discard(n + 2); err != nil {
					return err
				}
			}
		default:
			return fmt.Errorf("a reply begins with %q", line)
		}
	}
	return nil
}

// request appends a command as RESP.
func request(b []byte, args ...[]byte) []byte {
	b = head(b, '*', len(args))
	for _, a := range args {
		b = head(b, '$', len(a))
		b = append(b, a...)
		b = append(b, "\r\n"...)
	}
	return b
}

// head appends the line that begins an array or a bulk string.
func head(b []byte, kind byte, n int) []byte {
	b = append(b, kind)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "\r\n"...)
}

// A word is a text that follows from a number: random letters, the same in every
// run, which nothing can compress by much.
type word struct {
	seed uint64
	buf  [256]byte
}

// of returns letters for i; they are valid until the next call.
func (w *word) of(i, length int) []byte {
	state := uint64(i) ^ w.seed<<40
	var x uint64
	b := w.buf[:length]
	for at := range b {
		if at%8 == 0 {
			state = mix(state) // all of it: keys that differ in i must differ
			x = state
		}
		b[at] = 'a' + byte(x&0xff*26>>8)
		x >>= 8
	}
	return b
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
