-- Raises a fencing number to at least this one.
-- KEYS: fencing number. ARGV: number. Returns the number now.
local current = tonumber(redis.call('GET', KEYS[1]) or '0')
if current < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1])
  return {ARGV[1]}
end
return {string.format('%.0f', current)}
