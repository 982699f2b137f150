package interop

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"redoubt/internal/redistest"
)

// absentFields are those of Redis that INFO does not have here, with the reasons
// in docs/compatibility.md.
var absentFields = []string{"used_cpu_sys_main_thread", "used_cpu_user_main_thread"}

// newerFields came with Redis 7.2.
var newerFields = []string{
	"listener0", "total_blocking_keys", "total_blocking_keys_on_nokey",
	"eventloop_cycles", "eventloop_duration_sum", "eventloop_duration_cmd_sum",
	"instantaneous_eventloop_cycles_per_sec", "instantaneous_eventloop_duration_usec",
	"acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
}

// Whoever watches a node by INFO finds the fields of Redis, on a primary with a
// replica and on the replica.
func TestInfoHasTheFieldsOfRedis(t *testing.T) {
	fields := map[string][]string{}
	for _, kind := range []redistest.Kind{redistest.Redis, redistest.Redoubt} {
		primary := replicates(t, kind, "--appendonly", "yes", "--min-replicas-to-write", "1")
		replica := following(t, kind, primary)
		inStep(t, primary, replica)
		for role, s := range map[string]*redistest.Server{"primary": primary, "replica": replica} {
			fields[kind.String()+" "+role] = fieldsOf(s)
		}
	}
	for _, role := range []string{"primary", "replica"} {
		have := fields[redistest.Redoubt.String()+" "+role]
		want := slices.Concat(fields[redistest.Redis.String()+" "+role], newerFields)
		for _, name := range want {
			// What commands ran is not the same.
			counted := strings.HasPrefix(name, "cmdstat_") || strings.HasPrefix(name, "latency_percentiles_") || strings.HasPrefix(name, "errorstat_")
			if !slices.Contains(have, name) && !counted && !slices.Contains(absentFields, name) {
				t.Errorf("%s: %s is missing", role, name)
			}
		}
	}
}

// fieldsOf is the names of everything that INFO shows, titles too.
func fieldsOf(s *redistest.Server) (names []string) {
	for line := range strings.SplitSeq(fmt.Sprint(s.Do("INFO", "everything")), "\r\n") {
		if name, _, _ := strings.Cut(line, ":"); name != "" {
			names = append(names, name)
		}
	}
	return names
}
