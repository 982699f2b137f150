package interop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"redoubt/internal/redistest"
)

// watched is a primary with replicas, and the Sentinels that watch it as "m".
type watched struct {
	primary   *redistest.Server
	replicas  []*redistest.Server
	sentinels []*redistest.Server
	// secure says that the Sentinels know all by their ports for TLS.
	secure bool
	// reconfigured is the file to which the client-reconfig-script of all Sentinels
	// adds its arguments.
	reconfigured string
}

// startWatched starts a primary of ours, a replica of each kind, and Sentinels.
func startWatched(t *testing.T, quorum int, sentinels ...redistest.Kind) *watched {
	t.Helper()
	w := &watched{primary: start(t, redistest.Redoubt)}
	for _, kind := range []redistest.Kind{redistest.Redoubt, redistest.Redis} {
		w.replicas = append(w.replicas, start(t, kind, "--replicaof", "127.0.0.1", strconv.Itoa(w.primary.Port)))
	}
	for _, r := range w.replicas {
		untilLinked(t, r, w.primary)
	}
	script := filepath.Join(t.TempDir(), "script")
	w.reconfigured = script + ".out"
	text := fmt.Sprintf("#!/bin/sh\necho \"$@\" >> %s\n", w.reconfigured)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, kind := range sentinels {
		s := redistest.StartSentinel(t, kind,
			fmt.Sprintf("sentinel monitor m 127.0.0.1 %d %d", w.primary.Port, quorum),
			"sentinel down-after-milliseconds m 2000",
			"sentinel failover-timeout m 10000",
			"sentinel client-reconfig-script m "+script)
		noPanic(t, s)
		w.sentinels = append(w.sentinels, s)
	}
	w.untilKnown(t)
	return w
}

// untilKnown waits until every Sentinel knows the replicas and the others.
func (w *watched) untilKnown(t *testing.T) {
	t.Helper()
	for _, s := range w.sentinels {
		redistest.Until(t, settle, fmt.Sprintf("the Sentinel on port %d knows all", s.Port), func() error {
			m := described(s.Do("SENTINEL", "MASTER", "m"))
			if n, other := m["num-slaves"], m["num-other-sentinels"]; n != strconv.Itoa(len(w.replicas)) || other != strconv.Itoa(len(w.sentinels)-1) {
				return fmt.Errorf("it knows %s replicas and %s Sentinels", n, other)
			}
			for _, list := range []string{"REPLICAS", "SENTINELS"} {
				views, _ := s.Do("SENTINEL", list, "m").([]any)
				for _, v := range views {
					if f := described(v); strings.Contains(f["flags"], "down") || strings.Contains(f["flags"], "disconnected") {
						return fmt.Errorf("%s is %s", f["name"], f["flags"])
					}
				}
			}
			return nil
		})
	}
}

// described is a flat list of names and values.
func described(reply any) map[string]string {
	words, _ := reply.([]any)
	fields := map[string]string{}
	for pair := range slices.Chunk(words, 2) {
		fields[fmt.Sprint(pair[0])] = fmt.Sprint(pair[1])
	}
	return fields
}

// address is where a Sentinel says that the primary is.
func address(s *redistest.Server) string {
	words, _ := s.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "m").([]any)
	if len(words) != 2 {
		return fmt.Sprint(words)
	}
	return fmt.Sprintf("%s:%s", words...)
}

