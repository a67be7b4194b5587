-- Takes the use of an idempotency key, unless a later one is there.
-- KEYS: key. ARGV: hash of the request, call, when in microseconds, how long it
-- is remembered in milliseconds.
-- Returns the call that has used the key as well, behind '<' where that was
-- before this one, behind '>' where it was after, or nothing.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local at, keep = tonumber(ARGV[3]), tonumber(ARGV[4])
local had = redis.call('HMGET', KEYS[1], 'call', 'at', 'pending')
local clash = ''
if had[1] and had[1] ~= ARGV[2] then
	local later = tonumber(had[2]) > at
	if had[3] == '0' and math.abs(tonumber(had[2]) - at) < keep * 1000 then
		clash = (later and '>' or '<') .. had[1]
	end
	if later then
		return clash
	end
end
local left = math.floor((at - now) / 1000) + keep
if left <= 0 then
	redis.call('DEL', KEYS[1])
	return clash
end
redis.call('HSET', KEYS[1], 'hash', ARGV[1], 'call', ARGV[2], 'at', ARGV[3], 'pending', '0')
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', left))
return clash
