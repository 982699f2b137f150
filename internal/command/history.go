package command

// history is what changed in the commands on data since they came, by full name, for COMMAND DOCS: the Redis versions on which clients base what they
// may send. NewTable puts it into the rows.
var history = map[string][]Change{
	"set": {
		{"2.6.12", "The options `EX`, `PX`, `NX` and `XX` came."},
		{"6.0.0", "The option `KEEPTTL` came."},
		{"6.2.0", "The options `GET`, `EXAT` and `PXAT` came."},
		{"7.0.0", "`NX` and `GET` may stand together."},
		{"8.1.0", "The option `IFEQ` came, with Valkey."},
		{"8.4.0", "The option `IFNE` came."},
	},
	"exists":    {{"3.0.3", "Takes several keys."}},
	"renamenx":  {{"3.2.0", "The same name twice is no error any more."}},
	"expire":    conditionHistory,
	"pexpire":   conditionHistory,
	"expireat":  conditionHistory,
	"pexpireat": conditionHistory,
	"ttl":       missingKeyHistory,
	"pttl":      missingKeyHistory,
	"scan":      {{"6.0.0", "The option `TYPE` came."}},
	"restore":   restoreHistory,

	"restore-asking": restoreHistory,
	"command|info":   {{"7.0.0", "Describes all commands if none is named."}},
}

// nodeHistory is history of the commands on the node, whose rows stand in
// internal/admin.
var nodeHistory = map[string][]Change{
	"acl|getuser": {
		{"6.2.0", "Shows the patterns of channels."},
		{"7.0.0", "Shows selectors, and keys and channels as the rules that stand for them."},
	},
	"acl|log": {{"7.2.0", "Shows numbers of entries, and when they were made and changed."}},
	"acl|setuser": {
		{"6.2.0", "Takes patterns of channels."},
		{"7.0.0", "Takes selectors and what may be done to keys."},
	},
	"auth":         {{"6.0.0", "Takes the name of a user, too."}},
	"hello":        {{"6.2.0", "The version may be left out."}},
	"client|pause": {{"6.2.0", "The modes `WRITE` and `ALL` came."}},
	"client|list": {
		{"2.8.12", "The field `id` came."},
		{"5.0.0", "The option `TYPE` came."},
		{"6.0.0", "The field `user` came."},
		{"6.2.0", "The fields `argv-mem`, `tot-mem`, `laddr` and `redir` and the option `ID` came."},
		{"7.0.0", "The fields `resp`, `multi-mem`, `rbs` and `rbp` came."},
		{"7.0.3", "The field `ssub` came."},
	},
	"client|kill": {
		{"2.8.12", "The form with filters came."},
		{"2.8.12", "The filter `ID` came."},
		{"3.2.0", "The type `master` came."},
		{"5.0.0", "The type `slave` is called `replica`; both are understood."},
		{"6.2.0", "The filter `LADDR` came."},
	},

	"info":        {{"7.0.0", "Takes several sections."}},
	"flushall":    flushHistory,
	"flushdb":     flushHistory,
	"shutdown":    {{"7.0.0", "The options `NOW`, `FORCE` and `ABORT` came."}},
	"slowlog|get": {{"4.0.0", "Shows the address and the name of the client."}},
	"config|get":  {{"7.0.0", "Takes several patterns."}},
	"config|set":  {{"7.0.0", "Takes several settings."}},
	"bgsave":      {{"3.2.2", "The option `SCHEDULE` came."}},
}

var (
	conditionHistory  = []Change{{"7.0.0", "The options `NX`, `XX`, `GT` and `LT` came."}}
	flushHistory      = []Change{{"4.0.0", "The option `ASYNC` came."}, {"6.2.0", "The option `SYNC` came."}}
	missingKeyHistory = []Change{{"2.8.0", "-2 is the reply for a missing key."}}
	restoreHistory    = []Change{
		{"3.0.0", "The option `REPLACE` came."},
		{"5.0.0", "The option `ABSTTL` came."},
		{"5.0.0", "The options `IDLETIME` and `FREQ` came."},
	}
)
