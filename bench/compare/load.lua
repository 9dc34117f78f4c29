-- What wrk sends. Arguments: pattern, pipelining depth, path, number of keys, seed, lines
-- of the header. In the path * stands for the key.
--   one        always key 1
--   unchanged  likewise
--   spread     a key at random
--   mix        nine of ten requests for one of ten hot keys, the rest at random
--   batch      POST of 100 items to the path
--   many       100 keys, one of 16 lists in turn
-- Requests are text that is put together here, since wrk.format costs more.

local pattern, depth, path, keys
local prefix, tail
local constant
local lists, turn = {}, 0

local function get(key)
  return "GET " .. prefix .. key .. tail
end

local pick = {
  one = function() return 1 end,
  spread = function() return math.random(keys) end,
  mix = function()
    if math.random(10) > 1 then return math.random(10) end
    return math.random(keys)
  end,
}

local function many(n)
  local all = {}
  for i = 1, 100 do all[i] = "user_id=" .. (n * 100 + i) end
  return "GET /user?" .. table.concat(all, "&") .. tail
end

local function batch(n)
  local items = {}
  for i = 1, 100 do
    local id = n * 100 + i
    items[i] = string.format('{"id":%d,"name":"item number %d","price":%d.50,"tags":["a","b"]}', id, id, i)
  end
  local body = "[" .. table.concat(items, ",") .. "]"
  return "POST " .. path .. " HTTP/1.1\r\nHost: compare\r\nContent-Type: application/json\r\nContent-Length: "
    .. #body .. "\r\n\r\n" .. body
end

function init(args)
  pattern, depth, path, keys = args[1], tonumber(args[2]), args[3], tonumber(args[4])
  prefix, tail = path:match("^(.-)%*(.*)$")
  tail = (tail or "") .. " HTTP/1.1\r\nHost: compare\r\n" .. (args[6] or "") .. "\r\n"
  math.randomseed(tonumber(args[5]))
  if pattern == "batch" then
    for n = 0, 15 do lists[n] = batch(n) end
  elseif pattern == "many" then
    for n = 0, 15 do lists[n] = many(n) end
  elseif pattern == "one" or pattern == "unchanged" then
    constant = string.rep(get(1), depth)
  end
end

function request()
  if constant then return constant end
  if lists[0] then
    turn = (turn + 1) % 16
    return lists[turn]
  end
  local all = {}
  for i = 1, depth do all[i] = get(pick[pattern]()) end
  return table.concat(all)
end

