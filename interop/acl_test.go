package interop

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// TestRulesMakeTheSameUsers gives the same rules to users of Redoubt and of
// redis-server. The replies, how the users are shown and what they may do must be the
// same. Redis 7.0 derives the rules about commands that it shows from what is allowed;
// rules are listed here of which that makes what was said, as 7.2 keeps it, but for their
// order.
func TestRulesMakeTheSameUsers(t *testing.T) {
	a, b := start(t, ours()).Client(), start(t, redistest.Redis).Client()
	for _, rules := range []string{
		"", "on", "on nopass", "ON NoPass ~* &* +@all", "on >a >b #" + strings.Repeat("ab", 32), ">a <a", ">a nopass resetpass", "skip-sanitize-payload",
		"~a* %R~b* %W~w* %RW~c", "%R~a %W~a", "allkeys resetkeys ~x", "~a allkeys", "&ch* &other", "allchannels resetchannels &x",
		"+get", "-@all +GET +mget", "+@all -flushall", "+@read", "+@all -@dangerous", "allcommands nocommands", "+config", "+config|get +client|id",
		"+client -client|kill", "+select|0 +select|1", "+debug|digest", "+@pubsub &news.*", "+@string +@hash ~k*",
		"on +get ~g* (+set %W~s*) (~t* &c +get +publish)", "(+get ~a) clearselectors", "( ~a +get )", "on nopass ~* +@all reset",
		"+@write %W~w* -del", "+@read %R~r*", "+@all ~r* (+@all %R~g*)",
		// What is refused.
		"nonsense", "~* ~a", "&* &a", "+nosuch", "+@nosuch", "-nosuch", "+config|nosuch", "+config|get|x", "-select|0", "+select|", "<nosuch", "#abc",
		"!" + strings.Repeat("ab", 32), "%~a", "%RR~a", "%X~a", "(+get", "(+get ~a", "(nonsense)", "(on)", "+", "-", "+@",
	} {
		line := []any{"ACL", "SETUSER", "joe", "reset"}
		for _, r := range strings.Fields(rules) {
			line = append(line, r)
		}
		sameAnswer(t, a, b, rules, line...)
		for _, proto := range []int{2, 3} {
			sameAnswer(t, a, b, "", "HELLO", proto)
			sameAnswer(t, a, b, rules, "ACL", "GETUSER", "joe")
			sameAnswer(t, a, b, rules, "ACL", "LIST")
		}
		var lines [][]any
		for _, call := range calls {
			lines = append(lines, append([]any{"ACL", "DRYRUN", "joe"}, call...))
		}
		ours, err := a.Pipeline(lines...)
		theirs, err2 := b.Pipeline(lines...)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for i := range lines {
			if x, y := plainReply(fmt.Append(nil, ours[i])), plainReply(fmt.Append(nil, theirs[i])); !bytes.Equal(x, y) {
				t.Errorf("rules %q, %v:\nours   %q\ntheirs %q", rules, lines[i], x, y)
			}
		}
	}
}

// calls are command lines that users may or may not run.
var calls = [][]any{
	{"GET", "g1"}, {"GET", "a1"}, {"GET", "b1"}, {"get", "w1"}, {"MGET", "a1", "b1"}, {"SET", "w1", "v"}, {"SET", "w1", "v", "GET"}, {"SET", "s1", "v"},
	{"DEL", "w1", "r1"}, {"EXISTS", "w1"}, {"STRLEN", "w1"}, {"HSET", "k1", "f", "v"}, {"COPY", "a1", "w1"}, {"SORT", "r1", "STORE", "w1"}, {"SORT", "w1", "STORE", "w1"},
	{"BITFIELD", "r1", "GET", "u4", "0"}, {"BITFIELD", "r1", "SET", "u4", "0", "1"}, {"XREAD", "STREAMS", "a1", "b1", "0", "0"}, {"ZUNIONSTORE", "w1", "2", "r1", "r2"},
	{"GEORADIUS", "r1", "1", "1", "1", "m", "STORE", "w1"}, {"GEORADIUS", "w1", "1", "1", "1", "m", "STOREDIST", "r1"}, {"EVAL", "return 1", "1", "r1"},
	{"MIGRATE", "h", "1", "", "0", "1", "KEYS", "a1", "r1"}, {"OBJECT", "FREQ", "a1"}, {"XGROUP", "CREATE", "w1", "g", "0"}, {"MEMORY", "USAGE", "r1"},
	{"LMOVE", "r1", "w1", "LEFT", "LEFT"}, {"PFCOUNT", "a1"}, {"TOUCH", "a1"}, {"RENAME", "w1", "w2"}, {"RESTORE", "w1", "0", "x"}, {"SINTERCARD", "2", "r1", "r2"},
	{"PUBLISH", "ch1", "m"}, {"SPUBLISH", "x", "m"}, {"SUBSCRIBE", "ch1", "news.it"}, {"PSUBSCRIBE", "news.*"}, {"PSUBSCRIBE", "news.it*"}, {"UNSUBSCRIBE", "x"},
	{"SELECT", "0"}, {"SELECT", "2"}, {"CONFIG", "GET", "x"}, {"CONFIG", "SET", "x", "y"}, {"CLIENT", "ID"}, {"CLIENT", "KILL", "x"}, {"FLUSHALL"}, {"DEBUG", "DIGEST"},
	{"AUTH", "x"}, {"PING"}, {"ACL", "WHOAMI"}, {"COMMAND"}, {"KEYS", "*"}, {"NOSUCH"}, {"GET"}, {"CONFIG", "NOSUCH"},
}