// A primary that is killed is replaced, whoever watches; the other replica follows
// the new primary, and the old one comes back as a replica. Clients that listen to a
// Sentinel learn of the switch.
func TestSentinelsReplaceAKilledPrimary(t *testing.T) {
	t.Parallel()
	const ours, redis = redistest.Redoubt, redistest.Redis
	for _, kinds := range [][]redistest.Kind{{ours, ours, ours}, {redis, redis, redis, ours, ours}, {ours, ours, ours, redis, redis}} {
		t.Run(fmt.Sprint(kinds), func(t *testing.T) {
			w := startWatched(t, len(kinds)/2+1, kinds...)
			old := w.primary
			events := w.sentinels[0].Client()
			if _, err := events.Do("SUBSCRIBE", "+switch-master"); err != nil {
				t.Fatal(err)
			}
			old.Kill()

			heir := w.untilSwitched(t, old.Addr())
			raw, err := events.ReadRaw()
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("m 127.0.0.1 %d 127.0.0.1 %d", old.Port, heir.Port)
			if !strings.Contains(string(raw), want) {
				t.Errorf("the message is %q, want %q in it", raw, want)
			}
			for _, s := range w.sentinels {
				// The file has the new primary before clients are told of it.
				if file := s.ConfigFile(); !strings.Contains(file, fmt.Sprintf("sentinel monitor m 127.0.0.1 %d %d", heir.Port, len(kinds)/2+1)) {
					t.Errorf("the file of the Sentinel on port %d (%v) still has the old primary:\n%s", s.Port, s.Kind, file)
				}
			}
			for _, r := range w.replicas {
				if r != heir {
					untilLinked(t, r, heir)
				}
			}
			w.untilReconfigured(t, "leader", old, heir)
			w.untilReconfigured(t, "observer", old, heir)
			old.Restart()
			untilLinked(t, old, heir)
		})
	}
}

// untilReconfigured waits until the script of a Sentinel in that part has been told of
// a failover.
func (w *watched) untilReconfigured(t *testing.T, part string, from, to *redistest.Server) {
	t.Helper()
	redistest.Until(t, settle, "the script of the "+part+" runs", func() error {
		text, err := os.ReadFile(w.reconfigured)
		line := fmt.Sprintf("m %s start 127.0.0.1 %d 127.0.0.1 %d\n", part, from.Port, to.Port)
		if !strings.Contains(string(text), line) {
			return fmt.Errorf("it was told %q, %v", text, err)
		}
		return nil
	})
}

// A coordinated failover loses no write, and a client that asks its Sentinel again when
// it is refused, or when its connection ends, is refused once.
func TestCoordinatedFailoverLosesNothing(t *testing.T) {
	t.Parallel()
	w := startWatched(t, 1, redistest.Redoubt)
	old, s := w.primary, w.sentinels[0]
	const writers = 4
	ended := make(chan writing, writers)
	moved := make(chan struct{})
	for i := range writers {
		go func() { ended <- writeThrough(s, fmt.Sprint("n", i), moved) }()
	}
	redistest.Until(t, settle, "all write", func() error {
		for i := range writers {
			if n, _ := strconv.Atoi(fmt.Sprint(old.Do("GET", fmt.Sprint("n", i)))); n < 10 {
				return fmt.Errorf("n%d is %d", i, n)
			}
		}
		return nil
	})
	s.Do("SENTINEL", "FAILOVER", "m", "COORDINATED")
	heir := w.untilSwitched(t, old.Addr())
	close(moved)
	var all []writing
	for range writers {
		all = append(all, <-ended)
	}
	untilLinked(t, old, heir)
	for _, r := range all {
		got, _ := strconv.Atoi(fmt.Sprint(heir.Do("GET", r.key)))
		if r.err != nil || r.acked == 0 || got < r.acked || got > r.acked+r.unknown {
			t.Errorf("%s is %d, %d writes were acknowledged and %d unanswered; %v", r.key, got, r.acked, r.unknown, r.err)
		}
		if r.refused > 1 {
			t.Errorf("the writer of %s was refused %d times", r.key, r.refused)
		}
	}
	w.untilReconfigured(t, "leader", old, heir)
}

// writing is what a client has seen that increments a key.
type writing struct {
	key                     string
	acked, refused, unknown int
	err                     error // what no client should see
}

