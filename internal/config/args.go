package config

import "strings"

// commandLine splits a command line, without the program's name, into the
// name of a file, the wish to read standard input, and the options as lines
// of a configuration file. It matches Redis's main.
//
// An option is --name and its values, which go on to the next argument that
// begins with two dashes; the first value may do so too. Name and values may
// stand in one argument. Arguments before any option are a line of their own,
// so that "port 7000" works without dashes.
func commandLine(args []string) (path string, fromStdin bool, lines string) {
	if len(args) == 0 {
		return "", false, ""
	}
	first := 0
	if !strings.HasPrefix(args[0], "-") {
		path, first = args[0], 1
	}
	var b strings.Builder
	hasValue := true // the option before has a value, so two dashes begin the next one
	for i := first; i < len(args); i++ {
		arg := args[i]
		last := i == len(args)-1
		switch {
		case arg == "-" && (i == 0 || last):
			fromStdin = true
		case hasValue && strings.HasPrefix(arg, "--"):
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(arg[2:] + " ")
			parts, _ := SplitArgs(arg)
			hasValue = len(parts) != 1
			// A --save without a value is written by scripts whose list of
			// values is empty. It means --save "", also if options follow.
			if bare := !hasValue && strings.EqualFold(parts[0], "--save"); bare && (last || strings.HasPrefix(args[i+1], "--")) {
				b.WriteString(`""`)
				hasValue = true
			}
		default:
			b.WriteString(Quote(arg) + " ")
			hasValue = true
		}
	}
	return path, fromStdin, b.String()
}
