package clustertool

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// drawn is a node in a picture that a test draws: what the node says of everybody, or why it does
// not answer.
type drawn struct {
	id    string
	lines []string // of CLUSTER NODES, as far as they differ from what all say
	link  string   // master_link_status
	down  bool     // cluster_state:fail
	err   string
}

// drawPicture makes a picture of three primaries a, b and c with the replicas x, y and z. all is
// what every node says; the line of the node itself is marked.
func drawPicture(t *testing.T, nodes []drawn) *Picture {
	t.Helper()
	all := map[string]string{
		"a": "a 10.0.0.1:1@10001 master - 0 0 1 connected 0-5460",
		"b": "b 10.0.0.2:1@10001 master - 0 0 2 connected 5461-10922",
		"c": "c 10.0.0.3:1@10001 master - 0 0 3 connected 10923-16383",
		"x": "x 10.0.0.4:1@10001 slave a 0 0 1 connected",
		"y": "y 10.0.0.5:1@10001 slave b 0 0 2 connected",
		"z": "z 10.0.0.6:1@10001 slave c 0 0 3 connected",
	}
	s := &Picture{byID: map[string]*surveyed{}}
	for _, d := range nodes {
		text := map[string]string{}
		for id, line := range all {
			text[id] = line
		}
		for _, line := range d.lines {
			id, rest, _ := strings.Cut(line, " ")
			if text[id] = line; rest == "" {
				delete(text, id) // it does not know this one
			}
		}
		var lines []string
		for id, line := range text {
			if id == d.id {
				f := strings.Fields(line)
				f[2] = "myself," + f[2]
				line = strings.Join(f, " ")
			}
			lines = append(lines, line)
		}
		v, err := parseView(strings.Join(lines, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		n := &surveyed{id: d.id, addr: "10.0.0." + fmt.Sprint(strings.Index("abcxyz", d.id)+1) + ":1", seen: v.self(), ok: !d.down}
		if d.err != "" {
			n.err = errors.New(d.err)
		} else {
			n.view = v
			if d.link == "" {
				d.link = "up"
			}
			n.info = "master_link_status:" + d.link + "\r\nmaster_link_down_since_seconds:7\r\nmaster_repl_offset:100\r\nslave_repl_offset:90\r\nuptime_in_seconds:61\r\n"
		}
		s.add(n)
	}
	s.arrange()
	return s
}

// everybody is six nodes of which those given differ.
func everybody(other ...drawn) []drawn {
	var nodes []drawn
	for _, id := range "abcxyz" {
		n := drawn{id: string(id)}
		if i := slices.IndexFunc(other, func(d drawn) bool { return d.id == n.id }); i >= 0 {
			n = other[i]
		}
		nodes = append(nodes, n)
	}
	return nodes
}

func TestProblems(t *testing.T) {
	fail := "a 10.0.0.1:1@10001 master,fail - 0 0 1 connected 0-5460"
	for _, tc := range []struct {
		name   string
		nodes  []drawn
		health Health
		want   []string // all problems, in order
	}{
		{"a healthy cluster", everybody(), Healthy, nil},
		{"a primary is away, and nobody has noticed", everybody(drawn{id: "a", err: "refused"}), Down, []string{
			"slots 0-5460 are not served: 10.0.0.1:1, which owns them, does not answer",
			"10.0.0.1:1 does not answer (refused); 0 of 5 nodes say that it has failed",
		}},
		{"a primary that others hold to have failed answers here", everybody(drawn{id: "b", lines: []string{fail}}, drawn{id: "c", lines: []string{fail}}), Degraded, []string{
			"2 of 6 nodes say that 10.0.0.1:1 has failed, which answers here",
		}},
		{"a replica is away", everybody(drawn{id: "y", err: "no reply in time"}), Degraded, []string{
			"10.0.0.5:1 does not answer (no reply in time); 0 of 5 nodes say that it has failed",
			"primary 10.0.0.2:1 has no working replica",
		}},
		{"a replica has lost its primary", everybody(drawn{id: "y", link: "down"}), Degraded, []string{
			"replica 10.0.0.5:1 has no link to its primary 10.0.0.2:1, for 7 s",
			"primary 10.0.0.2:1 has no working replica",
		}},
		{"no replica works", everybody(drawn{id: "x", link: "down"}, drawn{id: "y", link: "down"}, drawn{id: "z", link: "down"}), Degraded, []string{
			"replica 10.0.0.4:1 has no link to its primary 10.0.0.1:1, for 7 s",
			"replica 10.0.0.5:1 has no link to its primary 10.0.0.2:1, for 7 s",
			"replica 10.0.0.6:1 has no link to its primary 10.0.0.3:1, for 7 s",
			"no primary has a working replica",
		}},
		{"most primaries are away", everybody(drawn{id: "a", err: "refused"}, drawn{id: "b", err: "refused"}), Down, []string{
			"slots 0-5460 are not served: 10.0.0.1:1, which owns them, does not answer",
			"slots 5461-10922 are not served: 10.0.0.2:1, which owns them, does not answer",
			"1 of 3 primaries answer: that is no majority, so no replica can take over",
			"10.0.0.1:1 does not answer (refused); 0 of 4 nodes say that it has failed",
			"10.0.0.2:1 does not answer (refused); 0 of 4 nodes say that it has failed",
		}},
		{"a node that does not know another", everybody(drawn{id: "z", lines: []string{"x"}}), Degraded, []string{
			"10.0.0.6:1 does not know 10.0.0.4:1",
		}},
		{"nodes without a cluster", everybody(drawn{id: "z", down: true}, drawn{id: "c", down: true}), Down, []string{
			"cluster_state:fail on 10.0.0.3:1, 10.0.0.6:1",
		}},
		{"a node of another opinion", everybody(drawn{id: "x", lines: []string{"b 10.0.0.2:1@10001 master - 0 0 2 connected 5461-10000"}}), Degraded, []string{
			"10.0.0.4:1 disagrees about the slots: it sees 10.0.0.2:1 with slots [5461-10000] where slots [5461-10922] are expected",
		}},
		{"an open slot, at both ends", everybody(
			drawn{id: "a", lines: []string{"a 10.0.0.1:1@10001 master - 0 0 1 connected 0-5460 [7->-b]"}},
			drawn{id: "b", lines: []string{"b 10.0.0.2:1@10001 master - 0 0 2 connected 5461-10922 [7-<-a]"}}), Degraded, []string{
			"slot 7 is open: 10.0.0.1:1 is migrating it to 10.0.0.2:1",
			"slot 7 is open: 10.0.0.2:1 is importing it from 10.0.0.1:1",
		}},
		{"slots that nobody owns", everybody(drawn{id: "a", lines: []string{"a 10.0.0.1:1@10001 master - 0 0 1 connected 0-99 200-5460"}}), Down, []string{
			"slots 100-199 have no owner",
			"10.0.0.4:1 disagrees about the slots: it sees 10.0.0.1:1 with slots [0-5460] where slots [0-99],[200-5460] are expected",
			"10.0.0.2:1 disagrees about the slots: it sees 10.0.0.1:1 with slots [0-5460] where slots [0-99],[200-5460] are expected",
			"10.0.0.5:1 disagrees about the slots: it sees 10.0.0.1:1 with slots [0-5460] where slots [0-99],[200-5460] are expected",
			"10.0.0.3:1 disagrees about the slots: it sees 10.0.0.1:1 with slots [0-5460] where slots [0-99],[200-5460] are expected",
			"10.0.0.6:1 disagrees about the slots: it sees 10.0.0.1:1 with slots [0-5460] where slots [0-99],[200-5460] are expected",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			health := Healthy
			var got []string
			for _, p := range drawPicture(t, tc.nodes).Problems() {
				health = max(health, p.Health)
				got = append(got, p.Text)
			}
			if health != tc.health || strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("health %d, want %d; problems\n%s\nwant\n%s", health, tc.health, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

// The table has primaries in the order of their slots, each with its replicas behind it.
func TestRowsOfAStatus(t *testing.T) {
	s := drawPicture(t, everybody(drawn{id: "b", err: "refused"}))
	var got []string
	for _, n := range s.nodes {
		got = append(got, strings.Join(n.row(s), " "))
	}
	want := []string{
		"10.0.0.1:1 primary 0-5460  100   1m1s ok",
		"10.0.0.4:1 replica  10.0.0.1:1 90 10 up 1m1s ok",
		"10.0.0.2:1 primary 5461-10922      no answer",
		"10.0.0.5:1 replica  10.0.0.2:1 90  up 1m1s ok",
		"10.0.0.3:1 primary 10923-16383  100   1m1s ok",
		"10.0.0.6:1 replica  10.0.0.3:1 90 10 up 1m1s ok",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
