package link

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"redoubt/bus"
	"redoubt/internal/redistest"
)

// TestARealNodeTakesUsForAPeer plays the least that a node must do: it sends a
// MEET to a redis-server, answers its messages with PONG, and is then listed
// there as a connected primary.
func TestARealNodeTakesUsForAPeer(t *testing.T) {
	const self = bus.NodeID("0123456789abcdef0123456789abcdef01234567")
	redis := redistest.Start(t, redistest.Redis, "--cluster-enabled", "yes")
	e, calls := endpoint(t, Config{KeepAlive: 30 * time.Second})
	listening := netip.MustParseAddrPort(listen(t, e))
	message := func(typ bus.Type) []byte {
		m := &bus.Message{}
		m.Type, m.Sender, m.Flags = typ, self, bus.FlagMyself|bus.FlagPrimary
		m.MsgFlags = bus.MsgExtData
		m.Port, m.BusPort = 6379, listening.Port()
		m.Ext.ShardID = string(self)
		return bus.Append(nil, m)
	}

	l := e.Dial(fmt.Sprintf("127.0.0.1:%d", redis.Port+10000), patience)
	l.Send(message(bus.TypeMeet))
	var met, pinged bool
	for !met || !pinged {
		var got event
		select {
		case got = <-calls:
		case <-time.After(patience):
			t.Fatalf("nothing more came; MEET answered: %v, PING received: %v", met, pinged)
		}
		switch got.kind {
		case "closed", "dropped":
			t.Fatalf("%s: %v", got.kind, got.err)
		case "received":
			if int(got.message.Port) != redis.Port {
				t.Errorf("%v from port %d, want %d", got.message.Type, got.message.Port, redis.Port)
			}
			met = met || got.link == l && got.message.Type == bus.TypePong
			if got.message.Type == bus.TypePing {
				pinged = true
				got.link.Send(message(bus.TypePong))
			}
		}
	}
	want := fmt.Sprintf("%s 127.0.0.1:6379@%d master ", self, listening.Port())
	redistest.Until(t, patience, "redis-server lists us", func() error {
		nodes := redis.Do("CLUSTER", "NODES").(string)
		if !strings.Contains(nodes, want) || !strings.Contains(nodes, " connected\n") {
			return fmt.Errorf("CLUSTER NODES is %q, without %q", nodes, want)
		}
		return nil
	})
}
