-- Takes a lease, or says that it is held.
-- KEYS: lease. ARGV: owner, token of this attempt, milliseconds it lasts,
-- fence that the new one must exceed.
-- Returns the fence, or false.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local had = redis.call('HMGET', KEYS[1], 'until', 'token', 'fence')
if had[1] and tonumber(had[1]) > now then
	if had[2] == ARGV[2] then
		return had[3] -- this attempt, whose answer was lost
	end
	return false
end
-- The clock stands in for what was forgotten with the key, or with the last
-- second before a crash.
local fence = math.max(now, tonumber(ARGV[4]) + 1)
if had[3] then
	fence = math.max(fence, had[3] + 1)
end
fence = string.format('%.0f', fence)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'token', ARGV[2], 'fence', fence,
	'until', string.format('%.0f', now + ARGV[3] * 1000))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ARGV[3] + 86400000))
return fence
