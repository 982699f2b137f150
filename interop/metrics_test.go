package interop

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
	"redoubt/internal/redistest/promtext"
)

// scrape reads the metrics of a port, which must be right in form.
func scrape(t *testing.T, port int) map[string]*promtext.Family {
	t.Helper()
	status, text := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
	if status != http.StatusOK {
		t.Fatalf("metrics on port %d: %d %s", port, status, text)
	}
	families, err := promtext.Parse(text)
	if err != nil {
		t.Fatalf("metrics on port %d: %v", port, err)
	}
	return families
}

func fetch(t *testing.T, address string) (status int, text string) {
	t.Helper()
	client := http.Client{Timeout: settle, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// value is the first sample of a name with these labels; NaN if there is none.
func value(families map[string]*promtext.Family, name string, labels ...string) float64 {
	return families[name].Find(name, labels...)
}

// dashboards are the names that public dashboards and alerts ask for: Grafana's
// dashboard 763, and redis-mixin. A number is added to those of a replica (2), of a
// primary with a replica (1) and of a cluster (3).
var dashboards = map[string]int{
	"redis_up": 0, "redis_uptime_in_seconds": 0, "redis_connected_clients": 0, "redis_blocked_clients": 0,
	"redis_memory_used_bytes": 0, "redis_memory_max_bytes": 0, "redis_commands_total": 0, "redis_commands_duration_seconds_total": 0,
	"redis_keyspace_hits_total": 0, "redis_keyspace_misses_total": 0, "redis_net_input_bytes_total": 0, "redis_net_output_bytes_total": 0,
	"redis_db_keys": 0, "redis_db_keys_expiring": 0, "redis_expired_keys_total": 0, "redis_evicted_keys_total": 0,
	"redis_memory_used_rss_bytes": 0, "redis_connected_slaves": 0, "redis_memory_fragmentation_ratio": 0, "redis_mem_fragmentation_ratio": 0,
	"redis_total_system_memory_bytes": 0, "redis_instance_info": 0, "redis_errors_total": 0, "redis_commands_failed_calls_total": 0,
	"redis_commands_rejected_calls_total": 0, "redis_commands_latencies_usec": 0, "redis_config_key_value": 0,
	"redis_connected_slave_offset_bytes": 1, "redis_connected_slave_lag_seconds": 1,
	"redis_master_last_io_seconds_ago": 2, "redis_master_link_up": 2, "redis_slave_info": 2,
	"redis_cluster_state": 3, "redis_cluster_slots_fail": 3, "redis_cluster_slots_pfail": 3,
}

// own are the names that only this product has, and where, as in dashboards.
var own = map[string]int{
	"redoubt_journal_fsync_duration_seconds": 0, "redoubt_journal_append_bytes_total": 0, "redoubt_journal_bytes": 0,
	"redoubt_reply_gate_seconds": 0, "redoubt_loop_busy_ratio": 0, "redoubt_memory_bytes": 0, "redoubt_snapshot_seconds": 0,
	"redoubt_replica_acked_offset_lag_bytes":    1,
	"redoubt_cluster_leader_changes_seen_total": 3, "redoubt_cluster_failover_seconds": 3, "redoubt_cluster_peer_rtt_seconds": 3,
}

// Dashboards and alerts for Redis work without redis_exporter: a node, a replica, a node
// of a cluster and a Sentinel have all the names that it serves about redis-server.
func TestMetricsAreThoseOfTheExporter(t *testing.T) {
	if control() {
		t.Skip("redis-server serves no metrics")
	}
	text, err := os.ReadFile("../internal/metrics/testdata/redis_exporter.txt")
	if err != nil {
		t.Fatal(err)
	}
	ports := [5]int{1: redistest.Port(t), 2: redistest.Port(t), 3: redistest.Port(t), 4: redistest.Port(t)}
	serving := func(i int, args ...string) []string {
		return append(args, "--metrics-port", strconv.Itoa(ports[i]), "--latency-monitor-threshold", "1", "--appendfsync", "always")
	}
	primary := start(t, redistest.Redoubt, serving(1)...)
	replica := start(t, redistest.Redoubt, serving(2, "--replicaof", "127.0.0.1", strconv.Itoa(primary.Port))...)
	inCluster := []*redistest.Server{
		start(t, redistest.Redoubt, serving(3, "--cluster-enabled", "yes")...),
		start(t, redistest.Redoubt, "--cluster-enabled", "yes"),
	}
	sentinel := redistest.StartSentinel(t, redistest.Redoubt,
		fmt.Sprintf("sentinel monitor m 127.0.0.1 %d 1", primary.Port), fmt.Sprintf("metrics-port %d", ports[4]))
	noPanic(t, sentinel)
	untilLinked(t, replica, primary)
	inCluster[0].Do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	inCluster[0].Do("CLUSTER", "MEET", "127.0.0.1", inCluster[1].Port)
	for _, s := range []*redistest.Server{primary, replica} {
		s.Do("GET", "k")
		refused(t, s, "NOSUCH")
		s.Do("DEBUG", "SLEEP", "0.01")
	}
	primary.Do("SET", "k", "v")
	primary.Do("SAVE")
	redistest.Until(t, settle, "the cluster is up", func() error {
		if s, _ := inCluster[0].Do("CLUSTER", "INFO").(string); !strings.Contains(s, "cluster_state:ok") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	inCluster[0].Do("SET", "k", "v")
	inCluster[0].Do("GET", "k")
	refused(t, inCluster[0], "NOSUCH")

	var pages [5]map[string]*promtext.Family
	redistest.Until(t, settle, "all has been seen", func() error {
		for i := 1; i < len(pages); i++ {
			pages[i] = scrape(t, ports[i])
		}
		switch {
		case pages[3]["redoubt_cluster_peer_rtt_seconds"] == nil:
			return fmt.Errorf("the other node of the cluster has not answered")
		case value(pages[3], "redis_cluster_state") != 1:
			return fmt.Errorf("the cluster is not up")
		case value(pages[4], "redis_sentinel_master_slaves") != 1:
			return fmt.Errorf("the Sentinel does not know the replica")
		case value(pages[1], "redoubt_replica_acked_offset_lag_bytes") != 0:
			return fmt.Errorf("the replica has not acknowledged everything")
		}
		return nil
	})
	where := map[string][]int{"any": {1, 2, 3}, "spike": {1, 2}, "primary": {1}, "replica": {2}, "cluster": {3}, "sentinel": {4}, "never": nil}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] == "#" {
			continue
		}
		at, known := where[f[2]]
		if !known {
			t.Fatalf("%q: no such place", line)
		}
		for _, i := range at {
			if family := pages[i][f[0]]; family == nil || family.Kind != f[1] {
				t.Errorf("%s, a %s, is missing on a page (%s): %+v", f[0], f[1], f[2], family)
			}
		}
	}
	for _, names := range []map[string]int{dashboards, own} {
		for name, i := range names {
			if pages[max(i, 1)][name] == nil {
				t.Errorf("%s is missing", name)
			}
		}
	}
	for _, c := range []struct {
		page   int
		name   string
		labels []string
		want   float64
	}{
		{1, "redis_commands_total", []string{"cmd", "set"}, 1},
		{1, "redis_db_keys", []string{"db", "db0"}, 1},
		{1, "redis_connected_slaves", nil, 1},
		{1, "redis_instance_info", []string{"role", "master", "redis_mode", "standalone"}, 1},
		{1, "redoubt_replica_acked_offset_lag_bytes", []string{"replica", replica.Addr()}, 0},
		{2, "redis_master_link_up", []string{"master_host", "127.0.0.1", "master_port", strconv.Itoa(primary.Port)}, 1},
		{2, "redis_slave_info", []string{"read_only", "1"}, 1},
		{3, "redis_cluster_slots_ok", nil, 16384},
		{3, "redis_cluster_known_nodes", nil, 2},
		{4, "redis_sentinel_master_status", []string{"master_name", "m", "master_address", primary.Addr(), "master_status", "ok"}, 1},
		{4, "redis_sentinel_master_ckquorum_status", []string{"master_name", "m"}, 1},
		{4, "redis_sentinel_master_ok_slaves", []string{"master_name", "m"}, 1},
		{4, "redis_sentinel_master_setting_ckquorum", nil, 1},
		{4, "redis_sentinel_masters", nil, 1},
		{4, "redis_instance_info", []string{"redis_mode", "sentinel"}, 1},
	} {
		if got := value(pages[c.page], c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if n := pages[1]["redoubt_journal_fsync_duration_seconds"].Find("redoubt_journal_fsync_duration_seconds_count"); !(n > 0) {
		t.Errorf("%v fsyncs with appendfsync always", n)
	}
	if n := pages[1]["redoubt_snapshot_seconds"].Find("redoubt_snapshot_seconds_count", "kind", "dump"); n != 1 {
		t.Errorf("%v dumps after one SAVE", n)
	}
	if n := pages[1]["redoubt_reply_gate_seconds"].Find("redoubt_reply_gate_seconds_count"); !(n > 0) {
		t.Errorf("%v replies have waited for the disk with appendfsync always", n)
	}
	documented(t, pages[1:])
	for i, s := range []*redistest.Server{1: primary, 2: replica, 3: inCluster[0], 4: sentinel} {
		for _, page := range []string{"healthz", "readyz"} {
			if s == nil {
				continue
			}
			if status, text := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/%s", ports[i], page)); status != http.StatusOK {
				t.Errorf("%s of page %d: %d %s", page, i, status, text)
			}
		}
	}
	// A cluster that is down does not serve, and its nodes are well.
	inCluster[0].Do("CLUSTER", "DELSLOTS", 0)
	redistest.Until(t, settle, "the cluster is down", func() error {
		if status, text := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[3])); status != http.StatusServiceUnavailable || !strings.Contains(text, "CLUSTERDOWN") {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
	if status, text := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/healthz", ports[3])); status != http.StatusOK {
		t.Errorf("healthz of a cluster that is down: %d %s", status, text)
	}
	// Nor does a replica that must not show old data.
	replica.Do("CONFIG", "SET", "replica-serve-stale-data", "no")
	primary.Kill()
	redistest.Until(t, settle, "the replica is not ready", func() error {
		if status, text := fetch(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", ports[2])); status != http.StatusServiceUnavailable || !strings.Contains(text, "MASTERDOWN") {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
}

// refused makes a call that ends with an error.
func refused(t *testing.T, s *redistest.Server, args ...any) {
	t.Helper()
	c := s.Client()
	defer c.Close()
	if reply, err := c.Do(args...); err == nil {
		t.Errorf("%v: %v, want an error", args, reply)
	}
}

// documented fails the test for names that docs/metrics.md does not have.
func documented(t *testing.T, pages []map[string]*promtext.Family) {
	t.Helper()
	text, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, page := range pages {
		for name := range page {
			if strings.HasPrefix(name, "redis_cluster_stats_messages_") {
				continue // as many as there are kinds of messages
			}
			if !seen[name] && !strings.Contains(string(text), "`"+name+"`") {
				t.Errorf("docs/metrics.md does not have %s", name)
			}
			seen[name] = true
		}
	}
}

// A Prometheus of Debian takes what we serve, with a user of the node that may do no more
// than that. PROMETHEUS names the program where it is in no usual place.
func TestPrometheusScrapes(t *testing.T) {
	if control() {
		t.Skip("redis-server serves no metrics")
	}
	program := os.Getenv("PROMETHEUS")
	if program == "" {
		var err error
		if program, err = exec.LookPath("prometheus"); err != nil {
			t.Skip("needs prometheus: apt-get install prometheus, or PROMETHEUS with its path")
		}
	}
	port, web := redistest.Port(t), redistest.Port(t)
	node := start(t, redistest.Redoubt, "--metrics-port", strconv.Itoa(port), "--requirepass", "root",
		"--user", "scraper", "on", ">secret", "+info", "+latency", "+slowlog", "+config|get")
	dir := t.TempDir()
	config := fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
- job_name: redoubt
  basic_auth: {username: scraper, password: secret}
  static_configs: [{targets: ["127.0.0.1:%d"]}]
`, port)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", fmt.Sprintf("127.0.0.1:%d", web))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	c := node.Client()
	defer c.Close()
	for _, args := range [][]any{{"AUTH", "root"}, {"PING"}} {
		if reply, err := c.Do(args...); err != nil {
			t.Fatalf("%v: %v, %v", args, reply, err)
		}
	}
	client := http.Client{Timeout: settle}
	query := func(q string) (results int, value string, err error) {
		answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/api/v1/query?query=%s", web, url.QueryEscape(q)))
		if err != nil {
			return 0, "", err
		}
		defer answer.Body.Close()
		var reply struct {
			Data struct {
				Result []struct{ Value [2]any }
			}
		}
		if err := json.NewDecoder(answer.Body).Decode(&reply); err != nil {
			return 0, "", err
		}
		if len(reply.Data.Result) > 0 {
			value = fmt.Sprint(reply.Data.Result[0].Value[1])
		}
		return len(reply.Data.Result), value, nil
	}
	redistest.Until(t, 2*time.Minute, "Prometheus has scraped the node", func() error {
		n, up, err := query(`up{job="redoubt"}`)
		if err != nil || n != 1 || up != "1" {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("%d targets, up %q, %v\n%s", n, up, err, text[max(0, len(text)-2000):])
		}
		return nil
	})
	for _, q := range []string{
		"redis_up == 1", `redis_config_value{key="maxclients"}`, `histogram_quantile(0.9, redis_commands_latencies_usec_bucket) >= 0`,
		`redis_commands_total{cmd="ping"}`, "redoubt_journal_fsync_duration_seconds_count", `redis_db_keys{db="db0"} == 0`,
	} {
		redistest.Until(t, settle, q+" has a result", func() error {
			if n, _, err := query(q); err != nil || n == 0 {
				return fmt.Errorf("%d results, %v", n, err)
			}
			return nil
		})
	}
	if n, _, err := query(`scrape_samples_scraped{job="redoubt"} > 500`); err != nil || n == 0 {
		t.Errorf("Prometheus took few samples: %v", err)
	}
	text, err := os.ReadFile(log.Name())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "level=warn") && slices.ContainsFunc([]string{"scrape", "duplicate", "out of order"}, func(s string) bool { return strings.Contains(line, s) }) {
			t.Errorf("Prometheus complains: %s", line)
		}
	}
}
