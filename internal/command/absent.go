package command

import (
	"fmt"
	"slices"
	"strings"
)

// absent is commands that other versions and modules of Redis and Valkey have, and this
// server does not: the error of an unknown name says so, for whoever wonders if it was
// spelt wrong. A name with a bar is a sub-command; one with a dot at its end begins names.
var absent = []struct {
	of    string // whose they are
	names []string
}{
	{"Redis 8.0", []string{"vadd", "vcard", "vdim", "vemb", "vgetattr", "vinfo", "vismember", "vlinks", "vrandmember", "vrange", "vrem", "vsetattr", "vsim"}},
	{"Redis 8.2", []string{"xdelex", "xackdel"}},
	{"Redis 8.4", []string{"digest", "cluster|migration"}},
	{"Valkey 8.1", []string{"commandlog"}},
	{"Valkey 9.0", []string{"cluster|migrateslots", "cluster|getslotmigrations", "cluster|cancelslotmigrations"}},
	{"Valkey 9.1", []string{"clusterscan"}},
	{"a module of Redis", []string{"json.", "ft.", "ts.", "bf.", "cf.", "cms.", "topk.", "tdigest."}},
}

// AbsentHint is a remark about a name that is no command here, and is one elsewhere; "" for
// any other name. known is the command that the first word names alone, nil if there is
// none.
func AbsentHint(known *Row, args [][]byte) string {
	name := strings.ToLower(string(args[0][:min(len(args[0]), 64)]))
	if known == nil && strings.Contains(name, "|") {
		return "" // nobody's command
	}
	if known != nil && len(args) > 1 {
		name = known.Name + "|" + strings.ToLower(string(args[1][:min(len(args[1]), 64)]))
	}
	for _, a := range absent {
		if slices.ContainsFunc(a.names, func(n string) bool {
			return n == name || strings.HasSuffix(n, ".") && strings.HasPrefix(name, n)
		}) {
			return fmt.Sprintf("(a command of %s that is not built in Redoubt)", a.of)
		}
	}
	return ""
}
