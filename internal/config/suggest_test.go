package config

import "testing"

func TestTheNearestNameIsFound(t *testing.T) {
	for word, want := range map[string]string{
		"maxmemroy":           "maxmemory",
		"MaxMemory-Polici":    "maxmemory-policy",
		"prot":                "port",
		"apendonly":           "appendonly",
		"slaveoff":            "slaveof",
		"includ":              "include",
		"rename_command":      "rename-command",
		"cluster_enabled":     "cluster-enabled",
		"requirepas":          "requirepass",
		"tls-cert":            "tls-cert-file",
		"bla":                 "",
		"completely-unknown":  "",
		"":                    "",
		"client-output-limit": "",
		"maxmemory-p":         "maxmemory-policy",
	} {
		if got := nearest(word); got != want {
			t.Errorf("%q is taken for %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "xbc", 1}, {"abcd", "bcd", 1}, {"ab", "xy", 2},
		{"abcdef", "badcfe", 3}, {"kitten", "sitting", 3},
	} {
		if got := distance(c.a, c.b, 9); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	if got := distance("abcdefgh", "x", 3); got != 3 {
		t.Errorf("beyond the limit: %d", got)
	}
}
