-- Makes a lease that is still held last longer.
-- KEYS: lease. ARGV: owner, fence, milliseconds it lasts from now.
-- Returns 'renewed', 'gone' or 'held'.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local had = redis.call('HMGET', KEYS[1], 'until', 'owner', 'fence')
if not had[1] or tonumber(had[1]) <= now then
	return 'gone'
end
if had[2] ~= ARGV[1] or had[3] ~= ARGV[2] then
	return 'held'
end
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + ARGV[3] * 1000))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] + 86400000))
return 'renewed'
