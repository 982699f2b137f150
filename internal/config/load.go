package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"redoubt/internal/reason"
)

// Source is what the settings are read from, in this order; the last value of
// a directive counts.
type Source struct {
	// Args is the command line without the program's name: a file name first,
	// if its first byte is no dash; then options, see options. A lone dash,
	// first or last, stands for Stdin.
	Args  []string
	Stdin io.Reader // nil: empty
	// Product names the program in error messages, as in "Redis 7.0.15".
	Product string
	// Sentinel is whether the program is a Sentinel: it has defaults of its own, and
	// Lines("sentinel") holds the lines that begin with the word.
	Sentinel bool
}

// FileError says why a configuration is refused. Its text is what Redis
// prints before it exits, and begins with an empty line. Behind that it says in which of
// several files the line stands, and what may have been meant.
type FileError struct {
	Product string
	Line    Line // the zero value if the error belongs to no line
	Reason  string
	Hint    string // may be empty
}

func (e *FileError) Error() string {
	at, help := "", ""
	if e.Line.Number > 0 {
		at = fmt.Sprintf("Reading the configuration file, at line %d\n>>> '%s'\n", e.Line.Number, e.Line.Text)
		help = "\nThe line is in " + e.Line.Place.String() + "."
	}
	if e.Hint != "" {
		help += "\n" + e.Hint
	}
	return fmt.Sprintf("\n*** FATAL CONFIG FILE ERROR (%s) ***\n%s%s%s", e.Product, at, e.Reason, help)
}

const (
	// maxFileBytes bounds what is read of one file, so that a wrong name, a
	// device say, does not fill the memory.
	maxFileBytes = 16 << 20
	// maxIncludes bounds the nesting, so that a file may include itself and
	// be told so.
	maxIncludes = 64
)

// Load reads the settings of a new node, as Redis's main and loadServerConfig
// do. The error is a *FileError, or says which file cannot be opened.
func Load(src Source) (*Config, error) {
	path, fromStdin, lines := commandLine(src.Args)
	l := &loader{config: newConfig(), settings: defaults(), product: src.Product, seen: make(map[*directive]Line), sentinel: src.Sentinel}
	wd, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("config: working directory: %w", err)
	}
	l.put("dir", wd)
	if src.Sentinel { // as initSentinelConfig
		l.put("port", "26379")
		l.put("protected-mode", "no")
	}

	var all []part
	if path != "" {
		l.config.path = path
		if !filepath.IsAbs(path) {
			l.config.path = filepath.Join(wd, path)
		}
		if all, err = l.readFiles(path); err != nil {
			return nil, forgottenDashes(path, err)
		}
	}
	if fromStdin && src.Stdin != nil {
		text, err := readAll(src.Stdin)
		if err != nil {
			return nil, fmt.Errorf("config: standard input: %w", err)
		}
		all = append(all, part{"the standard input", text, true})
	}
	all = append(all, part{"", "\n", false}, part{"the command line", lines, false})
	if err := l.text(all); err != nil {
		return nil, err
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	l.config.current.Store(l.settings)
	return l.config, nil
}

// loader reads configuration files into settings that nobody else sees yet.
type loader struct {
	config   *Config
	settings *Settings
	product  string
	seen     map[*directive]Line // where each was set last
	depth    int                 // of includes
	sentinel bool                // as in Source
}

// put sets a directive to a text that is known to be canonical.
func (l *loader) put(name, text string) {
	d := row(name)
	l.settings.text[d.index] = text
	d.store(l.settings, text)
}

// A part of a configuration is a file, or what stands for one.
type part struct {
	source   string
	text     string // ends with the end of a line, or is the last
	numbered bool   // its lines have numbers that somebody can look up
}