// writeThrough writes to the primary that a Sentinel names until moved is closed, and
// then ten times more. It begins again when it is refused.
func writeThrough(s *redistest.Server, key string, moved chan struct{}) (r writing) {
	r.key = key
	var c *redistest.Client
	for left := 10; left > 0; {
		select {
		case <-moved:
			left--
		default:
		}
		if c == nil {
			if c, r.err = redistest.Dial(address(s)); r.err != nil {
				return r
			}
		}
		_, err := c.Do("INCR", key)
		if err == nil {
			r.acked++
			continue
		}
		r.refused++
		switch {
		case strings.HasPrefix(err.Error(), "READONLY"):
		case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
			r.unknown++ // it was closed for the client to ask again
		default:
			r.err = err
			return r
		}
		c.Close()
		c = nil
	}
	c.Close()
	return r
}

// With fast-down a primary whose port is closed is replaced at once, however long it may be
// silent otherwise.
func TestFastDown(t *testing.T) {
	t.Parallel()
	const ours = redistest.Redoubt
	w := startWatched(t, 2, ours, ours, redistest.Redis)
	for _, s := range w.sentinels {
		s.Do("SENTINEL", "SET", "m", "down-after-milliseconds", "3600000")
	}
	for _, s := range w.sentinels[:2] {
		s.Do("SENTINEL", "SET", "m", "fast-down", "yes")
	}
	w.primary.Kill()
	w.untilSwitched(t, w.primary.Addr())
}

// untilSwitched waits until all Sentinels name the same replica as the primary, and
// returns it.
func (w *watched) untilSwitched(t *testing.T, old string) (heir *redistest.Server) {
	t.Helper()
	redistest.Until(t, settle, "all Sentinels name a new primary", func() error {
		var named []string
		for _, s := range w.sentinels {
			named = append(named, address(s))
		}
		if all := slices.Compact(slices.Clone(named)); len(all) > 1 || all[0] == old {
			return fmt.Errorf("they name %v", named)
		}
		i := slices.IndexFunc(w.replicas, func(r *redistest.Server) bool {
			return named[0] == r.Addr() && !w.secure || named[0] == r.TLSAddr() && w.secure
		})
		if i < 0 {
			return fmt.Errorf("%s is no replica", named[0])
		}
		heir = w.replicas[i]
		if role := heir.Info("role"); role != "master" {
			return fmt.Errorf("port %d is a %s", heir.Port, role)
		}
		return nil
	})
	return heir
}

// redis-sentinel goes on with a file of ours, and we with one of its: nothing that
// either has learnt is lost.
func TestSentinelFilesAreExchanged(t *testing.T) {
	t.Parallel()
	w := startWatched(t, 1, redistest.Redis, redistest.Redoubt)
	s := w.sentinels[0]
	state := func() string {
		fields := described(s.Do("SENTINEL", "MASTER", "m"))
		return fmt.Sprint(s.Do("SENTINEL", "MYID"), fields["down-after-milliseconds"], fields["failover-timeout"], fields["quorum"],
			fields["config-epoch"], fields["num-slaves"], fields["num-other-sentinels"], names(s, "REPLICAS"), names(s, "SENTINELS"))
	}
	s.Do("SENTINEL", "FAILOVER", "m")
	heir := w.untilSwitched(t, w.primary.Addr())
	redistest.Until(t, settle, "the failover has ended", func() error {
		for _, s := range w.sentinels {
			if known := names(s, "REPLICAS"); !slices.Contains(known, w.primary.Addr()) || slices.Contains(known, heir.Addr()) {
				return fmt.Errorf("the Sentinel on port %d knows the replicas %v", s.Port, known)
			}
		}
		return nil
	})
	before := state()
	for _, kind := range []redistest.Kind{redistest.Redoubt, redistest.Redis, redistest.Redoubt} {
		s.Terminate()
		s.Kind = kind
		s.Restart()
		if now := state(); now != before {
			t.Errorf("%v knows %s, the one before knew %s; the file is\n%s", kind, now, before, s.ConfigFile())
		}
		if got := address(s); got != heir.Addr() {
			t.Errorf("%v names %s as the primary, want %s", kind, got, heir.Addr())
		}
		s.Do("SENTINEL", "FLUSHCONFIG")
	}
}

// names are those of the replicas or other Sentinels of m.
func names(s *redistest.Server, list string) []string {
	var all []string
	views, _ := s.Do("SENTINEL", list, "m").([]any)
	for _, v := range views {
		all = append(all, described(v)["name"])
	}
	slices.Sort(all)
	return all
}

