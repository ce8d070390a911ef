-- Replaces an entry that is older than a version, or whose version is unknown, by a tombstone, which remembers the
-- newest version; takes the lease from whoever loads; tells the subscribers.
-- KEYS: entry, lease. ARGV: version (all zeros if unknown), tombstone without kind and version, its time to live in ms,
-- channel, message.
local version = ARGV[1]
local current = redis.call('GET', KEYS[1])
local newest = current and string.sub(current, 2, 21)
if not newest or tonumber(version) == 0 or newest < version then
  if newest and newest > version then
    version = newest
  end
  redis.call('SET', KEYS[1], 'T' .. version .. ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[2])
end
redis.call('PUBLISH', ARGV[4], ARGV[5])
return {'done'}
