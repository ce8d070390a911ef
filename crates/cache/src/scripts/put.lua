-- Stores a written entry unless a newer version is known; takes the lease from whoever loads; tells the subscribers.
-- A server that knows nothing of the key may have forgotten a newer version: then only a tombstone is stored.
-- KEYS: entry, lease. ARGV: kind, version, rest of the entry, time to live in ms, channel, message.
-- Returns 'stored', 'unknown' or 'old'.
local current = redis.call('GET', KEYS[1])
if current and string.sub(current, 2, 21) > ARGV[2] then
  return {'old'}
end
redis.call('SET', KEYS[1], (current and ARGV[1] or 'T') .. ARGV[2] .. ARGV[3], 'PX', ARGV[4])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', ARGV[5], ARGV[6])
return {current and 'stored' or 'unknown'}
