package server

import (
	"fmt"
	"strings"
	"testing"

	"redoubt/internal/config"
	"redoubt/internal/resp"
)

func TestGatesRefuseWhatWouldTakeMoreThanMaxmemory(t *testing.T) {
	h := startNode(t)
	c := h.dial()
	used := h.usedMemory()
	c.want("CONFIG SET maxmemory "+fmt.Sprint(used+(100<<10)), "OK")
	value := strings.Repeat("v", 1000)
	refused := -1
	for i := range 1000 {
		if reply := c.do(fmt.Sprintf("SET key:%d %s", i, value)); reply != "OK" {
			if refused = i; reply != "error: "+string(resp.ErrOOM) {
				t.Fatal(reply)
			}
			break
		}
	}
	if refused < 80 || refused > 110 {
		t.Errorf("the first refusal is at key %d", refused)
	}
	c.want("GET key:1", value)
	c.want("DEL key:1 key:2 key:3", "3")
	c.want("SET key:1 v", "OK")
	c.want("MULTI", "OK")
	c.want("SET key:2 v", "QUEUED")
	c.want("EXEC", "[OK]")

	// With a policy that finds keys, writes go on.
	c.want("CONFIG SET maxmemory-policy allkeys-lru", "OK")
	for i := range 1000 {
		c.want(fmt.Sprintf("SET key:%d %s", i, value), "OK")
		if over := h.usedMemory() - used - (100 << 10); over > 4<<10 {
			t.Fatalf("%d bytes more than maxmemory are in use", over)
		}
	}
	if n := h.keyspace.Stats().Evicted; n < 800 {
		t.Errorf("%d keys were evicted", n)
	}
	// None of the keys expires.
	c.want("CONFIG SET maxmemory-policy volatile-ttl", "OK")
	full := false
	for i := 0; i < 200 && !full; i++ {
		full = c.do(fmt.Sprintf("SET full:%d %s", i, value)) == "error: "+string(resp.ErrOOM)
	}
	if !full {
		t.Error("keys that do not expire were evicted")
	}
}

// A flush leaves its memory to be freed bit by bit. Until it is, writes are not
// refused and no key has to go for it.
func TestWhatIsDeletedIsFreedBeforeKeysAreEvicted(t *testing.T) {
	for _, policy := range []string{"noeviction", "allkeys-lru"} {
		t.Run(policy, func(t *testing.T) {
			h := startNode(t)
			c := h.dial()
			for i := range 5000 {
				c.send(fmt.Sprintf("SET key:%d %s", i, strings.Repeat("v", 100)))
			}
			for range 5000 {
				c.wantNext("OK")
			}
			c.want("CONFIG SET maxmemory-policy "+policy, "OK")
			c.want("CONFIG SET maxmemory "+fmt.Sprint(h.usedMemory()-1000), "OK")
			c.raw("FLUSHALL\r\nSET a x\r\nSET b x\r\nSET c x\r\nDBSIZE\r\n")
			for _, want := range []string{"OK", "OK", "OK", "OK", "3"} {
				c.wantNext(want)
			}
		})
	}
}

func TestEvictionTime(t *testing.T) {
	if evictionTime(0) != 0 || evictionTime(10).Microseconds() != 500 || evictionTime(99).Minutes() < 1 {
		t.Error(evictionTime(0), evictionTime(10), evictionTime(99))
	}
	if e := eviction(&config.MaxMemory{Policy: "volatile-lfu", Samples: 7}); !e.Volatile || e.Samples != 7 {
		t.Errorf("%+v", e)
	}
}
