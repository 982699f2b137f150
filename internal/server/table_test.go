package server

import (
	"errors"
	"strings"
	"testing"

	"redoubt/internal/command"
	"redoubt/internal/config"
	"redoubt/storage"
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

// Commands that were renamed do what they did; what the stream records has
// their own names.
func TestRenamedCommands(t *testing.T) {
	long := strings.Repeat("x", 40)
	n := startNode(t, "--rename-command", "EXEC", long, "--rename-command", "SET", "put", "--rename-command", "DEL", "",
		"--rename-command", "GET", "del", "--rename-command", "CONFIG", "settings", "--rename-command", "LPUSH", "push",
		"--rename-command", "PUBLISH", "say")
	c := n.dial()
	for _, step := range []struct{ line, reply string }{
		{"SET k v", "error: ERR unknown command 'SET', with args beginning with: 'k' 'v' "},
		{"PUT k v", "OK"},
		{"Put k w GET", "v"},
		{"DEL k", "w"},
		{"SETTINGS FOO", "error: ERR unknown subcommand 'FOO'. Try SETTINGS HELP."},
		{"PUT k", "error: ERR wrong number of arguments for 'set' command"},
		{"MULTI", "OK"},
		{"put a 1", "QUEUED"},
		{strings.ToUpper(long), "[OK]"},
		{strings.Repeat("y", 40) + " 1", "error: ERR unknown command '" + strings.Repeat("y", 40) + "', with args beginning with: '1' "},
		{"SUBSCRIBE ch", "[subscribe ch 1]"},
	} {
		c.want(step.line, step.reply)
	}
	n.dial().want("SAY ch hello", "1")
	c.wantNext("[message ch hello]")
	for _, unit := range n.stream.recorded() {
		if lower := strings.ToLower(unit); strings.Contains(lower, "\r\nput\r\n") || strings.Contains(lower, "\r\nsay\r\n") {
			t.Errorf("the stream has %q", unit)
		}
	}
	row, _ := n.Table().ResolveStream([][]byte{[]byte("DEL")})
	if row == nil || row.Name != "del" {
		t.Errorf("DEL of a stream is %v", row)
	}
	if row, _ = n.Table().ResolveStream([][]byte{[]byte("PUT")}); row == nil || row.Name != "set" {
		t.Errorf("PUT of a stream is %v", row)
	}
}

func TestACommandCannotTakeTheNameOfAnother(t *testing.T) {
	settings, err := config.Load(config.Source{Args: []string{"--rename-command", "SET", "get"}, Product: "test"})
	if err != nil {
		t.Fatal(err)
	}
	stream := &memoryStream{}
	_, err = New(Config{Settings: settings, Stream: stream, Keyspace: storage.New(storage.Config{Databases: 1, Stream: stream})})
	if !errors.Is(err, command.ErrNameTaken) {
		t.Errorf("New: %v", err)
	}
}
