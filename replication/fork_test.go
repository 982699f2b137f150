package replication

import (
	"fmt"
	"strings"
	"testing"
)

const idD = "dddddddddddddddddddddddddddddddddddddddd"

func primaryIn(h History, end Offset) Upstream { return Upstream{History: h, End: end, Serves: true} }

// TestDecideRewind: second_repl_offset is the first offset that is not of the old history,
// so a successor that was promoted at 100 shows 101, and its predecessor goes back to 100.
func TestDecideRewind(t *testing.T) {
	heir := NewHistory(idA).Branch(idB, 100) // promoted when it had 100 bytes
	able := Means{Journal: true, Oldest: 40, Most: 1000}
	with := func(change func(*Means)) Means {
		m := able
		change(&m)
		return m
	}
	for _, c := range []struct {
		name string
		mine History
		end  Offset
		u    Upstream
		m    Means
		fork Fork
		want RewindVerdict
	}{
		{"a deposed primary with a byte of its own", NewHistory(idA), 101, primaryIn(heir, 500), able, Fork{idA, 100}, RewindCut},
		{"a deposed primary without one", NewHistory(idA), 100, primaryIn(heir, 500), able, Fork{idA, 100}, RewindNothing},
		{"a replica that is behind the fork", NewHistory(idA), 60, primaryIn(heir, 500), able, Fork{idA, 60}, RewindNothing},
		{"a replica that has more than the sibling that was promoted", NewHistory(idA), 130, primaryIn(heir, 120), able, Fork{idA, 100}, RewindCut},
		{"one that is in step", heir, 300, primaryIn(heir, 500), able, Fork{idB, 300}, RewindNothing},
		{"one that is ahead in the same history", heir, 600, primaryIn(heir, 500), able, Fork{idB, 600}, RewindNothing},
		{"a deposed primary that has restarted and not written", NewHistory(idA).Branch(idC, 150), 150, primaryIn(heir, 500), able, Fork{idA, 100}, RewindCut},
		{"one that has restarted, lost bytes by it, and written", NewHistory(idA).Branch(idC, 80), 150, primaryIn(heir, 500), able, Fork{idA, 80}, RewindCut},
		{"one that was promoted by mistake, and not written to", NewHistory(idA).Branch(idC, 90), 90, primaryIn(NewHistory(idA), 500), able, Fork{idA, 90}, RewindName},
		{"one that was promoted by mistake, and written to", NewHistory(idA).Branch(idC, 90), 120, primaryIn(NewHistory(idA), 500), able, Fork{idA, 90}, RewindCut},
		{"and whose primary has lost what it was promoted with", NewHistory(idA).Branch(idC, 90), 120, primaryIn(NewHistory(idA), 80), able, Fork{}, RewindUnrelated},
		{"the other has restarted since: what was shared is two histories ago", NewHistory(idA), 150, primaryIn(heir.Branch(idD, 500), 500), able, Fork{}, RewindUnrelated},
		{"another data set", NewHistory(idC), 150, primaryIn(heir, 500), able, Fork{}, RewindUnrelated},
		{"no history before is nothing in common", NewHistory(idC), 150, primaryIn(NewHistory(idB), 500), able, Fork{}, RewindUnrelated},
		{"nothing is left of what is shared", NewHistory(idA), 150, primaryIn(NewHistory(idA).Branch(idB, 0), 500), able, Fork{}, RewindUnrelated},
		{"ids in capitals", NewHistory(strings.ToUpper(idA)), 101, primaryIn(heir, 500), able, Fork{strings.ToUpper(idA), 100}, RewindCut},
		{"a replica without a link", NewHistory(idA), 101, Upstream{History: heir, End: 500}, able, Fork{idA, 100}, RewindNotYet},
		{"a primary that may give way", NewHistory(idA), 101, Upstream{History: heir, End: 500, Serves: true, Unsettled: true}, able, Fork{idA, 100}, RewindNotYet},
		{"exactly as much as is allowed", NewHistory(idA), 1100, primaryIn(heir, 5000), able, Fork{idA, 100}, RewindCut},
		{"a byte more", NewHistory(idA), 1101, primaryIn(heir, 5000), able, Fork{idA, 100}, RewindTooMuch},
		{"switched off", NewHistory(idA), 101, primaryIn(heir, 500), with(func(m *Means) { m.Most = 0 }), Fork{idA, 100}, RewindOff},
		{"no journal", NewHistory(idA), 101, primaryIn(heir, 500), with(func(m *Means) { m.Journal = false }), Fork{idA, 100}, RewindNoJournal},
		{"a base as of the fork", NewHistory(idA), 101, primaryIn(heir, 500), with(func(m *Means) { m.Oldest = 100 }), Fork{idA, 100}, RewindCut},
		{"a younger base", NewHistory(idA), 101, primaryIn(heir, 500), with(func(m *Means) { m.Oldest = 101 }), Fork{idA, 100}, RewindNoBase},
	} {
		t.Run(c.name, func(t *testing.T) {
			fork, got := DecideRewind(c.mine, c.end, c.u, c.m)
			if fork != c.fork || got != c.want {
				t.Errorf("%+v, %d; want %+v, %d", fork, got, c.fork, c.want)
			}
			if got > RewindCut && strings.HasPrefix(got.Explain(fork, c.end, c.m), "verdict") {
				t.Error("it is not explained")
			}
		})
	}
}

