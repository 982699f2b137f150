package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"redoubt/internal/config"
	"redoubt/internal/metrics"
	"redoubt/internal/redistest"
	"redoubt/internal/redistest/promtext"
	"redoubt/storage"
)

// web is one request to the HTTP side: the status and the text. login is name:password,
// "" for none.
func (n *node) web(method, path, login string) (status int, text string) {
	n.t.Helper()
	at := n.MetricsAddrs()
	if len(at) == 0 {
		n.t.Fatal("metrics are not served")
	}
	r, err := http.NewRequest(method, "http://"+at[0]+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	if name, password, ok := strings.Cut(login, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r.WithContext(ctx))
	if err != nil {
		n.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	if path == "/metrics" && answer.StatusCode == http.StatusOK && answer.Header.Get("Content-Type") != metrics.ContentType {
		n.t.Errorf("the type of the page is %q", answer.Header.Get("Content-Type"))
	}
	return answer.StatusCode, string(body)
}

// scrape is a page of metrics, which must be right in form.
func (n *node) scrape() map[string]*promtext.Family {
	n.t.Helper()
	status, text := n.web("GET", "/metrics", "")
	if status != http.StatusOK {
		n.t.Fatalf("status %d: %s", status, text)
	}
	families, err := promtext.Parse(text)
	if err != nil {
		n.t.Fatal(err)
	}
	return families
}

// A node does not begin with metrics that everybody can read, whatever makes the user
// default open, and begins if there is a guard.
func TestMetricsThatWouldBeOpenAreRefused(t *testing.T) {
	for _, c := range []struct {
		name       string
		directives []string
		refused    bool
	}{
		{"on all addresses", []string{"--metrics-bind", "*"}, true},
		{"on all of IPv6", []string{"--metrics-bind", "::*"}, true},
		{"on one address of the network", []string{"--metrics-bind", "127.0.0.1 10.1.2.3"}, true},
		{"by a name", []string{"--metrics-bind", "example.org"}, true},
		{"although clients cannot come from there", []string{"--metrics-bind", "*", "--bind", "127.0.0.1"}, true},
		{"in protected mode as well", []string{"--metrics-bind", "*", "--protected-mode", "yes"}, true},
		{"with a password that another user has", []string{"--metrics-bind", "*", "--user", "alice", "on", ">secret", "+@all"}, true},
		{"without a port nothing is open", []string{"--metrics-bind", "*", "--metrics-port", "0"}, false},
		{"on loopback", []string{"--metrics-bind", "127.0.0.1 -::1"}, false},
		{"with a password", []string{"--metrics-bind", "*", "--requirepass", "secret"}, false},
		{"with the user default off", []string{"--metrics-bind", "*", "--user", "default", "off"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"--port", freePort(t), "--metrics-port", "9121", "--dir", t.TempDir()}, c.directives...)
			settings, err := config.Load(config.Source{Args: args, Product: "test"})
			if err != nil {
				t.Fatal(err)
			}
			stream := &memoryStream{}
			s, err := New(Config{Settings: settings, Stream: stream, Keyspace: storage.New(storage.Config{Databases: 16, Stream: stream})})
			if (err != nil) != c.refused || err != nil && !strings.Contains(err.Error(), "metrics-port would be open") {
				t.Errorf("error %v, refused %v wanted", err, c.refused)
			}
			if s != nil {
				for _, l := range s.loops {
					l.poll.close()
				}
				s.metrics.Close()
			}
		})
	}
}

