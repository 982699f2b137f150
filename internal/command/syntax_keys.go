package command

// expireCondition is the option of the four EXPIRE commands.
var expireCondition = oneOf("condition", word("NX"), word("XX"), word("GT"), word("LT")).optional().since("7.0.0")

// keySyntax is the arguments of the commands on keys of any type.
var keySyntax = map[string][]Arg{
	"del":      {key("key").multiple()},
	"unlink":   {key("key").multiple()},
	"exists":   {key("key").multiple()},
	"touch":    {key("key").multiple()},
	"type":     {key("key")},
	"rename":   {key("key"), key("newkey").spec(1)},
	"renamenx": {key("key"), key("newkey").spec(1)},
	"copy": {
		key("source"), key("destination").spec(1),
		integer("destination-db").after("DB").optional(),
		word("REPLACE").optional(),
	},
	"move": {key("key"), integer("db")},

	"object|encoding": {key("key")},
	"object|freq":     {key("key")},
	"object|idletime": {key("key")},
	"object|refcount": {key("key")},

	"expire":      {key("key"), integer("seconds"), expireCondition},
	"pexpire":     {key("key"), integer("milliseconds"), expireCondition},
	"expireat":    {key("key"), unixTime("unix-time-seconds"), expireCondition},
	"pexpireat":   {key("key"), unixTime("unix-time-milliseconds"), expireCondition},
	"persist":     {key("key")},
	"ttl":         {key("key")},
	"pttl":        {key("key")},
	"expiretime":  {key("key")},
	"pexpiretime": {key("key")},

	"dump":           {key("key")},
	"restore":        restoreArgs,
	"restore-asking": restoreArgs,
}

var restoreArgs = []Arg{
	key("key"), integer("ttl"), text("serialized-value"),
	word("REPLACE").optional().since("3.0.0"),
	word("ABSTTL").optional().since("5.0.0"),
	integer("seconds").after("IDLETIME").optional().since("5.0.0"),
	integer("frequency").after("FREQ").optional().since("5.0.0"),
}

// keyspaceSyntax is the arguments of the commands on the whole keyspace.
var keyspaceSyntax = map[string][]Arg{
	"scan": {
		integer("cursor"),
		pattern("pattern").after("MATCH").optional(),
		integer("count").after("COUNT").optional(),
		text("type").after("TYPE").optional().since("6.0.0"),
	},
	"keys": {pattern("pattern")},
}

// commandSyntax is the arguments of COMMAND's sub-commands.
var commandSyntax = map[string][]Arg{
	"command|docs":            {text("command-name").optional().multiple()},
	"command|getkeys":         {text("command"), text("arg").optional().multiple()},
	"command|getkeysandflags": {text("command"), text("arg").optional().multiple()},
	"command|info":            {text("command-name").optional().multiple()},
	"command|list": {
		oneOf("filterby", text("module-name").after("MODULE"), text("category").after("ACLCAT"), pattern("pattern").after("PATTERN")).after("FILTERBY").optional(),
	},
}
