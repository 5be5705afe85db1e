-- ARGV: skew, what, amount, charged, then the claims. KEYS: the claims.

local what, amount, charged = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local answer = {'read', now, 0}
for i = 1, #KEYS / 3 do
  local a = claim(i * 3 - 2, i * 8 - 3)
  if not open(a) then return {'clock', now} end
  lapse(a, charged)
  if what == 'limit' then
    a.own = amount
    redis.call('HSET', a.key, 'o', amount)
  elseif what == 'usual' then
    a.own = nil
    redis.call('HDEL', a.key, 'o')
  elseif what == 'grant' then
    a.granted = add(a.granted, amount)
    if a.rolling then
      a.granted_until = math.max(a.granted_until, now + PARTS * a.next)
    else
      a.granted_until = a.until_
    end
  elseif what == 'reset' then
    for part in pairs(a.parts or {}) do a.gone[#a.gone + 1] = 'p' .. int(part) end
    a.used, a.granted, a.granted_until, a.parts = 0, 0, 0, {}
    if not a.rolling then a.until_ = now < a.ends and a.ends or a.next end
  end
  tell(answer, a, false)
  save(a)
end
return answer
