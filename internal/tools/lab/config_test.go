package lab

import (
	"strings"
	"testing"
)

func TestPortsThatTheSystemMayTake(t *testing.T) {
	const limits = "32768\t60999\n"
	for _, tc := range []struct {
		name   string
		cfg    Config
		limits string
		want   string // in the warning; empty: there is none
	}{
		{"the usual ports", Config{}, limits, ""},
		{"the last bus port below the range", Config{Port: 22762}, limits, ""},
		{"one bus port in the range", Config{Port: 22763}, limits, "the bus ports 32763 to 32768 are among those"},
		{"ports in the range, and bus ports as well", Config{Port: 40000}, limits, "the ports 40000 to 40005 are among those"},
		{"bus ports above the range", Config{Port: 51500}, "32768 50000", ""},
		{"Sentinels have no bus ports", Config{Port: 30000, Sentinel: true}, limits, ""},
		{"ports of Sentinels in the range", Config{Port: 32765, Sentinel: true}, limits, "the ports 32765 to 32770 are among those"},
		{"another range", Config{}, "16000 20000", "the bus ports 17000 to 17005 are among those that this system gives to outgoing connections (16000 to 20000)"},
		{"a file of another form", Config{Port: 40000}, "all", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := tc.cfg.orDefaults()
			got := cfg.ephemeral(tc.limits)
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
