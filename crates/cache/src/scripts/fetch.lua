-- Reads an entry and, unless it is fresh, tries to get the lease to load it.
-- KEYS: entry, lease. ARGV: lease's token, lease's time in ms, 1 to try for the lease even if the entry is fresh.
-- Returns the entry or '', its remaining time in ms, 1 if the lease was got.
local entry = redis.call('GET', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if entry and ARGV[3] ~= '1' and string.sub(entry, 1, 1) ~= 'T' and left > tonumber(string.sub(entry, 32, 41)) then
  return {entry, tostring(left), '0'}
end
local got = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
return {entry or '', tostring(left), got and '1' or '0'}