// Who may read metrics is who may call INFO. What other commands tell is on the pages of
// those who may call them.
func TestMetricsAreForUsersOfTheServer(t *testing.T) {
	n := startNode(t, "--metrics-port", freePort(t), "--requirepass", "root",
		"--user", "full", "on", ">f", "+@all", "--user", "off", "off", ">o", "+@all")
	c := n.dial()
	c.want("AUTH root", "OK")
	c.want("ACL SETUSER some on >s +info +latency|histogram", "OK")
	c.want("ACL SETUSER none on >n +get", "OK")
	c.want("CONFIG SET latency-monitor-threshold 1", "OK")
	c.do("DEBUG SLEEP 0.01")
	for _, x := range []struct {
		name, login string
		status      int
		has, hasNot string
	}{
		{"nobody", "", http.StatusUnauthorized, "basic authentication", "redis_up"},
		{"a wrong password", "default:wrong", http.StatusUnauthorized, "", "redis_up"},
		{"a user there is not", "bob:root", http.StatusUnauthorized, "", "redis_up"},
		{"one that is off", "off:o", http.StatusUnauthorized, "", "redis_up"},
		{"one without the permission", "none:n", http.StatusForbidden, "INFO", "redis_up"},
		{"the password alone", ":root", http.StatusOK, "redis_config_key_value{", ""},
		{"the user default", "default:root", http.StatusOK, "redis_slowlog_length ", "root"},
		{"one who may do everything", "full:f", http.StatusOK, "redis_latency_spike_last{", ""},
		{"one who may do a part: that", "some:s", http.StatusOK, "redis_commands_latencies_usec_bucket{", "redis_config_"},
		{"… and nothing else", "some:s", http.StatusOK, "redis_up 1\n", "redis_slowlog"},
		{"… at all", "some:s", http.StatusOK, "redis_commands_total{", "redis_latency_spike"},
	} {
		status, text := n.web("GET", "/metrics", x.login)
		if status != x.status || !strings.Contains(text, x.has) || x.hasNot != "" && strings.Contains(text, x.hasNot) {
			t.Errorf("%s: status %d, want %d, with %q and without %q:\n%.600s", x.name, status, x.status, x.has, x.hasNot, text)
		}
	}
	if log := c.do("ACL LOG"); !strings.Contains(log, "metrics") || !strings.Contains(log, "auth") || !strings.Contains(log, "cmd=metrics") {
		t.Errorf("ACL LOG has nothing of it: %s", log)
	}
	c.want("ACL SETUSER full resetpass >other", "OK")
	if status, _ := n.web("GET", "/metrics", "full:f"); status != http.StatusUnauthorized {
		t.Errorf("the old password of a user is taken: %d", status)
	}
	if status, _ := n.web("GET", "/metrics", "full:other"); status != http.StatusOK {
		t.Errorf("the new one is not: %d", status)
	}
	c.want("ACL DELUSER full", "1")
	if status, _ := n.web("GET", "/metrics", "full:other"); status != http.StatusUnauthorized {
		t.Errorf("a deleted user is let in: %d", status)
	}
	// Checks of health ask for nobody's password.
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := n.web("GET", path, ""); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

// A password that is taken away while metrics are served beyond loopback opens them to
// nobody from elsewhere.
func TestMetricsCloseWhenTheirGuardGoes(t *testing.T) {
	n := startNode(t)
	n.dial().want("ACL SETUSER alice on >a +info", "OK")
	for _, c := range []struct {
		name   string
		login  metrics.Login
		before metrics.Verdict
		after  metrics.Verdict
	}{
		{"nobody, from elsewhere", metrics.Login{Remote: "10.0.0.9:1"}, metrics.NoLogin, metrics.Unguarded},
		{"any password, from elsewhere", metrics.Login{Remote: "10.0.0.9:1", Given: true, Name: "default", Password: "x"}, metrics.NoLogin, metrics.Unguarded},
		{"any password, from here", metrics.Login{Remote: "127.0.0.1:1", Local: true, Given: true, Password: "x"}, metrics.NoLogin, metrics.Granted},
		{"nobody, from here", metrics.Login{Remote: "127.0.0.1:1", Local: true}, metrics.NoLogin, metrics.Granted},
		{"another user, from elsewhere", metrics.Login{Remote: "10.0.0.9:1", Given: true, Name: "alice", Password: "a"}, metrics.Granted, metrics.Granted},
	} {
		a := n.dial()
		a.want("CONFIG SET requirepass secret", "OK")
		if v, _ := n.enterMetrics(c.login); v != c.before {
			t.Errorf("%s: %d with a password, want %d", c.name, v, c.before)
		}
		a.call("CONFIG", "SET", "requirepass", "")
		a.wantNext("OK")
		if v, _ := n.enterMetrics(c.login); v != c.after {
			t.Errorf("%s: %d without, want %d", c.name, v, c.after)
		}
	}
}

// With metrics-tls nobody is served without TLS: not at the start, not after a CONFIG SET,
// not on a connection from before it, and not if there is no certificate.
func TestMetricsOverTLS(t *testing.T) {
	port := freePort(t)
	n := startNode(t, append(tlsOptions(t), "--metrics-port", port, "--metrics-bind", "127.0.0.1", "--metrics-tls", "yes")...)
	secure := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: anyServer}, Timeout: time.Minute}
	plain := http.Client{Timeout: time.Minute}
	served := func(c *http.Client, scheme string) bool {
		answer, err := c.Get(scheme + "://127.0.0.1:" + port + "/metrics")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return err == nil && answer.StatusCode == http.StatusOK && strings.Contains(string(body), "redis_up")
	}
	look := func(when string, overTLS bool) {
		t.Helper()
		if served(&secure, "https") != overTLS || served(&plain, "http") == overTLS {
			t.Errorf("%s: with TLS %t, without %t", when, served(&secure, "https"), served(&plain, "http"))
		}
	}
	look("at the start", true)
	c := n.dial()
	c.want("CONFIG SET metrics-tls no", "OK")
	look("after CONFIG SET metrics-tls no", false) // which keeps a connection
	c.want("CONFIG SET metrics-tls yes", "OK")
	look("after CONFIG SET metrics-tls yes", true)
	n.tls.Restore(nil) // as if the certificates had been lost
	if served(&secure, "https") || served(&plain, "http") {
		t.Error("metrics are served without a certificate")
	}

	for _, c := range []struct {
		name       string
		directives []string
	}{
		{"no certificate", nil},
		{"no port", []string{"--metrics-port", "0"}},
		{"a file that is not there", []string{"--tls-cert-file", "/nonexistent", "--tls-key-file", "/nonexistent"}},
	} {
		args := append([]string{"--port", freePort(t), "--metrics-port", "9121", "--metrics-tls", "yes", "--dir", t.TempDir()}, c.directives...)
		settings, err := config.Load(config.Source{Args: args, Product: "test"})
		if err != nil {
			t.Fatal(err)
		}
		stream := &memoryStream{}
		s, err := New(Config{Settings: settings, Stream: stream, Keyspace: storage.New(storage.Config{Databases: 16, Stream: stream})})
		if err == nil || !strings.Contains(err.Error(), "Failed to configure TLS") {
			t.Errorf("%s: error %v", c.name, err)
		}
		if s != nil {
			for _, l := range s.loops {
				l.poll.close()
			}
			s.metrics.Close()
		}
	}
}

