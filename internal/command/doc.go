package command

// Doc is what COMMAND DOCS and redis-cli's help say of a command.
type Doc struct {
	Summary    string
	Since      string // the Redis version that brought the command
	Group      string // "string", "generic", "connection", …
	Complexity string
	Tips       []string
	Args       []Arg
	History    []Change

	Deprecated string // since this version; empty if it is not
	ReplacedBy string
	System     bool // not meant for applications
}

// Brief is the documentation of a command of constant time that needs no more
// than a sentence.
func Brief(since, group, summary string) Doc {
	return Doc{Since: since, Group: group, Summary: summary, Complexity: "O(1)"}
}

// Change is one entry of a command's history.
type Change struct{ Since, What string }

// Arg describes one argument, as a tree.
type Arg struct {
	Name  string
	Type  string // "string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block"
	Token string
	Key   int // index of the key specification plus 1; 0 if it is no key
	Since string
	Flags ArgFlags
	Args  []Arg
}

// ArgFlags says how often an argument stands.
type ArgFlags uint8

const (
	Optional ArgFlags = 1 << iota
	Multiple
	MultipleToken
)

// Names is the flags as COMMAND DOCS lists them.
func (f ArgFlags) Names() []string {
	var names []string
	for i, n := range []string{"optional", "multiple", "multiple_token"} {
		if f&(1<<i) != 0 {
			names = append(names, n)
		}
	}
	return names
}
