package command

// onOff is an argument that is ON or OFF.
var onOff = oneOf("enabled", word("ON"), word("OFF"))

// clientType is the classes of connections as CLIENT LIST and KILL name them.
func clientType(words ...Arg) Arg { return oneOf("client-type", words...).after("TYPE") }

// connectionSyntax is the arguments of the commands on a client's connection,
// whose rows stand in internal/admin.
var connectionSyntax = map[string][]Arg{
	"auth":   {text("username").optional().since("6.0.0"), text("password")},
	"echo":   {text("message")},
	"ping":   {text("message").optional()},
	"select": {integer("index")},
	"hello": {block("arguments",
		integer("protover"),
		block("auth", text("username"), text("password")).after("AUTH").optional(),
		text("clientname").after("SETNAME").optional(),
	).optional()},

	"client|setname": {text("connection-name")},
	"client|setinfo": {oneOf("attr", text("libname").after("lib-name"), text("libver").after("lib-ver"))},
	"client|reply":   {oneOf("action", word("ON"), word("OFF"), word("SKIP"))},
	"client|list": {
		clientType(word("normal"), word("master"), word("replica"), word("pubsub")).optional().since("5.0.0"),
		integer("client-id").after("ID").optional().multiple().since("6.2.0"),
	},
	"client|kill": {oneOf("filter",
		text("old-format"),
		oneOf("new-format",
			integer("client-id").after("ID").optional().since("2.8.12"),
			clientType(word("normal"), word("master").since("3.2.0"), word("slave"), word("replica").since("5.0.0"), word("pubsub")).optional().since("2.8.12"),
			text("username").after("USER").optional(),
			text("addr").after("ADDR").optional(),
			text("laddr").after("LADDR").optional().since("6.2.0"),
			oneOf("skipme", word("YES"), word("NO")).after("SKIPME").optional(),
		).multiple(),
	)},
	"client|pause":    {integer("timeout"), oneOf("mode", word("WRITE"), word("ALL")).optional().since("6.2.0")},
	"client|unblock":  {integer("client-id"), oneOf("unblock-type", word("TIMEOUT"), word("ERROR")).optional()},
	"client|capa":     {text("capability").multiple()},
	"client|no-evict": {onOff},
	"client|no-touch": {onOff},
	"client|caching":  {oneOf("mode", word("YES"), word("NO"))},
	"client|tracking": {
		oneOf("status", word("ON"), word("OFF")),
		integer("client-id").after("REDIRECT").optional(),
		text("prefix").after("PREFIX").optional().multiple().repeated(),
		word("BCAST").optional(), word("OPTIN").optional(), word("OPTOUT").optional(), word("NOLOOP").optional(),
	},

	"watch": {key("key").multiple()},
}

// pubSubSyntax is the arguments of the commands on channels.
var pubSubSyntax = map[string][]Arg{
	"subscribe":            {text("channel").multiple()},
	"unsubscribe":          {text("channel").optional().multiple()},
	"psubscribe":           {pattern("pattern").multiple()},
	"punsubscribe":         {pattern("pattern").optional().multiple()},
	"ssubscribe":           {text("shardchannel").multiple()},
	"sunsubscribe":         {text("shardchannel").optional().multiple()},
	"publish":              {text("channel"), text("message")},
	"spublish":             {text("shardchannel"), text("message")},
	"pubsub|channels":      {pattern("pattern").optional()},
	"pubsub|numsub":        {text("channel").optional().multiple()},
	"pubsub|shardchannels": {pattern("pattern").optional()},
	"pubsub|shardnumsub":   {text("shardchannel").optional().multiple()},
}

// nodeSyntax is the arguments of the commands on the node itself.
var nodeSyntax = map[string][]Arg{
	"info":     {text("section").optional().multiple()},
	"flushall": {flushType},
	"flushdb":  {flushType},
	"swapdb":   {integer("index1"), integer("index2")},
	"bgsave":   {word("SCHEDULE").optional().since("3.2.2")},
	"shutdown": {
		oneOf("save-selector", word("NOSAVE"), word("SAVE")).optional(),
		word("NOW").optional().since("7.0.0"),
		word("FORCE").optional().since("7.0.0"),
		word("SAFE").optional(),
		word("FAILOVER").optional(),
		word("ABORT").optional().since("7.0.0"),
	},
	"acl|cat":           {text("category").optional()},
	"acl|deluser":       {text("username").multiple()},
	"acl|dryrun":        {text("username"), text("command"), text("arg").optional().multiple()},
	"acl|genpass":       {integer("bits").optional()},
	"acl|getuser":       {text("username")},
	"acl|log":           {oneOf("operation", integer("count"), word("RESET")).optional()},
	"acl|setuser":       {text("username"), text("rule").optional().multiple()},
	"config|get":        {text("parameter").multiple()},
	"config|set":        {block("data", text("parameter"), text("value")).multiple()},
	"slowlog|get":       {integer("count").optional()},
	"latency|history":   {text("event")},
	"latency|graph":     {text("event")},
	"latency|histogram": {text("COMMAND").optional().multiple()},
	"latency|reset":     {text("event").optional().multiple()},
	"memory|usage":      {key("key"), integer("count").after("SAMPLES").optional()},

	"failover": {
		block("target", text("host"), integer("port"), word("FORCE").optional()).after("TO").optional(),
		word("ABORT").optional(),
		integer("milliseconds").after("TIMEOUT").optional(),
	},
	"replicaof": {replicaOfArgs},
	"slaveof":   {replicaOfArgs},
	"psync":     {text("replicationid"), integer("offset")},
	"wait":      {integer("numreplicas"), integer("timeout")},
	"waitaof":   {integer("numlocal"), integer("numreplicas"), integer("timeout")},
}

var (
	flushType     = oneOf("flush-type", word("ASYNC").since("4.0.0"), word("SYNC").since("6.2.0")).optional()
	replicaOfArgs = oneOf("args",
		block("host-port", text("host"), integer("port")),
		block("no-one", word("NO"), word("ONE")),
	)
)
