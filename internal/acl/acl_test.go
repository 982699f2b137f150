package acl

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const (
	read uint32 = 1 << iota
	write
	admin
)

// testCommands is a small table: get, set, del, select, auth and config with get and set.
func testCommands() *Commands {
	config := &Command{ID: 5, Name: "config"}
	for i, sub := range []string{"get", "set"} {
		config.Sub = append(config.Sub, &Command{ID: 6 + i, Name: "config|" + sub, Categories: admin, Parent: config})
	}
	return NewCommands([]string{"read", "write", "admin"}, []*Command{
		{ID: 0, Name: "get", Categories: read}, {ID: 1, Name: "set", Categories: write}, {ID: 2, Name: "del", Categories: write},
		{ID: 3, Name: "select"}, {ID: 4, Name: "auth"}, config,
		{ID: 70, Name: "publish"}, // in another word of the bitmap
	})
}

// secretHash is the SHA-256 of "secret".
const secretHash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"

func change(t *testing.T, u *User, rules string) *User {
	t.Helper()
	next, err := testCommands().Change(u, false, strings.Fields(rules)...)
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	return next
}

func TestHowUsersAreShown(t *testing.T) {
	const nobody = "off sanitize-payload resetchannels -@all"
	for _, c := range []struct{ name, rules, want string }{
		{"a new user", "", nobody},
		{"words in any case", "ON AllKeys ALLCHANNELS AllCommands NoPass", "on nopass sanitize-payload ~* &* +@all"},
		{"payloads", "skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"},
		{"a password and the same by its hash", ">secret #" + secretHash, "off sanitize-payload #" + secretHash + " resetchannels -@all"},
		{"a password that goes", ">secret <secret", nobody},
		{"a password that goes by its hash", ">secret !" + secretHash, nobody},
		{"nopass forgets passwords", ">secret nopass", "off nopass sanitize-payload resetchannels -@all"},
		{"a password ends nopass", "nopass >secret", "off sanitize-payload #" + secretHash + " resetchannels -@all"},
		{"resetpass", "nopass >secret resetpass", nobody},
		{"keys", "~a* %R~b %w~c %rW~d %wr~e", "off sanitize-payload ~a* %R~b %W~c ~d ~e resetchannels -@all"},
		{"one pattern twice is both", "%R~a %W~a", "off sanitize-payload ~a resetchannels -@all"},
		{"a tilde within a pattern", "%R~a~b", "off sanitize-payload %R~a~b resetchannels -@all"},
		{"keys are forgotten", "~a ~b resetkeys ~c", "off sanitize-payload ~c resetchannels -@all"},
		{"all keys are all patterns", "~a allkeys", "off sanitize-payload ~* resetchannels -@all"},
		{"channels", "&a &b &a", "off sanitize-payload resetchannels &a &b -@all"},
		{"channels are forgotten", "&a allchannels resetchannels &c", "off sanitize-payload resetchannels &c -@all"},

		{"commands in order", "+GET -@READ +config|get", "off sanitize-payload resetchannels -@all +get -@read +config|get"},
		{"the last rule about a command stands", "+get +set -get", "off sanitize-payload resetchannels -@all +set -get"},
		{"a container makes those of its parts void", "+config|get -config|set +config", "off sanitize-payload resetchannels -@all +config"},
		{"a category again", "+@read +get +@read", "off sanitize-payload resetchannels -@all +get +@read"},
		{"all commands makes the others void", "+get -@write +@all", "off sanitize-payload resetchannels +@all"},
		{"none does too", "+@all -get nocommands", nobody},
		{"but for some", "allcommands -@write", "off sanitize-payload resetchannels +@all -@write"},
		{"a first argument", "+select|0 +SELECT|1", "off sanitize-payload resetchannels -@all +select|0 +select|1"},
		{"which a rule about the command makes void", "+select|0 -select", "off sanitize-payload resetchannels -@all -select"},

		{"a selector", "~a (%R~b +get)", "off sanitize-payload ~a resetchannels -@all (%R~b resetchannels -@all +get)"},
		{"an empty selector", "()", nobody + " (resetchannels -@all)"},
		{"two, and then none", "(+get) (+set) clearselectors", nobody},
		{"reset", "on nopass allkeys +@all &* skip-sanitize-payload (+get) reset", nobody},
		{"an empty rule", " ", nobody},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := change(t, testCommands().NewUser("joe", false), c.rules)
			if got := strings.TrimPrefix(u.String(), "user joe "); got != c.want {
				t.Fatalf("shown as %q, want %q", got, c.want)
			}
			again := change(t, testCommands().NewUser("joe", false), c.want)
			if got := again.String(); got != u.String() {
				t.Errorf("made of what is shown: %q", got)
			}
		})
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	for rule, want := range map[string]error{
		"frobnicate": ErrSyntax, "=": ErrSyntax, "%~a": ErrSyntax, "%R": ErrSyntax, "%RR~a": ErrSyntax, "%X~a": ErrSyntax,
		"~a b": ErrSyntax, "&a\tb": ErrSyntax, "~a\x00b": ErrSyntax, "+select|": ErrSyntax,
		"+select|0 +@all": ErrSyntax, "+select|0\nuser": ErrSyntax,
		"+nosuch": ErrUnknown, "-nosuch": ErrUnknown, "+": ErrUnknown, "-": ErrUnknown, "+@nosuch": ErrUnknown, "-@": ErrUnknown,
		"+config|nosuch": ErrUnknown, "-select|0": ErrUnknown, "+nosuch|0": ErrUnknown,
		"+config|get|x": ErrFirstArgOfSub,
		"#abc":          ErrPasswordHash, "#" + strings.ToUpper(secretHash): ErrPasswordHash, "!abc": ErrPasswordHash,
		"<secret": ErrNoSuchPassword, "!" + secretHash: ErrNoSuchPassword,
		"(+nosuch)": ErrUnknown, "(on)": ErrSyntax, "(>secret)": ErrSyntax, "((+get))": ErrSyntax, "(~a))": ErrSyntax, "(&b) +get)": ErrSyntax,
	} {
		before := change(t, testCommands().NewUser("joe", false), "on ~a +get")
		shown := before.String()
		u, err := testCommands().Change(before, false, "+set", rule)
		var refused *RuleError
		if !errors.Is(err, want) || !errors.As(err, &refused) || refused.Rule != rule || u != nil {
			t.Errorf("%q: %v, user %v, want %v", rule, err, u, want)
		}
		if before.String() != shown {
			t.Errorf("%q has changed the user to %q", rule, before)
		}
	}
	for _, rules := range []string{"allkeys ~a", "allkeys %R~a"} {
		if _, err := testCommands().Change(testCommands().NewUser("joe", false), false, strings.Fields(rules)...); !errors.Is(err, ErrAfterAllKeys) {
			t.Errorf("%s: %v", rules, err)
		}
	}
	if _, err := testCommands().Change(testCommands().NewUser("joe", true), true, "&a"); !errors.Is(err, ErrAfterAllChannels) {
		t.Errorf("a channel after all: %v", err)
	}
	if _, err := testCommands().Change(testCommands().NewUser("joe", false), false, "on", "(+get", "~a"); err == nil ||
		err.Error() != "Unmatched parenthesis in acl selector starting at '(+get'." {
		t.Errorf("an open selector: %v", err)
	}
}