// The replies to clients are those of redis-sentinel, byte for byte but for times,
// ids and ports, in RESP2 and RESP3.
func TestSentinelRepliesAreAlike(t *testing.T) {
	t.Parallel()
	ours, theirs := startPair(t, redistest.Redoubt), startPair(t, redistest.Redis)
	for _, proto := range []string{"2", "3"} {
		for _, line := range sentinelDialogue {
			got, want := ours.ask(t, proto, line), theirs.ask(t, proto, line)
			if got != want {
				t.Errorf("RESP%s, %s:\n%s, redis-sentinel:\n%s", proto, line, got, want)
			}
		}
	}
}

// sentinelDialogue are lines for both; $PORT is the port of the primary. What comes
// after a change is asked with that in force.
var sentinelDialogue = []string{
	"PING", "PING x", "PING x y", "GET x", "CONFIG GET port", "ROLE",
	"SENTINEL", "SENTINEL NONSENSE", "SENTINEL NONSENSE x",
	"SENTINEL MASTERS", "SENTINEL MASTERS x", "SENTINEL MASTER", "SENTINEL MASTER m", "SENTINEL MASTER nobody",
	"SENTINEL REPLICAS m", "SENTINEL SLAVES m", "SENTINEL REPLICAS nobody", "SENTINEL REPLICAS",
	"SENTINEL SENTINELS m", "SENTINEL SENTINELS nobody",
	"SENTINEL GET-MASTER-ADDR-BY-NAME m", "SENTINEL GET-MASTER-ADDR-BY-NAME nobody", "SENTINEL GET-MASTER-ADDR-BY-NAME",
	"SENTINEL MYID", "SENTINEL MYID x",
	"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 $PORT 0 *", "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 0 *",
	"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 x 0 *", "SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 1 x *",
	"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 $PORT 0 0123456789012345678901234567890123456789",
	"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 $PORT 7 0123456789012345678901234567890123456789",
	"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1 $PORT 7 9876543210987654321098765432109876543210",
	"SENTINEL IS-MASTER-DOWN-BY-ADDR 127.0.0.1",
	"SENTINEL CKQUORUM m", "SENTINEL CKQUORUM nobody", "SENTINEL SET m quorum 3", "SENTINEL CKQUORUM m", "SENTINEL SET m quorum 1",
	"SENTINEL INFO-CACHE nobody", "SENTINEL INFO-CACHE", "SENTINEL PENDING-SCRIPTS", "SENTINEL PENDING-SCRIPTS x",
	"SENTINEL FAILOVER nobody", "SENTINEL FAILOVER",
	"SENTINEL RESET nobody", "SENTINEL RESET",
	"SENTINEL REMOVE nobody", "SENTINEL REMOVE",
	"SENTINEL MONITOR n 127.0.0.1 1 x", "SENTINEL MONITOR n 127.0.0.1 x 1", "SENTINEL MONITOR n 127.0.0.1 1 0",
	"SENTINEL MONITOR n host.invalid 1 1", "SENTINEL MONITOR n 127.0.0.1 70000 1", "SENTINEL MONITOR m 127.0.0.1 1 1", "SENTINEL MONITOR n",
	"SENTINEL MONITOR n 127.0.0.1 1 1", "SENTINEL REMOVE n",
	"SENTINEL SET m", "SENTINEL SET m quorum", "SENTINEL SET nobody quorum 1", "SENTINEL SET m quorum 0", "SENTINEL SET m quorum x",
	"SENTINEL SET m nonsense 1", "SENTINEL SET m down-after-milliseconds 0", "SENTINEL SET m failover-timeout x",
	"SENTINEL SET m parallel-syncs 0", "SENTINEL SET m notification-script /bin/true", "SENTINEL SET m client-reconfig-script /bin/true",
	"SENTINEL SET m rename-command", "SENTINEL SET m rename-command config", "SENTINEL SET m auth-user", "SENTINEL SET m parallel-syncs 2",
	"SENTINEL SET m master-reboot-down-after-period -1", "SENTINEL SET m master-reboot-down-after-period 0", "SENTINEL MASTER m",
	"SENTINEL CONFIG GET announce-ip", "SENTINEL CONFIG GET announce-*", "SENTINEL CONFIG GET nonsense",
	"SENTINEL CONFIG SET announce-port 26000", "SENTINEL CONFIG GET announce-port", "SENTINEL CONFIG SET announce-port 0",
	"SENTINEL FLUSHCONFIG", "SENTINEL FLUSHCONFIG x",
	"SENTINEL SIMULATE-FAILURE HELP", "SENTINEL SIMULATE-FAILURE nonsense", "SENTINEL SIMULATE-FAILURE",
	"SENTINEL SIMULATE-FAILURE CRASH-AFTER-ELECTION",
	"SENTINEL DEBUG", "SENTINEL DEBUG info-period", "SENTINEL DEBUG info-period 0", "SENTINEL DEBUG nonsense 1", "SENTINEL DEBUG Ask-Period 2000",
	"SENTINEL DEBUG", "SENTINEL DEBUG ask-period 1000",
	"PUBLISH x y", "PUBLISH __sentinel__:hello nonsense", "PUBLISH x",
	"SUBSCRIBE +sdown", "UNSUBSCRIBE", "PSUBSCRIBE *", "PUNSUBSCRIBE *",
	"CLIENT SETNAME tester", "CLIENT GETNAME", "AUTH x", "AUTH a b", "COMMAND INFO nonsense",
	"MULTI", "SHUTDOWN nonsense",
}

