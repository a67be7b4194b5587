-- Gives the right to use this Redis back.
-- KEYS: service. ARGV: node.
if redis.call('HGET', KEYS[1], 'node') == ARGV[1] then
	redis.call('HSET', KEYS[1], 'until', '0')
end
return 'left'