// A change makes another user: whoever has the old one sees nothing of it.
func TestUsersDoNotChange(t *testing.T) {
	old := change(t, testCommands().NewUser("joe", false), "on >a ~a &a +get +select|0 (~s +set)")
	shown := old.String()
	change(t, old, "off >b <a ~b %R~a &b -get +select|1 clearselectors (+del)")
	change(t, old, "reset")
	if old.String() != shown {
		t.Errorf("it was %q, is %q", shown, old)
	}
	if r, _ := old.Check(&Call{Command: 3, Args: line("select 1")}); r != DeniedCommand {
		t.Errorf("the first argument of the new user is allowed to the old one: %v", r)
	}
}

func line(s string) (args [][]byte) {
	for _, w := range strings.Fields(s) {
		args = append(args, []byte(w))
	}
	return args
}

func TestCheck(t *testing.T) {
	get := func(key string, a Access) *Call {
		return &Call{Command: 0, Args: line("get " + key), Keys: []Key{{1, a}}}
	}
	publish := func(channel string) *Call {
		return &Call{Command: 70, Args: line("publish " + channel + " m"), FirstChannel: 1, EndChannel: 2}
	}
	two := &Call{Command: 2, Args: line("del a b"), Keys: []Key{{1, Write}, {2, Write}}}
	for _, c := range []struct {
		name, rules string
		call        *Call
		want        Reason
		at          int
	}{
		{"nothing is allowed", "", get("a", Read), DeniedCommand, 0},
		{"but what everybody may call", "", &Call{Command: 4, Always: true, Args: line("auth x")}, Allowed, 0},
		{"a command without keys", "+select", &Call{Command: 3, Args: line("select 1")}, Allowed, 0},
		{"a key that is not", "+get", get("a", Read), DeniedKey, 1},
		{"a key that is", "+get ~a", get("a", Read), Allowed, 0},
		{"a pattern", "+@read ~user:*", get("user:1", Read), Allowed, 0},
		{"in its case", "+@read ~user:*", get("USER:1", Read), DeniedKey, 1},
		{"a key to read", "+get %R~a", get("a", Read), Allowed, 0},
		{"that is written", "+get %R~a", get("a", Write), DeniedKey, 1},
		{"written and read", "+get %W~a", get("a", Read|Write), DeniedKey, 1},
		{"by two patterns, each of which is not enough", "+get %W~a %R~a*", get("a", Read|Write), DeniedKey, 1},
		{"neither read nor written", "+get %W~a", get("a", 0), Allowed, 0},
		{"which still has to be named", "+get %W~b", get("a", 0), DeniedKey, 1},
		{"the second key", "+del ~a", two, DeniedKey, 2},
		{"a command that was taken away", "+@all -get ~*", get("a", Read), DeniedCommand, 0},
		{"and given back", "+@all -get +get ~*", get("a", Read), Allowed, 0},
		{"a category that was taken away", "+@all -@read ~*", get("a", Read), DeniedCommand, 0},
		{"a sub-command", "+config|get", &Call{Command: 6, Args: line("config get x")}, Allowed, 0},
		{"another one", "+config|get", &Call{Command: 7, Args: line("config set x y")}, DeniedCommand, 0},
		{"all of a container", "+config", &Call{Command: 7, Args: line("config set x y")}, Allowed, 0},
		{"all but one", "+config -config|set", &Call{Command: 7, Args: line("config set x y")}, DeniedCommand, 0},
		{"a first argument", "+select|zero", &Call{Command: 3, Args: line("select ZERO")}, Allowed, 0},
		{"another one", "+select|zero", &Call{Command: 3, Args: line("select one")}, DeniedCommand, 0},
		{"none", "+select|zero", &Call{Command: 3, Args: line("select")}, DeniedCommand, 0},
		{"a channel", "+publish &news.*", publish("news.it"), Allowed, 0},
		{"another one", "+publish &news.*", publish("weather"), DeniedChannel, 1},
		{"a pattern of channels has to be the same", "+publish &news.*",
			&Call{Command: 70, Args: line("psubscribe news.* news.a*"), FirstChannel: 1, EndChannel: 3, Patterns: true}, DeniedChannel, 2},
		{"a selector", "-@all (+get ~s*)", get("s1", Read), Allowed, 0},
		{"a command of one selector with the key of another", "+set ~s1 (+get ~x)", get("s1", Read), DeniedKey, 1},
		{"the last key that some selector denies is told", "(+del ~a) (+set ~*)", two, DeniedKey, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := change(t, testCommands().NewUser("joe", false), c.rules)
			if r, at := u.Check(c.call); r != c.want || at != c.at {
				t.Errorf("%q: %v at %d, want %v at %d", c.rules, r, at, c.want, c.at)
			}
		})
	}
}

