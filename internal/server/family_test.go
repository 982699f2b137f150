package server

import "testing"

func TestFamilyOfAClient(t *testing.T) {
	for remote, want := range map[string]bool{
		"127.0.0.1:7000":          false,
		"[::1]:7000":              true,
		"[fe80::1%lo]:7000":       true,
		"[::ffff:192.0.2.1]:7000": false, // IPv4, through a socket for both
		"/run/redoubt.sock:0":     false,
		"":                        false,
	} {
		if got := isIPv6(remote); got != want {
			t.Errorf("%q: %v", remote, got)
		}
	}
}
