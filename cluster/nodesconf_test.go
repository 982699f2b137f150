package cluster

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/slots"
)

const (
	idA = "7d26a36a2194545c61461da18423f33c62cf7e7d"
	idB = "3bece637599c3bc0d80770d22e5c14db2e0596c0"
	idC = "6b74cdf470f1ef4632035296c108b6c88a2a3287"
)

// What the three families write, each with an open slot, a failed node and a
// replica.
var filesOfOthers = []struct{ name, text string }{
	{"redis 7.0", idA + ` 127.0.0.1:7000@17000,one.example myself,master - 0 1795432734000 4 connected 0-5460 7000 [0->-` + idC + `] [16000-<-` + idC + `]
` + idB + ` 127.0.0.1:7001@17001 slave ` + idA + ` 0 1795432735089 4 connected
` + idC + ` 127.0.0.1:7002@17002 master,fail - 1795432735000 1795432735286 9 disconnected 10922-16383
vars currentEpoch 5 lastVoteEpoch 3



`},
	{"redis 7.2", idA + ` 127.0.0.1:7000@17000,one.example,tls-port=0,nodename=first,shard-id=` + idA + ` myself,master - 0 1795432734000 4 connected 0-5460 7000 [0->-` + idC + `] [16000-<-` + idC + `]
` + idB + ` 127.0.0.1:7001@17001,,tls-port=0,shard-id=` + idA + ` slave ` + idA + ` 0 1795432735089 4 connected
` + idC + ` 127.0.0.1:7002@17002,,tls-port=0,shard-id=` + idC + ` master,fail - 1795432735000 1795432735286 9 disconnected 10922-16383
vars currentEpoch 5 lastVoteEpoch 3
`},
	{"valkey 8", idA + ` 127.0.0.1:7000@17000,one.example,client-ipv4=192.0.2.7,tls-port=0,shard-id=` + idA + ` myself,primary - 0 1795432734000 4 connected 0-5460 7000 [0->-` + idC + `] [16000-<-` + idC + `]
` + idB + ` 127.0.0.1:7001@17001,,tls-port=0,shard-id=` + idA + ` replica ` + idA + ` 0 1795432735089 4 connected
` + idC + ` 127.0.0.1:7002@17002,,tls-port=0,shard-id=` + idC + ` master,fail - 1795432735000 1795432735286 9 disconnected 10922-16383
vars lastVoteEpoch 3 currentEpoch 5
`},
}

func TestFilesOfOthersLoad(t *testing.T) {
	for _, file := range filesOfOthers {
		t.Run(file.name, func(t *testing.T) {
			s, err := ParseState([]byte(file.text), false)
			if err != nil {
				t.Fatal(err)
			}
			l := newLabOf(t, s)
			v := l.n.View()
			if l.n.ID() != idA || v.CurrentEpoch != 9 || l.n.lastVoteEpoch != 3 {
				t.Errorf("id %s, epochs %d and %d", l.n.ID(), v.CurrentEpoch, l.n.lastVoteEpoch)
			}
			me := v.Me()
			if me.Hostname != "" || me.Slots.Len() != 5462 {
				t.Errorf("I am %+v", me)
			}
			want := []OpenSlot{{0, idC}}
			if !reflect.DeepEqual(me.Migrating, want) {
				t.Errorf("migrating %v, want %v", me.Migrating, want)
			}
			if want = []OpenSlot{{16000, idC}}; !reflect.DeepEqual(me.Importing, want) {
				t.Errorf("importing %v, want %v", me.Importing, want)
			}
			b, c := v.Node(idB), v.Node(idC)
			if b.Primary != idA || b.TCPPort != 7001 || b.BusPort != 17001 || b.ConfigEpoch != 4 || b.ShardID != me.ShardID {
				t.Errorf("b is %+v", b)
			}
			if !c.Flags.Has(bus.FlagPrimary|bus.FlagFail) || c.ConfigEpoch != 9 || c.Slots.Len() != 5462 {
				t.Errorf("c is %+v", c)
			}
		})
	}
}

