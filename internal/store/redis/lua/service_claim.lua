-- Takes or renews the right to use this Redis.
-- KEYS: service. ARGV: node, its host, its process, milliseconds it lasts.
-- Returns 'yours' and the node that served last, or 'held', the holder's host
-- and process, and the microseconds that are left to it.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local had = redis.call('HMGET', KEYS[1], 'node', 'host', 'pid', 'until', 'served')
if had[1] and had[1] ~= ARGV[1] and tonumber(had[4]) > now then
	return {'held', had[2], had[3], string.format('%.0f', had[4] - now)}
end
redis.call('HSET', KEYS[1], 'node', ARGV[1], 'host', ARGV[2], 'pid', ARGV[3],
	'until', string.format('%.0f', now + ARGV[4] * 1000))
return {'yours', had[5] or ''}
