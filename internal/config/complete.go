package config

// Hint is a directive as a shell offers it: its name, and what it does in a few words.
type Hint struct{ Name, Does string }

// Hints lists the directives that do something, by name. Others are not offered to anybody.
func Hints() (all []Hint) {
	for _, name := range names {
		if d := byName[name]; d.name == name && d.does != "" {
			all = append(all, Hint{name, d.does})
		}
	}
	return all
}

// Values is the words that a directive takes; nil if it takes other values than a few words,
// or is not known.
func Values(name string) []string {
	d := lookup(name)
	if d == nil {
		return nil
	}
	switch t := d.typ.(type) {
	case boolean:
		return []string{"yes", "no"}
	case choice:
		return t.names
	}
	return nil
}
