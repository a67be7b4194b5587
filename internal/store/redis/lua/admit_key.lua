-- Reserves an idempotency key for a call that is about to be, or says which
-- call has it.
-- KEYS: key. ARGV: hash of the request, call, how long a reservation holds and
-- how long a key is remembered, in milliseconds.
-- Returns 'reserved', 'reused', or the call with '?' before it where it may
-- never have come to be, '=' where it has.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local had = redis.call('HMGET', KEYS[1], 'hash', 'call', 'at', 'pending')
if had[1] and had[2] ~= ARGV[2] and tonumber(had[3]) + ARGV[4] * 1000 > now
	and (had[4] == '0' or tonumber(had[4]) > now) then
	if had[1] ~= ARGV[1] then
		return 'reused'
	end
	if had[4] == '0' then
		return '=' .. had[2]
	end
	return '?' .. had[2]
end
if had[2] == ARGV[2] and had[4] == '0' then
	return 'reserved' -- it is the call's already
end
redis.call('HSET', KEYS[1], 'hash', ARGV[1], 'call', ARGV[2], 'at', string.format('%.0f', now),
	'pending', string.format('%.0f', now + ARGV[3] * 1000))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'reserved'