func TestMetricsFollowConfigSet(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	if at := n.MetricsAddrs(); len(at) != 0 {
		t.Fatalf("metrics are served at %v, and nobody has asked for that", at)
	}
	first, second := freePort(t), freePort(t)
	c.want("CONFIG SET metrics-bind 127.0.0.1", "OK")
	c.want("CONFIG SET metrics-port "+first, "OK")
	if at := n.MetricsAddrs(); len(at) != 1 || at[0] != "127.0.0.1:"+first {
		t.Fatalf("served at %v", at)
	}
	kept, err := net.Dial("tcp", "127.0.0.1:"+first)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	n.scrape()
	if got := c.do("CONFIG SET metrics-bind *"); !strings.Contains(got, "would be open to everybody") {
		t.Errorf("metrics for everybody: %s", got)
	}
	busy, err := net.Listen("tcp4", "127.0.0.1:"+second)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.do("CONFIG SET metrics-port " + second); !strings.Contains(got, "Failed listening on metrics-port") {
		t.Errorf("a port that is in use: %s", got)
	}
	n.scrape() // at the first still
	busy.Close()
	c.want("CONFIG SET metrics-port "+second, "OK")
	if at := n.MetricsAddrs(); len(at) != 1 || at[0] != "127.0.0.1:"+second {
		t.Errorf("served at %v", at)
	}
	n.scrape()
	kept.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := kept.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a connection to the old port: %v, want its end", err)
	}
	c.want("CONFIG SET metrics-port 0", "OK")
	if at := n.MetricsAddrs(); len(at) != 0 {
		t.Errorf("served at %v after the end", at)
	}
	if nc, err := net.Dial("tcp", "127.0.0.1:"+second); err == nil {
		nc.Close()
		t.Error("the port is open after the end")
	}
}

