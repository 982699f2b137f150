package command

// history is what changed in the commands on data since they came, by full
// name, for COMMAND DOCS: the Redis versions on which clients base what they
// may send. NewTable puts it into the rows.
var history = map[string][]Change{
	"set": {
		{"2.6.12", "The options `EX`, `PX`, `NX` and `XX` came."},
		{"6.0.0", "The option `KEEPTTL` came."},
		{"6.2.0", "The options `GET`, `EXAT` and `PXAT` came."},
		{"7.0.0", "`NX` and `GET` may stand together."},
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

var (
	conditionHistory  = []Change{{"7.0.0", "The options `NX`, `XX`, `GT` and `LT` came."}}
	missingKeyHistory = []Change{{"2.8.0", "-2 is the reply for a missing key."}}
	restoreHistory    = []Change{
		{"3.0.0", "The option `REPLACE` came."},
		{"5.0.0", "The options `ABSTTL`, `IDLETIME` and `FREQ` came."},
	}
)
