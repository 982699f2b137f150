package config

// A Statement is a line that a Sentinel keeps in its file, beside the directives.
type Statement struct {
	Key string // the words that it begins with, such as "sentinel monitor"
	// Instead is the key of older lines that this one replaces before it replaces
	// those of Key; "" if there is none.
	Instead string
	Line    string
	// Optional is a line that is written only in the place of an older one: it says
	// what holds without it.
	Optional bool
}

// RewriteSentinel is Rewrite for a Sentinel: the lines of the file that begin with
// the word sentinel become the statements, each in the place of one with its key
// while there are such, as rewriteConfigSentinelOption does.
func (c *Config) RewriteSentinel(statements []Statement) error {
	return c.rewriteFile(false, func(r *rewriting) { r.restate(statements) })
}

// state gives a statement the place of an old one, or appends it.
func (r *rewriting) state(s Statement) {
	for _, key := range []string{s.Instead, s.Key} {
		if places := r.stated[key]; len(places) > 0 {
			r.lines[places[0]] = s.Line
			r.stated[key] = places[1:]
			return
		}
	}
	if !s.Optional {
		r.add(s.Line)
	}
}

// restate makes the statements of a file those that are given.
func (r *rewriting) restate(statements []Statement) {
	for _, s := range statements {
		r.state(s)
	}
	for _, places := range r.stated {
		for _, place := range places {
			r.lines[place] = ""
		}
	}
}
