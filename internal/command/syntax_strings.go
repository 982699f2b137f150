package command

// ttlArgs is the four ways to give an expiry: relative or absolute, in seconds
// or milliseconds. The absolute ones came with the named version.
func ttlArgs(relative, absolute string) []Arg {
	return []Arg{
		integer("seconds").after("EX").since(relative),
		integer("milliseconds").after("PX").since(relative),
		unixTime("unix-time-seconds").after("EXAT").since(absolute),
		unixTime("unix-time-milliseconds").after("PXAT").since(absolute),
	}
}

// stringSyntax is the arguments of the commands on strings.
var stringSyntax = map[string][]Arg{
	"get": {key("key")},
	"set": {
		key("key"), text("value"),
		oneOf("condition", word("NX"), word("XX"), text("comparison-value").after("IFEQ").since("8.1.0"), text("ifne-value").after("IFNE").since("8.4.0")).optional().since("2.6.12"),
		word("GET").optional().since("6.2.0"),
		oneOf("expiration", append(ttlArgs("2.6.12", "6.2.0"), word("KEEPTTL").since("6.0.0"))...).optional(),
	},
	"setnx":  {key("key"), text("value")},
	"setex":  {key("key"), integer("seconds"), text("value")},
	"psetex": {key("key"), integer("milliseconds"), text("value")},
	"getset": {key("key"), text("value")},
	"getdel": {key("key")},
	"getex":  {key("key"), oneOf("expiration", append(ttlArgs("", ""), word("PERSIST"))...).optional()},
	"mget":   {key("key").multiple()},
	"mset":   {block("data", key("key"), text("value")).multiple()},
	"msetnx": {block("data", key("key"), text("value")).multiple()},

	"incr":        {key("key")},
	"decr":        {key("key")},
	"incrby":      {key("key"), integer("increment")},
	"decrby":      {key("key"), integer("decrement")},
	"incrbyfloat": {key("key"), double("increment")},

	"append":   {key("key"), text("value")},
	"strlen":   {key("key")},
	"setrange": {key("key"), integer("offset"), text("value")},
	"getrange": {key("key"), integer("start"), integer("end")},
	"substr":   {key("key"), integer("start"), integer("end")},
	"lcs": {
		key("key1"), key("key2"),
		word("LEN").optional(), word("IDX").optional(),
		integer("min-match-len").after("MINMATCHLEN").optional(),
		word("WITHMATCHLEN").optional(),
	},
}
