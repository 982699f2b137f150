package interop

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/redistest"
	"redoubt/slots"
)

// What is asked of a node with an open slot, a line a command and sequences
// parted by empty lines: K is a key in the slot that is there, N one that is
// not, SLOT the slot, OTHER the node at the other end.
const (
	importingDialogue = `
GET K

ASKING
SET K 1

ASKING
MULTI
GET K
SET K 2
EXEC
GET K

MULTI
ASKING
GET K
EXEC
GET K

MULTI
ASKING
EXEC
GET K

ASKING
MULTI
DISCARD
GET K

ASKING
PING
GET K

ASKING
ASKING
GET K
GET K

ASKING
NOSUCH
GET K

ASKING
GET
GET K

ASKING
MULTI
NOSUCH
GET K
EXEC
GET K

ASKING
MGET K N
MGET K N

ASKING
MGET N N
ASKING
MGET K K
ASKING
DEL N N

ASKING
MULTI
GET K
GET N
EXEC

RESTORE-ASKING K 0 x
RESTORE-ASKING N 0 x
RESTORE-ASKING N a x

ASKING
SSUBSCRIBE K
SUNSUBSCRIBE

ASKING
SPUBLISH K m
`
	migratingDialogue = `
CLUSTER SETSLOT SLOT STABLE
SET K 1
CLUSTER SETSLOT SLOT MIGRATING OTHER

GET K
SET K 2
GET N
SET N 1
MGET K N
MGET N N K
MGET N N
MGET K K
DEL K N
EXISTS N
EXISTS K N
RENAME N K

MULTI
GET K
GET N
EXEC

MULTI
GET K
EXEC

MULTI
GET N
EXEC

MULTI
SET N 1
EXEC

MULTI
DEL K
GET K
EXEC

WATCH K
WATCH N
UNWATCH
ASKING
GET N
READONLY
GET N
READWRITE
SPUBLISH K x
CLUSTER SETSLOT SLOT NODE OTHER
GET K
`
)

// In slots that are on the move, ours answer as real ones.
func TestOpenSlotsAnswerAsInRedis(t *testing.T) {
	oursOnly(t)
	// Each kind has a slot of its own, open towards the third node.
	c := redistest.StartCluster(t, redistest.ClusterConfig{
		Primaries: 3, Kinds: []redistest.Kind{redistest.Redis, redistest.Redoubt, redistest.Redoubt}, NodeTimeout: patience, Args: quick,
	})
	for _, s := range c.Nodes {
		noPanic(t, s)
	}
	redis, redoubt, other := c.Nodes[0], c.Nodes[1], c.Nodes[2]
	id := myself(t, other).id

	importing := myself(t, other).first(t)
	for _, s := range []*redistest.Server{redis, redoubt} {
		s.Do("CLUSTER", "SETSLOT", int(importing), "IMPORTING", id)
	}
	compare(t, importingDialogue, converse(t, redis, importingDialogue, importing, id), converse(t, redoubt, importingDialogue, importing, id))

	compare(t, migratingDialogue,
		converse(t, redis, migratingDialogue, myself(t, redis).first(t), id),
		converse(t, redoubt, migratingDialogue, myself(t, redoubt).first(t), id))
}

// converse asks a server and returns its answers.
func converse(t *testing.T, s *redistest.Server, dialogue string, slot slots.Slot, other string) (answers []string) {
	t.Helper()
	client := s.Client()
	key := keyIn(slot, "open:")
	words := map[string]any{"K": key, "N": "{" + key + "}", "SLOT": int(slot), "OTHER": other}
	for line := range strings.Lines(dialogue) {
		var command []any
		for _, w := range strings.Fields(line) {
			if special, ok := words[w]; ok {
				command = append(command, special)
			} else {
				command = append(command, w)
			}
		}
		if len(command) == 0 {
			answers = append(answers, "")
			continue
		}
		reply, err := client.Do(command...)
		if err != nil {
			reply = err
		}
		text := strings.ReplaceAll(fmt.Sprint(reply), key, "K")
		answers = append(answers, strings.ReplaceAll(text, fmt.Sprintf(" %d ", slot), " SLOT "))
	}
	return answers
}

func compare(t *testing.T, dialogue string, want, got []string) {
	t.Helper()
	at := 0
	for line := range strings.Lines(dialogue) {
		if got[at] != want[at] {
			t.Errorf("%s\n\tRedis: %s\n\tours:  %s", strings.TrimSpace(line), want[at], got[at])
		}
		at++
	}
}
