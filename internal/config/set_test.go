package config

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func pairs(namesAndValues ...string) []Pair {
	var list []Pair
	for i := 0; i < len(namesAndValues); i += 2 {
		list = append(list, Pair{namesAndValues[i], namesAndValues[i+1]})
	}
	return list
}

func TestSetChangesAllPairs(t *testing.T) {
	c := mustLoad(t, "")
	before := c.Current()
	if err := c.Set(Caller{}, pairs("MaxMemory", "10000001", "repl-backlog-size", "10000002", "save", "3000 5", "slave-read-only", "no")...); err != nil {
		t.Fatal(err)
	}
	s := c.Current()
	if s.MaxMemory.Bytes != 10000001 || s.ReplBacklogBytes != 10000002 || len(s.Save) != 1 || s.ReplicaReadOnly {
		t.Errorf("settings are %+v", s)
	}
	if before.MaxMemory.Bytes != 0 || len(before.Save) != 3 || !before.ReplicaReadOnly || before.text[row("save").index] != row("save").def {
		t.Error("the settings that a reader held have changed")
	}
}

func TestSetRefuses(t *testing.T) {
	related := func(name, reason string) string {
		return "ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + reason
	}
	for _, tc := range []struct {
		name, file string
		who        Caller
		pairs      []Pair
		want       string
	}{
		{"an unknown name", "", Caller{}, pairs("hz", "1", "Foo", "1"), "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'"},
		{"an immutable directive", "", Caller{}, pairs("Daemonize", "yes"), related("Daemonize", "can't set immutable config")},
		{"a directive twice", "", Caller{}, pairs("maxmemory", "1", "MAXMEMORY", "2"), related("MAXMEMORY", "duplicate parameter")},
		{"an alias is named in the error", "", Caller{}, pairs("Slave-Priority", "x"), related("slave-priority", "argument couldn't be parsed into an integer")},
		{"a directive and its alias", "", Caller{}, pairs("replica-priority", "1", "slave-priority", "2"), related("slave-priority", "duplicate parameter")},
		{"a bad value after a good one", "", Caller{}, pairs("maxmemory", "10000001", "Maxmemory-Clients", "200%", "client-query-buffer-limit", "invalid"),
			related("maxmemory-clients", "percentage argument must be less or equal to 100")},
		{"a protected directive", "", Caller{Local: true}, pairs("dir", "/"), related("dir", "can't set protected config")},
		{"a protected directive from afar", "enable-protected-configs local", Caller{}, pairs("dbfilename", "x"), related("dbfilename", "can't set protected config")},
		{"a list with too many blanks", "", Caller{}, pairs("save", "900  1"), related("save", "Invalid save parameters")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := mustLoad(t, tc.file)
			before := c.Current()
			err := c.Set(tc.who, tc.pairs...)
			if err == nil || err.Error() != tc.want {
				t.Errorf("error %q, want %q", err, tc.want)
			}
			if c.Current() != before {
				t.Error("the settings were replaced all the same")
			}
		})
	}
}

func TestProtectedDirectivesWhereAllowed(t *testing.T) {
	for _, tc := range []struct {
		file string
		who  Caller
	}{
		{"enable-protected-configs yes", Caller{}},
		{"enable-protected-configs local", Caller{Local: true}},
	} {
		if err := mustLoad(t, tc.file).Set(tc.who, pairs("dbfilename", "other.rdb", "dir", t.TempDir())...); err != nil {
			t.Errorf("%s, %+v: %v", tc.file, tc.who, err)
		}
	}
}

func TestSetWhileLoading(t *testing.T) {
	c := mustLoad(t, "enable-protected-configs yes")
	if err := c.Set(Caller{Loading: true}, pairs("dir", "/")...); !errors.Is(err, ErrLoading) {
		t.Errorf("dir: %v", err)
	}
	if err := c.Set(Caller{Loading: true}, pairs("loglevel", "debug")...); err != nil {
		t.Errorf("loglevel: %v", err)
	}
}

