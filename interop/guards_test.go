package interop

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// A step is a command line and how its reply begins; an error begins with "-".
type step struct{ line, want string }

// try runs steps on a new connection.
func try(t *testing.T, s *redistest.Server, steps ...step) {
	t.Helper()
	c := s.Client()
	for _, step := range steps {
		if got := answer(t, c, step.line); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s: %q, want %q", step.line, got, step.want)
		}
	}
}

// answer is the reply to a line of words. A node that asks for a password says so while
// it still loads, so the line is repeated until it has loaded.
func answer(t *testing.T, c *redistest.Client, line string) (text string) {
	t.Helper()
	var args []any
	for word := range strings.FieldsSeq(line) {
		args = append(args, word)
	}
	redistest.Until(t, settle, "the node has loaded", func() error {
		reply, err := c.Do(args...)
		refused := redistest.Error("")
		switch {
		case err == nil:
			text = fmt.Sprint(reply)
		case !errors.As(err, &refused):
			t.Fatalf("%s: %v", line, err)
		case strings.HasPrefix(string(refused), "LOADING"):
			return err
		default:
			text = "-" + string(refused)
		}
		return nil
	})
	return text
}

// Nothing fails open: each directive that guards a node is tried by a client that
// should get no further.
func TestEachGuardActs(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	users := filepath.Join(t.TempDir(), "users.acl")
	if err := os.WriteFile(users, []byte("user joe on >sesame ~a* +@all -@dangerous\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		noAuth  = "-NOAUTH Authentication required."
		noPerm  = "-NOPERM"
		unknown = "-ERR unknown command"
		wrong   = "-WRONGPASS"
	)
	for _, c := range []struct {
		name, args string
		steps      []step
	}{
		{"requirepass", "--requirepass hush", []step{
			{"PING", noAuth}, {"GET k", noAuth}, {"MULTI", noAuth}, {"EVAL return 0", noAuth}, {"SUBSCRIBE ch", noAuth},
			{"PSYNC ? -1", noAuth}, {"REPLCONF listening-port 1", noAuth}, {"CONFIG GET requirepass", noAuth}, {"HELLO 3", "-NOAUTH"},
			{"RESET", "RESET"}, {"PING", noAuth}, {"AUTH no", wrong}, {"AUTH default", wrong}, {"PING", noAuth},
			{"AUTH hush", "OK"}, {"PING", "PONG"}, {"RESET", "RESET"}, {"PING", noAuth},
		}},
		{"a user default that is off", "--user default off nopass ~* &* +@all", []step{{"PING", noAuth}, {"AUTH default x", wrong}, {"PING", noAuth}}},
		{"user", "--user joe on >sesame ~a* %R~r* +@all -@dangerous", []step{
			{"AUTH joe sesame", "OK"}, {"SET a 1", "OK"}, {"GET b", noPerm}, {"SET r 1", noPerm}, {"COPY a b", noPerm}, {"RENAME a b", noPerm},
			{"SORT a STORE b", noPerm}, {"GEORADIUS a 0 0 1 m STORE b", noPerm}, {"XREADGROUP GROUP g c STREAMS b >", noPerm},
			{"SUBSCRIBE ch", noPerm}, {"PSUBSCRIBE *", noPerm}, {"SSUBSCRIBE ch", noPerm}, {"PUBLISH ch m", noPerm},
			{"MONITOR", noPerm}, {"CLIENT LIST", noPerm}, {"CONFIG GET *", noPerm}, {"ACL LIST", noPerm}, {"KEYS *", noPerm},
			{"PSYNC ? -1", noPerm}, {"REPLCONF listening-port 1", noPerm}, {"REPLICAOF NO ONE", noPerm}, {"FUNCTION LIST", "["},
			{"FLUSHALL", noPerm}, {"SHUTDOWN NOSAVE", noPerm}, {"MIGRATE 127.0.0.1 1 a 0 1", noPerm}, {"MULTI", "OK"}, {"GET b", noPerm}, {"EXEC", "-EXECABORT"},
		}},
		{"aclfile, with requirepass for the user that it does not name", "--requirepass hush --aclfile " + users, []step{
			{"PING", noAuth}, {"AUTH joe no", wrong}, {"AUTH joe sesame", "OK"}, {"GET b", noPerm}, {"AUTH hush", "OK"}, {"ACL LOAD", "OK"},
			{"RESET", "RESET"}, {"PING", noAuth},
		}},
		{"acl-pubsub-default", "--acl-pubsub-default resetchannels --user joe on nopass +@all", []step{{"AUTH joe x", "OK"}, {"SUBSCRIBE ch", noPerm}}},
		{"acl-pubsub-default, by default", "--user joe on nopass +@all", []step{{"AUTH joe x", "OK"}, {"SUBSCRIBE ch", noPerm}}},
		{"enable-debug-command", "--enable-debug-command no", []step{{"DEBUG SLEEP 0", "-ERR DEBUG command not allowed"}, {"CONFIG SET enable-debug-command yes", "-ERR"}}},
		{"enable-protected-configs", "--enable-protected-configs no", []step{
			{"CONFIG SET dir /tmp", "-ERR"}, {"CONFIG SET dbfilename x.rdb", "-ERR"}, {"CONFIG SET enable-protected-configs yes", "-ERR"},
		}},
		{"enable-module-command", "--enable-module-command no", []step{{"MODULE LOAD /tmp/x.so", "-ERR"}}},
		{"rename-command", "--rename-command CONFIG hidden --rename-command FLUSHALL \"\"", []step{
			{"CONFIG GET *", unknown}, {"FLUSHALL", unknown}, {"HIDDEN GET port", "["},
			{"EVAL return{redis.pcall('FLUSHALL')} 0", "["}, {"DBSIZE", "0"},
		}},
		{"directives that are not built", "", []step{
			{"CONFIG SET tls-port 1", "-ERR"}, {"CONFIG SET tls-cluster yes", "-ERR"}, {"CONFIG SET tls-replication yes", "-ERR"},
			{"CONFIG SET aclfile " + users, "-ERR"}, {"CONFIG SET nonsense 1", "-ERR"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := strings.Fields(c.args)
			for i := range args {
				if args[i] == `""` {
					args[i] = ""
				}
			}
			s := redistest.Start(t, redistest.Redoubt, args...)
			noPanic(t, s)
			try(t, s, c.steps...)
		})
	}
}

// Each directive of TLS that guards a node keeps out whom it should, and nobody else.
func TestEachGuardOfTLSActs(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	ours, theirs := redistest.NewSecrets(t), redistest.NewSecrets(t)
	none, own, foreign := &tls.Config{}, clientTLS(t, ours), clientTLS(t, theirs)
	foreign.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &foreign.Certificates[0], nil }
	with := func(c *tls.Config, change func(*tls.Config)) *tls.Config {
		c = c.Clone()
		change(c)
		return c
	}
	only := func(version uint16, suites ...uint16) *tls.Config {
		return with(own, func(c *tls.Config) { c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS10, version, suites })
	}
	for _, c := range []struct {
		args     string
		in, kept []*tls.Config
	}{
		{"--tls-auth-clients yes", []*tls.Config{own}, []*tls.Config{nil, none, foreign, only(tls.VersionTLS11)}},
		{"--tls-auth-clients optional", []*tls.Config{own, none}, []*tls.Config{nil, foreign}},
		{"--tls-auth-clients no", []*tls.Config{own, none, foreign}, []*tls.Config{nil}},
		{"--tls-ca-cert-file " + theirs.CA, []*tls.Config{foreign}, []*tls.Config{own, none}},
		{"--tls-protocols TLSv1.3", []*tls.Config{own}, []*tls.Config{only(tls.VersionTLS12)}},
		{"--tls-protocols TLSv1.2 --tls-ciphers ECDHE+AESGCM:!AES128", []*tls.Config{own}, []*tls.Config{
			only(tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256), with(own, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }),
		}},
		{"--requirepass hush", nil, []*tls.Config{own, none}}, // a certificate logs nobody in
	} {
		t.Run(c.args, func(t *testing.T) {
			s := redistest.StartTLS(t, redistest.Redoubt, ours, "--requirepass", "")
			noPanic(t, s)
			s.Do(slices.Concat([]any{"CONFIG", "SET"}, pairsOf(c.args))...)
			for i, cfg := range slices.Concat(c.in, c.kept) {
				if got, want := letsIn(t, s.TLSAddr(), cfg), i < len(c.in); got != want {
					t.Errorf("client %d of those who are let in and those who are not: is let in: %t", i, got)
				}
			}
		})
	}
}