func TestFull(t *testing.T) {
	for rules, want := range map[string]bool{
		"+@all ~* &*": true, "+@all ~*": false, "+@all &*": false, "~* &*": false, "+@all -get ~* &*": false,
		"(+@all ~* &*)": true, "(+@all ~*) (&*)": false, "+@all %RW~* &*": false,
	} {
		if got := change(t, testCommands().NewUser("joe", false), rules).Full(); got != want {
			t.Errorf("%q is full: %v", rules, got)
		}
	}
	if u := testCommands().Default(); !u.Full() || !u.On() || !u.NoPass() || u.LooksAtKeys() {
		t.Errorf("the default: %v", u)
	}
}

func TestKeysThatAreNotNamed(t *testing.T) {
	call := &Call{Command: 0, Args: line("get a"), Keys: []Key{{1, Read}}}
	for rules, want := range map[string]bool{
		"+get ~*": true, "+get %R~*": true, "+get ~a": false, "+get %R~a %W~*": false, "~*": false,
		"~* (+get ~a)": false, "(+get %R~*)": true,
	} {
		if got := change(t, testCommands().NewUser("joe", false), rules).CheckUnrestricted(call, Read); got != want {
			t.Errorf("%q: %v", rules, got)
		}
	}
}

func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		rules, password string
		want            bool
	}{
		{"on >secret >other", "secret", true}, {"on >secret >other", "other", true}, {"on >secret", "Secret", false},
		{"on >secret", "", false}, {"on #" + secretHash, "secret", true}, {"on #" + secretHash, secretHash, false},
		{"on", "", false}, {"on nopass", "whatever", true}, {"off nopass", "", false}, {"off >secret", "secret", false}, {"on >", "", true},
	} {
		if got := change(t, testCommands().NewUser("joe", false), c.rules).Accepts([]byte(c.password)); got != c.want {
			t.Errorf("%q accepts %q: %v", c.rules, c.password, got)
		}
	}
}

