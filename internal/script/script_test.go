package script

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"redoubt/internal/redistest"
	"redoubt/internal/resp"
)

// The scripts of testdata run on an engine with a host that answers from a table,
// and the replies are those of the files. TestLikeRedis runs the same scripts
// on redis-server with the same data.

// replies is what the commands of the scripts answer: in RESP2, then in RESP3 if
// that is different.
var replies = map[string][2]string{
	"get str":           {"$5\r\nvalue\r\n", ""},
	"get nokey":         {"$-1\r\n", "_\r\n"},
	"set str value":     {"+OK\r\n", ""},
	"incr num":          {":6\r\n", ""},
	"lrange list 0 -1":  {"*2\r\n$1\r\na\r\n$1\r\nb\r\n", ""},
	"lrange nokey 0 -1": {"*0\r\n", ""},
	"hgetall hash":      {"*2\r\n$5\r\nfield\r\n$2\r\nhv\r\n", "%1\r\n$5\r\nfield\r\n$2\r\nhv\r\n"},
	"smembers set":      {"*1\r\n$6\r\nmember\r\n", "~1\r\n$6\r\nmember\r\n"},
	"zscore zset a":     {"$4\r\n1.25\r\n", ",1.25\r\n"},
	"ping":              {"+PONG\r\n", ""},
	"lpush str 1":       {"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", ""},
	"get":               {"-ERR Wrong number of args calling Redis command from script\r\n", ""},
}

// prepare gives a redis-server the data that replies tells of.
var prepare = [][]any{
	{"FLUSHALL"}, {"SET", "str", "value"}, {"SET", "num", "5"}, {"RPUSH", "list", "a", "b"}, {"HSET", "hash", "field", "hv"},
	{"SADD", "set", "member"}, {"ZADD", "zset", "1.25", "a"},
}

type tableHost struct{ logged []string }

func (h *tableHost) Call(args [][]byte, w *resp.Writer) (ran bool) {
	var words []string
	for _, a := range args {
		words = append(words, string(a))
	}
	if len(words) == 2 && words[0] == "echo" {
		w.BulkString(words[1])
		return true
	}
	reply, ok := replies[strings.Join(words, " ")]
	switch {
	case !ok:
		w.Error("ERR Unknown Redis command called from script")
		return false
	case w.Proto() == resp.Proto3 && reply[1] != "":
		w.Raw([]byte(reply[1]))
	default:
		w.Raw([]byte(reply[0]))
	}
	return true
}

func (h *tableHost) MayRun(args [][]byte) (allowed, known bool) {
	return true, string(args[0]) == "get"
}

func (h *tableHost) SetReplication(Replication) {}

func (h *tableHost) Log(level LogLevel, message string) {
	h.logged = append(h.logged, fmt.Sprint(int(level), " ", message))
}

// shown is a reply as the files have it: a line each, bytes that do not print
// escaped.
func shown(reply []byte) string {
	text := strings.TrimSuffix(string(reply), "\r\n")
	lines := strings.Split(text, "\r\n")
	for i, line := range lines {
		quoted := strconv.Quote(line)
		lines[i] = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
		if line == "" {
			lines[i] = `""`
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

// evaluate runs a script on a new engine.
func evaluate(source string, keys, args []string, proto int) []byte {
	w := resp.NewWriter(nil, proto)
	s, err := Compile([]byte(source))
	if err != nil {
		w.Error(err.(resp.Error))
		return w.Bytes()
	}
	New(Config{RedisVersion: "7.0.15"}).Run(s, toBytes(keys), toBytes(args), &tableHost{}, w)
	return w.Bytes()
}

func toBytes(list []string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

// parameters are the keys and arguments of a case, and the protocol.
func parameters(d *datadriven.TestData) (keys, args []string, proto int) {
	proto = resp.Proto2
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "keys":
			keys = arg.Vals
		case "args":
			args = arg.Vals
		case "resp3":
			proto = resp.Proto3
		}
	}
	return keys, args, proto
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			keys, args, proto := parameters(d)
			return shown(evaluate(d.Input, keys, args, proto))
		})
	})
}

// Cases with the word "differs" in their head have another answer there, for the
// reason that stands behind it.
func TestLikeRedis(t *testing.T) {
	redistest.Tool(t, "redis-server")
	server := redistest.Start(t, redistest.Redis, "--save", "")
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		c, err := redistest.Dial(server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, command := range prepare {
			if _, err := c.Do(command...); err != nil {
				t.Fatal(err)
			}
		}
		proto := resp.Proto2
		var wrong []string // all of a file, which RunTest would leave at the first
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.HasArg("differs") {
				return d.Expected
			}
			keys, args, wanted := parameters(d)
			if wanted != proto {
				proto = wanted
				if _, err := c.DoRaw("HELLO", proto); err != nil {
					t.Fatal(err)
				}
			}
			request := []any{"EVAL", d.Input, len(keys)}
			for _, k := range append(keys, args...) {
				request = append(request, k)
			}
			reply, err := c.DoRaw(request...)
			if err != nil {
				t.Fatalf("%s: %s: %v", d.Pos, d.Input, err)
			}
			if got := shown(reply); got != d.Expected {
				wrong = append(wrong, fmt.Sprintf("%s: %s\nhere:\n%sredis-server:\n%s", d.Pos, d.Input, d.Expected, got))
			}
			if strings.HasPrefix(d.Input, "return redis.call('incr'") {
				c.Do("SET", "num", "5")
			}
			return d.Expected
		})
		for _, w := range wrong {
			t.Error(w)
		}
	})
}