// pairsOf are the options of a command line as arguments of CONFIG SET.
func pairsOf(args string) (pairs []any) {
	for _, option := range strings.Split(args, "--")[1:] {
		name, value, _ := strings.Cut(strings.TrimSpace(option), " ")
		pairs = append(pairs, name, value)
	}
	return pairs
}

// letsIn reports whether a node answers a client that connects so; nil: in plain text.
func letsIn(t *testing.T, addr string, cfg *tls.Config) bool {
	t.Helper()
	nc, err := net.DialTimeout("tcp", addr, settle)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(settle))
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.InsecureSkipVerify = true // whom the node trusts is the question
		nc = tls.Client(nc, cfg)
	}
	if _, err := io.WriteString(nc, "PING\r\n"); err != nil {
		return false
	}
	reply, err := bufio.NewReader(nc).ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the node neither answers nor closes")
	}
	return reply == "+PONG\r\n"
}

// What TLS cannot do as it is asked to ends the start.
func TestGuardsOfTLSThatCannotAct(t *testing.T) {
	t.Parallel()
	oursOnly(t)
	s, other := redistest.NewSecrets(t), redistest.NewSecrets(t)
	for _, args := range [][]string{
		{"--tls-ciphersuites", "TLS_AES_256_GCM_SHA384"}, {"--tls-ciphers", "HIGH:@SECLEVEL=3"}, {"--tls-ciphers", "HIHG"},
		{"--tls-protocols", "TLSv1.1 TLSv1.3"}, {"--tls-protocols", "SSLv3"}, {"--tls-auth-clients-user", "cn"}, {"--tls-auth-clients", "maybe"},
		{"--tls-key-file", other.Key}, {"--tls-key-file", ""}, {"--tls-cert-file", "/nonexistent"}, {"--tls-ca-cert-file", ""},
		{"--tls-ca-cert-file", "", "--tls-auth-clients", "no", "--tls-replication", "yes"}, {"--tls-ca-cert-dir", "/nonexistent"},
		{"--tls-client-cert-file", other.Cert}, {"--tls-client-cert-file", other.Cert, "--tls-client-key-file", s.Key},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), settle)
			defer cancel()
			line := []string{"server", "--port", "0", "--tls-port", strconv.Itoa(redistest.Port(t)), "--save", "", "--dir", t.TempDir(), "--bind", "127.0.0.1"}
			out, err := exec.CommandContext(ctx, redistest.Binary(t), slices.Concat(line, s.Args(), args)...).CombinedOutput()
			if err == nil || ctx.Err() != nil {
				t.Errorf("it starts: %v\n%s", err, out)
			}
		})
	}
}

