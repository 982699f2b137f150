package command

// tips is what COMMAND INFO tells clients and proxies of the commands on the
// node, by full name: to which nodes of a cluster a call belongs, how their
// replies become one, and whether a reply is the same everywhere. NewTable puts
// them into the rows; a row that brings its own keeps it.
var tips = map[string][]string{
	"client|info":    {changing},
	"client|list":    {changing},
	"client|setinfo": {toAllNodes, ifAllSucceed},
	"client|setname": {toAllNodes, ifAllSucceed},

	"acl|deluser": {toAllNodes, ifAllSucceed},
	"acl|save":    {toAllNodes, ifAllSucceed},
	"acl|setuser": {toAllNodes, ifAllSucceed},

	"config|resetstat": {toAllNodes, ifAllSucceed},
	"config|rewrite":   {toAllNodes, ifAllSucceed},
	"config|set":       {toAllNodes, ifAllSucceed},

	"info":     {changing, toAllShards, "response_policy:special"},
	"lastsave": {changing},
	"time":     {changing},

	"latency|history":   {changing, toAllNodes, "response_policy:special"},
	"latency|doctor":    {changing, toAllNodes, "response_policy:special"},
	"latency|graph":     {changing, toAllNodes, "response_policy:special"},
	"latency|histogram": {changing, toAllNodes, "response_policy:special"},
	"latency|latest":    {changing, toAllNodes, "response_policy:special"},
	"latency|reset":     {toAllNodes, "response_policy:agg_sum"},

	"script|exists": {toAllShards, "response_policy:agg_logical_and"},
	"script|flush":  {toAllNodes, ifAllSucceed},
	"script|kill":   {toAllShards, "response_policy:one_succeeded"},
	"script|load":   {toAllNodes, ifAllSucceed},

	"function|delete":  {toAllShards, ifAllSucceed},
	"function|flush":   {toAllShards, ifAllSucceed},
	"function|kill":    {toAllShards, "response_policy:one_succeeded"},
	"function|list":    {anyOrder},
	"function|load":    {toAllShards, ifAllSucceed},
	"function|restore": {toAllShards, ifAllSucceed},
	"function|stats":   {changing, toAllShards, "response_policy:special"},

	"slowlog|get":   {toAllNodes, changing},
	"slowlog|len":   {toAllNodes, "response_policy:agg_sum", changing},
	"slowlog|reset": {toAllNodes, ifAllSucceed},

	"wait":    {toAllShards, "response_policy:agg_min"},
	"waitaof": {toAllShards, "response_policy:agg_min"},
}

const (
	changing     = "nondeterministic_output"
	anyOrder     = "nondeterministic_output_order"
	toAllNodes   = "request_policy:all_nodes"
	toAllShards  = "request_policy:all_shards"
	ifAllSucceed = "response_policy:all_succeeded"
)
