package config

import (
	"slices"
	"strings"
	"testing"
)

// TestEveryIdleRowSaysWhatIsDoneInItsPlace: whoever sets one is told what to expect.
func TestEveryIdleRowSaysWhatIsDoneInItsPlace(t *testing.T) {
	for _, d := range table {
		if d.does == "" && d.lacks == "" && d.refuse == "" && idle[d] == "" && !slices.Contains(moduleRows, d) && !strings.HasPrefix(d.name, "tls-") {
			t.Errorf("nobody is told what %s stands for here", d.name)
		}
	}
}

func TestASentinelIsToldWhatItDoesNotLookAt(t *testing.T) {
	c := mustLoad(t, "port 26379\ndir /\nmasterauth x\nsave 900 1\nmaxclients 100\ncluster-enabled yes\nrequirepass y\nio-threads 4\nappendonly yes")
	if got, want := c.Foreign(), []string{"save", "masterauth", "cluster-enabled"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestDefaultsAreNotWorthAWord: a file that spells out the defaults, as redis.conf does, is
// not commented on.
func TestDefaultsAreNotWorthAWord(t *testing.T) {
	var lines []string
	for _, d := range table {
		if d.does == "" && !strings.HasPrefix(d.def, "/") && d.def != "" {
			lines = append(lines, d.name+" "+Quote(d.def))
		}
	}
	c := mustLoad(t, strings.Join(lines, "\n"))
	if got := slices.Concat(c.Unused(), c.Warnings()); len(got) != 0 {
		t.Errorf("%q", got)
	}
	if err := c.Set(Caller{}, Pair{"activerehashing", "no"}); err != nil {
		t.Fatal(err)
	}
	if c.Idle("ActiveRehashing") == "" || c.Idle("port") != "" || c.Idle("none") != "" {
		t.Error("Idle is wrong")
	}
}