// Only three pages, and only to look at. No request can be long, and nobody can take all
// the places but for a while.
func TestHTTPTakesNothingElse(t *testing.T) {
	n := startNode(t, "--metrics-port", freePort(t))
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/", http.StatusOK}, {"HEAD", "/metrics", http.StatusOK}, {"HEAD", "/readyz", http.StatusOK},
		{"POST", "/metrics", http.StatusMethodNotAllowed}, {"PUT", "/healthz", http.StatusMethodNotAllowed},
		{"OPTIONS", "/metrics", http.StatusMethodNotAllowed}, {"DELETE", "/", http.StatusMethodNotAllowed},
		{"GET", "/debug/pprof/", http.StatusNotFound}, {"GET", "/debug/vars", http.StatusNotFound}, {"GET", "/metrics/x", http.StatusNotFound},
	} {
		status, text := n.web(c.method, c.path, "")
		if status != c.status || c.method == "HEAD" && text != "" {
			t.Errorf("%s %s: %d %q, want %d", c.method, c.path, status, text, c.status)
		}
	}
	long := n.dialMetrics()
	fmt.Fprintf(long, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	if line, _ := bufio.NewReader(long).ReadString('\n'); strings.Contains(line, "200") {
		t.Errorf("a request of 64 KiB: %q", line)
	}
	var crowd []net.Conn
	turnedAway := func(nc net.Conn) bool {
		fmt.Fprint(nc, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		nc.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, err := bufio.NewReader(nc).ReadString('\n')
		return err != nil
	}
	away := 0
	for range 100 {
		nc := n.dialMetrics()
		crowd = append(crowd, nc)
		if turnedAway(nc) {
			away++
		}
	}
	if away < 30 || away > 40 {
		t.Errorf("%d of 100 connections were turned away, want those above 64", away)
	}
	for _, nc := range crowd {
		nc.Close()
	}
	redistest.Until(t, 30*time.Second, "there is room again", func() error {
		nc := n.dialMetrics()
		defer nc.Close()
		if turnedAway(nc) {
			return fmt.Errorf("none")
		}
		return nil
	})
}

func (n *node) dialMetrics() net.Conn {
	n.t.Helper()
	nc, err := net.Dial("tcp", n.MetricsAddrs()[0])
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { nc.Close() })
	return nc
}

