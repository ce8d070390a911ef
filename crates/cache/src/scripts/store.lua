-- Stores a loaded entry if its loader still has the lease and no newer version is known.
-- KEYS: entry, lease. ARGV: lease's token, kind, version (all zeros if unknown), rest of the entry, time to live in ms.
-- Returns 'stored' and the version, 'lost' (the lease) or 'old' (the version).
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return {'lost'}
end
redis.call('DEL', KEYS[2])
local version = ARGV[3]
local current = redis.call('GET', KEYS[1])
if current then
  local newest = string.sub(current, 2, 21)
  if tonumber(version) == 0 then
    version = newest
  elseif version < newest then
    return {'old'}
  end
end
redis.call('SET', KEYS[1], ARGV[2] .. version .. ARGV[4], 'PX', ARGV[5])
return {'stored', version}
