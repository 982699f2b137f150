package server

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/zap"
)

// tampering is a connection that garbles what is written: junk is put over it, bit by
// bit, from the byte at on.
type tampering struct {
	net.Conn
	at   int
	junk []byte
}

func (c *tampering) Write(b []byte) (int, error) {
	garbled := append([]byte(nil), b...)
	for i := range garbled {
		if j := i - c.at; j >= 0 && j < len(c.junk) {
			garbled[i] ^= c.junk[j]
		}
	}
	c.at -= len(b)
	return c.Conn.Write(garbled)
}

// Nothing that comes from a socket may panic the server: neither instead of a handshake
// nor in the records of one, nor in those behind it.
func FuzzTLS(f *testing.F) {
	_, addr := tlsNodeWith(f, zap.NewNop())
	hello := greeting(f)
	f.Add(false, uint16(0), hello)
	f.Add(false, uint16(0), hello[:len(hello)/2])
	f.Add(false, uint16(0), []byte("\x16\x03\x01\xff\xff\x01\x00\xff\xff"))
	f.Add(false, uint16(0), []byte("\x15\x03\x03\x00\x02\x01\x00PING\r\n"))
	f.Add(true, uint16(0), []byte{})
	f.Add(true, uint16(3), []byte{0, 1})                // the length of the first record
	f.Add(true, uint16(len(hello)), []byte{3, 0, 0, 1}) // the first message behind the greeting
	f.Add(true, uint16(len(hello)+90), []byte{1})       // a record of requests
	f.Fuzz(func(_ *testing.T, shakes bool, at uint16, junk []byte) {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return // out of ports for a moment
		}
		defer nc.Close()
		if !shakes {
			_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = nc.Write(junk)
			_ = nc.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, nc)
			return
		}
		// The server may wait for bytes that do not come, and the client for an answer.
		_ = nc.SetDeadline(time.Now().Add(100 * time.Millisecond))
		c := tls.Client(&tampering{Conn: nc, at: int(at), junk: junk}, anyServer)
		if c.Handshake() == nil {
			_, _ = io.WriteString(c, "SET k v\r\nGET k\r\n")
			_ = c.CloseWrite()
		}
		_ = nc.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, nc)
	})
}
