package interop

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"redoubt/internal/redistest"
)

// messageLimit is how long a published message may take.
const messageLimit = 20 * time.Second

// Client libraries that know nothing of us do their ordinary work on one
// cluster.
func TestClientsDoTheirOrdinaryWork(t *testing.T) {
	t.Parallel()
	c := startCluster(t, patience, nil)
	addrs := make([]string, len(c.Nodes))
	for i, s := range c.Nodes {
		addrs[i] = s.Addr()
	}
	for _, library := range []struct {
		name string
		work func(t *testing.T, addrs []string)
	}{
		{"go-redis", goRedis},
		{"rueidis", rueidisWork},
		{"rueidis with a cache", func(t *testing.T, addrs []string) { rueidisCaches(t, addrs[:1], rueidis.ClientOption{}) }},
		{"rueidis with a cache of all keys", func(t *testing.T, addrs []string) {
			rueidisCaches(t, addrs[:1], rueidis.ClientOption{ClientTrackingOptions: []string{"PREFIX", "cached:", "BCAST"}})
		}},
		{"redis-py", func(t *testing.T, addrs []string) { redisPy(t, "cluster", addrs[0]) }},
		{"asynq", asynqOnCluster},
		{"redis-cli -c", redisCLI},
		{"redis-benchmark --cluster", benchmarkCluster},
	} {
		t.Run(library.name, func(t *testing.T) {
			for _, s := range primaries(t, c) {
				s.Do("FLUSHALL")
			}
			library.work(t, addrs)
		})
	}
}

func goRedis(t *testing.T, addrs []string) {
	ctx := t.Context()
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs[:2]})
	defer c.Close()

	// Pipelines over all nodes.
	const many = 2000
	_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range many {
			p.Set(ctx, "key:"+strconv.Itoa(i), i, time.Hour)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("pipeline of SET: %v", err)
	}
	cmds, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range many {
			p.Get(ctx, "key:"+strconv.Itoa(i))
		}
		return nil
	})
	if err != nil {
		t.Fatalf("pipeline of GET: %v", err)
	}
	for i, cmd := range cmds {
		if got := cmd.(*redis.StringCmd).Val(); got != strconv.Itoa(i) {
			t.Fatalf("key:%d is %q", i, got)
		}
	}
	if _, err := c.Get(ctx, "nothing").Result(); !errors.Is(err, redis.Nil) {
		t.Errorf("GET of nothing: %v", err)
	}
	if ttl := c.TTL(ctx, "key:1").Val(); ttl <= 59*time.Minute || ttl > time.Hour {
		t.Errorf("TTL is %v", ttl)
	}

	// SCAN over all nodes.
	var mu sync.Mutex
	seen := map[string]bool{}
	err = c.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		it := node.Scan(ctx, 0, "key:*", 100).Iterator()
		for it.Next(ctx) {
			mu.Lock()
			seen[it.Val()] = true
			mu.Unlock()
		}
		return it.Err()
	})
	if err != nil || len(seen) != many {
		t.Errorf("SCAN saw %d keys of %d: %v", len(seen), many, err)
	}

	// MULTI, and WATCH with contenders.
	cmds, err = c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "{tx}a", 1, 0)
		p.IncrBy(ctx, "{tx}a", 41)
		p.MGet(ctx, "{tx}a", "{tx}b")
		return nil
	})
	if err != nil || cmds[1].(*redis.IntCmd).Val() != 42 {
		t.Errorf("MULTI: %v, %v", cmds, err)
	}
	const contenders, turns = 4, 25
	var all sync.WaitGroup
	for range contenders {
		all.Go(func() {
			for range turns {
				if err := increment(ctx, c, "watched"); err != nil {
					t.Errorf("WATCH: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	if got := c.Get(ctx, "watched").Val(); got != strconv.Itoa(contenders*turns) {
		t.Errorf("%d increments under WATCH made %s", contenders*turns, got)
	}

	// Pub/sub over the bus, and within a shard.
	hear(t, c.Subscribe(ctx, "news"), func() error { return c.Publish(ctx, "news", "hello").Err() })
	hear(t, c.PSubscribe(ctx, "n*"), func() error { return c.Publish(ctx, "news", "hello").Err() })
	hear(t, c.SSubscribe(ctx, "shard"), func() error { return c.SPublish(ctx, "shard", "hello").Err() })

	// Everyday errors.
	if err := c.MSet(ctx, "a", 1, "b", 2).Err(); err == nil || !strings.Contains(err.Error(), "CROSSSLOT") {
		t.Errorf("MSET over two slots: %v", err)
	}
	c.Set(ctx, "text", "x", 0)
	if err := c.Incr(ctx, "text").Err(); err == nil || err.Error() != "ERR value is not an integer or out of range" {
		t.Errorf("INCR of a text: %v", err)
	}
	ok, err := c.SetNX(ctx, "text", "y", 0).Result()
	if ok || err != nil {
		t.Errorf("SETNX of a key that is there: %v, %v", ok, err)
	}

	// Reads of replicas.
	reader := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, ReadOnly: true, RouteRandomly: true})
	defer reader.Close()
	redistest.Until(t, settle, "replicas have the keys", func() error {
		for i := range 50 {
			if got, err := reader.Get(ctx, "key:"+strconv.Itoa(i)).Result(); got != strconv.Itoa(i) {
				return fmt.Errorf("key:%d is %q, %v", i, got, err)
			}
		}
		return nil
	})
}

// increment adds one to a key by WATCH, MULTI and EXEC, until nobody came
// between.
func increment(ctx context.Context, c *redis.ClusterClient, key string) error {
	for {
		err := c.Watch(ctx, func(tx *redis.Tx) error {
			n, err := tx.Get(ctx, key).Int()
			if err != nil && !errors.Is(err, redis.Nil) {
				return err
			}
			_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
				p.Set(ctx, key, n+1, 0)
				return nil
			})
			return err
		}, key)
		if !errors.Is(err, redis.TxFailedErr) {
			return err
		}
	}
}

