package redis

import (
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/rueidis"
)

// The scripts that Redis runs for leases and guards. Each is one atomic step of the
// protocol. The text of the placeholder is the whole state, so that any program
// which DELs or SETs the key voids it without knowing the protocol.
//
// A guard's text is "guard:" or, once it was shared, "guard+:", followed by
// token@deadline pairs joined by commas; deadlines are milliseconds of Redis' clock.
// Scripts drop pairs whose deadline has passed.
//
// The lease of a refresh cannot stand in the key, where the value still stands. It
// stands beside it, in the sibling key, whose text is the token. Every script whose
// step voids a refresh under way deletes the sibling. Without that:
//
//	refresh  claims while the bytes v stand
//	writer   commits w
//	refresh  loads w
//	writer   commits v again, and puts it in the key
//	refresh  finds v, as it expects, and stores w, which is older
//
// Scripts read with pcall: a key that holds no string is then an error value, which
// equals no text.

// script is a script of ours as it is sent.
type script struct {
	text, sha string
	pair      bool // it needs the key and its sibling in one step
	*rueidis.Lua
}

// newScript returns a script that may be sent again when the connection breaks.
func newScript(text string) script {
	sum := sha1.Sum([]byte(text))
	return script{text: text, sha: hex.EncodeToString(sum[:]), Lua: rueidis.NewLuaScriptRetryable(text)}
}

// scripts are the steps of the protocol.
type scripts struct {
	fill, swap, release, guard, renew, unguard, outdate, claim, refresh, lead, yield script
}

func newScripts() scripts {
	all := scripts{
		fill: newScript(fillScript), swap: newScript(swapScript), release: newScript(releaseScript),
		guard: newScript(guardScript), renew: newScript(renewScript), unguard: newScript(unguardScript),
		outdate: newScript(outdateScript), claim: newScript(claimScript), refresh: newScript(refreshScript),
		lead: newScript(leadScript), yield: newScript(yieldScript),
	}
	all.claim.pair, all.refresh.pair = true, true
	return all
}

// endRefresh ends a refresh under way. KEYS[2] is absent for a key without a sibling.
const endRefresh = `
if KEYS[2] then redis.call('DEL', KEYS[2]) end
`

// fillScript: KEYS key, sibling; ARGV lease, value, lifetime in ms. 1 if stored. The
// lease still standing shows that the key was not written since the load began.
const fillScript = `
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])` + endRefresh + `return 1`

// claimScript: KEYS key, sibling; ARGV expected bytes, token, lifetime of the
// refresh's lease in ms. Returns when the key expires (unix ms), or 0 if other bytes
// stand there, or bytes that do not expire, or another refresh is under way. The
// bytes are compared here, in the step that takes the lease: a write may have come
// after they were read.
const claimScript = `
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local expires = redis.call('PEXPIRETIME', KEYS[1])
local other = redis.pcall('GET', KEYS[2])
if expires < 0 or other and other ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
return expires`

// refreshScript: KEYS key, sibling; ARGV token, expected bytes, expected
// expiry (unix ms), value, lifetime in ms. 1 if stored. The expiry tells the expected
// bytes from equal ones that a foreign SET has brought back since.
const refreshScript = `
if redis.pcall('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[2])
if redis.pcall('GET', KEYS[1]) ~= ARGV[2] or redis.call('PEXPIRETIME', KEYS[1]) ~= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[4], 'PX', ARGV[5])
return 1`

// swapScript: KEYS key; ARGV expected bytes (empty for what is no string),
// replacement, lifetime in ms. Returns nothing if swapped, else what stands there.
const swapScript = `
local now = redis.pcall('GET', KEYS[1])
if type(now) == 'table' then now = '' end
if now and now ~= ARGV[1] then return now end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false`

// releaseScript: KEYS key; ARGV text of the lease. The sibling and its token do as well.
const releaseScript = `
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`

