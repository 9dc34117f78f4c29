package redis

// The scripts that Redis runs for leases and guards. Each is one atomic step
// of the protocol; the placeholder's text is the whole state, so that any
// program which DELs or SETs the key voids it without knowing us.
//
// A guard's text is "guard:" or, once it was shared, "guard+:", followed by
// token@deadline pairs joined by commas; deadlines are milliseconds of Redis'
// clock. Scripts drop pairs whose deadline has passed.
//
// The lease of a refresh cannot stand in the key, where the value still
// stands. It stands beside it, in the sibling key, whose text is the token.
// Scripts whose step makes a refresh under way void delete the sibling: else a
// refresh that had seen the same bytes before a write could store, after it,
// what it had loaded before it.

// forget ends a refresh under way. KEYS[2] is absent for a key that has no
// sibling.
const forget = `
if KEYS[2] then redis.call('DEL', KEYS[2]) end
`

// fillScript: KEYS key, sibling; ARGV lease, value, lifetime in ms. 1 if stored.
const fillScript = `
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])` + forget + `return 1`

// claimScript: KEYS key, sibling; ARGV expected bytes, token, lifetime of the
// refresh's lease in ms. Returns when the key expires (unix ms), or 0 if other
// bytes stand there, or none that expire, or another refresh is under way. The
// bytes are compared here and not on the word of anybody's memory: with a
// write in between, that word is old.
const claimScript = `
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local expires = redis.call('PEXPIRETIME', KEYS[1])
local other = redis.pcall('GET', KEYS[2])
if expires < 0 or other and other ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return expires`

// refreshScript: KEYS key, sibling; ARGV token, expected bytes, expected
// expiry (unix ms), value, lifetime in ms. 1 if stored. The expiry tells equal
// bytes of before from those that a foreign SET has brought back since.
const refreshScript = `
if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if redis.pcall('GET', KEYS[1]) ~= ARGV[2] or redis.call('PEXPIRETIME', KEYS[1]) ~= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
return 1`

// swapScript: KEYS key; ARGV expected bytes (” for something that is no
// string), replacement, lifetime in ms. Returns nothing if swapped, else what
// stands there.
const swapScript = `
local now = redis.pcall('GET', KEYS[1])
if type(now) == 'table' then now = '' end
if now and now ~= ARGV[1] then return now end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false`

// releaseScript: KEYS key; ARGV text of the lease. It serves the sibling, too.
const releaseScript = `
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

// guardParts is the beginning of the guard scripts: ARGV[1] is the caller's
// token. It leaves now (ms), mine (our pair stood there), plus (the guard was
// shared), others (the other living pairs) and latest (their last deadline).
const guardParts = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local text = redis.pcall('GET', KEYS[1])
if type(text) ~= 'string' then text = '' end
local plus = string.sub(text, 1, 7) == 'guard+:'
local others, mine, latest = {}, false, 0
if plus or string.sub(text, 1, 6) == 'guard:' then
  for token, deadline in string.gmatch(string.match(text, ':(.*)'), '([^@,]+)@(%d+)') do
    deadline = tonumber(deadline)
    if token == ARGV[1] then
      mine = true
    elseif deadline > now then
      others[#others + 1] = token .. '@' .. string.format('%.0f', deadline)
      if deadline > latest then latest = deadline end
    end
  end
end
local function put(prefix)
  redis.call('SET', KEYS[1], prefix .. table.concat(others, ','), 'PXAT', string.format('%.0f', latest))
end
`

// guardScript: KEYS key, sibling; ARGV token, lifetime in ms. Joins a guard that stands there and
// replaces anything else.
const guardScript = guardParts + forget + `
local prefix = #others > 0 and 'guard+:' or 'guard:'
local deadline = now + tonumber(ARGV[2])
others[#others + 1] = ARGV[1] .. '@' .. string.format('%.0f', deadline)
if deadline > latest then latest = deadline end
put(prefix)
return 1`

// renewScript: KEYS key, sibling; ARGV token, lifetime in ms, '1' to set the guard anew
// if it is gone. 0 if it is gone, 1 if it stood, 2 if it was set anew. One set anew
// takes the place of whatever is no guard: that may have been filled from before
// the commit. It is marked as shared, and so are those of others that it joins:
// whoever committed while it was gone may have done so before this writer or after
// it, so neither may put its record there.
const renewScript = guardParts + `
if not mine and ARGV[3] ~= '1' then return 0 end
local deadline = now + tonumber(ARGV[2])
others[#others + 1] = ARGV[1] .. '@' .. string.format('%.0f', deadline)
if deadline > latest then latest = deadline end
if mine then
  put(plus and 'guard+:' or 'guard:')
  return 1
end
` + forget + `
put('guard+:')
return 2`

// unguardScript: KEYS key, sibling; ARGV token, value or ”, lifetime in ms. A writer that finds
// only others' guards lost its own: it tells them that they were not alone, so
// that none of them puts a value there. One that finds no guard deletes
// whatever stands there, for it may have been filled from before the commit.
const unguardScript = guardParts + forget + `
if #others > 0 then
  put((plus or not mine) and 'guard+:' or 'guard:')
elseif mine and not plus and ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return 1`
