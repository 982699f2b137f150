package sentinel

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	core "redoubt/cluster/sentinel"
)

func TestReadReply(t *testing.T) {
	for text, want := range map[string]core.Reply{
		"+PONG\r\n":           {Kind: core.ReplyStatus, Text: "PONG"},
		"-BUSY a script\r\n":  {Kind: core.ReplyError, Text: "BUSY a script"},
		":-12\r\n":            {Kind: core.ReplyInteger, Integer: -12},
		"$5\r\na\r\nbc\r\n":   {Kind: core.ReplyBulk, Text: "a\r\nbc"},
		"$0\r\n\r\n":          {Kind: core.ReplyBulk},
		"$-1\r\n":             {},
		"*-1\r\n":             {},
		"*2\r\n:1\r\n$-1\r\n": {Kind: core.ReplyArray, Array: []core.Reply{{Kind: core.ReplyInteger, Integer: 1}, {}}},
	} {
		got, err := readReply(bufio.NewReader(strings.NewReader(text)))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

// An instance that is none, or lies about lengths, is refused before it has cost
// memory.
func TestReadReplyRefuses(t *testing.T) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\n", "\r\n", "+OK\n", "$x\r\n", "$-2\r\n", "*-2\r\n", "%1\r\n", ":\r\n", "$3\r\nabcd\r\n",
		fmt.Sprintf("$%d\r\n", maxReplyBytes+1), "$9223372036854775807\r\n", "+" + strings.Repeat("x", maxReplyLine+1) + "\r\n",
		strings.Repeat("*1\r\n", maxReplyDepth+2) + ":1\r\n",
		"*9223372036854775807\r\n" + strings.Repeat(":1\r\n", maxReplyElements+1),
	} {
		if got, err := readReply(bufio.NewReader(strings.NewReader(text))); !errors.Is(err, errReply) {
			t.Errorf("%.40q: %+v, %v", text, got, err)
		}
	}
	if _, err := readReply(bufio.NewReader(strings.NewReader("*2\r\n:1\r\n"))); err != io.EOF {
		t.Errorf("a reply that breaks off: %v", err)
	}
}

// FuzzReadReply: nothing that an instance says brings the program down.
func FuzzReadReply(f *testing.F) {
	f.Add("*2\r\n$3\r\nabc\r\n*1\r\n-ERR x\r\n")
	f.Add("$-1\r\n:9\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		r := bufio.NewReader(strings.NewReader(text))
		for range 100 {
			if _, err := readReply(r); err != nil {
				return
			}
		}
	})
}
