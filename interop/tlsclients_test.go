package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"redoubt/internal/redistest"
)

// clientTLS is what a client in Go connects with: its certificate, and the authority that
// it trusts.
func clientTLS(t *testing.T, s *redistest.Secrets) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(s.Cert, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(s.CA)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, ServerName: "localhost"}
}

// Clients that know nothing of us do their work over TLS, and have to show a certificate.
func TestClientsOverTLS(t *testing.T) {
	t.Parallel()
	secrets := redistest.NewSecrets(t)
	s := redistest.StartTLS(t, redistest.Redoubt, secrets)
	noPanic(t, s)
	port := strconv.Itoa(s.TLSPort)
	run := func(t *testing.T, name string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), settle)
		defer cancel()
		out, err := exec.CommandContext(ctx, redistest.Tool(t, name), args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return string(out)
	}
	t.Run("redis-cli", func(t *testing.T) {
		for _, flags := range [][]string{
			secrets.CLI(),
			{"--tls", "--insecure", "--cert", secrets.Cert, "--key", secrets.Key},
			append(secrets.CLI(), "--sni", "localhost"),
			append(secrets.CLI(), "-3"),
		} {
			args := append([]string{"-h", "127.0.0.1", "-p", port}, flags...)
			wantText(t, run(t, "redis-cli", append(args, "SET", "k", "v")...), "OK")
			wantText(t, run(t, "redis-cli", append(args, "GET", "k")...), "v")
		}
		for _, flags := range [][]string{
			nil,                               // plain
			{"--tls", "--insecure"},           // without a certificate
			{"--tls", "--cacert", secrets.CA}, // likewise
			{"--tls", "--cert", secrets.Cert, "--key", secrets.Key, "--cacert", secrets.Key}, // does not trust us
		} {
			out, err := exec.Command(redistest.Tool(t, "redis-cli"), append([]string{"-h", "127.0.0.1", "-p", port}, append(flags, "GET", "k")...)...).CombinedOutput()
			if err == nil && strings.Contains(string(out), "v\n") {
				t.Errorf("redis-cli %v gets an answer: %s", flags, out)
			}
		}
	})
	t.Run("go-redis", func(t *testing.T) {
		c := redis.NewClient(&redis.Options{Addr: s.TLSAddr(), TLSConfig: clientTLS(t, secrets)})
		defer c.Close()
		ctx := t.Context()
		const many = 2000
		cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range many {
				p.Set(ctx, "key:"+strconv.Itoa(i), strings.Repeat("v", i), 0)
				p.StrLen(ctx, "key:"+strconv.Itoa(i))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range many {
			if got := cmds[2*i+1].(*redis.IntCmd).Val(); got != int64(i) {
				t.Fatalf("key:%d has %d bytes", i, got)
			}
		}
		sub := c.Subscribe(ctx, "news")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Publish(ctx, "news", "hello").Result(); n != 1 || err != nil {
			t.Errorf("%d hear of it: %v", n, err)
		}
		if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
			t.Errorf("%v, error %v", m, err)
		}
	})
	t.Run("rueidis with a cache", func(t *testing.T) {
		rueidisCaches(t, []string{s.TLSAddr()}, rueidis.ClientOption{TLSConfig: clientTLS(t, secrets), ForceSingleClient: true})
	})
	t.Run("redis-py", func(t *testing.T) {
		const python = "/usr/bin/python3"
		if err := exec.Command(python, "-c", "import redis").Run(); err != nil {
			t.Skip("there is no redis-py; Debian: python3-redis")
		}
		script := fmt.Sprintf(`import redis
r = redis.Redis(host='localhost', port=%s, ssl=True, ssl_certfile=%q, ssl_keyfile=%q, ssl_ca_certs=%q)
v = 'x' * 3000000
assert r.set('big', v) and r.get('big').decode() == v
p = r.pipeline(transaction=False)
for i in range(5000): p.set('k%%d' %% i, i)
for i in range(5000): p.get('k%%d' %% i)
assert p.execute()[5000:] == [str(i).encode() for i in range(5000)]
assert r.blpop('none', 0.1) is None
print('done')
`, port, secrets.Cert, secrets.Key, secrets.CA)
		ctx, cancel := context.WithTimeout(t.Context(), settle)
		defer cancel()
		out, err := exec.CommandContext(ctx, python, "-c", script).CombinedOutput()
		if err != nil || string(out) != "done\n" {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("redis-benchmark", func(t *testing.T) {
		args := append(secrets.CLI(), "-h", "127.0.0.1", "-p", port, "-n", "20000", "-P", "16", "-c", "20", "-q", "-t", "set,get,lpush,mset")
		wantText(t, run(t, "redis-benchmark", args...), "SET: ", "GET: ", "LPUSH: ", "MSET ")
	})
}
