-- Ties a key that is reserved for one call to another one, which exists.
-- KEYS: key. ARGV: the call that it is reserved for, the other one.
if redis.call('HGET', KEYS[1], 'call') == ARGV[1] then
	redis.call('HSET', KEYS[1], 'call', ARGV[2], 'pending', '0')
end
return 'tied'
