package script

import (
	"strconv"
	"strings"
	"testing"

	"redoubt/internal/resp"
)

// stub is a host whose commands cost nothing.
type stub struct{ reply []byte }

func (s *stub) Call(_ [][]byte, w *resp.Writer) bool  { w.Raw(s.reply); return true }
func (s *stub) MayRun([][]byte) (allowed, known bool) { return true, true }
func (s *stub) SetReplication(Replication)            {}
func (s *stub) Log(LogLevel, string)                  {}

// rateLimiter is the script of INCR and EXPIRE that is in most handbooks.
const rateLimiter = `
local n = redis.call('INCR', KEYS[1])
if n == 1 then
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
if n > tonumber(ARGV[2]) then
  return 0
end
return 1
`

// queueScript takes jobs off a queue and files them, as job queues do.
const queueScript = `
local queue, active, delayed, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, limit, worker = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]

local function due()
  local moved = 0
  local ids = redis.call('ZRANGEBYSCORE', delayed, 0, now, 'LIMIT', 0, limit)
  for i = 1, #ids do
    moved = moved + 1
  end
  return moved
end

local function decode(text)
  local ok, job = pcall(cjson.decode, text)
  if not ok then
    return nil
  end
  job.attempts = (job.attempts or 0) + 1
  job.worker = worker
  job.started_at = now
  return job
end

local taken = {}
due()
for i = 1, 3 do
  local text = redis.call('LPOP', queue)
  if not text then
    break
  end
  local job = decode(text)
  if job then
    local out = cjson.encode(job)
    redis.call('HSET', active, job.id, out)
    redis.call('PUBLISH', events, 'started:' .. job.id .. ':' .. tostring(job.attempts))
    taken[#taken + 1] = out
  end
end
return taken
`

func BenchmarkRun(b *testing.B) {
	job := `{"id":"job-1234","name":"send_mail","attempts":0,"data":{"to":"someone@example.com","subject":"Hello","tags":["a","b","c"]},"opts":{"priority":5,"delay":0,"ttl":3600.5}}`
	for _, c := range []struct {
		name, source string
		reply        string
		keys, args   []string
	}{
		{"Nothing", "return 1", "", nil, nil},
		{"Get", "return redis.call('get', KEYS[1])", "$5\r\nvalue\r\n", []string{"key:1"}, nil},
		{"RateLimiter", rateLimiter, ":5\r\n", []string{"limit:1"}, []string{"60", "100"}},
		{"Queue", queueScript, "$" + strconv.Itoa(len(job)) + "\r\n" + job + "\r\n", []string{"q", "a", "d", "e"}, []string{"1700000000", "10", "w1"}},
		{"LoopOfMillion", "local s = 0 for i = 1, 1000000 do s = s + i % 7 end return s", "", nil, nil},
		{"HGetAll", "local t = redis.call('hgetall', KEYS[1]) return #t", "*20\r\n" + strings.Repeat("$5\r\nfield\r\n", 20), []string{"h"}, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := New(Config{})
			s := mustCompile(b, c.source)
			keys, args := toBytes(c.keys), toBytes(c.args)
			host := &stub{[]byte(c.reply)}
			w := resp.NewWriter(make([]byte, 0, 4096), resp.Proto2)
			b.ReportAllocs()
			for b.Loop() {
				w.Truncate(0)
				if r := e.Run(s, keys, args, host, w); r.Err != "" {
					b.Fatal(r.Err)
				}
			}
		})
	}
}
