-- Acquires a lock if nobody has it, and counts up its fencing number.
-- KEYS: lock, fencing number. ARGV: token, time to live in ms. Returns the fencing number, or nothing.
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return {}
end
return {string.format('%.0f', redis.call('INCR', KEYS[2]))}
