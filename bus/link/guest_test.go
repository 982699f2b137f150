package link

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"redoubt/bus"
)

// A connection that begins with the prefix of guests is given to the guest, with all that
// follows it; one of the bus is not.
func TestGuestsShareThePort(t *testing.T) {
	got := make(chan string, 1)
	e := New(Config{Handler: ignore{}, Guest: func(c net.Conn) {
		b := make([]byte, 5)
		_, err := io.ReadFull(c, b)
		if err == nil {
			_, err = c.Write([]byte("yes"))
		}
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}})
	defer e.Close()
	at, err := e.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := e.DialGuest(ctx, at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 3)
	if _, err := io.ReadFull(c, answer); err != nil || string(answer) != "yes" {
		t.Fatal(string(answer), err)
	}
	if b := <-got; b != "hello" {
		t.Fatal(b)
	}
	if _, err := io.ReadFull(c, answer); err == nil {
		t.Fatal("the connection outlives its guest")
	}
}

// ignore is a handler of links that nobody looks at.
type ignore struct{}

func (ignore) Opened(*Link)                   {}
func (ignore) Received(*Link, *bus.Message)   {}
func (ignore) Dropped(*Link, bus.Type, error) {}
func (ignore) Closed(*Link, error)            {}
