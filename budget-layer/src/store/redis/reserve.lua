-- ARGV: skew, id, lease, charged, then the claims. KEYS: the claims.

local id, lease, charged = ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local claims, over, share, refused = {}, {}, WHOLE, 0
for i = 1, #KEYS / 3 do
  local a = claim(i * 3 - 2, i * 8 - 3)
  if not open(a) then return {'clock', now} end
  claims[i] = a
end
for i, a in ipairs(claims) do
  lapse(a, charged)
  local room = left(a)
  over[i] = room < a.least
  if a.enforced and over[i] and refused == 0 then refused = i end
  if a.enforced and room < a.most and not over[i] then
    -- the quotient is rounded, so the last step is found by trying
    local range, fits = a.most - a.least, room - a.least
    local part = math.min(math.floor(fits / range * WHOLE) + 1, share)
    local function amount(s)
      return math.floor(range / WHOLE) * s + math.ceil(range % WHOLE * s / WHOLE)
    end
    while part > 0 and amount(part) > fits do part = part - 1 end
    share = math.min(share, part)
  end
end
local answer = {refused > 0 and 'refused' or 'granted', now, refused > 0 and refused or share}
for i, a in ipairs(claims) do
  if refused == 0 then
    local range = a.most - a.least
    local amount = a.least + math.floor(range / WHOLE) * share + math.ceil(range % WHOLE * share / WHOLE)
    tell(answer, a, over[i])
    a.reserved = add(a.reserved, amount)
    answer[#answer - 3] = a.reserved
    redis.call('HINCRBY', a.held, id, amount)
    redis.call('ZADD', a.leases, now + lease, id)
  else
    tell(answer, a, over[i])
  end
  save(a)
end
return answer
