package command

import (
	"testing"

	"redoubt/internal/resp"
)

// numbered is a Caller that can do more than every Caller.
type numbered struct {
	Caller
	number int64
}

func (n numbered) Number() int64 { return n.number }

// A handler that needs more of its caller than another caller has must not end
// the process: a script or a stream may call what was written for clients.
func TestForAnswersACallerThatCannotDoIt(t *testing.T) {
	handler := For(func(c *Ctx, caller interface{ Number() int64 }) { c.Out.Int(caller.Number()) })
	for _, tc := range []struct {
		name   string
		caller Caller
		reply  string
	}{
		{"one that can", numbered{number: 7}, ":7\r\n"},
		{"a stream", &Applier{}, "-" + string(resp.ErrNotForCaller) + "\r\n"},
		{"nobody", nil, "-" + string(resp.ErrNotForCaller) + "\r\n"},
	} {
		out := resp.NewWriter(nil, resp.Proto2)
		handler(&Ctx{Caller: tc.caller, Out: out})
		if got := string(out.Bytes()); got != tc.reply {
			t.Errorf("%s gets %q, want %q", tc.name, got, tc.reply)
		}
	}
}
