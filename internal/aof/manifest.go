package aof

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"redoubt/internal/config"
)

// Kind is what a file of a manifest is, by its letter there.
type Kind byte

// The kinds of files.
const (
	Base    Kind = 'b'
	Incr    Kind = 'i'
	History Kind = 'h'
)

// Entry is one file of a manifest.
type Entry struct {
	Name string // within the directory
	Seq  int64
	Kind Kind
}

// Manifest is the content of a manifest file.
type Manifest struct {
	Base    *Entry // nil if there is none
	Incr    []Entry
	History []Entry
}

// Empty reports whether the manifest names no file that is to be read.
func (m *Manifest) Empty() bool { return m.Base == nil && len(m.Incr) == 0 }

// ManifestError is what is wrong with a manifest, in the words of Redis's
// aofLoadManifestFromFile.
type ManifestError struct {
	Line   int    // from 1
	Text   string // of that line; "" if it does not matter
	Reason string
}

// Error is the reason. Redis's log has the place beside it, in lines of their own.
func (e *ManifestError) Error() string {
	if e.Text == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s (line %d of the manifest: '%s')", e.Reason, e.Line, e.Text)
}

// manifestLineBytes is how long a line of a manifest may be, with its end.
const manifestLineBytes = 1024

// ParseManifest reads a manifest as Redis does: a line is pairs of a name and a
// value, of which file, seq and type have to be there; lines that begin with #
// are comments. Errors are a *ManifestError.
func ParseManifest(text []byte) (Manifest, error) {
	var m Manifest
	if len(text) == 0 {
		return m, &ManifestError{Reason: "Found an empty AOF manifest"}
	}
	last := int64(0) // sequence number of an incremental file
	for n := 1; len(text) > 0; n++ {
		var line []byte
		line, text = cutLine(text)
		if line[0] == '#' {
			continue
		}
		if err := m.add(line, &last); err != "" {
			return m, &ManifestError{Line: n, Text: strings.Trim(string(line), " \t\r\n"), Reason: err}
		}
	}
	return m, nil
}

// cutLine cuts off the next line with its end, or what Redis takes for one: no
// more than manifestLineBytes.
func cutLine(text []byte) (line, rest []byte) {
	n := bytes.IndexByte(text, '\n') + 1
	if n == 0 {
		n = len(text)
	}
	n = min(n, manifestLineBytes)
	return text[:n], text[n:]
}

// add takes up a line. The error is "" if it is a good one.
func (m *Manifest) add(line []byte, last *int64) (reason string) {
	const invalid = "Invalid AOF manifest file format"
	if i := bytes.IndexByte(line, '\n'); i < 0 || bytes.IndexByte(line[:i], 0) >= 0 {
		return "The AOF manifest file contains too long line"
	}
	fields, ok := config.SplitArgs(strings.Trim(string(line), " \t\r\n"))
	// More pairs than the three are left to later versions.
	if !ok || len(fields) < 6 || len(fields)%2 != 0 {
		return invalid
	}
	var e Entry
	for i := 0; i < len(fields); i += 2 {
		switch name, value := strings.ToLower(fields[i]), fields[i+1]; {
		case name == "file" && strings.ContainsAny(value, `/\`):
			return "File can't be a path, just a filename"
		case name == "file":
			e.Name = value
		case name == "seq":
			e.Seq, _ = strconv.ParseInt(value, 10, 64)
		case name == "type" && value != "":
			e.Kind = Kind(value[0])
		}
	}
	if e.Name == "" || e.Seq == 0 || e.Kind == 0 {
		return invalid
	}
	switch e.Kind {
	case Base:
		if m.Base != nil {
			return "Found duplicate base file information"
		}
		m.Base = &e
	case History:
		m.History = append(m.History, e)
	case Incr:
		if e.Seq <= *last {
			return "Found a non-monotonic sequence number"
		}
		*last = e.Seq
		m.Incr = append(m.Incr, e)
	default:
		return "Unknown AOF file type"
	}
	return ""
}

// Encode writes the manifest as Redis does: the base, history, and then the
// incremental files.
func (m *Manifest) Encode() []byte {
	var b []byte
	add := func(e Entry) {
		name := e.Name
		if needsQuotes(name) {
			name = config.Quote(name)
		}
		b = fmt.Appendf(b, "file %s seq %d type %c\n", name, e.Seq, e.Kind)
	}
	if m.Base != nil {
		add(*m.Base)
	}
	for _, e := range m.History {
		add(e)
	}
	for _, e := range m.Incr {
		add(e)
	}
	return b
}

// needsQuotes reports whether a name does not stand for itself on a line (Redis's
// sdsneedsrepr).
func needsQuotes(name string) bool {
	return name == "" || strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune(`\"'`, c)
	})
}
