package command

import (
	"fmt"
	"testing"

	"redoubt/internal/redistest"
)

// inProcess runs a script's commands by the handlers alone. They know one
// connection and one protocol.
type inProcess struct {
	node  *node
	proto int
}

// DoRaw implements redistest.Session.
func (p *inProcess) DoRaw(args ...any) ([]byte, error) {
	var line [][]byte
	for _, a := range args {
		line = append(line, []byte(fmt.Sprint(a)))
	}
	return p.node.run(line, p.proto), nil
}

// The scripts hold against a real redis-server, see redistest. Here they show
// that a difference lies in a handler and not in what carries it.
func TestScripts(t *testing.T) {
	for _, proto := range []int{2, 3} {
		t.Run(fmt.Sprintf("RESP%d", proto), func(t *testing.T) {
			redistest.RunScripts(t, "../redistest/testdata/scripts", redistest.Target{
				Kind:  redistest.Redoubt,
				Proto: proto,
				Open:  func(*testing.T) redistest.Session { return &inProcess{newNode(), proto} },
			}, "multi.resp", "node.resp", "waits.resp") // they are the server's
		})
	}
}
