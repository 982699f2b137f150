package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The words of refusals are Redis's.
func TestValues(t *testing.T) {
	const (
		notYesNo   = "argument must be 'yes' or 'no'"
		notInteger = "argument couldn't be parsed into an integer"
		notMemory  = "argument must be a memory value"
	)
	for _, c := range []struct {
		directive, value string
		want, refusal    string
	}{
		{"appendonly", "YES", "yes", ""},
		{"appendonly", "1", "", notYesNo},
		{"port", "0", "0", ""},
		{"port", "65536", "", "argument must be between 0 and 65535 inclusive"},
		{"port", "-1", "", "argument must be between 0 and 65535 inclusive"},
		{"port", "", "", notInteger},
		{"port", "07", "", notInteger},
		{"port", "+7", "", notInteger},
		{"port", "7 ", "", notInteger},
		{"slowlog-log-slower-than", "-1", "-1", ""},
		{"cluster-node-timeout", "9223372036854775808", "", notInteger},
		{"hz", "0", "1", ""},
		{"hz", "9999", "500", ""},
		{"unixsocketperm", "0700", "700", ""},
		{"unixsocketperm", "8", "", "argument couldn't be parsed as an octal number"},
		{"unixsocketperm", "1000", "", "argument must be between 0 and 777 inclusive"},
		{"maxmemory", "1k", "1000", ""},
		{"maxmemory", "1KB", "1024", ""},
		{"maxmemory", "2m", "2000000", ""},
		{"maxmemory", "700mb", "734003200", ""},
		{"maxmemory", "1g", "1000000000", ""},
		{"maxmemory", "1gB", "1073741824", ""},
		{"maxmemory", "5b", "5", ""},
		{"maxmemory", "", "0", ""},
		{"maxmemory", "-1", "", notMemory},
		{"maxmemory", "1tb", "", notMemory},
		{"maxmemory", "9223372036854775807k", "", notMemory},
		{"maxmemory", "1%", "", notMemory},
		{"maxmemory-clients", "5%", "5%", ""},
		{"maxmemory-clients", "0%", "0", ""},
		{"maxmemory-clients", "200%", "", "percentage argument must be less or equal to 100"},
		{"maxmemory-clients", "x", "", "argument must be a memory or percent value"},
		{"proto-max-bulk-len", "1mb", "1048576", ""},
		{"proto-max-bulk-len", "1", "", "argument must be between 1048576 and 9223372036854775807 inclusive"},
		{"appendfsync", "Always", "always", ""},
		{"appendfsync", "never", "", "argument(s) must be one of the following: everysec, always, no"},
		{"shutdown-on-sigterm", "force nosave now", "nosave now force", ""},
		{"shutdown-on-sigterm", "default now", "now", ""},
		{"shutdown-on-sigterm", "failover SAFE save force", "save force safe failover", ""},
		{"shutdown-on-sigterm", "save nosave", "", "shutdown options SAVE and NOSAVE can't be used simultaneously"},
		{"shutdown-on-sigterm", "", "", "argument(s) must be one of the following: default, save, nosave, now, force, safe, failover"},
		{"save", "900 1 300 10", "900 1 300 10", ""},
		{"save", "", "", ""},
		{"save", "900", "", "Invalid save parameters"},
		{"save", "0 1", "", "Invalid save parameters"},
		{"save", "900 0", "900 0", ""},
		{"client-output-buffer-limit", "replica 1mb 2kb 3", "normal 0 0 0 slave 1048576 2048 3 pubsub 33554432 8388608 60", ""},
		{"client-output-buffer-limit", "normal 1 2", "", "Wrong number of arguments in buffer limit configuration."},
		{"client-output-buffer-limit", "master 1 2 3", "", "Invalid client class specified in buffer limit configuration."},
		{"client-output-buffer-limit", "pubsub 1 2 -3", "", "Error in hard, soft or soft_seconds setting in buffer limit configuration."},
		{"latency-tracking-info-percentiles", "50.0 99.90 100", "50 99.9 100", ""},
		{"latency-tracking-info-percentiles", "", "", ""},
		{"latency-tracking-info-percentiles", "x", "", "Invalid latency-tracking-info-percentiles parameters"},
		{"latency-tracking-info-percentiles", "NaN", "", "Invalid latency-tracking-info-percentiles parameters"},
		{"latency-tracking-info-percentiles", "101", "", "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"},
		{"oom-score-adj-values", "1 2", "", "wrong number of arguments"},
		{"oom-score-adj-values", "1 2 2001", "", "Invalid oom-score-adj-values, elements must be between -2000 and 2000."},
		{"replicaof", "NO one", "", ""},
		{"replicaof", "host 6379", "host 6379", ""},
		{"replicaof", "host 65536", "", "Invalid master port"},
		{"replicaof", "host", "", "wrong number of arguments"},
		{"notify-keyspace-events", "KEA", "AKE", ""},
		{"notify-keyspace-events", "dtexzhsl$gnK", "AKn", ""},
		{"notify-keyspace-events", "zg", "gz", ""},
		{"notify-keyspace-events", "q", "", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."},
		{"bind", "10.0.0.1 -::1", "10.0.0.1 -::1", ""},
		{"bind", "", "", ""},
		{"bind", "a\nport", "", "Invalid bind address"},
		{"bind", strings.Repeat("a ", 17), "", "Too many bind addresses specified."},
		{"dbfilename", "a/b", "", "dbfilename can't be a path, just a filename"},
		{"appendfilename", "", "", "appendfilename can't be empty"},
		{"appenddirname", "../x", "", "appenddirname can't be a path, just a dirname"},
		{"cluster-config-file", "", "", "cluster-config-file can't be empty"},
		{"cluster-announce-hostname", "a_b", "", "Hostnames may only contain alphanumeric characters, hyphens or dots"},
		{"cluster-announce-client-ipv4", "192.0.2.7", "192.0.2.7", ""},
		{"cluster-announce-client-ipv4", "2001:db8::1", "", "Invalid IPv4 address"},
		{"cluster-announce-client-ipv4", "192.0.2", "", "Invalid IPv4 address"},
		{"cluster-announce-client-ipv6", "2001:db8::1", "2001:db8::1", ""},
		{"cluster-announce-client-ipv6", "192.0.2.7", "", "Invalid IPv6 address"},
		{"cluster-announce-client-ipv6", "fe80::1%eth0", "", "Invalid IPv6 address"},
		{"cluster-announce-hostname", strings.Repeat("a", 256), "", "Hostnames must be less than 256 characters"},
		{"cluster-announce-human-nodename", "a,b", "", "Announced human node name contained invalid character"},
		{"proc-title-template", "{title} {{x {port}", "{title} {{x {port}", ""},
		{"proc-title-template", "{titel}", "", "template format is invalid or contains unknown variables"},
		{"proc-title-template", "{title", "", "template format is invalid or contains unknown variables"},
		{"proc-title-template", " {title} ", "", "template format is invalid or contains unknown variables"},
		{"dir", "/no/such/dir", "", "No such file or directory"},
		{"dir", "/dev/null", "", "Not a directory"},
		{"dir", "", "", "No such file or directory"},
	} {
		t.Run(c.directive+" "+c.value, func(t *testing.T) {
			d := row(c.directive)
			s := defaults()
			args := []string{c.value}
			if d.typ.many() {
				args = strings.Split(c.value, " ")
			}
			refusal := ""
			if err := d.set(s, args); err != nil {
				refusal = err.Error()
			}
			if refusal != c.refusal {
				t.Fatalf("refusal %q, want %q", refusal, c.refusal)
			}
			if want := s.text[d.index]; refusal == "" && want != c.want {
				t.Errorf("text %q, want %q", want, c.want)
			}
		})
	}
}

func TestTypedFieldsFollowTheText(t *testing.T) {
	s := defaults()
	for directive, value := range map[string]string{
		"bind": "127.0.0.1 -::1", "unixsocketperm": "750", "timeout": "30", "cluster-blacklist-ttl": "9223372036854775807",
		"save": "900 1 60 10000", "client-output-buffer-limit": "slave 2mb 1mb 5", "replicaof": "::1 7000",
		"appendfsync": "no", "loglevel": "warning", "shutdown-on-sigint": "nosave force",
		"slowlog-log-slower-than": "-1", "cluster-node-timeout": "500",
		"cluster-preferred-endpoint-type": "unknown-endpoint", "enable-debug-command": "local",
	} {
		args := []string{value}
		if row(directive).typ.many() {
			args = strings.Split(value, " ")
		}
		if err := row(directive).set(s, args); err != nil {
			t.Fatal(directive, err)
		}
	}
	for name, ok := range map[string]bool{
		"bind":           slices.Equal(s.Bind, []string{"127.0.0.1", "-::1"}),
		"unixsocketperm": s.UnixSocketPerm == 0o750,
		"timeout":        s.Timeout == 30*time.Second,
		"blacklist ttl":  s.ClusterBlacklistTTL == 1<<63-1,
		"save":           slices.Equal(s.Save, []SavePoint{{900 * time.Second, 1}, {time.Minute, 10000}}),
		"normal output":  s.NormalOutput == OutputLimit{},
		"replica output": s.ReplicaOutput == OutputLimit{2 << 20, 1 << 20, 5 * time.Second},
		"pubsub output":  s.PubSubOutput == OutputLimit{32 << 20, 8 << 20, time.Minute},
		"replicaof":      s.ReplicaOf == Address{"::1", 7000},
		"appendfsync":    s.AppendFsync == FsyncNo,
		"loglevel":       s.LogLevel == LogWarning,
		"sigint":         s.ShutdownOnSigint == ShutdownNoSave|ShutdownForce,
		"sigterm":        s.ShutdownOnSigterm == 0,
		"slowlog":        s.SlowlogLogSlowerThan < 0,
		"node timeout":   s.ClusterNodeTimeout == 500*time.Millisecond,
		"endpoint":       s.ClusterPreferredEndpoint == EndpointUnknown,
		"debug over TCP": !s.EnableDebugCommand.Allows(false),
		"debug locally":  s.EnableDebugCommand.Allows(true),
		"default port":   s.Port == 6379,
		"durable":        s.AppendOnly,
		"protected":      s.ProtectedMode,
		"largest bulk":   s.MaxBulkBytes == 512<<20,
	} {
		if !ok {
			t.Errorf("%s is wrong in %+v", name, s)
		}
	}
}