// sentinelPair is a Sentinel and what it watches.
type sentinelPair struct {
	sentinel, primary, replica *redistest.Server
}

func startPair(t *testing.T, kind redistest.Kind) *sentinelPair {
	t.Helper()
	p := &sentinelPair{primary: start(t, redistest.Redis)}
	p.replica = start(t, redistest.Redis, "--replicaof", "127.0.0.1", strconv.Itoa(p.primary.Port))
	untilLinked(t, p.replica, p.primary)
	p.sentinel = redistest.StartSentinel(t, kind, fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 1", p.primary.Port),
		// A replica is described alike once its INFO was read, which is soon.
		"sentinel down-after-milliseconds m 60000")
	redistest.Until(t, settle, "the replica is known", func() error {
		views, _ := p.sentinel.Do("SENTINEL", "REPLICAS", "m").([]any)
		if len(views) != 1 || described(views[0])["master-link-status"] != "ok" {
			return errors.New("not yet")
		}
		return nil
	})
	return p
}

var (
	times = regexp.MustCompile(`"(last-ping-sent|last-ok-ping-reply|last-ping-reply|info-refresh|role-reported-time|link-pending-commands|slave-repl-offset)"(:?) "\d+"`)
	ids   = regexp.MustCompile(`"[0-9a-f]{40}"`)
)

// ask sends a line on a connection of its own and shows the reply, without what
// differs between any two Sentinels.
func (p *sentinelPair) ask(t *testing.T, proto, line string) string {
	t.Helper()
	c := p.sentinel.Client()
	if _, err := c.DoRaw("HELLO", proto); err != nil {
		t.Fatal(err)
	}
	var args []any
	for word := range strings.FieldsSeq(strings.ReplaceAll(line, "$PORT", strconv.Itoa(p.primary.Port))) {
		args = append(args, word)
	}
	raw, err := c.DoRaw(args...)
	if err != nil {
		return err.Error()
	}
	shown, err := redistest.Show(raw, false)
	if err != nil {
		t.Fatal(err)
	}
	shown = times.ReplaceAllString(ids.ReplaceAllString(shown, `"ID"`), `"$1"$2 "N"`)
	for name, s := range map[string]*redistest.Server{"PRIMARY": p.primary, "REPLICA": p.replica} {
		shown = strings.ReplaceAll(shown, strconv.Itoa(s.Port), name)
	}
	return shown
}
