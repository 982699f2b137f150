package metrics_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"redoubt/internal/metrics"
	"redoubt/internal/redistest/promtext"
)

func TestPage(t *testing.T) {
	p := metrics.NewPage()
	p.Family("b_total", metrics.Counter, "Two\nlines \\ of help.", "who", "what").Int(7, `a"b\c`+"\n", "\xffx")
	p.Family("a", metrics.Gauge, "A.").Set(0.5)
	p.Family("empty", metrics.Gauge, "Nothing.")
	f := p.Family("c", metrics.Gauge, "C.", "x")
	f.Set(math.Inf(1), "1")
	f.Set(math.NaN(), "2")
	f.Bool(true, "3")
	f.Set(12345678, "4")
	p.Family("d", metrics.Histogram, "D.", "x").Spread([]string{"1", "2"}, []uint64{3, 5}, 6, 7.5, "y")
	p.Family("e", metrics.Summary, "E.").Quantiles([]float64{0.5}, []float64{4}, 9, 36)
	const want = `# HELP a A.
# TYPE a gauge
a 0.5
# HELP b_total Two\nlines \\ of help.
# TYPE b_total counter
b_total{who="a\"b\\c\n",what="` + "\uFFFD" + `x"} 7
# HELP c C.
# TYPE c gauge
c{x="1"} +Inf
c{x="2"} NaN
c{x="3"} 1
c{x="4"} 12345678
# HELP d D.
# TYPE d histogram
d_bucket{x="y",le="1"} 3
d_bucket{x="y",le="2"} 5
d_bucket{x="y",le="+Inf"} 6
d_sum{x="y"} 7.5
d_count{x="y"} 6
# HELP e E.
# TYPE e summary
e{quantile="0.5"} 4
e_sum 36
e_count 9
`
	got := string(p.Bytes())
	if got != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
	if _, err := promtext.Parse(got); err != nil {
		t.Error(err)
	}
}

// A page that is used again has nothing of what was on it.
func TestPageIsUsedAgain(t *testing.T) {
	shared := metrics.NewPage()
	shared.Family("shared", metrics.Gauge, "S.").Int(1)
	p := metrics.NewPage()
	p.Family("a", metrics.Gauge, "A.", "x").Int(1, "secret")
	p.Include(shared)
	p.Bytes()
	p.Reset()
	if got := string(p.Bytes()); got != "" {
		t.Errorf("it has %q", got)
	}
	p.Family("a", metrics.Gauge, "A.", "x").Int(2, "y")
	p.Include(shared)
	const want = "# HELP a A.\n# TYPE a gauge\na{x=\"y\"} 2\n# HELP shared S.\n# TYPE shared gauge\nshared 1\n"
	if got := string(p.Bytes()); got != want {
		t.Errorf("it has %q, want %q", got, want)
	}
}