// TestWhatWasGoneBackToIsGranted: after a rewind the other side grants the request, by the
// rule that it decides by; without it, it does not.
func TestWhatWasGoneBackToIsGranted(t *testing.T) {
	m := Means{Journal: true, Most: 1 << 40}
	ids := []string{NoID, idA, idB, idC}
	cuts := 0
	for _, mine := range ids[1:] {
		for _, mine2 := range ids {
			for _, theirs := range ids[1:] {
				for _, theirs2 := range ids {
					for end := Offset(1); end < 9; end++ {
						for second := Offset(1); second <= end+1; second++ {
							for theirEnd := Offset(1); theirEnd < 9; theirEnd += 3 {
								for theirSecond := Offset(1); theirSecond <= theirEnd+1; theirSecond++ {
									if mine == mine2 || theirs == theirs2 {
										continue
									}
									h := History{ID: mine, ID2: mine2, Second: second}
									u := primaryIn(History{ID: theirs, ID2: theirs2, Second: theirSecond}, theirEnd)
									f, v := DecideRewind(h, end, u, m)
									if v != RewindCut && v != RewindName {
										continue
									}
									cuts++
									w := Window{End: theirEnd}
									if got := Decide(u.History, w, Request{ID: f.ID, From: f.At + 1}); got != Partial {
										t.Fatalf("%+v up to %d, %+v: gone back to %+v, and answered %d", h, end, u, f, got)
									}
								}
							}
						}
					}
				}
			}
		}
	}
	if cuts == 0 {
		t.Error("nothing was tried")
	}
}

// TestParseUpstream reads what redis-server 7.0 and a cluster's node say.
func TestParseUpstream(t *testing.T) {
	redis := "# Replication\r\nrole:master\r\nconnected_slaves:1\r\nslave0:ip=127.0.0.1,port=7001,state=online,offset=14,lag=1\r\n" +
		"master_failover_state:no-failover\r\nmaster_replid:" + idB + "\r\nmaster_replid2:" + idA +
		"\r\nmaster_repl_offset:500\r\nsecond_repl_offset:101\r\nrepl_backlog_active:1\r\n"
	want := primaryIn(History{ID: idB, ID2: idA, Second: 101}, 500)
	if got, ok := ParseUpstream(redis); !ok || got != want {
		t.Errorf("%+v, %t", got, ok)
	}
	fresh := strings.NewReplacer(idA, NoID, "second_repl_offset:101", "second_repl_offset:-1").Replace(redis)
	if got, ok := ParseUpstream(fresh); !ok || got.History != NewHistory(idB) {
		t.Errorf("without a past: %+v, %t", got, ok)
	}
	for _, unsettled := range []string{"cluster_primary_settled:0", "sentinel_confirmed:0"} {
		if got, ok := ParseUpstream(redis + unsettled + "\r\n"); !ok || !got.Unsettled {
			t.Errorf("%s: %+v, %t", unsettled, got, ok)
		}
	}
	replica := strings.Replace(redis, "role:master", "role:slave\r\nmaster_link_status:%s", 1)
	for status, serves := range map[string]bool{"up": true, "down": false} {
		if got, ok := ParseUpstream(fmt.Sprintf(replica, status)); !ok || got.Serves != serves {
			t.Errorf("a replica whose link is %s: %+v, %t", status, got, ok)
		}
	}
	for _, field := range []string{"master_replid:", "master_replid2:", "master_repl_offset:", "second_repl_offset:"} {
		if _, ok := ParseUpstream(strings.Replace(redis, field, "x", 1)); ok {
			t.Errorf("without %s it counts", field)
		}
		if _, ok := ParseUpstream(strings.Replace(redis, field, field+"?", 1)); ok {
			t.Errorf("with a bad %s it counts", field)
		}
	}
	for _, bad := range []string{"", "-ERR", "\r\n\r\n"} {
		if _, ok := ParseUpstream(bad); ok {
			t.Errorf("%q counts", bad)
		}
	}
}
