package interop

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// Replicas link by TLS, ours and Redis's to ours and Redis's: a full resync, the stream,
// a partial resync and an exchange of roles, with a user for the links.
func TestReplicationByTLS(t *testing.T) {
	t.Parallel()
	redoubt, redis := redistest.Redoubt, redistest.Redis
	secrets := redistest.NewSecrets(t)
	for _, c := range []struct{ primary, replica redistest.Kind }{
		{redis, redoubt}, {redoubt, redis}, {redoubt, redoubt},
	} {
		t.Run(fmt.Sprintf("%v of %v", c.replica, c.primary), func(t *testing.T) {
			t.Parallel()
			args := []string{"--tls-replication", "yes", "--repl-diskless-sync-delay", "0", "--enable-debug-command", "yes",
				"--masteruser", "link", "--masterauth", "hush", "--user", "link", "on", ">hush", "+psync", "+replconf", "+ping"}
			primary := redistest.StartTLS(t, c.primary, secrets, args...)
			c0 := primary.Client()
			big := strings.Repeat("v", 1<<20)
			for i := range 8 {
				if _, err := c0.Do("SET", fmt.Sprint("big:", i), big); err != nil {
					t.Fatal(err)
				}
			}
			write(t, primary, 1)
			replica := redistest.StartTLS(t, c.replica, secrets, append(args, "--replicaof", "127.0.0.1", fmt.Sprint(primary.TLSPort))...)
			inStep(t, primary, replica)
			write(t, primary, 2)
			inStep(t, primary, replica)
			// The replica says the port by which it can be reached by TLS.
			wantText(t, fmt.Sprint(primary.Do("INFO", "replication")), fmt.Sprint("port=", replica.TLSPort))

			before := resumptions(replica)
			primary.Do("CLIENT", "KILL", "TYPE", "replica")
			write(t, primary, 3)
			inStep(t, primary, replica)
			redistest.Until(t, syncLimit, "the replica has gone on where it was", func() error {
				if resumptions(replica) == before {
					return fmt.Errorf("it has not")
				}
				return nil
			})

			before = resumptions(primary)
			replica.Do("REPLICAOF", "NO", "ONE")
			write(t, replica, 4)
			primary.Do("REPLICAOF", "127.0.0.1", replica.TLSPort)
			inStep(t, replica, primary)
			if resumptions(primary) != before+1 {
				t.Error("the former primary needed a full resync")
			}
		})
	}
}

// CONFIG SET tls-replication changes the link that stands.
func TestALinkBecomesOneByTLS(t *testing.T) {
	t.Parallel()
	secrets := redistest.NewSecrets(t)
	primary := redistest.StartTLS(t, redistest.Redoubt, secrets, "--enable-debug-command", "yes")
	replica := redistest.StartTLS(t, redistest.Redoubt, secrets, "--enable-debug-command", "yes", "--replicaof", "127.0.0.1", fmt.Sprint(primary.Port))
	write(t, primary, 1)
	inStep(t, primary, replica)
	replica.Do("CONFIG", "SET", "tls-replication", "yes")
	redistest.Until(t, syncLimit, "the plain link is gone", func() error {
		if got := replica.Info("master_link_status"); got != "down" {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
	if got := primary.Info("connected_slaves"); got != "0" {
		t.Errorf("the primary has %s replicas", got)
	}
	replica.Do("REPLICAOF", "127.0.0.1", primary.TLSPort)
	write(t, primary, 2)
	inStep(t, primary, replica)
}

// With tls-replication a link is by TLS or not at all.
func TestAReplicaDoesNotLinkInPlainText(t *testing.T) {
	t.Parallel()
	secrets, others := redistest.NewSecrets(t), redistest.NewSecrets(t)
	primary := redistest.StartTLS(t, redistest.Redoubt, secrets)
	stranger := redistest.StartTLS(t, redistest.Redoubt, others)
	primary.Do("SET", "k", "v")
	for _, c := range []struct {
		name    string
		secrets *redistest.Secrets
		port    int
		log     string
	}{
		{"the plain port of a primary", secrets, primary.Port, "it ended the connection in the TLS handshake; perhaps it does not speak TLS"},
		{"a primary of another authority", secrets, stranger.TLSPort, "its certificate is not by an authority that is trusted here"},
		{"a primary that does not trust the replica", others, primary.TLSPort, "authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			replica := redistest.StartTLS(t, redistest.Redoubt, c.secrets, "--tls-replication", "yes", "--repl-timeout", "3",
				"--replicaof", "127.0.0.1", fmt.Sprint(c.port))
			redistest.Until(t, syncLimit, "the log says why there is no link", func() error {
				if !strings.Contains(replica.Log(), c.log) {
					return fmt.Errorf("it does not")
				}
				return nil
			})
			if got := replica.Info("master_link_status"); got != "down" {
				t.Errorf("the link is %s", got)
			}
			if got := fmt.Sprint(replica.Do("DBSIZE")); got != "0" {
				t.Errorf("the replica has %s keys", got)
			}
		})
	}
}
