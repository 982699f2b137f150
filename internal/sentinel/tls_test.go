package sentinel

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/internal/redistest"
	"redoubt/internal/tlsconf"
)

// secrets are the lines with which a Sentinel speaks TLS to instances, and what an
// instance of the same authority accepts connections with.
func secrets(t *testing.T) (lines []string, set *tlsconf.Set) {
	t.Helper()
	s := redistest.NewSecrets(t)
	set, err := tlsconf.Load(tlsconf.Options{CertFile: s.Cert, KeyFile: s.Key, CAFile: s.CA, AuthClients: tlsconf.AuthYes})
	if err != nil {
		t.Fatal(err)
	}
	return []string{"tls-cert-file " + s.Cert, "tls-key-file " + s.Key, "tls-ca-cert-file " + s.CA, "tls-replication yes"}, set
}

// With tls-replication an instance is spoken to by TLS, and never in plain text. Why it
// is not is told once.
func TestConnectionsByTLS(t *testing.T) {
	lines, set := secrets(t)
	_, others := secrets(t)
	answers := map[string]string{"PING": "+PONG\r\n", "INFO": "$13\r\nrole:master\r\n\r\n"}

	i := startInstanceBy(t, set.Server, answers)
	startSentinel(t, append(lines, i.monitored(), "sentinel auth-pass m secret")...)
	i.untilSaid(t, "AUTH secret|CLIENT SETNAME")

	for _, c := range []struct {
		name string
		i    *instance
		want string
	}{
		{"an instance of another authority", startInstanceBy(t, others.Server, answers), "its certificate is not by an authority that is trusted here"},
		{"an instance without TLS", startInstance(t, answers), "TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			observed, logs := observer.New(zap.WarnLevel)
			startLogged(t, zap.New(observed), append(lines, c.i.monitored(), "sentinel auth-pass m secret")...)
			connections := func() int {
				c.i.mu.Lock()
				defer c.i.mu.Unlock()
				return len(c.i.conns)
			}
			redistest.Until(t, patience, "the instance was dialled several times", func() error {
				if n := connections(); n < 4 {
					return fmt.Errorf("%d times", n)
				}
				return nil
			})
			told := logs.FilterField(zap.String("instance", c.i.ln.Addr().String())).All()
			if len(told) != 1 || !strings.Contains(told[0].Message, c.want) {
				t.Errorf("the log says %v", told)
			}
			c.i.mu.Lock()
			defer c.i.mu.Unlock()
			if said := strings.Join(c.i.said, ""); said != "" {
				t.Errorf("it was told %q", said)
			}
		})
	}
}