// hear subscribes, publishes and waits for the message.
func hear(t *testing.T, s *redis.PubSub, publish func() error) {
	t.Helper()
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), messageLimit)
	defer cancel()
	if _, err := s.Receive(ctx); err != nil {
		t.Errorf("subscribe: %v", err)
		return
	}
	if err := publish(); err != nil {
		t.Errorf("publish: %v", err)
		return
	}
	m, err := s.ReceiveMessage(ctx)
	if err != nil || m.Payload != "hello" {
		t.Errorf("received %v, %v", m, err)
	}
}

func rueidisWork(t *testing.T, addrs []string) {
	ctx := t.Context()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: addrs[3:5]})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const many = 1000
	var sets, gets rueidis.Commands
	for i := range many {
		key := "key:" + strconv.Itoa(i)
		sets = append(sets, c.B().Set().Key(key).Value(strconv.Itoa(i)).Ex(time.Hour).Build())
		gets = append(gets, c.B().Get().Key(key).Build())
	}
	for i, r := range c.DoMulti(ctx, sets...) {
		if err := r.Error(); err != nil {
			t.Fatalf("SET %d of a pipeline: %v", i, err)
		}
	}
	for i, r := range c.DoMulti(ctx, gets...) {
		if got, err := r.ToString(); got != strconv.Itoa(i) || err != nil {
			t.Fatalf("GET %d of a pipeline: %q, %v", i, got, err)
		}
	}
	if err := c.Do(ctx, c.B().Get().Key("nothing").Build()).Error(); !rueidis.IsRedisNil(err) {
		t.Errorf("GET of nothing: %v", err)
	}

	seen := map[string]bool{}
	for _, node := range c.Nodes() {
		for cursor := uint64(0); ; {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Count(100).Build()).AsScanEntry()
			if err != nil {
				t.Fatalf("SCAN: %v", err)
			}
			for _, key := range page.Elements {
				seen[key] = true
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	if len(seen) != many {
		t.Errorf("SCAN saw %d keys of %d", len(seen), many)
	}

	err = c.Dedicated(func(d rueidis.DedicatedClient) error {
		for _, r := range d.DoMulti(ctx,
			d.B().Watch().Key("{tx}a").Build(),
			d.B().Multi().Build(),
			d.B().Set().Key("{tx}a").Value("1").Build(),
			d.B().Incr().Key("{tx}a").Build(),
			d.B().Exec().Build(),
		) {
			if err := r.Error(); err != nil {
				return err
			}
		}
		return nil
	})
	if got, _ := c.Do(ctx, c.B().Get().Key("{tx}a").Build()).AsInt64(); got != 2 || err != nil {
		t.Errorf("MULTI made %d, %v", got, err)
	}

	for _, way := range []struct {
		name               string
		subscribe, publish rueidis.Completed
	}{
		{"over the bus", c.B().Subscribe().Channel("news").Build(), c.B().Publish().Channel("news").Message("hello").Build()},
		{"within a shard", c.B().Ssubscribe().Channel("shard").Build(), c.B().Spublish().Channel("shard").Message("hello").Build()},
	} {
		// There is no sign that the subscription stands, so the message is
		// sent until it is heard.
		publish := way.publish.Pin()
		heard, done := context.WithTimeout(ctx, messageLimit)
		go func() {
			for heard.Err() == nil {
				c.Do(ctx, publish)
				select {
				case <-heard.Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		}()
		err := c.Receive(heard, way.subscribe, func(m rueidis.PubSubMessage) {
			if m.Message != "hello" {
				t.Errorf("%s: received %q", way.name, m.Message)
			}
			done()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: nothing was received: %v", way.name, err)
		}
		done()
	}
}

// redisPy runs a script on Debian's python3-redis.
func redisPy(t *testing.T, mode, addr string) {
	t.Helper()
	const python = "/usr/bin/python3"
	if out, err := run(t, "", python, "-c", "import redis"); err != nil {
		lacking(t, "python3-redis is not installed; on Debian: apt-get install python3-redis: %s", out)
	}
	host, port, _ := strings.Cut(addr, ":")
	if out := mustRun(t, "", python, "testdata/ordinary.py", mode, host, port); !strings.HasSuffix(out, "done\n") {
		t.Errorf("the script printed\n%s", out)
	}
}

func TestRedisPyOnASingleNode(t *testing.T) {
	redisPy(t, "single", start(t, ours()).Addr())
}

// redirects are what redis-cli -c says beside the replies.
var redirects = regexp.MustCompile(`(?m)^-> Redirected to slot .*\n`)

func redisCLI(t *testing.T, addrs []string) {
	_, port, _ := strings.Cut(addrs[5], ":")
	cli := redistest.Tool(t, "redis-cli")
	out := mustRun(t, "set k v\nget k\nmget {k}1 {k}2\nincr n\nsetbit b 7 1\n", cli, "-c", "-p", port)
	if replies := redirects.ReplaceAllString(out, ""); replies != "OK\nv\n\n\n1\n0\n" {
		t.Errorf("redis-cli -c printed %q", out)
	}
	if out := mustRun(t, "", cli, "-p", port, "get", "k"); !strings.HasPrefix(out, "MOVED 7629 127.0.0.1:") {
		t.Errorf("redis-cli without -c printed %q", out)
	}
	var all []string
	for _, addr := range addrs {
		_, port, _ := strings.Cut(addr, ":")
		if strings.Contains(mustRun(t, "", cli, "-p", port, "role"), "master") {
			all = append(all, strings.Fields(mustRun(t, "", cli, "-p", port, "--scan"))...)
		}
	}
	if slices.Sort(all); !slices.Equal(all, []string{"b", "k", "n"}) {
		t.Errorf("redis-cli --scan found %v", all)
	}
}

func benchmarkCluster(t *testing.T, addrs []string) { benchmark(t, addrs[0], "--cluster") }

// benchmark runs all the tests that redis-benchmark has, without a list of one's own:
// each prints a line with its requests per second.
func benchmark(t *testing.T, addr string, options ...string) {
	t.Helper()
	_, port, _ := strings.Cut(addr, ":")
	options = append(options, "-p", port, "-n", "2000", "-r", "1000", "-c", "20", "-P", "8", "--csv")
	out := mustRun(t, "", redistest.Tool(t, "redis-benchmark"), options...)
	_, out, _ = strings.Cut(out, `"test",`) // behind what it says of a cluster
	var names []string
	for _, line := range strings.Split(strings.TrimSpace(out), "\n")[1:] {
		name, rest, _ := strings.Cut(strings.TrimPrefix(line, `"`), `","`)
		var requests float64
		if fmt.Sscanf(rest, "%f", &requests); requests <= 0 {
			t.Errorf("redis-benchmark printed %q", line)
		}
		name, _, _ = strings.Cut(name, " ")
		names = append(names, name)
	}
	want := "PING_INLINE PING_MBULK SET GET INCR LPUSH RPUSH LPOP RPOP SADD HSET SPOP ZADD ZPOPMIN LPUSH LRANGE_100 LRANGE_300 LRANGE_500 LRANGE_600 MSET"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("the tests were %s, want %s", got, want)
	}
}

func TestRedisBenchmarkOnASingleNode(t *testing.T) {
	t.Parallel()
	s := start(t, ours())
	benchmark(t, s.Addr())
	benchmark(t, s.Addr(), "-3", "--threads", "2")
}

// What redis-cli does beside commands, on one node.
func TestRedisCLIOnASingleNode(t *testing.T) {
	s := start(t, ours())
	cli, port := redistest.Tool(t, "redis-cli"), strconv.Itoa(s.Port)
	var mass strings.Builder
	const many = 5000
	for i := range many {
		key := fmt.Sprintf("mass:%d", i)
		fmt.Fprintf(&mass, "*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$5\r\nvalue\r\n", len(key), key)
	}
	wantText(t, mustRun(t, mass.String(), cli, "-p", port, "--pipe"), "errors: 0, replies: 5000")
	if n := strings.Count(mustRun(t, "", cli, "-p", port, "--scan", "--pattern", "mass:*"), "\n"); n != many {
		t.Errorf("--scan printed %d keys", n)
	}
	file := t.TempDir() + "/copy.rdb"
	mustRun(t, "", cli, "-p", port, "--rdb", file)
	wantText(t, mustRun(t, "", redistest.Tool(t, "redis-check-rdb"), file), "RDB looks OK", "5000 keys read")
	if out := mustRun(t, "", cli, "-p", port, "-3", "config", "get", "maxclients"); !strings.Contains(out, "maxclients") || !strings.Contains(out, "10000") {
		t.Errorf("CONFIG GET in RESP3 printed %q", out)
	}
	wantText(t, mustRun(t, "", cli, "-p", port, "--bigkeys"), "5000 strings with 25000 bytes")
}
