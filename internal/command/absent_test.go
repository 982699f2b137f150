package command

import (
	"strings"
	"testing"
)

func TestAbsentHint(t *testing.T) {
	cluster := &Row{Name: "cluster"}
	for _, tc := range []struct {
		known *Row
		line  string
		want  string
	}{
		{nil, "VADD k FP32 x e", "(a command of Redis 8.0 that is not built in Redoubt)"},
		{nil, "json.set k $ 1", "(a command of a module of Redis that is not built in Redoubt)"},
		{nil, "JSON.NONSENSE", "(a command of a module of Redis that is not built in Redoubt)"},
		{nil, "json", ""},
		{nil, "vad", ""},
		{nil, "nonsense", ""},
		{nil, strings.Repeat("v", 1<<20), ""},
		{cluster, "cluster MIGRATESLOTS SLOTSRANGE 0 1", "(a command of Valkey 9.0 that is not built in Redoubt)"},
		{cluster, "cluster nonsense", ""},
		{cluster, "cluster", ""},
		{nil, "cluster|migrateslots", ""},
	} {
		var args [][]byte
		for _, w := range strings.Fields(tc.line) {
			args = append(args, []byte(w))
		}
		if got := AbsentHint(tc.known, args); got != tc.want {
			t.Errorf("%.40s: %q, want %q", tc.line, got, tc.want)
		}
	}
}
