package config

import (
	"slices"
	"strings"
)

// A directive is a row of the table: everything there is to know of one
// setting. The file parser, the command line, CONFIG GET, SET and REWRITE and
// docs/config.md all read it.
type directive struct {
	name    string
	aliases []string
	typ     valueType
	def     string // the default, as canonical text
	flags   trait
	// since is what brought the name when that is not Redis up to 7.0:
	// another version or product.
	since string
	// does says what the setting does here; it is empty if the value is only
	// kept and shown.
	does string
	// lacks says, of a row without an effect, what somebody waits for in vain who
	// sets it: Warnings has it. refuse is the reason why no value but the default
	// is taken, because a node would stand open that its owner has closed. Both go
	// when the directive acts.
	lacks, refuse string
	// fixed says, of an immutable directive, how it is changed instead; empty: by a restart.
	fixed string
	// store reads the value into its typed field; nil if there is none.
	store binding

	index int // its place in Settings.text
}

// A trait is a property of a directive that is yes or no.
type trait uint16

const (
	immutable   trait = 1 << iota // CONFIG SET refuses it
	protected                     // CONFIG SET asks enable-protected-configs
	sensitive                     // its value must not be logged
	hidden                        // CONFIG GET shows it by its exact name only
	denyLoading                   // CONFIG SET refuses it while the data set is loaded
	repeats                       // each line of a file adds to those before
	always                        // CONFIG REWRITE writes it even at its default
	volatile                      // CONFIG SET of the value in force acts too: a file may have changed
)

func (d *directive) has(t trait) bool { return d.flags&t != 0 }

// set gives the directive the value of args in s.
func (d *directive) set(s *Settings, args []string) error {
	text, err := d.typ.parse(args, s.text[d.index])
	if err != nil {
		return err
	}
	s.text[d.index] = text
	if d.store != nil {
		d.store(s, text)
	}
	return nil
}

// table is all directives; names is all their names and aliases, sorted.
var (
	table  = slices.Concat(networkRows, tlsRows, processRows, durabilityRows, clientRows, memoryRows, encodingRows, deletionRows, replicationRows, clusterRows, scriptRows, observeRows, keptRows, moduleRows)
	byName = index(table)
	names  = sortedNames(byName)
)

// fileOnly is the directives that stand in files only. A rewrite leaves their
// lines alone.
var fileOnly = []string{"include", "loadmodule", "rename-command", "user"}

// dropped is the names that Redis once had and that it still passes over in
// files, with one argument.
var dropped = []string{"list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"}

func index(table []*directive) map[string]*directive {
	byName := make(map[string]*directive)
	for i, d := range table {
		d.index = i
		for _, name := range append([]string{d.name}, d.aliases...) {
			if byName[name] != nil {
				panic("config: two rows for " + name)
			}
			byName[name] = d
		}
	}
	return byName
}

func sortedNames(byName map[string]*directive) []string {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// lookup finds a directive by its name or an alias, in any case.
func lookup(name string) *directive { return byName[strings.ToLower(name)] }

// row is lookup for names that are in the program, not in its input.
func row(name string) *directive {
	d := lookup(name)
	if d == nil {
		panic("config: no directive " + name)
	}
	return d
}

// defaults is the settings of an empty file.
func defaults() *Settings {
	s := &Settings{text: make([]string, len(table))}
	for _, d := range table {
		s.text[d.index] = d.def
		if d.store != nil {
			d.store(s, d.def)
		}
	}
	return s
}
