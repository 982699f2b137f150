package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a client says in the wrong form may be a password all the same: neither a
// monitor nor the slow log shows it.
func TestSecretsInCallsWithAMistake(t *testing.T) {
	for _, line := range []string{
		"AUTH joe hush too-many", "AUTH hush joe hush", "HELLO 4 AUTH joe hush", "HELLO three AUTH joe hush", "HELLO 3 AUTH hush",
		"HELLO 3 SETNAME \x01 AUTH joe hush", "HELLO 3 nonsense AUTH joe hush", "CONFIG SET requirepass hush too-many",
		"ACL SETUSER joe >hush nonsense", "ACL SETUSER a\x01b >hush nonsense",
	} {
		t.Run(line, func(t *testing.T) {
			n := startNode(t, "--slowlog-log-slower-than", "0")
			m, c := n.dial(), n.dial()
			m.want("MONITOR", "OK")
			c.do(line)
			c.want("MULTI", "OK")
			c.do(line)
			c.do("EXEC")
			c.want("ECHO end", "end")
			for seen := ""; !strings.Contains(seen, `"ECHO"`); {
				if seen = m.read(); strings.Contains(seen, "hush") {
					t.Errorf("a monitor sees %s", seen)
				}
			}
			if log := c.do("SLOWLOG GET"); strings.Contains(log, "hush") || !strings.Contains(log, "ECHO") {
				t.Errorf("the slow log has %s", log)
			}
		})
	}
}

// requirepass guards the user default also if there is a file of users that does not
// name it, at start and after ACL LOAD.
func TestRequirePassBesideAFileOfUsers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users.acl")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("user joe on >sesame +@all\n")
	n := startNode(t, "--requirepass", "hush", "--aclfile", file)
	const refused = "error: NOAUTH Authentication required."
	closed := func(when string) {
		t.Helper()
		c := n.dial()
		if got := c.do("PING"); got != refused {
			t.Errorf("%s: PING: %s", when, got)
		}
		c.want("AUTH hush", "OK")
		c.want("PING", "PONG")
	}
	closed("at start")
	c := n.dial()
	c.want("AUTH hush", "OK")
	c.want("ACL LOAD", "OK")
	closed("after ACL LOAD")
	c.want("CONFIG SET requirepass hush2", "OK")
	c.want("CONFIG SET requirepass hush", "OK")
	write("")
	c.want("ACL LOAD", "OK")
	closed("after ACL LOAD of an empty file")
	write("user default on nopass +@all ~*\n")
	c.want("ACL LOAD", "OK")
	n.dial().want("PING", "PONG") // the file says so
}
