package clustertool

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func stepsOf(s *Picture, since time.Time) (string, error) {
	steps, err := s.upgradeSteps(since)
	var lines []string
	for _, st := range steps {
		lines = append(lines, st.describe(func(id string) string { return id }))
	}
	return strings.Join(lines, "; "), err
}

// Replicas come first, and no primary is restarted before it has handed over.
func TestOrderOfAnUpgrade(t *testing.T) {
	now := time.Now()
	for _, tc := range []struct {
		name  string
		nodes []drawn
		since time.Time
		young string // ids of nodes that were started a moment ago
		want  string
		fails string
	}{
		{"all nodes", everybody(), time.Time{}, "",
			"restart x; restart y; restart z; a hands over to its replica x; restart a; b hands over to its replica y; restart b; " +
				"c hands over to its replica z; restart c", ""},
		{"replicas are done", everybody(), now.Add(-10 * time.Second), "xyz",
			"a hands over to its replica x; restart a; b hands over to its replica y; restart b; c hands over to its replica z; restart c", ""},
		{"a new primary is done, the old one is a replica", everybody(
			drawn{id: "a", lines: []string{"a 10.0.0.1:1@10001 slave x 0 0 4 connected", "x 10.0.0.4:1@10001 master - 0 0 4 connected 0-5460"}},
			drawn{id: "x", lines: []string{"a 10.0.0.1:1@10001 slave x 0 0 4 connected", "x 10.0.0.4:1@10001 master - 0 0 4 connected 0-5460"}},
		), now.Add(-10 * time.Second), "xyzbc", "restart a", ""},
		{"nothing is left", everybody(), now.Add(-time.Hour), "", "", ""},
		{"a primary without a link to its replica", everybody(drawn{id: "y", link: "down"}), time.Time{}, "", "", "primary 10.0.0.2:1 has no replica that could take over"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := drawPicture(t, tc.nodes)
			for _, n := range s.nodes {
				n.asked = now // each has been up for 61 s
				if strings.Contains(tc.young, n.id) {
					n.info = strings.Replace(n.info, "uptime_in_seconds:61", "uptime_in_seconds:1", 1)
				}
			}
			got, err := stepsOf(s, tc.since)
			if got != tc.want && err == nil {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("error %v, want %q", err, tc.fails)
			}
		})
	}
}

// The replica that has most of the stream takes over.
func TestWhoTakesOver(t *testing.T) {
	for _, ahead := range []string{"x", "y"} {
		line := "y 10.0.0.5:1@10001 slave a 0 0 2 connected"
		nodes := everybody()
		for i := range nodes {
			nodes[i].lines = []string{line}
		}
		s := drawPicture(t, nodes)
		n := s.byID[ahead]
		n.info = strings.Replace(n.info, "slave_repl_offset:90", "slave_repl_offset:95", 1)
		if heir := s.heirOf(s.byID["a"]); heir == nil || heir.id != ahead {
			t.Errorf("it is %v, want %s", heir, ahead)
		}
	}
}

func TestCommandThatRestarts(t *testing.T) {
	node := Node{"0123abcd", "10.0.0.1", 7000}
	for _, tc := range []struct {
		template string
		node     Node
		want     string
		fails    string
	}{
		{"systemctl restart redoubt@{port}", node, "systemctl restart redoubt@7000", ""},
		{"ssh {host} restart {addr} {id} {port}", node, "ssh 10.0.0.1 restart 10.0.0.1:7000 0123abcd 7000", ""},
		{"ssh {host} awk '{print $1}'", node, "ssh 10.0.0.1 awk '{print $1}'", ""},
		{"x {addr}", Node{"0123", "::1", 7000}, "x [::1]:7000", ""},
		{"systemctl restart redoubt", node, "", "names no node"},
		{"restart {hots}", node, "", "names no node"},
		{"restart {host}", Node{"0123", "10.0.0.1;reboot", 7000}, "", `"10.0.0.1;reboot" cannot be a part of a command`},
		{"restart {host}", Node{"0123", "$(reboot)", 7000}, "", "cannot be a part of a command"},
		{"restart {host}", Node{"0123", "-oProxyCommand=x", 7000}, "", "cannot be a part of a command"},
		{"restart {host}", Node{"0123", "", 7000}, "", "cannot be a part of a command"},
		{"restart {id}", Node{"`x`", "10.0.0.1", 7000}, "", "cannot be a part of a command"},
	} {
		t.Run(fmt.Sprint(tc.template, tc.node), func(t *testing.T) {
			got, err := CommandFor(tc.template, tc.node)
			if got != tc.want || tc.fails == "" && err != nil || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
				t.Errorf("got %q, %v; want %q, %q", got, err, tc.want, tc.fails)
			}
		})
	}
}
