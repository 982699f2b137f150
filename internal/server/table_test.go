package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"redoubt/internal/command"
)

// wordy is the rows whose arguments are not described: they are not for people
// (REPLCONF), are a language of their own (DEBUG), or take none that matter.
var wordy = map[string]bool{"debug": true, "replconf": true, "quit": true, "command": true, "cluster": true}

func TestEveryCommandDescribesItsArguments(t *testing.T) {
	n := startNode(t)
	var check func(rows []*command.Row)
	check = func(rows []*command.Row) {
		for _, r := range rows {
			check(r.Sub)
			names := 1
			if r.Parent() != nil {
				names = 2
			}
			container := len(r.Sub) > 0 && r.Run == nil
			if !container && !wordy[r.Name] && r.Arity != names && len(r.Doc.Args) == 0 {
				t.Errorf("%s has the arity %d and describes no arguments", r.FullName(), r.Arity)
			}
			if r.Arity == names && len(r.Doc.Args) > 0 {
				t.Errorf("%s takes no arguments and describes some", r.FullName())
			}
		}
	}
	check(n.Table().Rows())
}

func TestCategoriesThatDoNotFollowFromFlags(t *testing.T) {
	n := startNode(t)
	for name, want := range map[string]command.Category{
		"info":     command.CatDangerous | command.CatSlow,
		"lastsave": command.CatAdmin | command.CatDangerous | command.CatFast,
		"role":     command.CatAdmin | command.CatDangerous | command.CatFast,
		"flushall": command.CatKeyspace | command.CatWrite | command.CatDangerous | command.CatSlow,
	} {
		if got := n.Table().Lookup([]byte(name)).Categories(); got != want {
			t.Errorf("%s is in %v, want %v", name, got.Names(), want.Names())
		}
	}
}

// The error of an unknown sub-command says that there is HELP.
func TestEveryContainerHasHelp(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	for _, r := range n.Table().Rows() {
		if len(r.Sub) == 0 || r.Name == "cluster" {
			continue
		}
		if got := c.do(r.Name + " HELP"); !strings.Contains(got, strings.ToUpper(r.Name)+" <subcommand>") {
			t.Errorf("%s HELP: %s", r.Name, got)
		}
	}
}

func TestDebugObjectTellsTheLastUse(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	before := time.Now().Unix()
	c.want("SET k v", "OK")
	_, tail, _ := strings.Cut(c.do("DEBUG OBJECT k"), " lru:")
	var lru, idle int64
	if _, err := fmt.Sscanf(tail, "%d lru_seconds_idle:%d", &lru, &idle); err != nil || (lru-before)&(1<<24-1) > 1<<23 || idle != 0 {
		t.Errorf("lru:%s, want the clock at %d: %v", tail, before, err)
	}
}
