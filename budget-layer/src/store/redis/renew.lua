-- ARGV: skew, lease, then for each account how many reservations, and their ids. KEYS: the accounts.

local lease, at = tonumber(ARGV[2]), 3
for i = 1, #KEYS / 3 do
  local held, leases = KEYS[i * 3 - 1], KEYS[i * 3]
  for n = 1, tonumber(ARGV[at]) do
    -- only what is still reserved: what lapsed or was settled does not come back
    redis.call('ZADD', leases, 'XX', now + lease, ARGV[at + n])
  end
  at = at + 1 + tonumber(ARGV[at])
  for key = i * 3 - 2, i * 3 do
    local lives = redis.call('PTTL', KEYS[key])
    if lives >= 0 and lives < SLACK / 2 then redis.call('PEXPIRE', KEYS[key], SLACK) end
  end
end
return 'done'
