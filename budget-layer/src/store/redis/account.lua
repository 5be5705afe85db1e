-- What all scripts share. An account is three keys of one hash slot: KEYS[at] a hash with
--   w the window's kind and length, e its end, u used, v reserved, g granted, h granted until, o own limit,
--   p<n> used in part n of a rolling window;
-- KEYS[at+1] a hash of what is reserved by whom, KEYS[at+2] when each reservation lapses.
-- A reservation that lapsed is kept for an hour as x<id>, with what was charged for it.
-- Every number is an integer below 2^53, which a double holds exactly.

local MOST = 1125899906842624 -- 2^50
local PARTS = 60
local WHOLE = 65536
local KEEP = 3600000 -- an hour
local SLACK = 172800000 -- two days

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + tonumber(ARGV[1])

local function int(number) return string.format('%.0f', number) end
local function add(one, other) return math.min(one + other, MOST) end

-- Eight arguments for each claim: kind, start, end, end of the next window or length of a part,
-- limit, least, most, enforced.
local function claim(key, arg)
  local a = {
    key = KEYS[key], held = KEYS[key + 1], leases = KEYS[key + 2],
    form = ARGV[arg], start = tonumber(ARGV[arg + 1]), ends = tonumber(ARGV[arg + 2]),
    next = tonumber(ARGV[arg + 3]), usual = tonumber(ARGV[arg + 4]), least = tonumber(ARGV[arg + 5]),
    most = tonumber(ARGV[arg + 6]), enforced = ARGV[arg + 7] == '1',
  }
  a.rolling = a.form == 'rolling'
  if a.rolling then a.form = a.form .. int(a.next) end
  return a
end

local function charge(a, amount)
  if amount <= 0 then return end
  a.used = add(a.used, amount)
  if a.rolling then
    local part = math.max(math.floor(now / a.next), a.last or 0)
    a.last = part
    a.parts[part] = add(a.parts[part] or 0, amount)
    a.touched[part] = true
  end
end

-- What was used over another window, as far as it may lie within ours.
local function brought(a, fields, start)
  local used = 0
  local length = tonumber(string.match(fields.w, '^rolling(%d+)$'))
  for name, amount in pairs(fields) do
    local part = tonumber(string.match(name, '^p(%d+)$'))
    if part then
      a.gone[#a.gone + 1] = name
      if (part + 1) * length > start then used = add(used, tonumber(amount)) end
    end
  end
  if fields.u then
    a.gone[#a.gone + 1] = 'u'
    a.gone[#a.gone + 1] = 'e'
    if tonumber(fields.e) > start then used = add(used, tonumber(fields.u)) end
  end
  return used
end

-- Reads an account and begins a new window if the old one is over; nothing is written before it is
-- saved. False: the client's windows are not those of our clock.
local function open(a)
  local raw = redis.call('HGETALL', a.key)
  local fields = {}
  for i = 1, #raw, 2 do fields[raw[i]] = raw[i + 1] end
  a.reserved = tonumber(fields.v or 0)
  a.granted = tonumber(fields.g or 0)
  a.granted_until = tonumber(fields.h or 0)
  a.own = fields.o and tonumber(fields.o)
  a.used, a.parts, a.touched, a.gone = 0, {}, {}, {}
  if now >= a.granted_until then a.granted = 0 end
  local changed = fields.w and fields.w ~= a.form
  if a.rolling then
    a.until_ = now + (PARTS + 1) * a.next
    if changed then
      charge(a, brought(a, fields, math.max(now - PARTS * a.next, 0)))
      return true
    end
    for name, amount in pairs(fields) do
      local part = tonumber(string.match(name, '^p(%d+)$'))
      if part and part + PARTS < math.floor(now / a.next) then
        a.gone[#a.gone + 1] = name
      elseif part then
        a.parts[part] = tonumber(amount)
        a.used = add(a.used, a.parts[part])
        a.last = math.max(a.last or 0, part)
      end
    end
    return true
  end
  a.until_ = fields.e and tonumber(fields.e)
  if a.until_ and now < a.until_ and not changed then
    a.used = tonumber(fields.u or 0)
    return true
  end
  if now < a.start or now >= a.next then return false end
  a.until_ = now < a.ends and a.ends or a.next
  if changed then a.used = brought(a, fields, now < a.ends and a.start or a.ends) end
  return true
end

-- What lapsed: charged, or given back.
local function lapse(a, charged)
  local lapsed = redis.call('ZRANGEBYSCORE', a.leases, '-inf', now, 'LIMIT', 0, 100)
  for _, id in ipairs(lapsed) do
    redis.call('ZREM', a.leases, id)
    local amount = tonumber(redis.call('HGET', a.held, id) or 0)
    redis.call('HDEL', a.held, id)
    if string.sub(id, 1, 1) ~= 'x' then
      a.reserved = math.max(a.reserved - amount, 0)
      if not charged then amount = 0 end
      charge(a, amount)
      redis.call('HSET', a.held, 'x' .. id, amount)
      redis.call('ZADD', a.leases, now + KEEP, 'x' .. id)
    end
  end
end

local function save(a)
  if #a.gone > 0 then redis.call('HDEL', a.key, unpack(a.gone)) end
  redis.call('HSET', a.key, 'w', a.form, 'v', a.reserved, 'g', a.granted, 'h', a.granted_until)
  for part in pairs(a.touched) do
    if a.parts[part] then redis.call('HSET', a.key, 'p' .. int(part), a.parts[part]) end
  end
  if not a.rolling then redis.call('HSET', a.key, 'u', a.used, 'e', a.until_) end
  -- For a time and not until one, as our clock may be set otherwise. What is reserved lives as long as
  -- the account, which counts it.
  local last = math.max(a.until_, a.granted_until, now) + SLACK
  for _, key in ipairs({a.key, a.held, a.leases}) do
    if a.until_ > MOST or a.own then
      redis.call('PERSIST', key)
    else
      redis.call('PEXPIRE', key, int(last - now))
    end
  end
end

local function limit(a) return add(a.own or a.usual, a.granted) end
local function left(a) return math.max(limit(a) - a.used - a.reserved, 0) end

-- How long until the least fits if nothing else changes; -1: never.
local function wait(a)
  local over = add(a.least, a.used) - limit(a)
  if over <= 0 then return 0 end
  if a.least > math.max(limit(a) - a.granted, 0) then return -1 end
  if not a.rolling then
    if a.until_ > MOST then return -1 end
    return math.max(a.until_ - now, 0)
  end
  local order = {}
  for part in pairs(a.parts) do order[#order + 1] = part end
  table.sort(order)
  for _, part in ipairs(order) do
    over = over - a.parts[part]
    if over <= 0 then return math.max((part + PARTS + 1) * a.next - now, 0) end
  end
  return -1
end

local function tell(answer, a, is_over)
  answer[#answer + 1] = a.used
  answer[#answer + 1] = a.reserved
  answer[#answer + 1] = limit(a)
  answer[#answer + 1] = wait(a)
  answer[#answer + 1] = is_over and 1 or 0
end