func TestChannelsLost(t *testing.T) {
	for _, c := range []struct {
		was, is        string
		channel        string
		isPattern      bool
		touched, keeps bool
	}{
		{"&*", "&*", "", false, false, true},
		{"&a", "&a &b", "", false, false, true},
		{"&a", "resetchannels (&a)", "", false, false, true},
		{"&*", "resetchannels &a*", "abc", false, true, true},
		{"&*", "resetchannels &a*", "b", false, true, false},
		{"&*", "resetchannels &a*", "abc", true, true, false},
		{"&*", "resetchannels &a*", "a*", true, true, true},
		{"&a", "resetchannels (&*)", "", false, false, true},
	} {
		old := change(t, testCommands().NewUser("joe", false), c.was)
		keeps := old.ChannelsLost(change(t, old, c.is))
		if (keeps != nil) != c.touched || keeps != nil && keeps(c.channel, c.isPattern) != c.keeps {
			t.Errorf("%q to %q: %s", c.was, c.is, c.channel)
		}
	}
}

func TestReadFile(t *testing.T) {
	const text = "\n user alice on >secret ~a* +get \r\n\nuser bob off (~b +set) \nuser Bob\n"
	users, err := testCommands().ReadFile("users.acl", text, false)
	if err != nil {
		t.Fatal(err)
	}
	SortByName(users)
	want := "user Bob off sanitize-payload resetchannels -@all\n" +
		"user alice on sanitize-payload #" + secretHash + " ~a* resetchannels -@all +get\n" +
		"user bob off sanitize-payload resetchannels -@all (~b resetchannels -@all +set)\n"
	if got := Text(users); got != want {
		t.Errorf("read as\n%s\nwant\n%s", got, want)
	}
	again, err := testCommands().ReadFile("users.acl", want, true)
	if SortByName(again); err != nil || Text(again) != want {
		t.Errorf("read again as\n%s\n%v", Text(again), err)
	}
	_, err = testCommands().ReadFile("f", "user a >p frobnicate +nosuch blah\nuser a on\nalice\nuser\nuser b\tc on\nuser d (+get\n# comment", false)
	const wrong = "f:1: Syntax error. f:1: Error in applying operation '+nosuch': Unknown command or category name in ACL. " +
		"WARNING: Duplicate user 'a' found on line 2. f:3 should start with user keyword followed by the username. " +
		"f:4 should start with user keyword followed by the username. f:5: username 'b\tc' contains invalid characters. " +
		"f:6: Unmatched parenthesis in selector definition.f:7 should start with user keyword followed by the username. " +
		"WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
	if err == nil || err.Error() != wrong {
		t.Errorf("a wrong file: %v\nwant %s", err, wrong)
	}
}