// Hooks run in the order of the pairs, once each, only for what changes; when
// one fails, those before it run again the other way round.
func TestHooks(t *testing.T) {
	c := mustLoad(t, "port 7000\nhz 10")
	var calls []string
	say := func(name, fail string) Apply {
		return func(old, next *Settings) error {
			if old == next || old.text[row("hz").index] == next.text[row("hz").index] {
				t.Errorf("%s: old and next are alike", name)
			}
			direction := "forth"
			if next == c.Current() {
				direction = "back"
			}
			calls = append(calls, name+" "+direction)
			if fail != "" {
				return errors.New(fail)
			}
			return nil
		}
	}
	c.OnChange(say("memory", ""), "maxmemory", "maxmemory-policy")
	c.OnChange(say("loops", ""), "hz")
	c.OnChange(say("clock", ""), "hz", "maxmemory")
	c.OnChange(say("listen", "Unable to listen on this port. Check server logs."), "port", "bind")

	before := c.Current()
	err := c.Set(Caller{}, pairs("maxmemory-policy", "allkeys-lru", "hz", "20", "maxmemory", "1", "port", "7001", "bind", "127.0.0.1")...)
	if want := "ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."; err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
	if want := []string{"memory forth", "loops forth", "clock forth", "listen forth", "clock back", "loops back", "memory back"}; !reflect.DeepEqual(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	if c.Current() != before {
		t.Error("the settings were replaced all the same")
	}

	calls = nil
	if err := c.Set(Caller{}, pairs("port", "7000", "hz", "30")...); err != nil {
		t.Errorf("the same port again: %v", err)
	}
	if want := []string{"loops forth", "clock forth"}; !reflect.DeepEqual(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}

// CONFIG SET of the file in force reads it again.
func TestAFileThatIsNamedAgainIsApplied(t *testing.T) {
	c := mustLoad(t, "tls-cert-file a.crt\ntls-protocols TLSv1.3")
	calls := 0
	c.OnChange(func(_, _ *Settings) error {
		calls++
		return nil
	}, TLSDirectives()...)
	for i, p := range [][]Pair{pairs("tls-cert-file", "a.crt"), pairs("tls-protocols", "TLSv1.3"), pairs("tls-key-file", "b.key", "tls-ca-cert-file", "")} {
		if err := c.Set(Caller{}, p...); err != nil {
			t.Error(err)
		}
		if want := []int{1, 1, 2}[i]; calls != want {
			t.Errorf("applied %d times after %v, want %d", calls, p, want)
		}
	}
}

// unit/introspection, "CONFIG sanity": what GET shows can be SET, and changes
// nothing.
func TestEveryValueCanBeSetToItself(t *testing.T) {
	c := mustLoad(t, "enable-protected-configs yes\nlatency-tracking-info-percentiles \"\"\nbind \"\"")
	for _, pair := range c.Get("*") {
		if err := c.Set(Caller{}, pair); err != nil {
			t.Error(err)
		}
		if got := value(t, c, pair.Name); got != pair.Value {
			t.Errorf("%s was %q, is %q", pair.Name, pair.Value, got)
		}
	}
}

func TestRecordSetsWhatTheServerDecided(t *testing.T) {
	c := mustLoad(t, "")
	if err := c.Record("replicaof", "10.0.0.1", "7000"); err != nil {
		t.Fatal(err)
	}
	if c.Current().ReplicaOf != (Address{"10.0.0.1", 7000}) || value(t, c, "slaveof") != "10.0.0.1 7000" {
		t.Errorf("replicaof is %v", c.Current().ReplicaOf)
	}
	if err := c.Record("replicaof", "10.0.0.1"); err == nil || !strings.Contains(err.Error(), "wrong number of arguments") {
		t.Errorf("half an address: %v", err)
	}
}
