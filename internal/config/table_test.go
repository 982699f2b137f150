package config

import (
	"strings"
	"testing"
)

// A default is stored unparsed, so it must be the text that parsing gives.
func TestDefaultsAreCanonical(t *testing.T) {
	for _, d := range table {
		if d.name == "dir" {
			continue // absolute once loaded
		}
		args := []string{d.def}
		if d.typ.many() {
			args = strings.Split(d.def, " ")
		}
		if d.name == "replicaof" {
			args = []string{"no", "one"}
		}
		s := defaults()
		if err := d.set(s, args); err != nil || s.text[d.index] != d.def {
			t.Errorf("%s: default %q parses to %q, %v", d.name, d.def, s.text[d.index], err)
		}
	}
}

// What has no meaning here has no field either, but for maxmemory, which INFO
// reports; and what has a field has a meaning.
func TestRowsWithAMeaningHaveAField(t *testing.T) {
	for _, d := range table {
		if (d.does != "") != (d.store != nil) && d.name != "maxmemory" {
			t.Errorf("%s: a field without a meaning, or the reverse", d.name)
		}
	}
}

func TestNamesAreLowerCase(t *testing.T) {
	for name := range byName {
		if name != strings.ToLower(name) {
			t.Errorf("%q can never be looked up", name)
		}
	}
}

func TestSecretsAreSensitive(t *testing.T) {
	for name, want := range map[string]bool{
		"requirepass": true, "MasterAuth": true, "primaryauth": true, "tls-key-file-pass": true, "port": false, "nonsense": false,
	} {
		if got := Sensitive(name); got != want {
			t.Errorf("Sensitive(%q) = %v, want %v", name, got, want)
		}
	}
}
