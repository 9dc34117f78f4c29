package limit

// The scripts by which Redis counts. Each is one atomic step.

// takeScript: KEYS a limit's key, its annex; ARGV window in ms, count, burst,
// tokens wanted, whether the key may be made if there is none. Returns tokens,
// window, milliseconds left of it, tokens left in it, without any after how many
// milliseconds there may be one (what limit.Share computes), and 1 if the key
// was not there. Tokens are -1 if it was not and may not be made. The count of
// each window is a field of its own, kept for two windows more: a clock that
// steps back finds what it has handed out.
//
// A key that is made begins with what the annex says that its subject may have
// had already, see spillScript.
const takeScript = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local size, count, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local window = math.floor(now / size)
local into = now - window * size
local used = redis.pcall('HGET', KEYS[1], window)
if used and not (type(used) == 'string' and #used < 16 and string.match(used, '^%d+$')) then
  redis.call('DEL', KEYS[1])
  used = false
end
local fresh = 0
if not used and redis.call('EXISTS', KEYS[1]) == 0 then
  if want > 0 and ARGV[5] == '0' then return {-1, window, size - into, 0, 0, 1} end
  fresh = 1
  used = redis.pcall('HGET', KEYS[2], window)
  if type(used) == 'table' then used = false end
end
used = tonumber(used or 0) or 0
local free = math.min(count, burst + math.floor(count * into / size)) - used
if free <= 0 then
  local wait = size - into
  if used < count then wait = math.max(1, math.min(wait, math.ceil((used + 1 - burst) * size / count) - into)) end
  return {0, window, size - into, math.max(0, count - used), wait, fresh}
end
local tokens = math.min(want, math.max(1, math.floor(free / 2)))
if tokens > 0 then
  redis.call('HSET', KEYS[1], window, string.format('%.0f', used + tokens))
  redis.call('PEXPIRE', KEYS[1], 3 * size)
  if redis.call('HLEN', KEYS[1]) > 4 then
    for _, old in ipairs(redis.call('HKEYS', KEYS[1])) do
      if tonumber(old) < window - 2 then redis.call('HDEL', KEYS[1], old) end
    end
  end
end
return {tokens, window, size - into, count - used - tokens, 0, fresh}`

// spillScript: KEYS a limit's key, its annex; ARGV window in ms, count. Notes
// that the subject has been admitted by the count that it shares with others:
// in its key, if somebody has made that meanwhile, else in the annex, which is
// in the same slot of a Cluster and belongs to all keys of the limit there. So
// many subjects may share an annex, and what it says is never too little.
// Returns 0 if the key has no more to give, and milliseconds left of the window.
const spillScript = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local size, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = math.floor(now / size)
local left = size - (now - window * size)
local key = KEYS[1]
if redis.call('EXISTS', key) == 1 then
  local used = redis.pcall('HGET', key, window)
  if type(used) ~= 'table' and tonumber(used or 0) >= count then return {0, left} end
else
  key = KEYS[2]
end
if type(redis.pcall('HINCRBY', key, window, 1)) == 'table' then
  redis.call('DEL', key)
  redis.call('HINCRBY', key, window, 1)
end
redis.call('PEXPIRE', key, 3 * size)
if redis.call('HLEN', key) > 4 then
  for _, old in ipairs(redis.call('HKEYS', key)) do
    if tonumber(old) < window - 2 then redis.call('HDEL', key, old) end
  end
end
return {1, left}`

// returnScript: KEYS a limit's key; ARGV window, tokens. Only what is counted
// can be given back. Returns what is counted after it, or 0.
const returnScript = `
local used = tonumber(redis.pcall('HGET', KEYS[1], ARGV[1]) or 0)
if used and used >= tonumber(ARGV[2]) then return {redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[2])} end
return {0}`
