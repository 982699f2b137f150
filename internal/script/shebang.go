package script

import (
	"strings"

	"redoubt/internal/resp"
)

// Flags are what a script or a function says of itself.
type Flags uint8

// The flags, by the names that they have in a shebang line and in
// redis.register_function.
const (
	NoWrites           Flags = 1 << iota // no-writes
	AllowOOM                             // allow-oom
	AllowStale                           // allow-stale
	NoCluster                            // no-cluster
	AllowCrossSlotKeys                   // allow-cross-slot-keys
	// Compatible is a script without a shebang line, which is checked command by
	// command as before Redis 7. Functions never have it.
	Compatible
)

// flagNames are in the order in which FUNCTION LIST tells them.
var flagNames = []struct {
	name string
	flag Flags
}{
	{"no-writes", NoWrites},
	{"allow-oom", AllowOOM},
	{"allow-stale", AllowStale},
	{"no-cluster", NoCluster},
	{"allow-cross-slot-keys", AllowCrossSlotKeys},
}

// Names lists the flags as FUNCTION LIST does.
func (f Flags) Names() []string {
	names := []string{}
	for _, n := range flagNames {
		if f&n.flag != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// parseFlag finds a flag by its name.
func parseFlag(name string) (Flags, bool) {
	for _, n := range flagNames {
		if n.name == name {
			return n.flag, true
		}
	}
	return 0, false
}

// parseShebang reads the first line of a script: its flags, and the code behind
// the line. The line end stays, so that errors have the user's line numbers. It
// is Redis's evalExtractShebangFlags.
func parseShebang(body string) (Flags, string, error) {
	if !strings.HasPrefix(body, "#!") {
		return Compatible, body, nil
	}
	line, code, found := cutLine(body)
	if !found {
		return 0, "", resp.Error("ERR Invalid script shebang")
	}
	parts, ok := splitWords(line)
	if !ok || len(parts) == 0 {
		return 0, "", resp.Error("ERR Invalid engine in script shebang")
	}
	if parts[0] != "#!lua" {
		return 0, "", resp.Error("ERR Unexpected engine in script shebang: " + parts[0])
	}
	var flags Flags
	for _, part := range parts[1:] {
		list, ok := strings.CutPrefix(part, "flags=")
		if !ok {
			return 0, "", resp.Error("ERR Unknown lua shebang option: " + part)
		}
		if list == "" {
			continue
		}
		for name := range strings.SplitSeq(list, ",") {
			flag, ok := parseFlag(name)
			if !ok {
				return 0, "", resp.Error("ERR Unexpected flag in script shebang: " + name)
			}
			flags |= flag
		}
	}
	return flags, code, nil
}

// A Header is the first line of a library, "#!lua name=…".
type Header struct {
	Engine string // as written, without "#!"
	Name   string
	code   string // behind the line, which starts with its line end
}

// ParseHeader reads the first line of a library. It is Redis's
// functionExtractLibMetaData; that the engine exists and the name is well formed
// is checked by Load.
func ParseHeader(code string) (Header, error) {
	if !strings.HasPrefix(code, "#!") {
		return Header{}, resp.Error("ERR Missing library metadata")
	}
	line, rest, found := cutLine(code)
	if !found {
		return Header{}, resp.Error("ERR Invalid library metadata")
	}
	parts, ok := splitWords(line)
	if !ok || len(parts) == 0 {
		return Header{}, resp.Error("ERR Invalid library metadata")
	}
	h := Header{Engine: strings.TrimPrefix(parts[0], "#!"), code: rest}
	named := false
	for _, part := range parts[1:] {
		if len(part) < 5 || !strings.EqualFold(part[:5], "name=") {
			return Header{}, resp.Error("ERR Invalid metadata value given: " + part)
		}
		if named {
			return Header{}, resp.Error("ERR Invalid metadata value, name argument was given multiple times")
		}
		named, h.Name = true, part[5:]
	}
	if !named {
		return Header{}, resp.Error("ERR Library name was not given")
	}
	return h, nil
}

// cutLine splits text before its first line end.
func cutLine(text string) (line, rest string, found bool) {
	i := strings.IndexByte(text, '\n')
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i:], true
}

// splitWords cuts a line into words as Redis's sdssplitargs does, which is how
// inline commands are read; ok is false if quotes are not balanced.
func splitWords(line string) (words []string, ok bool) {
	var p resp.Parser
	if _, err := p.Parse([]byte(line + "\n")); err != nil {
		return nil, false
	}
	for _, word := range p.Args {
		words = append(words, string(word))
	}
	return words, true
}