// guardParts begins the guard scripts: ARGV[1] is the caller's token. It leaves now
// (ms), mine (our pair stood there), plus (the guard was shared), others (the other
// pairs whose deadline has not passed), latest (their last deadline) and two
// functions: join adds our pair, put writes the guard.
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
local function join(lifetime)
  local deadline = now + tonumber(lifetime)
  others[#others + 1] = ARGV[1] .. '@' .. string.format('%.0f', deadline)
  if deadline > latest then latest = deadline end
end
local function put(prefix)
  redis.call('SET', KEYS[1], prefix .. table.concat(others, ','), 'PXAT', string.format('%.0f', latest))
end
`

// guardScript: KEYS key, sibling; ARGV token, lifetime in ms. Joins a guard that stands
// there and replaces anything else: a lease is void, and so is the load under it.
const guardScript = guardParts + endRefresh + `
local prefix = #others > 0 and 'guard+:' or 'guard:'
join(ARGV[2])
put(prefix)
return 1`

// renewScript: KEYS key, sibling; ARGV token, lifetime in ms, '1' to set the guard anew
// if it is gone. Returns 0 if it is gone, 1 if it stood, 2 if it was set anew.
//
// A guard that is set anew replaces whatever is no guard: that may have been filled
// from before the commit. It is marked as shared, and so are the guards that it joins:
//
//	a commits 1 and loses its guard; b guards, commits 2 (or 0), unguards, puts it
//	a sets its guard anew
//
// Neither knows which commit was last, so neither may put its record there.
const renewScript = guardParts + `
if not mine and ARGV[3] ~= '1' then return 0 end
join(ARGV[2])
if mine then
  put(plus and 'guard+:' or 'guard:')
  return 1
end
` + endRefresh + `
put('guard+:')
return 2`

// unguardScript: KEYS key, sibling, key of the mark; ARGV token, value or the empty
// string, lifetime in ms, lifetime of the mark in ms. A writer that was alone all the time may put its record in the guard's place.
// One that finds only the guards of others has lost its own: it marks them as shared,
// so that none of them puts a value there. One that finds no guard deletes what
// stands there, which may have been filled from before the commit.
//
// With KEYS[3] a record that is put there has a mark beside it, for outdateScript: its
// writer's own change is no reason to remove it.
const unguardScript = guardParts + endRefresh + `
if #others > 0 then
  put((plus or not mine) and 'guard+:' or 'guard:')
elseif mine and not plus and ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  if KEYS[3] then redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4]) end
else
  redis.call('DEL', KEYS[1])
end
return 1`

// outdateScript: KEYS key, sibling, key of the mark; ARGV token of the writer whose change
// it was, or the empty string. Returns 2 if the record of that writer stays, else 1.
//
// A guard of others stays, and is marked as shared: what its writer has read back may be
// from before the change. DEL would take the guard away, and have its write rolled back, so
// that is for a Redis alone that has no memory left for the marked guard. Anything else is
// deleted: a value is from before the change, and so may be what is loaded under a lease.
//
// Not so for the writer whose change it was. The record that it puts has the change in it,
// and so has all that comes after its guard: the mark says that it was put. A guard that
// is its own is left as it is. One that was joined by others is marked already.
const outdateScript = guardParts + endRefresh + `
if KEYS[3] and redis.pcall('GET', KEYS[3]) == ARGV[1] then
  redis.call('DEL', KEYS[3])
  return 2
end
if mine and (plus or #others == 0) then return 1 end
if #others == 0 or not pcall(put, 'guard+:') then redis.call('DEL', KEYS[1]) end
return 1`

// leadScript: KEYS key; ARGV holder, text, lifetime in ms. Returns nothing if the lease is
// the holder's now, else what stands there. What never expires is nobody's lease.
const leadScript = `
local now = redis.pcall('GET', KEYS[1])
if type(now) == 'string' and redis.call('PTTL', KEYS[1]) >= 0 and string.match(now, '^[^ ]*') ~= ARGV[1] then return now end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return false`

// yieldScript: KEYS key; ARGV holder.
const yieldScript = `
local now = redis.pcall('GET', KEYS[1])
if type(now) == 'string' and string.match(now, '^[^ ]*') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`