// A directive that guards a node and is not understood, or not built, ends the start.
func TestGuardsThatAreNotUnderstood(t *testing.T) {
	oursOnly(t)
	for _, args := range []string{
		"--requirepas hush", "--tls-port 1", "--tls-cluster yes", "--tls-replication yes", "--protected-mode maybe",
		"--enable-debug-command maybe", "--enable-protected-configs maybe", "--enable-module-command maybe", "--acl-pubsub-default some",
		"--user joe frobnicate", "--user joe on +nosuch", "--user joe on (+get", "--user joe on #abc", "--aclfile /nonexistent/users.acl",
		"--aclfile users.acl --user joe on", "--bind 192.0.2.1", "--unixsocket /nonexistent/s", "--unixsocketperm 999", "--rename-command CONFIG",
		"--sentinel auth-pass m hush",
	} {
		t.Run(args, func(t *testing.T) {
			port := strconv.Itoa(redistest.Port(t))
			ctx, cancel := context.WithTimeout(t.Context(), settle)
			defer cancel()
			// What the line says of bind comes last and counts.
			cmd := exec.CommandContext(ctx, redistest.Binary(t),
				append([]string{"server", "--port", port, "--save", "", "--dir", t.TempDir(), "--bind", "127.0.0.1"}, strings.Fields(args)...)...)
			if out, err := cmd.CombinedOutput(); err == nil || ctx.Err() != nil {
				t.Errorf("it starts: %v\n%s", err, out)
			}
		})
	}
}

