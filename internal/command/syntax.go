package command

// arguments is the syntax of each command by full name: the argument trees of
// COMMAND DOCS, from which redis-cli makes its hints. NewTable puts them into
// the rows, which would be hard to read with the trees inside; a row that
// brings its own keeps it.
var arguments = mergeSyntax(stringSyntax, keySyntax, keyspaceSyntax, commandSyntax, connectionSyntax, pubSubSyntax, nodeSyntax, scriptSyntax)

func mergeSyntax(groups ...map[string][]Arg) map[string][]Arg {
	all := map[string][]Arg{}
	for _, g := range groups {
		for name, args := range g {
			all[name] = args
		}
	}
	return all
}

// What follows builds the trees. A constructor makes a mandatory argument that
// stands once; methods return a changed copy, so that parts can be shared.

// key is the key, or the keys, of the row's first key specification.
func key(name string) Arg { return Arg{Name: name, Type: "key", Key: 1} }

func text(name string) Arg     { return Arg{Name: name, Type: "string"} }
func integer(name string) Arg  { return Arg{Name: name, Type: "integer"} }
func double(name string) Arg   { return Arg{Name: name, Type: "double"} }
func pattern(name string) Arg  { return Arg{Name: name, Type: "pattern"} }
func unixTime(name string) Arg { return Arg{Name: name, Type: "unix-time"} }

// word is an argument that is only its token; it is named for it.
func word(token string) Arg { return Arg{Name: lower(token), Type: "pure-token", Token: token} }

// oneOf is exactly one of the alternatives, block all parts in order.
func oneOf(name string, alternatives ...Arg) Arg {
	return Arg{Name: name, Type: "oneof", Args: alternatives}
}
func block(name string, parts ...Arg) Arg { return Arg{Name: name, Type: "block", Args: parts} }

// named gives an argument another name than that of its token.
func (a Arg) named(name string) Arg { a.Name = name; return a }

// after puts a token before the argument: MATCH pattern.
func (a Arg) after(token string) Arg { a.Token = token; return a }

// spec names the key specification, counted from 0, that finds the key.
func (a Arg) spec(index int) Arg { a.Key = index + 1; return a }

func (a Arg) optional() Arg            { a.Flags |= Optional; return a }
func (a Arg) multiple() Arg            { a.Flags |= Multiple; return a }
func (a Arg) repeated() Arg            { a.Flags |= MultipleToken; return a } // the token stands before each
func (a Arg) since(version string) Arg { a.Since = version; return a }
