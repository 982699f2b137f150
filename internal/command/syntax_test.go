package command

import "testing"

// minimum is how many words at least a command line has for these arguments;
// fixed is false if it can have more.
func minimum(args []Arg) (n int, fixed bool) {
	fixed = true
	for _, a := range args {
		if a.Flags != 0 {
			fixed = false
		}
		if a.Flags&Optional != 0 {
			continue
		}
		if a.Token != "" && a.Type != "pure-token" {
			n++
		}
		switch a.Type {
		case "block":
			inner, f := minimum(a.Args)
			n, fixed = n+inner, fixed && f
		case "oneof":
			least := 1 << 30
			for _, alternative := range a.Args {
				inner, _ := minimum([]Arg{alternative})
				least = min(least, inner)
			}
			n += least
		default:
			n++
		}
	}
	return n, fixed
}

func dataRows(f func(r *Row)) {
	t := newNode().table
	for _, r := range t.Rows() {
		f(r)
		for _, s := range r.Sub {
			f(s)
		}
	}
}

func TestSyntaxAgreesWithArity(t *testing.T) {
	dataRows(func(r *Row) {
		if r.Run == nil || (len(r.Sub) > 0 && len(r.Doc.Args) == 0) {
			return // a container; COMMAND alone takes no arguments
		}
		names := 1
		if r.Parent() != nil {
			names = 2
		}
		least, fixed := minimum(r.Doc.Args)
		switch {
		case r.Arity > 0 && (!fixed || least+names != r.Arity):
			t.Errorf("%s: the syntax has %d words at least (fixed: %v), the arity is %d", r.FullName(), least+names, fixed, r.Arity)
		case r.Arity < 0 && (fixed || least+names != -r.Arity):
			t.Errorf("%s: the syntax has %d words at least (fixed: %v), the arity is %d", r.FullName(), least+names, fixed, r.Arity)
		}
	})
}

func TestSyntaxAndHistoryAreOfRowsThatExist(t *testing.T) {
	known := map[string]bool{}
	dataRows(func(r *Row) { known[r.FullName()] = true })
	for name := range mergeSyntax(stringSyntax, keySyntax, keyspaceSyntax, commandSyntax) {
		if !known[name] {
			t.Errorf("arguments: there is no row %q", name)
		}
	}
	for name := range history {
		if !known[name] {
			t.Errorf("history: there is no row %q", name)
		}
	}
}

func TestKeysOfSyntaxHaveASpecification(t *testing.T) {
	dataRows(func(r *Row) {
		named := map[int]bool{}
		var walk func(args []Arg)
		walk = func(args []Arg) {
			for _, a := range args {
				// A pattern can stand for keys, too (SORT).
				if a.Type != "pattern" && (a.Type == "key") != (a.Key > 0) || a.Key > len(r.Keys) {
					t.Errorf("%s: the argument %q of type %s has the key specification %d of %d", r.FullName(), a.Name, a.Type, a.Key, len(r.Keys))
				}
				named[a.Key] = true
				walk(a.Args)
			}
		}
		walk(r.Doc.Args)
		for i := range r.Keys {
			if !named[i+1] {
				t.Errorf("%s: no argument has the key specification %d", r.FullName(), i)
			}
		}
	})
}
