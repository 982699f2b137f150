package command

// scriptSyntax is the arguments of the commands on scripts and functions.
var scriptSyntax = map[string][]Arg{
	"eval":       runArgs("script"),
	"evalsha":    runArgs("sha1"),
	"eval_ro":    runArgs("script"),
	"evalsha_ro": runArgs("sha1"),
	"fcall":      runArgs("function"),
	"fcall_ro":   runArgs("function"),

	"script|debug":  {oneOf("mode", word("YES"), word("SYNC"), word("NO"))},
	"script|exists": {text("sha1").multiple()},
	"script|flush":  {flushMode.since("6.2.0")},
	"script|load":   {text("script")},
	"script|show":   {text("sha1")},

	"function|delete":  {text("library-name")},
	"function|flush":   {flushMode},
	"function|list":    {text("library-name-pattern").after("LIBRARYNAME").optional(), word("WITHCODE").optional()},
	"function|load":    {word("REPLACE").optional(), text("function-code")},
	"function|restore": {text("serialized-value"), oneOf("policy", word("FLUSH"), word("APPEND"), word("REPLACE")).optional()},
}

// runArgs is what follows the name of a command that runs what is called so.
func runArgs(what string) []Arg {
	return []Arg{text(what), integer("numkeys"), key("key").optional().multiple(), text("arg").optional().multiple()}
}

var flushMode = oneOf("flush-type", word("ASYNC"), word("SYNC")).optional()

// scriptHistory is how they have changed.
var scriptHistory = map[string][]Change{
	"script|flush": {{"6.2.0", "The modes ASYNC and SYNC."}},
}
