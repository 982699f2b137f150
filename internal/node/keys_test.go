package node

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/command"
	"redoubt/internal/command/commandtest"
	"redoubt/internal/redistest"
)

// Whatever a line of a command that both know, its keys are those that redis-server
// finds, and so is what is done to them.
func TestKeysAreFoundAsRedisFindsThem(t *testing.T) {
	redis := redistest.Start(t, redistest.Redis, "--save", "").Client()
	port := redistest.Port(t)
	n, _ := startNode(t, t.TempDir(), "--port", fmt.Sprint(port), "--bind", "127.0.0.1")
	own, err := redistest.Dial(fmt.Sprint("127.0.0.1:", port))
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	lines := commandtest.Lines{Rand: rand.New(rand.NewPCG(1, 1)), Keys: 5, Databases: 4, Now: now()}
	compared := 0
	for _, r := range n.server.Table().All() {
		if r.Run == nil || len(r.Keys) == 0 || !redisKnows(t, redis, r) {
			continue
		}
		for range 30 {
			line := []any{}
			for _, a := range lines.Line(r) {
				line = append(line, a)
			}
			if lines.IntN(4) == 0 {
				line = line[:1+lines.IntN(len(line))]
			}
			if differsOnPurpose(r.Name, line) {
				continue
			}
			for _, sub := range []string{"GETKEYS", "GETKEYSANDFLAGS"} {
				words := slices.Concat([]any{"COMMAND", sub}, line)
				theirs, err := redis.DoRaw(words...)
				if err != nil {
					t.Fatal(err)
				}
				ours, err := own.DoRaw(words...)
				if err != nil {
					t.Fatal(err)
				}
				if compared++; !bytes.Equal(ours, theirs) {
					t.Errorf("%q:\nours:  %q\nredis: %q", words, ours, theirs)
				}
			}
		}
	}
	if compared < 3000 {
		t.Errorf("only %d lines were compared", compared)
	}
}

// differsOnPurpose reports whether the keys of a line are others than for
// redis-server 7.0.
func differsOnPurpose(name string, line []any) bool {
	if len(line) == 1 {
		return true // up to 7.0 a name alone is not taken
	}
	switch name {
	case "pfmerge":
		return len(line) == 2 // Redis does not find the only key
	case "zrank", "zrevrank":
		return len(line) > 3 // WITHSCORE is of 7.2
	case "set":
		return strings.Contains(fmt.Sprintf("%s", line), "IF") // IFEQ and IFNE are of later versions
	case "eval", "eval_ro", "evalsha", "evalsha_ro", "fcall", "fcall_ro":
		return true // a wrong number of keys is refused here, as when it runs
	case "xread", "xreadgroup":
		return true // an odd number of words behind STREAMS is refused here, as when it runs
	}
	return false
}

// redisKnows reports whether a redis-server has the command.
func redisKnows(t *testing.T, c *redistest.Client, r *command.Row) bool {
	reply, err := c.DoRaw("COMMAND", "INFO", r.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return len(reply) > len("*1\r\n*-1\r\n")
}