func TestFileIsWrittenAsRedis72Does(t *testing.T) {
	s, err := ParseState([]byte(filesOfOthers[1].text), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(s.Append(nil)); got != filesOfOthers[1].text {
		t.Errorf("written:\n%s\nread:\n%s", got, filesOfOthers[1].text)
	}
}

func TestPortOfAnOldFileIsOfTheClustersFlavour(t *testing.T) {
	const line = idA + " 127.0.0.1:7000 myself,master - 0 0 0 connected\n"
	for _, tls := range []bool{false, true} {
		s, err := ParseState([]byte(line), tls)
		if err != nil {
			t.Fatal(err)
		}
		r := s.Nodes[0]
		if r.BusPort != 17000 || (r.TLSPort == 7000) != tls || (r.TCPPort == 7000) == tls {
			t.Errorf("tls %v: ports %d, %d, %d", tls, r.TCPPort, r.TLSPort, r.BusPort)
		}
	}
}

func TestCorruptFiles(t *testing.T) {
	const good = idA + " 127.0.0.1:7000@17000 myself,master - 0 0 0 connected"
	for _, c := range []struct{ name, text string }{
		{"an empty file", ""},
		{"no node of our own", strings.Replace(good, "myself,", "", 1)},
		{"two nodes of our own", good + "\n" + strings.Replace(good, idA, idB, 1)},
		{"a node twice", good + "\n" + strings.Replace(good, "myself,", "", 1)},
		{"too few fields", "a b c"},
		{"a bad id", strings.Replace(good, idA, "ABC", 1)},
		{"an unknown flag", strings.Replace(good, "myself", "mine", 1)},
		{"a bad primary", strings.Replace(good, " - ", " nobody ", 1)},
		{"no port", strings.Replace(good, ":7000@17000", "", 1)},
		{"a port that is none", strings.Replace(good, ":7000", ":70000", 1)},
		{"a bad host name", strings.Replace(good, "@17000", "@17000,a*b", 1)},
		{"an auxiliary field without value", strings.Replace(good, "@17000", "@17000,,shard-id", 1)},
		{"a bad shard id", strings.Replace(good, "@17000", "@17000,,shard-id=12", 1)},
		{"a slot that is none", good + " 16384"},
		{"a range that ends nowhere", good + " 5-"},
		{"a bad open slot", good + " [5->" + idB + "]"},
		{"an open slot without a node", good + " [5->-12]"},
		{"a bad epoch", strings.Replace(good, " 0 connected", " x connected", 1)},
		{"a variable without value", good + "\nvars currentEpoch"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := ParseState([]byte(c.text), false); !errors.Is(err, errCorrupt) {
				t.Errorf("error %v, want %v", err, errCorrupt)
			}
		})
	}
	if _, err := ParseState([]byte(good), false); err != nil {
		t.Errorf("the line that the others were made of: %v", err)
	}
}

func TestReplicaOfAnAbsentPrimaryDoesNotLoad(t *testing.T) {
	s, err := ParseState([]byte(idA+" 127.0.0.1:7000@17000 myself,slave "+idB+" 0 0 0 connected\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	settings := DefaultSettings()
	settings.BusPort = 17000
	if _, err = New(time.Time{}, Config{Settings: settings, State: s, Rand: rand.New(rand.NewPCG(1, 1))}); err == nil {
		t.Error("it loads")
	}
}

func TestStateOfANodeRoundTrips(t *testing.T) {
	l := newLab(t, "a", threeShards())
	l.n.table.migrating[3] = l.peer("b")
	l.n.table.importing[9000] = l.peer("b")
	l.step(Configure{Settings: func() Settings {
		s := l.n.cfg
		s.AnnounceHostname, s.AnnounceHumanName = "a.example", "first"
		return s
	}()})
	saved := l.n.state()
	read, err := ParseState(saved.Append(nil), false)
	if err != nil {
		t.Fatal(err)
	}
	if string(read.Append(nil)) != string(saved.Append(nil)) {
		t.Errorf("written %s\nread %s", saved.Append(nil), read.Append(nil))
	}
}

// What others announce must not make a file that cannot be read.
func TestNamesOfOthersDoNotSpoilTheFile(t *testing.T) {
	for _, c := range []struct{ hostname, human, kept string }{
		{"b.example", "second", "second"},
		{"b_1.example", "second", "second"},
		{"fe80::1%eth0", "second", "second"},
		{"", "the second", ""},
		{"", "second,shard-id=x", ""},
		{"", "second\u00a0one", ""},
		{"", `"second"`, ""},
		{"", "zweite\u00fc", "zweite\u00fc"},
		{"", "second\xff", "second\xff"},
	} {
		l := newLab(t, "a", threeShards())
		m := l.message(bus.TypePing, id("b"))
		m.Ext.Hostname, m.Ext.HumanName = c.hostname, c.human
		m, err := bus.Decode(bus.Append(nil, m))
		if err != nil {
			t.Fatalf("%q, %q: %v", c.hostname, c.human, err)
		}
		l.step(Received{l.in[id("b")], m})
		if got := l.peer("b").humanName; got != c.human {
			t.Errorf("the name is %q, announced %q", got, c.human)
		}
		read, err := ParseState(l.n.state().Append(nil), false)
		if err != nil {
			t.Errorf("%q, %q: %v", c.hostname, c.human, err)
			continue
		}
		for _, r := range read.Nodes {
			if r.ID == id("b") && (r.Hostname != c.hostname || r.HumanName != c.kept) {
				t.Errorf("%q, %q were read as %q, %q", c.hostname, c.human, r.Hostname, r.HumanName)
			}
		}
	}
}

func FuzzParseState(f *testing.F) {
	for _, file := range filesOfOthers {
		f.Add([]byte(file.text), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, tls bool) {
		s, err := ParseState(text, tls)
		if err != nil {
			return
		}
		again, err := ParseState(s.Append(nil), tls)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, s.Append(nil))
		}
		if string(again.Append(nil)) != string(s.Append(nil)) {
			t.Fatalf("written %q, then %q", s.Append(nil), again.Append(nil))
		}
		settings := DefaultSettings()
		settings.BusPort = 17000
		n, err := New(time.Unix(1, 0), Config{Settings: settings, State: s, Rand: rand.New(rand.NewPCG(1, 1))})
		if err != nil {
			return
		}
		n.Step(time.Unix(2, 0), Tick{})
		n.View().NodesText(Client{TLS: tls})
		n.View().Route(Query{Slot: slots.Count - 1})
	})
}