// A time counts at the first bound that it does not exceed, exactly: le is "less or equal".
func TestTimesCountAtTheirBounds(t *testing.T) {
	var times metrics.Times
	for _, d := range []time.Duration{-time.Second, 16 * time.Microsecond, 16*time.Microsecond + 1, 32 * time.Microsecond, time.Hour} {
		times.Record(d)
	}
	p := metrics.NewPage()
	p.Family("t", metrics.Histogram, "T.").Times(&times, metrics.Short)
	families, err := promtext.Parse(string(p.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	of := func(le string) float64 { return families["t"].Find("t_bucket", "le", le) }
	for le, want := range map[string]float64{"1.6e-05": 2, "3.2e-05": 4, "8.388608": 4, "+Inf": 5} {
		if got := of(le); got != want {
			t.Errorf("%v times up to %s, want %v", got, le, want)
		}
	}
	if sum := families["t"].Find("t_sum"); math.Abs(sum-(3600+64e-6)) > 1e-6 {
		t.Errorf("the sum is %v", sum)
	}
	var both metrics.Times
	both.Add(&times)
	both.Add(&times)
	if both.Count() != 10 {
		t.Errorf("%d times, want 10", both.Count())
	}
}

// The words of INFO become numbers as redis_exporter makes them, and what is no number
// becomes no sample.
func TestInfo(t *testing.T) {
	const info = "# Server\r\nredis_version:7.2.4\r\nuptime_in_seconds:100\r\ntcp_port:6379\r\nrun_id:abc\r\nprocess_id:1\r\n" +
		"os:Linux 6 \"x\"\r\nrdb_last_bgsave_status:err\r\naof_last_write_status:ok\r\nmaxmemory:not a number\r\nused_cpu_sys:1.500000\r\n" +
		"mem_fragmentation_ratio:1.25\r\nconnected_slaves:2\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:1\r\nmaster_link_status:down\r\n" +
		"master_last_io_seconds_ago:-1\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:12\r\nslave_read_only:1\r\n" +
		"slave0:ip=10.0.0.1,port=1,state=online,offset=9,lag=1\r\nslave1:ip=10.0.0.1,port=1,state=online,offset=8,lag=0\r\n" +
		"cluster_enabled:0\r\ndb1:keys=3,expires=1,avg_ttl=1500\r\n"
	p := metrics.NewPage()
	p.Info(info, 3, time.Unix(1000, 0))
	f, err := promtext.Parse(string(p.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"redis_uptime_in_seconds", nil, 100},
		{"redis_start_time_seconds", nil, 900},
		{"redis_rdb_last_bgsave_status", nil, 0},
		{"redis_aof_last_write_status", nil, 1},
		{"redis_cpu_sys_seconds_total", nil, 1.5},
		{"redis_mem_fragmentation_ratio", nil, 1.25},
		{"redis_memory_fragmentation_ratio", nil, 1.25},
		{"redis_master_link_up", []string{"master_host", "h", "master_port", "1"}, 0},
		{"redis_master_last_io_seconds_ago", []string{"master_host", "h"}, -1},
		{"redis_slave_repl_offset", []string{"master_host", "h"}, 12},
		{"redis_slave_info", []string{"read_only", "1"}, 1},
		{"redis_connected_slave_offset_bytes", []string{"slave_ip", "10.0.0.1", "slave_port", "1", "slave_state", "online"}, 9},
		{"redis_connected_slave_lag_seconds", []string{"slave_ip", "10.0.0.1"}, 1},
		{"redis_instance_info", []string{"role", "slave", "redis_version", "7.2.4", "os", `Linux 6 "x"`}, 1},
		{"redis_db_keys", []string{"db", "db0"}, 0},
		{"redis_db_keys", []string{"db", "db1"}, 3},
		{"redis_db_keys_expiring", []string{"db", "db1"}, 1},
		{"redis_db_keys_expiring", []string{"db", "db2"}, 0},
		{"redis_db_avg_ttl_seconds", []string{"db", "db1"}, 1.5},
	} {
		if f[c.name] == nil {
			t.Errorf("%s is missing", c.name)
		} else if got := f[c.name].Find(c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	if f["redis_memory_max_bytes"] != nil {
		t.Error("a text became a number")
	}
	if n := len(f["redis_connected_slave_offset_bytes"].Samples); n != 1 {
		t.Errorf("two replicas that look alike make %d samples: Prometheus takes one", n)
	}
}

// The checker itself refuses what Prometheus refuses, or a page could be wrong unseen.
func TestCheckerIsStrict(t *testing.T) {
	const head = "# HELP a A.\n# TYPE a gauge\n"
	for _, c := range []struct{ name, page string }{
		{"no end of line", head + "a 1"},
		{"two samples that look alike", head + "a{x=\"1\"} 1\na{x=\"1\"} 2\n"},
		{"a sample without a type", "a 1\n"},
		{"a sample of another family", head + "b 1\n"},
		{"a family in two places", head + "a 1\n# HELP b B.\n# TYPE b gauge\nb 1\n" + head + "a{x=\"1\"} 1\n"},
		{"a wrong name", "# HELP 1a A.\n# TYPE 1a gauge\n1a 1\n"},
		{"a wrong label", head + "a{1=\"x\"} 1\n"},
		{"a label twice", head + "a{x=\"1\",x=\"2\"} 1\n"},
		{"a label that does not end", head + "a{x=\"1} 1\n"},
		{"an unknown escape", head + "a{x=\"\\t\"} 1\n"},
		{"bytes that are not UTF-8", head + "a{x=\"\xff\"} 1\n"},
		{"no number", head + "a one\n"},
		{"a counter below 0", "# HELP a A.\n# TYPE a counter\na -1\n"},
		{"a histogram that shrinks", "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"2\"} 1\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 2\n"},
		{"a histogram without an end", "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_sum 1\na_count 2\n"},
		{"a histogram whose count is another", "# HELP a A.\n# TYPE a histogram\na_bucket{le=\"+Inf\"} 2\na_sum 1\na_count 3\n"},
	} {
		if _, err := promtext.Parse(c.page); err == nil {
			t.Errorf("%s is taken", c.name)
		}
	}
}

// Names and kinds are those of redis_exporter: every row of a name that it serves, with
// testdata/redis_exporter.txt written from its pages about a redis-server 7.0.15, a
// cluster, a replica and a Sentinel.
func TestKindsAreThoseOfTheExporter(t *testing.T) {
	theirs := metrics.ExporterNames(t)
	for _, f := range metrics.Rows() {
		if kind, known := theirs[f.Name]; known && kind != f.Kind {
			t.Errorf("%s is a %s, and a %s of redis_exporter", f.Name, f.Kind, kind)
		}
		if strings.TrimSpace(f.Help) == "" || !slices.Contains([]string{"gauge", "counter"}, f.Kind) {
			t.Errorf("%s: kind %s, help %q", f.Name, f.Kind, f.Help)
		}
	}
}
