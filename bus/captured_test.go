package bus

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func capturedPaths(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/captured/*.hex")
	if err != nil || len(paths) < 17 {
		t.Fatalf("%d captured messages, %v", len(paths), err)
	}
	return paths
}

// captured reads a message that a real server sent: comment lines, then the
// bytes in hexadecimal.
func captured(t testing.TB, path string) []byte {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(file)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.TrimSpace(line))
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRealMessagesAreReadAndWrittenByteForByte(t *testing.T) {
	for _, path := range capturedPaths(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".hex"), func(t *testing.T) {
			wire := captured(t, path)
			if n, err := FrameLen(wire); n != len(wire) || err != nil {
				t.Fatalf("FrameLen = %d, %v; want %d", n, err, len(wire))
			}
			m, err := Decode(wire)
			if err != nil {
				t.Fatal(err)
			}
			if got := Append(nil, m); string(got) != string(wire) {
				t.Error(firstDifference(got, wire))
			}
		})
	}
}

// TestRealMessagesSayWhatWasDone compares with what was asked of the servers
// when the messages were captured.
func TestRealMessagesSayWhatWasDone(t *testing.T) {
	decode := func(name string) *Message {
		m, err := Decode(captured(t, "testdata/captured/"+name+".hex"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return m
	}
	check := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}

	ping := decode("redis-ping-gossip")
	check("ping: flags", ping.Flags.String(), "myself,master")
	check("ping: IP", ping.IP, "127.0.0.1")
	check("ping: port", ping.Port, uint16(21103))
	check("ping: bus port", ping.BusPort, uint16(22103))
	check("ping: config epoch", ping.ConfigEpoch, Epoch(3))
	check("ping: ranges", len(ping.Slots.Ranges()), 1)
	check("ping: first range", ping.Slots.Ranges()[0].String(), "10923-16383")
	check("ping: gossip entries", len(ping.Gossip), 3)
	for _, g := range ping.Gossip {
		check("gossip: IP", g.IP, "127.0.0.1")
		check("gossip: bus port", g.BusPort, g.Port+1000)
		check("gossip: pong received at", g.PongReceivedSec/1e6, uint32(1795))
	}

	replica := decode("redis-pong-replica")
	check("replica: flags", replica.Flags.String(), "myself,slave")
	check("replica: primary", replica.Primary, decode("redis-pong-hostname").Sender)
	check("replica: slots of its primary", replica.Slots.Len(), 5462)

	check("meet: gossip", len(decode("redis-meet").Gossip), 0)
	check("paused", decode("redis-ping-paused").MsgFlags, MsgPaused)
	check("host name", decode("redis-pong-hostname").Ext.Hostname, "node-one.example")
	check("fail: about the one that published", decode("redis-fail").Fail, decode("redis-auth-request").Primary)
	check("publish", string(decode("redis-publish").Publish.Channel)+" "+string(decode("redis-publish").Publish.Payload), "news hello cluster")
	check("publishshard", string(decode("redis-publishshard").Publish.Payload), "shard message")
	check("vote asked for", decode("redis-auth-request").MsgFlags, MsgFlags(0))
	check("vote asked for by force", decode("redis-auth-request-forced").MsgFlags, MsgForceAck)
	check("vote: type", decode("redis-auth-ack").Type, TypeAuthAck)
	check("manual failover: type", decode("redis-mfstart").Type, TypeMFStart)
	update := decode("redis-update").Update
	check("update: epoch", update.ConfigEpoch, Epoch(8))
	check("update: slots", update.Slots.Len(), 5461)

	check("valkey: own flags", decode("valkey-meet").Flags, FlagMyself|FlagPrimary|FlagLightPublish)
	x := decode("valkey-ping-extensions").Ext
	check("valkey: human name", x.HumanName, "first node")
	check("valkey: client IPv4", strings.TrimRight(string(x.Type4), "\x00"), "10.1.2.3")
	check("valkey: client IPv6", x.ClientIPv6, "2001:db8::1")
	check("valkey: shard id", x.ShardID, "311684387a0d3582e9a5a17a855ba1e69388652d")
	check("valkey: forgotten nodes", len(x.Forgotten), 1)
	check("valkey: ban", x.Forgotten[0].TTL, 59*time.Second)
	for _, name := range []string{"valkey-light-publish", "valkey-light-publishshard"} {
		m := decode(name)
		check(name+" is light", m.Light, true)
		check(name+": sender", m.Sender, NodeID(""))
	}
	check("light publish", string(decode("valkey-light-publish").Publish.Payload), "hello cluster")
	check("light publishshard: channel", string(decode("valkey-light-publishshard").Publish.Channel), "orders")
}
