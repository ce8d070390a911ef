-- Extends a lock if its owner's token is this one.
-- KEYS: lock. ARGV: token, time to live in ms from now. Returns 1 if it was extended.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'0'}
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {'1'}
