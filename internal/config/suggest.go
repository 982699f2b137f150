package config

import (
	"maps"
	"slices"
	"strings"
)

// statements are the words that begin lines which are no directives with a value, and what
// follows them.
var statements = map[string]string{
	"include":        "the name of a file, or a pattern",
	"rename-command": "the name of a command and its new name, which is \"\" to take the command away",
	"user":           "a name and its rules",
	"loadmodule":     "the path of a module",
	"sentinel":       "a statement of a Sentinel; it belongs in the file of a Sentinel",
}

// hint is a sentence that helps with a line that was refused, "" if there is none. name is
// the line's first word.
func hint(name string) string {
	if d := lookup(name); d != nil {
		return "'" + strings.ToLower(name) + "' takes: " + d.typ.String() + "."
	}
	if follows, ok := statements[strings.ToLower(name)]; ok {
		return "'" + strings.ToLower(name) + "' takes: " + follows + "."
	}
	if near := nearest(name); near != "" {
		return "Did you mean '" + near + "'?"
	}
	return ""
}

// nearest is the name of a directive or statement that is most like a word which is none,
// "" if none is.
func nearest(word string) string {
	return Nearest(word, slices.Concat(names, slices.Collect(maps.Keys(statements))))
}

// Nearest is the known word that is most like one which is not known, "" if none is.
func Nearest(word string, known []string) string {
	word = strings.ToLower(word)
	known = slices.Sorted(slices.Values(known))
	least, near := 0, ""
	within := func(limit int) {
		least = limit
		for _, name := range known {
			if d := distance(word, name, least); d < least {
				least, near = d, name
			}
		}
	}
	if within(2); near != "" { // one letter is wrong
		return near
	}
	if len(word) >= 4 { // it is the beginning of one
		for _, name := range known {
			if strings.HasPrefix(name, word) {
				return name
			}
		}
	}
	within(len(word)/4 + 1)
	return near
}

// distance is how many letters must be put in, left out, replaced or exchanged with the
// next to make b of a; limit if there are as many or more.
func distance(a, b string, limit int) int {
	if max(len(a)-len(b), len(b)-len(a)) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			wrong := 1
			if a[i-1] == b[j-1] {
				wrong = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+wrong)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}
