package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The lengths are those of redis-server 7.0.15.
func TestDebugObjectTellsTheLengthInAFile(t *testing.T) {
	c := startNode(t).dial()
	for _, step := range []struct{ line, key, length string }{
		{"SET a hello", "a", "6"},
		{"RPUSH q a b c", "q", "19"},
		{"HSET h a b c d", "h", "20"},
		{"SADD s 1 2 3", "s", "15"},
	} {
		c.do(step.line)
		if got := c.do("DEBUG OBJECT " + step.key); !strings.Contains(got, " serializedlength:"+step.length+" ") {
			t.Errorf("after %s: %s, want the length %s", step.line, got, step.length)
		}
	}
}

func TestDebugObjectTellsTheLastUse(t *testing.T) {
	n := startNode(t)
	c := n.dial()
	before := time.Now().Unix()
	c.want("SET k v", "OK")
	_, tail, _ := strings.Cut(c.do("DEBUG OBJECT k"), " lru:")
	var lru, idle int64
	if _, err := fmt.Sscanf(tail, "%d lru_seconds_idle:%d", &lru, &idle); err != nil || (lru-before)&(1<<24-1) > 1<<23 || idle > time.Now().Unix()-before {
		t.Errorf("lru:%s, want the clock at %d: %v", tail, before, err)
	}
}