func TestLog(t *testing.T) {
	var l Log
	add := func(at int64, object string, r Reason) {
		l.Add(Entry{Reason: r, Context: TopLevel, Object: object, User: "joe", Client: "c" + object, Updated: at}, 12)
	}
	add(1000, "get", DeniedCommand)
	add(2000, "k", DeniedKey)
	add(61000, "get", DeniedCommand) // within a minute: it counts, and comes first
	add(61001+60000, "get", DeniedCommand)
	var got []string
	for _, e := range l.Newest(10) {
		got = append(got, e.Object+" "+e.Reason.String())
	}
	if want := []string{"get command", "get command", "k key"}; !slices.Equal(got, want) {
		t.Fatalf("log is %q, want %q", got, want)
	}
	if e := l.Newest(2)[1]; e.Count != 2 || e.ID != 0 || e.Created != 1000 || e.Updated != 61000 {
		t.Errorf("the entry that happened again: %+v", e)
	}
	if e := l.Newest(1)[0]; e.Count != 1 || e.ID != 2 {
		t.Errorf("the newest: %+v", e)
	}
	for i := range int64(20) {
		add(200000, string(rune('a'+i)), DeniedChannel)
	}
	if n := len(l.Newest(1000)); n != 12 {
		t.Errorf("%d entries are kept of 12", n)
	}
	add(200000, "a", DeniedChannel) // known, but not among the newest ten
	if e := l.Newest(1)[0]; e.Object != "a" || e.Count != 1 {
		t.Errorf("%+v", e)
	}
	if l.Reset(); len(l.Newest(10)) != 0 {
		t.Error("something is left of a reset")
	}
	if l.Add(Entry{Object: "x"}, 0); len(l.Newest(10)) != 0 {
		t.Error("a log without room has an entry")
	}
}

func TestCategories(t *testing.T) {
	c := testCommands()
	if names, known := c.InCategory("ADMIN"); !known || !slices.Equal(names, []string{"config|get", "config|set"}) {
		t.Errorf("admin: %q %v", names, known)
	}
	if names, known := c.InCategory("all"); known || names != nil {
		t.Errorf("no category: %q", names)
	}
}

// Whatever rules are taken, the user that they make is shown as rules that make it again.
func FuzzRules(f *testing.F) {
	for _, seed := range []string{
		"on >secret ~a* +get", "allkeys &* +@all -@read (%R~x +config|get) +select|0", "( + ) (+get ~a", "reset nopass clearselectors", "%RW~* &&& #abc",
		"+config| (%R~0 +Config|)", "+config|get|x", "(+get 0)",
	} {
		f.Add(seed)
	}
	c := testCommands()
	call := &Call{Command: 0, Args: line("get a"), Keys: []Key{{1, Read}}, FirstChannel: 1, EndChannel: 2}
	f.Fuzz(func(t *testing.T, rules string) {
		u, err := c.Change(c.NewUser("joe", false), false, strings.Split(rules, " ")...)
		if err != nil {
			if Validate(strings.Split(rules, " ")...) != nil || errors.Is(err, ErrUnknown) {
				return
			}
			// What is wrong with "config|" shows only where there is a command config, and
			// what stands behind "+get" in a selector only where there is a command get.
			if strings.ContainsAny(rules, "(|") {
				return
			}
			t.Fatalf("%q is valid and is refused: %v", rules, err)
		}
		words := strings.Split(u.String(), " ")
		again, err := c.Change(c.NewUser("joe", false), false, words[2:]...)
		if err != nil || again.String() != u.String() {
			t.Fatalf("%q is shown as %q, which makes %v (%v)", rules, u, again, err)
		}
		r, at := u.Check(call)
		if r2, at2 := again.Check(call); r != r2 || at != at2 {
			t.Fatalf("%q: what is shown allows something else: %v, %v", rules, r, r2)
		}
		if _, err := c.ReadFile("f", Text([]*User{u}), false); err != nil {
			t.Fatalf("%q cannot be read from a file: %v", u, err)
		}
	})
}