// sameAnswer sends a line to Redoubt and to redis-server, and compares the replies but for
// what the versions tell differently: 7.0 says nothing of sanitize-payload, and calls
// the user of a DRYRUN "This user".
func sameAnswer(t *testing.T, a, b *redistest.Client, rules string, line ...any) {
	t.Helper()
	ours, err := a.DoRaw(line...)
	theirs, err2 := b.DoRaw(line...)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	if line[0] == "HELLO" {
		return
	}
	ours, theirs = plainReply(ours), plainReply(theirs)
	if !bytes.Equal(ours, theirs) {
		t.Errorf("rules %q, %v:\nours   %q\ntheirs %q", rules, line, ours, theirs)
	}
}

// plainReply is the words of a reply, without its lengths and what versions differ in.
func plainReply(b []byte) []byte {
	var words []string
	for word := range strings.SplitSeq(string(b), "\r\n") {
		switch {
		case word == "sanitize-payload", word != "" && strings.ContainsRune("$*%~", rune(word[0])) && len(word) < 5 && strings.Trim(word[1:], "0123456789") == "":
			continue
		}
		for _, user := range []string{"This user has", "User joe has"} {
			word = strings.Replace(word, user, "The user has", 1)
		}
		word = strings.ReplaceAll(word, "sanitize-payload ", "")
		if strings.Contains(word, "@all") { // rules, which 7.0 shows in an order that changes from run to run
			rules := strings.FieldsFunc(word, func(r rune) bool { return strings.ContainsRune(" ()", r) })
			slices.Sort(rules)
			word = strings.Join(rules, " ")
		}
		words = append(words, word)
	}
	return []byte(strings.Join(words, "\n"))
}

// TestCategoriesHoldTheSameCommands compares ACL CAT. What Redoubt has and Redis 7.0
// has not, is a command of later versions.
func TestCategoriesHoldTheSameCommands(t *testing.T) {
	a, b := start(t, ours()).Client(), start(t, redistest.Redis).Client()
	names := func(c *redistest.Client, line ...any) (list []string) {
		t.Helper()
		reply, err := c.Do(line...)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range reply.([]any) {
			list = append(list, fmt.Sprint(name))
		}
		return list
	}
	categories := names(b, "ACL", "CAT")
	if got := names(a, "ACL", "CAT"); !slices.Equal(got, categories) {
		t.Fatalf("categories %q, want %q", got, categories)
	}
	known := map[string]bool{}
	for _, category := range categories {
		for _, name := range names(b, "ACL", "CAT", category) {
			known[name] = true
		}
	}
	for _, category := range categories {
		ours, theirs := names(a, "ACL", "CAT", category), names(b, "ACL", "CAT", category)
		ours = slices.DeleteFunc(ours, func(name string) bool { return !known[name] })
		slices.Sort(ours)
		slices.Sort(theirs)
		if !slices.Equal(ours, theirs) {
			for _, name := range theirs {
				if !slices.Contains(ours, name) {
					t.Errorf("%s lacks %s", category, name)
				}
			}
			for _, name := range ours {
				if !slices.Contains(theirs, name) {
					t.Errorf("%s has %s", category, name)
				}
			}
		}
	}
}
