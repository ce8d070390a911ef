-- Deletes a lease or a lock if its owner's token is this one.
-- KEYS: lease. ARGV: token. Returns 1 if it was deleted.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'0'}
end
redis.call('DEL', KEYS[1])
return {'1'}
