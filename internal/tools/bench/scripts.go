package main

import (
	"crypto/sha1"
	"encoding/hex"
)

// The scripts of tests, each called by its SHA1 with one key.
const (
	scriptGet = `return redis.call('get', KEYS[1])`

	// scriptLimiter is a rate limiter of a fixed window.
	scriptLimiter = `local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
if n > tonumber(ARGV[2]) then return redis.call('TTL', KEYS[1]) end
return 0`

	// scriptQueue adds a job to a queue and takes the oldest one out, as libraries
	// of job queues do: JSON, several keys, and names that are no arguments.
	scriptQueue = `local base = KEYS[1]
local waiting, active, jobs = base .. ':waiting', base .. ':active', base .. ':jobs'
local now, most = tonumber(ARGV[1]), tonumber(ARGV[2])

local function encode(job)
  return cjson.encode(job)
end

local function add(payload)
  local id = redis.call('INCR', base .. ':id')
  local job = {
    id = id,
    state = 'waiting',
    attempts = 0,
    created = now,
    payload = payload,
  }
  redis.call('HSET', jobs, id, encode(job))
  redis.call('LPUSH', waiting, id)
  return id
end

local function take()
  local id = redis.call('RPOP', waiting)
  if not id then return nil end
  local text = redis.call('HGET', jobs, id)
  if not text then return nil end
  local job = cjson.decode(text)
  job.state = 'active'
  job.attempts = job.attempts + 1
  redis.call('ZADD', active, now + 30, id)
  if job.attempts >= most then
    redis.call('HDEL', jobs, id)
    redis.call('ZREM', active, id)
  else
    redis.call('HSET', jobs, id, encode(job))
  end
  return job
end

add({to = 'somebody@example.com', subject = 'hello', tags = {'a', 'b', 'c'}})
local job = take()
if job then return job.id end
return false`

	// scriptLoop is Lua and nothing else.
	scriptLoop = `local t, sum = {}, 0
for i = 1, tonumber(ARGV[1]) do
  t[i % 100] = i * 2
  if i % 3 == 0 then sum = sum + t[i % 100] end
end
return sum`
)

// sha names a script.
func sha(script string) string {
	sum := sha1.Sum([]byte(script))
	return hex.EncodeToString(sum[:])
}