// A loop that is in the middle of a long command holds up no scrape, and no check of
// health: that is when they are needed.
func TestMetricsWaitForNoLoop(t *testing.T) {
	n := startNode(t, "--event-loops", "2", "--metrics-port", freePort(t))
	c := n.dial()
	c.want("SET k v", "OK")
	c.want("GET k", "v")
	c.want("GET nokey", "(nil)")
	c.do("NOSUCH")
	n.loops[1].turn.Lock()
	unlock := n.loops[1].turn.Unlock
	defer func() { unlock() }()
	f := n.scrape()
	for _, x := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"redis_up", nil, 1},
		{"redis_commands_total", []string{"cmd", "get"}, 2},
		{"redis_keyspace_hits_total", nil, 1},
		{"redis_keyspace_misses_total", nil, 1},
		{"redis_errors_total", []string{"err", "ERR"}, 1},
		{"redis_db_keys", []string{"db", "db0"}, 1},
		{"redis_db_keys", []string{"db", "db15"}, 0},
		{"redis_config_value", []string{"key", "maxclients"}, float64(n.config.Current().MaxClients)},
		{"redis_connected_clients", nil, 1},
	} {
		if got := f[x.name].Find(x.name, x.labels...); got != x.want {
			t.Errorf("%s%v is %v, want %v", x.name, x.labels, got, x.want)
		}
	}
	if got := f["redis_commands_latencies_usec"].Find("redis_commands_latencies_usec_count", "cmd", "get"); got != 2 {
		t.Errorf("%v latencies of GET, want 2", got)
	}
	if got := f["redis_latency_percentiles_usec"].Find("redis_latency_percentiles_usec", "cmd", "get", "quantile", "99.9"); !(got > 0) {
		t.Errorf("the 99.9th percentile of GET is %v", got)
	}
	if status, text := n.web("GET", "/healthz", ""); status != http.StatusOK {
		t.Errorf("a command of a moment is no disease: %d %s", status, text)
	}
	// As if it had been so for longer than the limit.
	n.loops[1].stats.beat.Store(int64(time.Since(n.started) - stallLimit - time.Second))
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := n.web("GET", path, ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "event loop 1 has not taken a turn") {
			t.Errorf("%s of a loop that stands still: %d %s", path, status, text)
		}
	}
	unlock()
	unlock = func() {}
	redistest.Until(t, 30*time.Second, "the loop turns again", func() error {
		if status, text := n.web("GET", "/healthz", ""); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
}

func TestReadyIsWhoServes(t *testing.T) {
	f := newFakeReplication()
	n := startParts(t, func(c *Config) { c.Replication = f }, "--metrics-port", freePort(t))
	n.wantReady(true, "ready")
	n.SetLoading(true)
	n.wantReady(false, "the data are being loaded")
	if status, _ := n.web("GET", "/healthz", ""); status != http.StatusOK {
		t.Error("to load is no disease")
	}
	n.SetLoading(false)
	n.wantReady(true, "ready")
	c := n.dial()
	c.want("CONFIG SET busy-reply-threshold 20", "OK")
	c.call("EVAL", endless, "0")
	n.untilBusy()
	n.wantReady(false, "BUSY")
	n.dial().want("SCRIPT KILL", "OK")
	c.read()
	redistest.Until(t, 30*time.Second, "it is ready again", func() error {
		if status, text := n.web("GET", "/readyz", ""); status != http.StatusOK {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
}

func (n *node) wantReady(ready bool, text string) {
	n.t.Helper()
	want := http.StatusOK
	if !ready {
		want = http.StatusServiceUnavailable
	}
	if status, got := n.web("GET", "/readyz", ""); status != want || !strings.Contains(got, text) {
		n.t.Errorf("status %d, want %d with %q: %s", status, want, text, got)
	}
}

// Replies that wait for the disk count with the time that they have waited.
func TestTheReplyGateIsMeasured(t *testing.T) {
	n := startNode(t, "--metrics-port", freePort(t))
	count := func() float64 {
		f := n.scrape()["redoubt_reply_gate_seconds"]
		return f.Find("redoubt_reply_gate_seconds_count")
	}
	c := n.dial()
	c.want("SET a 1", "OK")
	if got := count(); got != 0 {
		t.Errorf("%v replies have waited for a stream that commits at once", got)
	}
	n.stream.hold()
	c.send("SET a 2")
	redistest.Until(t, 30*time.Second, "the reply waits", func() error {
		for _, l := range n.loops {
			if l.holding.Load() {
				return nil
			}
		}
		return fmt.Errorf("none does")
	})
	held := time.Now()
	time.Sleep(20 * time.Millisecond)
	n.stream.commit(-1)
	c.wantNext("OK")
	f := n.scrape()["redoubt_reply_gate_seconds"]
	sum := f.Find("redoubt_reply_gate_seconds_sum")
	if got := f.Find("redoubt_reply_gate_seconds_count"); got != 1 || sum < 0.01 || sum > time.Since(held).Seconds()+60 {
		t.Errorf("%v replies have waited for %v s", got, sum)
	}
}

// Metrics cost a hundredth of a processor if they are read ten times a second.
func BenchmarkScrape(b *testing.B) {
	n := startNode(b, "--metrics-port", freePort(b))
	c := n.dial()
	for _, line := range strings.Split("SET a 1|GET a|INCR n|LPUSH l 1|LPOP l|HSET h f v|HGET h f|SADD s 1|ZADD z 1 a|EXPIRE a 100|DEL a|PING|EXISTS a|MGET a b|TTL a|TYPE a|XADD x * f v|XLEN x|NOSUCH|INFO", "|") {
		c.do(line)
	}
	may := func(...string) bool { return true }
	b.ReportAllocs()
	size := 0
	p := metrics.NewPage()
	for b.Loop() {
		p.Reset()
		n.measure(p, may)
		size = len(p.Bytes())
	}
	b.ReportMetric(float64(size), "B/page")
}
