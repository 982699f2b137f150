package config

import (
	"slices"
	"strings"
	"testing"
)

// A line about users either acts in full or ends the start.
func TestUserLines(t *testing.T) {
	const hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" // of secret
	for _, c := range []struct {
		name, file string
		pass       string // requirepass
		refused    string // in the error
	}{
		{"the default, as CONFIG REWRITE of Redis writes it", "user default on nopass sanitize-payload ~* &* +@all", "", ""},
		{"a password is requirepass", "user default on >secret", "secret", ""},
		{"and so with all permissions", "user default ON allcommands allkeys allchannels >Secret", "Secret", ""},
		{"the last of nopass and a password counts", "user default on nopass >secret", "secret", ""},
		{"also the other way round", "user default on >secret nopass", "", ""},
		{"a hash of requirepass", "requirepass secret\nuser default on #" + hash + " ~* &* +@all", "secret", ""},
		{"requirepass says the same", "user default on >secret\nrequirepass secret", "secret", ""},

		{"another user", "user alice on >secret ~* &* +@all", "", "The user 'alice'"},
		{"a user in another case", "user Default on nopass", "", "The user 'Default'"},
		{"two lines", "user default on nopass\nuser default on >secret", "", "Duplicate user"},
		{"nothing about it", "user default", "", "would let nobody in"},
		{"a user that is off", "user default off >secret", "", "'off'"},
		{"no password", "user default on ~* &* +@all", "", "without nopass"},
		{"two passwords", "user default on >a >b", "", "'>b'"},
		{"an empty password", "user default on >", "", "'>'"},
		{"some keys", "user default on >secret ~cached:* +@all", "", "'~cached:*'"},
		{"some commands", "user default on >secret ~* &* +@all -flushall", "", "'-flushall'"},
		{"no keys", "user default on >secret &* +@all", "", "some of the permissions"},
		{"a selector", "user default on >secret (+@all ~*)", "", "'(+@all'"},
		{"a hash alone", "user default on #" + hash, "", "Only a hash"},
		{"a hash of another password", "requirepass other\nuser default on #" + hash, "", "Only a hash"},
		{"requirepass says otherwise", "requirepass other\nuser default on >secret", "", "requirepass says otherwise"},
		{"requirepass says otherwise than nopass", "requirepass other\nuser default on nopass", "", "requirepass says otherwise"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := load(t, c.file)
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("error %v, want %q", err, c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := config.Current().RequirePass; got != c.pass {
				t.Errorf("requirepass is %q, want %q", got, c.pass)
			}
		})
	}
}

// A node does not stand open where its configuration says that it is guarded.
func TestGuardsThatAreNotBuiltAreRefused(t *testing.T) {
	for _, c := range []struct{ file, option, want string }{
		{"port 0\ntls-port 6380", "", "at line 2\n>>> 'tls-port 6380'\nTLS is not built"},
		{"tls-cluster yes", "", "TLS is not built"},
		{"tls-replication yes", "", "TLS is not built"},
		{"aclfile /etc/users.acl", "", "users of the file are not built"},
		{"", "--tls-port 6380", "TLS is not built"},
		{"tls-port 6380", "--tls-port 0", ""}, // the last value counts
		{"tls-cert-file a.crt\ntls-auth-clients no", "", ""},
		{"aclfile \"\"", "", ""},
	} {
		var options []string
		if c.option != "" {
			options = strings.Fields(c.option)
		}
		_, err := load(t, c.file, options...)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q %s: error %v, want %q", c.file, c.option, err, c.want)
		}
	}
	config := mustLoad(t, "")
	for _, p := range [][]Pair{pairs("tls-port", "6380"), pairs("hz", "20", "tls-cluster", "yes"), pairs("tls-replication", "yes")} {
		if err := config.Set(Caller{Local: true}, p...); err == nil || !strings.Contains(err.Error(), "TLS is not built") {
			t.Errorf("CONFIG SET %v: %v", p, err)
		}
	}
	if err := config.Set(Caller{Local: true}, pairs("aclfile", "/x")...); err == nil {
		t.Error("CONFIG SET aclfile is taken")
	}
	if err := config.Set(Caller{}, pairs("tls-port", "0", "tls-cluster", "no", "aclfile", "")...); err != nil {
		t.Errorf("the values in force: %v", err)
	}
	if hz := config.Current().HZ; hz != 10 {
		t.Errorf("hz is %d after a CONFIG SET that was refused", hz)
	}
}

func TestWhatSomebodyWaitsForInVainIsWarnedOf(t *testing.T) {
	c := mustLoad(t, "io-threads 4\nsupervised systemd\nloadmodule a.so\nsyslog-enabled no")
	var names []string
	for _, line := range c.Warnings() {
		name, _, _ := strings.Cut(line, " has no effect")
		names = append(names, name)
	}
	if want := []string{"supervised", "loadmodule"}; !slices.Equal(names, want) {
		t.Errorf("warned of %q, want %q", names, want)
	}
	if got, want := c.Unused(), []string{"io-threads", "syslog-enabled"}; !slices.Equal(got, want) {
		t.Errorf("only named are %q, want %q", got, want)
	}
	if c.Lacking("io-threads") != "" || c.Lacking("no-such-directive") != "" || c.Lacking("SuperVised") == "" || c.Lacking("maxmemory") != "" {
		t.Error("Lacking is wrong")
	}
}

// A row that acts is neither warned of nor refused.
func TestOnlyRowsWithoutAnEffectLackSomething(t *testing.T) {
	for _, d := range table {
		if (d.lacks != "" || d.refuse != "") && d.does != "" || d.lacks != "" && d.refuse != "" {
			t.Errorf("%s: does %q, lacks %q, refuse %q", d.name, d.does, d.lacks, d.refuse)
		}
	}
}