// A MIGRATE with a mistake in it shows its password neither to monitors nor in the slow
// log.
func TestMigrateHidesSecrets(t *testing.T) {
	oursOnly(t)
	s := start(t, redistest.Redoubt, "--slowlog-log-slower-than", "0")
	for _, options := range []string{"AUTH hush", "AUTH2 joe hush", "nonsense AUTH hush", "AUTH2 hush", "AUTH hush KEYS a"} {
		try(t, s, step{"MIGRATE 127.0.0.1 1 k 0 1 " + options, ""})
	}
	if log := fmt.Sprint(s.Do("SLOWLOG", "GET", "-1")); strings.Contains(log, "hush") || strings.Count(log, "MIGRATE") != 5 {
		t.Errorf("the slow log has %s", log)
	}
}

// bind says where a node listens, and unixsocketperm who may open its socket.
func TestListenersAreGuarded(t *testing.T) {
	oursOnly(t)
	socket := filepath.Join(t.TempDir(), "s")
	s := redistest.Start(t, redistest.Redoubt, "--unixsocket", socket, "--unixsocketperm", "700")
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.2:%d", s.Port)); err == nil {
		c.Close()
		t.Error("it listens on 127.0.0.2 as well")
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket: %v, %v", info, err)
	}
}

// A primary with users gives its data to a replica only that has the right masterauth
// and masteruser.
func TestReplicasAreGuarded(t *testing.T) {
	oursOnly(t)
	primary := start(t, redistest.Redoubt, "--user", "default", "on", ">hush", "~*", "&*", "+@all",
		"--user", "replica", "on", ">sesame", "+psync", "+replconf", "+ping", "--user", "reader", "on", ">sesame", "~*", "+@read")
	admin := primary.Client()
	for _, line := range []string{"AUTH hush", "SET k v"} {
		if got := answer(t, admin, line); got != "OK" {
			t.Fatalf("%s: %s", line, got)
		}
	}
	replicas := map[string]*redistest.Server{}
	for _, auth := range []string{"", "--masterauth no", "--masteruser reader --masterauth sesame", "--masteruser replica --masterauth sesame"} {
		args := append([]string{"--replicaof", "127.0.0.1", strconv.Itoa(primary.Port)}, strings.Fields(auth)...)
		replicas[auth] = start(t, redistest.Redoubt, args...)
	}
	good := "--masteruser replica --masterauth sesame"
	redistest.Until(t, settle, "the replica with the right user is in step", func() error {
		if got := replicas[good].Do("GET", "k"); got != "v" {
			return fmt.Errorf("it has %v", got)
		}
		return nil
	})
	for auth, r := range replicas {
		if auth == good {
			continue
		}
		redistest.Until(t, settle, auth+": the primary has refused it", func() error {
			if !strings.Contains(r.Log(), "NOAUTH") && !strings.Contains(r.Log(), "WRONGPASS") && !strings.Contains(r.Log(), "NOPERM") {
				return errors.New("not yet")
			}
			return nil
		})
		if got := r.Do("DBSIZE"); got != int64(0) {
			t.Errorf("%q: it has %v keys", auth, got)
		}
	}
}

