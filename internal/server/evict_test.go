package server

import (
	"fmt"
	"slices"
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
	if refused < 50 {
		t.Errorf("the first refusal is at key %d", refused)
	}
	if over := h.usedMemory() - used - (100 << 10); over < -(4<<10) || over > 4<<10 {
		t.Errorf("refused with %d bytes more than maxmemory in use", over)
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

func TestIntegersAreNotSharedIfTheirUseDecidesAboutEviction(t *testing.T) {
	c := startNode(t).dial()
	c.want("SET k 1", "OK")
	for _, x := range []struct{ limit, policy, count string }{
		{"0", "allkeys-lru", "2147483647"},
		{"1gb", "allkeys-random", "2147483647"},
		{"1gb", "allkeys-lru", "1"},
		{"1gb", "volatile-lfu", "1"},
	} {
		c.want("CONFIG SET maxmemory "+x.limit+" maxmemory-policy "+x.policy, "OK")
		c.want("OBJECT REFCOUNT k", x.count)
	}
}

func TestATransactionThatLowersMaxmemory(t *testing.T) {
	h := startNode(t)
	c := h.dial()
	c.want("CONFIG SET maxmemory-policy allkeys-lru", "OK")
	c.want("MULTI", "OK")
	for _, line := range []string{"INCR k", "CONFIG SET maxmemory 1", "INCR k"} {
		c.want(line, "QUEUED")
	}
	c.want("EXEC", "[1 OK 2]")
	c.want("EXISTS k", "0")
	want := []string{"MULTI", "INCR k", "INCR k", "EXEC", "DEL k"}
	if got := h.streamed(); !slices.Equal(got, want) {
		t.Errorf("the stream has %q, want %q", got, want)
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

// INFO tells for how long the node has been over maxmemory: not at all while
// evictions keep up.
func TestTimeOverMaxmemory(t *testing.T) {
	h := startNode(t, "--maxmemory-policy", "allkeys-random")
	c := h.dial()
	value := strings.Repeat("v", 1000)
	c.want(fmt.Sprint("CONFIG SET maxmemory ", h.usedMemory()+50<<10), "OK")
	for i := range 200 {
		c.want(fmt.Sprintf("SET key:%d %s", i, value), "OK")
	}
	if n := c.infoField("current_eviction_exceeded_time"); n != 0 {
		t.Errorf("it is over for %d ms, and evicts", n)
	}
	c.want("CONFIG SET maxmemory-policy noeviction maxmemory 1", "OK")
	eventually(t, func() bool { return c.infoField("current_eviction_exceeded_time") >= 20 })
	if n := c.infoField("total_eviction_exceeded_time"); n < 20 {
		t.Errorf("it was over for %d ms in all", n)
	}
	c.want("CONFIG SET maxmemory 0", "OK")
	if n := c.infoField("current_eviction_exceeded_time"); n != 0 {
		t.Errorf("it is over for %d ms without a limit", n)
	}
	if n := c.infoField("total_eviction_exceeded_time"); n < 20 {
		t.Errorf("it was over for %d ms in all, and 20 before", n)
	}
	c.want("CONFIG RESETSTAT", "OK")
	if n := c.infoField("total_eviction_exceeded_time"); n != 0 {
		t.Errorf("it was over for %d ms after CONFIG RESETSTAT", n)
	}
}