// text reads the lines of a configuration. As in Redis they are numbered throughout, and
// beside that each is known by its place.
func (l *loader) text(parts []part) error {
	number := 0
	for _, p := range parts {
		if p.text == "" {
			continue
		}
		for i, line := range strings.Split(strings.TrimSuffix(p.text, "\n"), "\n") {
			number++
			line = strings.Trim(line, " \t\r")
			if line == "" || line[0] == '#' {
				continue
			}
			at := Line{Number: number, Text: line, Place: Place{Source: p.source}}
			if p.numbered {
				at.Place.Line = i + 1
			}
			err := l.line(at)
			var refused lineError
			if errors.As(err, &refused) {
				name, _, _ := strings.Cut(line, " ")
				return &FileError{Product: l.product, Line: at, Reason: string(refused), Hint: hint(name)}
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// lineError is the reason why the line just read is refused. Other errors
// are complete already: they come out of an included file.
type lineError string

func (e lineError) Error() string { return string(e) }

func (l *loader) line(line Line) error {
	args, ok := SplitArgs(line.Text)
	if !ok {
		return lineError("Unbalanced quotes in configuration line")
	}
	if len(args) == 0 {
		return nil
	}
	name := strings.ToLower(args[0])
	line.Args = args[1:]
	if d := lookup(name); d != nil {
		return l.directive(d, line)
	}
	return l.statement(name, line)
}

// directive sets d, which stands on the line.
func (l *loader) directive(d *directive, line Line) error {
	args := line.Args
	switch {
	case !d.typ.many() && len(args) != 1:
		return lineError(errArguments)
	case d.typ.many() && len(args) == 1 && args[0] != "":
		// All words in one argument, as in --save "900 1".
		var ok bool
		if args, ok = SplitArgs(args[0]); !ok {
			return lineError("Unbalanced quotes in configuration line")
		}
	}
	if clears := len(args) == 1 && args[0] == ""; d.has(repeats) && l.seen[d].Text != "" && !clears {
		args = slices.Concat(strings.Fields(l.settings.text[d.index]), args)
	}
	if err := d.set(l.settings, args); err != nil {
		return lineError(err.Error())
	}
	l.seen[d] = line
	return nil
}

// statement takes a line that is no directive with a value.
func (l *loader) statement(name string, line Line) error {
	n := len(line.Args)
	switch {
	case slices.Contains(dropped, name) && n == 1:
		return nil
	case name == "include" && n == 1:
		return l.include(line.Args[0])
	case name == "rename-command" && n == 2, name == "user" && n >= 1, name == "loadmodule" && n >= 1:
		l.config.lines[name] = append(l.config.lines[name], line)
		return nil
	case name == "sentinel" && n == 0:
		return nil // the option --sentinel, which chose the program
	case name == "sentinel" && l.sentinel:
		l.config.lines[name] = append(l.config.lines[name], line)
		return nil
	case name == "sentinel":
		return lineError("sentinel directive while not in sentinel mode")
	case strings.Contains(name, ".") && n == 0:
		return lineError("Module config specified without value")
	case strings.Contains(name, "."):
		l.config.lines[moduleSetting] = append(l.config.lines[moduleSetting], line)
		return nil
	}
	return lineError("Bad directive or wrong number of arguments")
}

// moduleSetting is where Config.lines keeps the settings of modules, whose
// names have a dot.
const moduleSetting = "."

func (l *loader) include(path string) error {
	if l.depth == maxIncludes {
		return lineError("Too many nested include directives")
	}
	l.depth++
	defer func() { l.depth-- }()
	all, err := l.readFiles(path)
	if err != nil {
		return err
	}
	return l.text(all)
}

// check refuses settings that do not go together.
func (l *loader) check() error {
	switch {
	case l.settings.ClusterEnabled && l.settings.ReplicaOf.Host != "":
		return &FileError{Product: l.product, Line: l.seen[row("replicaof")], Reason: "replicaof directive not allowed in cluster mode"}
	case l.config.lines[moduleSetting] != nil && l.config.lines["loadmodule"] == nil:
		return &FileError{Product: l.product, Line: l.config.lines[moduleSetting][0], Reason: "Module Configuration detected without loadmodule directive or no ApplyConfig call: aborting"}
	}
	return l.refusals()
}

// readFiles reads the file of that name, or all files if it is a
// pattern; a pattern may match none. Relative names start at dir, which is
// where Redis's working directory would be by now.
func (l *loader) readFiles(name string) (all []part, err error) {
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.settings.Dir, path)
	}
	paths := []string{path}
	if strings.ContainsAny(name, "*?[") {
		// The only error is a bad pattern, and that matches nothing.
		paths, _ = filepath.Glob(path)
	}
	for _, path := range paths {
		text := ""
		f, err := os.Open(path)
		if err == nil {
			text, err = readAll(f)
			f.Close()
		}
		if err != nil {
			if len(paths) == 1 {
				path = name
			}
			return nil, refusal(fmt.Sprintf("Fatal error, can't open config file '%s': %s", path, reason.System(err)))
		}
		all = append(all, part{path, text, true})
	}
	return all, nil
}

// forgottenDashes adds a hint to the error that a file is missing, if its name is that of
// a directive.
func forgottenDashes(name string, err error) error {
	if lookup(name) == nil {
		return err
	}
	return refusal(err.Error() + ". Directives on the command line begin with two dashes: --" + name)
}

// readAll is what r holds. Each file ends with the end of a line, so that
// the next one does not go on within it.
func readAll(r io.Reader) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxFileBytes:
		return "", fmt.Errorf("larger than %d bytes", maxFileBytes)
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	return string(data), nil
}
