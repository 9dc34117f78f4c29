package limit

// The scripts by which Redis counts. Each is one atomic step. The count of each window is
// a field of its own, kept for two windows more: a clock that steps back finds what it
// has handed out.

// readWindow begins a script: ARGV[1] is the window in ms, ARGV[2] the count. It leaves
// both as size and count, window (its number), into (ms of it that are over), and a
// function keep, which bounds a key's lifetime and drops the fields of windows that no
// clock steps back to.
const readWindow = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local size, count = tonumber(ARGV[1]), tonumber(ARGV[2])
local window = math.floor(now / size)
local into = now - window * size
local function keep(key)
  redis.call('PEXPIRE', key, 3 * size)
  if redis.call('HLEN', key) > 4 then
    for _, old in ipairs(redis.call('HKEYS', key)) do
      if tonumber(old) < window - 2 then redis.call('HDEL', key, old) end
    end
  end
end
`

// takeScript: KEYS a limit's key, its side key; ARGV window in ms, count, burst, permits
// wanted, whether the key may be made if there is none. Returns permits, window,
// milliseconds left of it, permits left in it, without any after how many milliseconds
// there may be one (what share computes), and 1 if the key was not there. Permits are
// -1 if it was not and may not be made.
//
// A key that is made begins with what the side key says that its subject may have had
// already, see noteScript. Without that, a subject could have the rate twice: once from
// the common count, and again from a key of its own.
const takeScript = readWindow + `
local burst, want = tonumber(ARGV[3]), tonumber(ARGV[4])
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
local permits = math.min(want, math.max(1, math.floor(free / 2)))
if permits > 0 then
  redis.call('HSET', KEYS[1], window, string.format('%.0f', used + permits))
  keep(KEYS[1])
end
return {permits, window, size - into, count - used - permits, 0, fresh}`

// noteScript: KEYS a limit's key, its side key; ARGV window in ms, count. Notes that the
// subject has been admitted by the common count: in its key, if another request has made
// that meanwhile, else in the side key, which is in the same slot of a Cluster and
// belongs to all keys of the limit there. So many subjects may share a side key, and
// what it says is never too little. Returns 0 if the key has no more to give, and
// milliseconds left of the window.
const noteScript = readWindow + `
local left = size - into
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
keep(key)
return {1, left}`

// returnScript: KEYS a limit's key; ARGV window, permits. Only what is counted
// can be returned. Returns what is counted after it, or 0.
const returnScript = `
local used = tonumber(redis.pcall('HGET', KEYS[1], ARGV[1]) or 0)
if used and used >= tonumber(ARGV[2]) then return {redis.call('HINCRBY', KEYS[1], ARGV[1], -ARGV[2])} end
return {0}`
