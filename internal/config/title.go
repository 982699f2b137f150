package config

import "strings"

// titleTemplate checks that braces name known variables and that the title is
// not empty. It matches validateProcTitleTemplate.
func titleTemplate(s string) error {
	title, ok := ExpandTitle(s, func(name string) (string, bool) {
		switch name {
		case "title", "server-mode", "unixsocket":
			return "", true
		case "listen-addr", "config-file", "port", "tls-port": // which are never empty
			return "-", true
		}
		return "", false
	})
	if !ok || title == "" {
		return refusal("template format is invalid or contains unknown variables")
	}
	return nil
}

// ExpandTitle puts the values of variables, which stand in braces, into a template;
// two open braces stand for one. It reports false if a variable is not known, or a brace
// is not closed. It matches expandProcTitleTemplate.
func ExpandTitle(template string, value func(name string) (text string, known bool)) (title string, ok bool) {
	var b strings.Builder
	for {
		before, rest, open := strings.Cut(template, "{")
		b.WriteString(before)
		if !open {
			return strings.Trim(b.String(), " "), true
		}
		if after, escaped := strings.CutPrefix(rest, "{"); escaped {
			b.WriteByte('{')
			template = after
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		text, known := value(name)
		if !closed || !known {
			return "", false
		}
		b.WriteString(text)
		template = after
	}
}