// A Sentinel asks for its own password, and lets no client say which scripts run.
func TestSentinelsAreGuarded(t *testing.T) {
	oursOnly(t)
	primary := start(t, redistest.Redoubt, "--requirepass", "hush")
	s := redistest.StartSentinel(t, redistest.Redoubt, fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 1", primary.Port),
		"sentinel auth-pass m hush", "requirepass sesame", "user watcher on >watch +ping +sentinel|masters &*")
	noPanic(t, s)
	try(t, s, step{"SENTINEL MASTERS", "-NOAUTH"}, step{"PUBLISH __sentinel__:hello x", "-NOAUTH"},
		step{"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *", "-NOAUTH"}, step{"AUTH no", "-WRONGPASS"}, step{"AUTH sesame", "OK"},
		step{"SENTINEL SET m notification-script /bin/true", "-ERR Reconfiguration of scripts path is denied"},
		step{"SENTINEL SET m client-reconfig-script /bin/true", "-ERR Reconfiguration of scripts path is denied"},
		step{"DEBUG SLEEP 0", "-ERR"}, step{"EVAL return 0", "-ERR"})
	try(t, s, step{"AUTH watcher watch", "OK"}, step{"SENTINEL MASTERS", "["}, step{"SENTINEL SET m quorum 2", "-NOPERM"},
		step{"SENTINEL FAILOVER m", "-NOPERM"}, step{"ACL LIST", "-NOPERM"}, step{"SHUTDOWN", "-NOPERM"})
	c := s.Client()
	if _, err := c.Do("AUTH", "sesame"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do("SENTINEL", "SET", "m", "auth-user", "x\nsentinel deny-scripts-reconfig no"); err == nil {
		t.Error("a line break is taken into the file")
	}
	for _, line := range []string{"SENTINEL SET m auth-pass b\"c", "SENTINEL FLUSHCONFIG"} {
		if got := answer(t, c, line); got != "OK" {
			t.Errorf("%s: %s", line, got)
		}
	}
	s.Terminate()
	s.Restart() // its file can be read again
	try(t, s, step{"SENTINEL MASTERS", "-NOAUTH"}, step{"AUTH watcher watch", "OK"}, step{"SENTINEL SET m quorum 2", "-NOPERM"})
	if strings.Contains(s.Log(), "sesame") || strings.Contains(s.Log(), "b\"c") {
		t.Error("the log has a password")
	}
}

// Without a password, a node serves nobody from another address than the loopback ones.
// That takes a network of its own.
func TestProtectedMode(t *testing.T) {
	oursOnly(t)
	const addr, port = "10.213.0.1", "6379"
	space := fmt.Sprint("redoubt-guards-", os.Getpid())
	ip := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), settle)
		defer cancel()
		out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
		return string(out), err
	}
	if out, err := ip("netns", "add", space); err != nil {
		lacking(t, "no network namespace can be made (that needs root, and ip; on Debian: apt-get install iproute2): %v %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", space).Run() })
	in := func(args ...string) (string, error) { return ip(append([]string{"netns", "exec", space}, args...)...) }
	for _, args := range [][]string{{"ip", "link", "set", "lo", "up"}, {"ip", "addr", "add", addr + "/32", "dev", "lo"}} {
		if out, err := in(args...); err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	cli := redistest.Tool(t, "redis-cli")
	ask := func(host string, args ...string) string {
		out, _ := in(append([]string{cli, "-h", host, "-p", port}, args...)...)
		return strings.TrimSpace(out)
	}
	server := exec.Command("ip", "netns", "exec", space, redistest.Binary(t), "server", "--port", port, "--save", "", "--dir", t.TempDir())
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	redistest.Until(t, settle, "the node answers on a loopback address", func() error {
		if got := ask("127.0.0.1", "PING"); got != "PONG" {
			return errors.New(got)
		}
		return nil
	})
	check := func(when, want string) {
		t.Helper()
		if got := ask(addr, "PING"); !strings.Contains(got, want) {
			t.Errorf("%s: %q from another address, want %q", when, got, want)
		}
	}
	check("by default", "DENIED")
	ask("127.0.0.1", "CONFIG", "SET", "requirepass", "hush")
	check("with a password", "NOAUTH")
	ask("127.0.0.1", "-a", "hush", "ACL", "SETUSER", "default", "nopass")
	check("with a user default that needs none", "DENIED")
	ask("127.0.0.1", "ACL", "SETUSER", "default", "off")
	check("with a user default that is off", "DENIED") // as in Redis: it has no password
}
