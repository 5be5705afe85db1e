-- ARGV: skew, id, number, whether it may begin a series, then the claims, whose least is what was used.
-- KEYS: the last number that was booked of this series, then the claims. Settlements come in order, and
-- those that come again, as their answer was lost, are booked once.

local id, number = ARGV[2], tonumber(ARGV[3])
local begins = ARGV[4] == '1'
local last = tonumber(redis.call('GET', KEYS[1]) or -1)
if number <= last then return {'done', now} end
if number > last + 1 and not (begins and last < 0) then return {'gap', now} end
local claims = {}
for i = 1, (#KEYS - 1) / 3 do
  local a = claim(i * 3 - 1, i * 8 - 3)
  if not open(a) then return {'clock', now} end
  claims[i] = a
end
for _, a in ipairs(claims) do
  local used = a.least
  local held = redis.call('HGET', a.held, id)
  local lapsed = redis.call('HGET', a.held, 'x' .. id)
  if held then
    a.reserved = math.max(a.reserved - tonumber(held), 0)
    redis.call('HDEL', a.held, id)
    redis.call('ZREM', a.leases, id)
  end
  if lapsed then
    used = used - tonumber(lapsed)
    redis.call('HDEL', a.held, 'x' .. id)
    redis.call('ZREM', a.leases, 'x' .. id)
  end
  charge(a, used)
  save(a)
end
redis.call('SET', KEYS[1], int(number), 'PX', SLACK)
return {'done', now}
