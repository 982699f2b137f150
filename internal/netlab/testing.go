package netlab

import (
	"os"
	"testing"
)

// Start makes a network for a test, which is closed with it. Where the machine cannot do
// that the test is skipped; but in CI, and as root, it fails: there a skipped test would
// pass for one that ran.
func Start(t testing.TB, hosts int, seed uint64) *Network {
	t.Helper()
	if what := Lacking(); what != "" {
		if os.Getenv("CI") == "true" && os.Geteuid() == 0 {
			t.Fatal("netlab: " + what)
		}
		t.Skip("netlab: " + what)
	}
	n, err := New(hosts, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	return n
}
