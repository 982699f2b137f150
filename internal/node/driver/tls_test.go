package driver

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/cluster"
	"redoubt/internal/certs"
	"redoubt/internal/config"
	"redoubt/internal/redistest"
)

// secrets are the options with which a node has a certificate of an authority that it
// trusts.
func secrets(t *testing.T, a *certs.Authority) []string {
	t.Helper()
	dir := t.TempDir()
	p, err := a.Issue(certs.Request{Name: "node", Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := p.Write(dir, "node")
	if err != nil {
		t.Fatal(err)
	}
	ca, _, err := a.Write(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca}
}

func authority(t *testing.T) *certs.Authority {
	t.Helper()
	a, err := certs.New("authority")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// warned returns the warnings that have a text in them.
func (m *member) warned(text string) (lines []string) {
	for _, e := range m.said.All() {
		if strings.Contains(e.Message, text) {
			lines = append(lines, e.Message)
		}
	}
	return lines
}

func (m *member) untilWarned(text string) {
	m.t.Helper()
	redistest.Until(m.t, 30*time.Second, "the log tells of it", func() error {
		if len(m.warned(text)) == 0 {
			return fmt.Errorf("it says %v", m.said.All())
		}
		return nil
	})
}

// A bus by TLS: two members and a redis-server. Clients are shown the ports of their own
// flavour, and the port of the bus goes by the TLS port.
func TestABusByTLS(t *testing.T) {
	t.Parallel()
	a := authority(t)
	start := func() (*member, int) {
		tlsPort := redistest.Port(t)
		return startMember(t, append(secrets(t, a), "--tls-cluster", "yes", "--tls-port", strconv.Itoa(tlsPort))...), tlsPort
	}
	first, firstTLS := start()
	second, _ := start()
	realTLS := redistest.Port(t)
	real := redistest.Start(t, redistest.Redis, append(secrets(t, a), "--cluster-enabled", "yes", "--cluster-node-timeout", "1000",
		"--tls-cluster", "yes", "--tls-port", strconv.Itoa(realTLS))...)
	if first.busPort != firstTLS+busPortOffset {
		t.Errorf("the bus is at %d, the TLS port is %d", first.busPort, firstTLS)
	}
	second.WantOK("cluster", "meet", "127.0.0.1", firstTLS)
	second.WantOK("cluster", "meet", "127.0.0.1", realTLS)
	first.WantOK("cluster", "addslotsrange", 0, 16383)
	for _, m := range []*member{first, second} {
		redistest.Until(t, 30*time.Second, "all see all", func() error { return m.sees(3, true) })
	}
	redistest.Until(t, 30*time.Second, "the redis-server sees all", func() error {
		info := fmt.Sprint(real.Do("CLUSTER", "INFO"))
		if !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3") {
			return fmt.Errorf("%s", info)
		}
		return nil
	})
	for secure, port := range map[bool]int{false: first.port, true: firstTLS} {
		redistest.Until(t, 30*time.Second, "the second knows both ports of the first", func() error {
			text := second.View().NodesText(cluster.Client{TLS: secure})
			want := fmt.Sprintf("%s 127.0.0.1:%d@%d ", first.id(), port, firstTLS+busPortOffset)
			if !strings.Contains(text, want) {
				return fmt.Errorf("%s\nwithout %q", text, want)
			}
			return nil
		})
	}
	if lines := first.warned("cluster link"); len(lines) > 0 {
		t.Errorf("the log says %q", lines)
	}

	t.Run("strangers", func(t *testing.T) {
		stranger := startMember(t, append(secrets(t, authority(t)), "--tls-cluster", "yes", "--tls-port", strconv.Itoa(redistest.Port(t)))...)
		stranger.WantOK("cluster", "meet", "127.0.0.1", firstTLS)
		stranger.untilWarned("its certificate is not by an authority that is trusted here")
		first.untilWarned("A cluster link from 127.0.0.1 was refused: ")
		plain := startMember(t)
		plain.WantOK("cluster", "meet", "127.0.0.1", firstTLS, first.busPort)
		first.untilWarned("A cluster link from 127.0.0.1 was refused: what it sends is not TLS")
		conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(first.busPort)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write([]byte("*1\r\n$4\r\nPING\r\n"))
		conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		for buf := make([]byte, 100); err == nil; {
			_, err = conn.Read(buf)
		}
		if e, ok := err.(net.Error); ok && e.Timeout() {
			t.Error("a client's command keeps a connection to the bus")
		}
		if n := len(first.View().Nodes); n != 3 {
			t.Errorf("the first knows %d nodes", n)
		}
		if lines := first.warned("what it sends is not TLS"); len(lines) != 1 {
			t.Errorf("the log says %q", lines)
		}
	})
}

// tls-cluster is switched while the nodes run. Nodes that have been switched have no link
// to those that have not, until these are, too.
func TestABusIsSwitchedToTLS(t *testing.T) {
	t.Parallel()
	a := authority(t)
	var members []*member
	for range 2 {
		members = append(members, startMember(t, append(secrets(t, a), "--tls-port", strconv.Itoa(redistest.Port(t)))...))
	}
	members[0].WantOK("cluster", "addslotsrange", 0, 16383)
	members[1].WantOK("cluster", "meet", "127.0.0.1", members[0].port)
	joined := func() {
		t.Helper()
		for _, m := range members {
			redistest.Until(t, 30*time.Second, "both see both", func() error { return m.sees(2, true) })
		}
	}
	joined()
	set := func(m *member, value string) {
		t.Helper()
		if err := m.Config.Set(config.Caller{Local: true}, config.Pair{Name: "tls-cluster", Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	for _, value := range []string{"yes", "no"} {
		set(members[0], value)
		redistest.Until(t, 30*time.Second, "the links are gone", func() error {
			if err := members[0].sees(2, true); err == nil {
				return fmt.Errorf("%s", members[0].View().NodesText(cluster.Client{}))
			}
			return nil
		})
		set(members[1], value)
		joined()
	}
}

func TestThePortOfTheBus(t *testing.T) {
	for _, c := range []struct {
		port, tlsPort int
		tls           bool
		clusterPort   int
		want          int
	}{
		{7000, 0, false, 0, 17000},
		{7000, 7443, false, 0, 17000},
		{7000, 7443, true, 0, 17443},
		{0, 7443, true, 0, 17443},
		{0, 7443, false, 0, 17443},
		{7000, 0, true, 0, 17000}, // only the bus is encrypted
		{7000, 7443, true, 5, 5},
		{7000, 60000, true, 0, 0},
		{60000, 7443, true, 0, 17443},
	} {
		got, err := busPort(&config.Settings{Port: c.port, TLSPort: c.tlsPort, TLSCluster: c.tls, ClusterPort: c.clusterPort})
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}

// Whoever makes many connections does not fill the log.
func TestStrangersAreToldOfInBounds(t *testing.T) {
	var s strangers
	now := time.Unix(1000, 0)
	for i, c := range []struct {
		ip, why string
		after   time.Duration
		want    bool
	}{
		{"a", "x", 0, true},
		{"a", "x", 0, false},
		{"a", "y", 0, true},
		{"b", "x", 0, true},
		{"a", "x", strangerPeriod - 1, false},
		{"a", "x", 1, true},
		{"a", "x", 0, false},
	} {
		now = now.Add(c.after)
		if got := s.tell(c.ip, c.why, now); got != c.want {
			t.Errorf("%d: told %v", i, got)
		}
	}
	told := 0
	for i := range 10 * maxStrangers {
		if s.tell(strconv.Itoa(i), "x", now) {
			told++
		}
	}
	if told >= maxStrangers || len(s.told) > maxStrangers {
		t.Errorf("%d told, %d remembered", told, len(s.told))
	}
	if !s.tell("another", "x", now.Add(strangerPeriod)) {
		t.Error("nothing is told a period later")
	}
}
