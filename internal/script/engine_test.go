package script

import (
	"testing"

	"redoubt/internal/resp"
)

// echo is a host whose commands answer their last argument.
type echo struct{}

func (echo) Call(args [][]byte, w *resp.Writer)      { w.Bulk(args[len(args)-1]) }
func (echo) MayRun(args [][]byte) (allowed, ok bool) { return true, true }
func (echo) SetReplication(Replication)              {}
func (echo) Log(LogLevel, string)                    {}

func TestRun(t *testing.T) {
	s, err := Compile([]byte("return redis.call('echo', KEYS[1])"))
	if err != nil {
		t.Fatal(err)
	}
	var w resp.Writer
	if r := New(Config{}).Run(s, [][]byte{[]byte("k")}, nil, echo{}, &w); r.Err != "" {
		t.Fatal(r.Err)
	}
	if got := string(w.Bytes()); got != "$1\r\nk\r\n" {
		t.Errorf("%q", got)
	}
}
