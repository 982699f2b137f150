package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// leave writes all that is known of a failing episode into a folder.
func (e *episode) leave(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	files := map[string]string{
		"README":     e.readme(),
		"faults":     strings.Join(e.nemesis.log, "\n") + "\n",
		"violations": e.violations(),
	}
	for i := range e.c.states {
		files[fmt.Sprintf("node-%d.state", i)] = e.stateOf(i)
	}
	for i := range e.c.states {
		// Where it hangs is in the log then. The cluster is not used any further.
		e.c.node(i).Quit()
		files[fmt.Sprintf("node-%d.log", i)] = e.c.node(i).Log()
	}
	var failed []error
	for name, text := range files {
		failed = append(failed, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	f, err := os.Create(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return errors.Join(append(failed, err)...)
	}
	e.record.mu.Lock()
	defer e.record.mu.Unlock()
	return errors.Join(append(failed, e.record.ops.Write(f), f.Close())...)
}

// readme says what the episode was, and how it is played again.
func (e *episode) readme() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Episode %d, the number %d on a cluster of %v.\n\n", e.seed, e.seed-e.group+1, e.c.shape)
	fmt.Fprintf(&b, "Again, with all episodes that came before it on the cluster:\n\n    make chaos SEED=%d EPISODES=%d\n\n", e.group, e.seed-e.group+1)
	fmt.Fprintf(&b, "The faults and their times are the same then; what comes of them depends on the machine too.\n")
	fmt.Fprintf(&b, "To judge the history again:\n\n    CHAOS_HISTORY=$PWD/history.jsonl go test ./internal/chaos -run Again -v\n\n")
	for i := range e.c.states {
		fmt.Fprintf(&b, "node %d was at %s\n", i, e.c.node(i).Addr())
	}
	fmt.Fprintf(&b, "\nfaults are told by the time since the first of them, operations by that since the record began.\n")
	return b.String()
}

func (e *episode) violations() string {
	var b strings.Builder
	for _, w := range e.wrong {
		fmt.Fprintln(&b, w)
	}
	for _, v := range e.verdict.Violations {
		fmt.Fprintln(&b, v)
	}
	for _, key := range e.verdict.Undecided {
		fmt.Fprintln(&b, "undecided:", key)
	}
	return b.String()
}

// stateOf is what a node tells of itself.
func (e *episode) stateOf(i int) string {
	var b strings.Builder
	for _, command := range [][]any{{"INFO", "everything"}, {"CLUSTER", "INFO"}, {"CLUSTER", "NODES"}} {
		reply, err := e.c.ask(i, command...)
		if err != nil {
			fmt.Fprintf(&b, "%v: %v\n", command, err)
			continue
		}
		fmt.Fprintf(&b, "%v\n", reply)
	}
	return b.String()
}
