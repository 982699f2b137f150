package redistest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Show writes a reply on one line, as scripts have it, with the types of RESP3.
// If unordered, the elements of all arrays, sets and maps come in the order of
// their text, so that replies whose order is the server's own can be compared.
func Show(raw []byte, unordered bool) (string, error) {
	r, _, err := parseReply(raw)
	if err != nil {
		return "", err
	}
	if unordered {
		r.sortAll()
	}
	return r.render(true), nil
}

// reply is a reply of RESP2 or RESP3 as a tree, to be shown in scripts.
type reply struct {
	kind     byte // the type's first byte; '_' is also the kind of RESP2's nulls
	text     string
	children []reply // of a map: keys and values by turns
}

// nullArray is the text of RESP2's null that is an array.
const nullArray = "-array"

// parseReply reads the reply that raw begins with.
func parseReply(raw []byte) (r reply, rest []byte, err error) {
	line, after, ok := strings.Cut(string(raw), "\r\n")
	if !ok || line == "" {
		return r, nil, fmt.Errorf("a reply that breaks off")
	}
	r.kind, r.text, rest = line[0], line[1:], []byte(after)
	switch r.kind {
	case '+', '-', ':', '_', '#', ',', '(':
		return r, rest, nil
	}
	n, err := strconv.Atoi(r.text)
	if err != nil {
		return r, nil, fmt.Errorf("a length of %q", r.text)
	}
	switch {
	case n < 0 && r.kind == '*':
		return reply{kind: '_', text: nullArray}, rest, nil
	case n < 0:
		return reply{kind: '_'}, rest, nil
	}
	switch r.kind {
	case '$', '=', '!':
		if len(rest) < n+len("\r\n") {
			return r, nil, fmt.Errorf("a string that breaks off")
		}
		r.text = string(rest[:n])
		return r, rest[n+len("\r\n"):], nil
	case '%', '|':
		n *= 2
	}
	r.text = ""
	for range n {
		var child reply
		if child, rest, err = parseReply(rest); err != nil {
			return r, nil, err
		}
		r.children = append(r.children, child)
	}
	if r.kind == '|' {
		return parseReply(rest) // attributes are not part of what is compared
	}
	return r, rest, nil
}

// sort brings the elements of an array or set in the order of their text.
func (r *reply) sort() {
	slices.SortFunc(r.children, func(a, b reply) int { return strings.Compare(a.render(true), b.render(true)) })
}

func (r *reply) sortAll() {
	for i := range r.children {
		r.children[i].sortAll()
	}
	r.sort()
}

// render writes a reply on one line. Unless exact, types that RESP2 does not
// have are written as those that stand for them there.
func (r *reply) render(exact bool) string {
	switch r.kind {
	case '$':
		return strconv.Quote(r.text)
	case '_':
		return "nil" + r.text
	case '=':
		if exact {
			return "=" + strconv.Quote(r.text)
		}
		return strconv.Quote(r.text[len("txt:"):])
	case ',', '(':
		if !exact {
			return strconv.Quote(r.text)
		}
	case '#':
		if !exact {
			return map[string]string{"t": ":1", "f": ":0"}[r.text]
		}
	case '*', '~', '>', '%':
		return r.renderChildren(exact)
	}
	return string(r.kind) + r.text
}

func (r *reply) renderChildren(exact bool) string {
	var parts []string
	for i := range r.children {
		parts = append(parts, r.children[i].render(exact))
	}
	switch {
	case r.kind == '*' || !exact:
		return "[" + strings.Join(parts, " ") + "]"
	case r.kind == '%':
		var pairs []string
		for pair := range slices.Chunk(parts, 2) {
			pairs = append(pairs, strings.Join(pair, ": "))
		}
		return "{" + strings.Join(pairs, ", ") + "}"
	}
	return string(r.kind) + "[" + strings.Join(parts, " ") + "]"
}
